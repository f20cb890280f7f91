/** What a client says when nobody could, or may, do what it was asked. */
import { StorageError } from '../../base/errors.ts';
import type { Session } from '../../base/units.ts';
import { PoolStatus } from '../../world/block-pool.ts';

/** Whose session it is, of which store. */
export interface ClientName {
  readonly session: Session;
  readonly host: string;
  readonly store: string;
}

/** Of a conditional block, which ended with `status` and without an answer. */
export function conditionalError(
  status: PoolStatus,
  block: number,
  { session, host, store }: ClientName,
): StorageError {
  const fields = { block, status };
  if (status === PoolStatus.fenced) {
    const text = `session ${session} of host ${host} has been fenced off store ${store}`;
    return new StorageError('E_FENCED', text, { fields });
  }
  const text = `nobody could say what has become of conditional block ${block}`;
  return new StorageError('E_POOL_UNKNOWN', text, { fields });
}
