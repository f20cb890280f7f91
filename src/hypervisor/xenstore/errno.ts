/**
 * The errors a store may answer, by name: on the wire an error is the text of its name, because
 * errno numbers differ between guests. Source: io/xs_wire.h.
 *
 * Which quota gives which name follows the C xenstored: too many nodes, a value that is too long
 * and too many transactions are ENOSPC, too many watches and an answer or a token that does not
 * fit one message are E2BIG, a path that is too long is EINVAL. Too many requests at once: EBUSY,
 * where Xen stops reading the ring, which a link cannot. EQUOTA is a private name of another
 * implementation and absent from the header, so that guests would read it as an unknown error.
 */
import { StorageError } from '../../base/errors.ts';

const ERRNOS = [
  'EINVAL',
  'EACCES',
  'EEXIST',
  'EISDIR',
  'ENOENT',
  'ENOMEM',
  'ENOSPC',
  'EIO',
  'ENOTEMPTY',
  'ENOSYS',
  'EROFS',
  'EBUSY',
  'EAGAIN',
  'EISCONN',
  'E2BIG',
  'EPERM',
] as const;
export type XenstoreErrno = (typeof ERRNOS)[number];

export function isXenstoreErrno(text: string): text is XenstoreErrno {
  return (ERRNOS as readonly string[]).includes(text);
}

/** Refuses one request inside the server; it leaves as an error reply and nothing has changed. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly errno: XenstoreErrno;
  constructor(errno: XenstoreErrno, why: string) {
    super(why);
    this.errno = errno;
  }
}

export function refuse(errno: XenstoreErrno, why: string): never {
  throw new Refusal(errno, why);
}

/**
 * What a client's promise rejects with. `code` is `E_XENSTORE_<ERRNO>`, or one of
 * `E_XENSTORE_PROTOCOL` (the server's answer does not fit the request), `E_XENSTORE_VALUE` (a key
 * does not hold what it should) and `E_XENSTORE_CLOSED` (the link was closed). `fields.path` names
 * the key.
 */
export function xenstoreError(
  reason: XenstoreErrno | 'PROTOCOL' | 'VALUE' | 'CLOSED',
  operation: string,
  path: string,
  why: string,
): StorageError {
  return new StorageError(`E_XENSTORE_${reason}`, `xenstore: ${operation} ${path}: ${why}`, {
    fields: { operation, path },
  });
}

export function hasErrno(thrown: unknown, errno: XenstoreErrno): boolean {
  return thrown instanceof StorageError && thrown.code === `E_XENSTORE_${errno}`;
}
