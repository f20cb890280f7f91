/**
 * Attaching a host to a store: one session and one fence for each (store, host).
 *
 * `next/<store>` holds the last session and fence that were given; no number is given twice in a
 * store. `attach/<store>/<host>` holds those of the host's attachment. One txn raises the first and
 * writes the second, so whoever attaches last has the highest fence, and the version of its
 * `attach` key is what it compares in every txn of its own: from the moment of a successor's
 * attachment each txn of the older one is refused. What was lost on the way only skips a number.
 */
import { StorageError } from '../../base/errors.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import {
  decodeSessionRecord,
  encodeSessionRecord,
  type SessionRecord,
  SessionRecordKind,
} from '../../base/formats/session-record.ts';
import { type Fence, nanos, type Session, u32 } from '../../base/units.ts';
import type { Comparison, Directory, DirectoryEntry } from '../../world/directory.ts';
import type { Digest, TimerId, World } from '../../world/world.ts';
import { attachmentKey, checkStoreName, nextSessionKey } from './keys.ts';

export interface Attachment {
  readonly store: string;
  readonly host: string;
  readonly session: Session;
  readonly fence: Fence;
  /** Its key in the directory and that key's version: both hold as long as it is not fenced. */
  readonly key: string;
  readonly version: number;
}

/** Others who attach at the same time make a try fail, one of them at a time. */
const ATTEMPTS_MAX = 100;
const U32_MAX = 2 ** 32 - 1;

/**
 * Attaches the host; an older attachment of it is fenced from then on. Rejects with `E_DIRECTORY`
 * if that is not known to be made, and then may be tried again.
 */
export async function attach(
  directory: Directory,
  digest: Digest,
  store: string,
  host: string,
): Promise<Attachment> {
  checkStoreName('store', store);
  checkStoreName('host', host);
  const key = attachmentKey(store, host);
  const nextKey = nextSessionKey(store);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const [next, older] = await Promise.all([directory.get(nextKey), directory.get(key)]);
    const last = recordOf(digest, SessionRecordKind.next, next) ?? { session: 0, fence: 0 };
    checkNumbersLeft(store, last);
    const given = { session: last.session + 1, fence: last.fence + 1 };
    const comparisons = [
      { key: nextKey, version: next?.version ?? 0 },
      { key, version: older?.version ?? 0 },
    ];
    const made = await directory.txn(comparisons, [
      { key: nextKey, value: encodeSessionRecord(digest, SessionRecordKind.next, given) },
      { key, value: encodeSessionRecord(digest, SessionRecordKind.attachment, given) },
    ]);
    if (made) return await confirm(directory, digest, store, host, given);
  }
  throw new StorageError(
    'E_ATTACH_CONTENTION',
    `host ${host} did not get to attach to store ${store}: ${ATTEMPTS_MAX} times another host ` +
      'was faster; try again',
    { fields: { store, host } },
  );
}

/** Ends an attachment. If it was fenced meanwhile it is over anyway, and nothing is done. */
export async function detach(directory: Directory, attachment: Attachment): Promise<void> {
  await directory.txn([stillAttached(attachment)], [{ key: attachment.key, value: null }]);
}

/** Holds until a successor attaches: to be compared in every txn of this attachment. */
export function stillAttached({ key, version }: Attachment): Comparison {
  return { key, version };
}

export function fencedError(attachment: Attachment): StorageError {
  const { store, host, session } = attachment;
  return new StorageError(
    'E_FENCED',
    `session ${session} of host ${host} has been fenced off store ${store}: another attachment ` +
      'of this host, or an operator, has taken over',
    { fields: { store, host, session } },
  );
}

/** Looks up the version that the attachment has, unless a successor was faster. */
async function confirm(
  directory: Directory,
  digest: Digest,
  store: string,
  host: string,
  given: SessionRecord,
): Promise<Attachment> {
  const key = attachmentKey(store, host);
  const entry = await directory.get(key);
  const record = recordOf(digest, SessionRecordKind.attachment, entry);
  const attachment: Attachment = {
    store,
    host,
    session: u32<Session>(given.session),
    fence: u32<Fence>(given.fence),
    key,
    version: entry?.version ?? 0,
  };
  if (record?.session !== given.session) throw fencedError(attachment);
  return attachment;
}

function recordOf(
  digest: Digest,
  kind: SessionRecordKind,
  entry: DirectoryEntry | null,
): SessionRecord | null {
  if (entry === null) return null;
  const record = decodeSessionRecord(digest, kind, entry.value);
  if (!isDamage(record)) return record;
  throw new StorageError('E_DIRECTORY_DAMAGED', `"${entry.key}" is damaged: ${record.problem}`, {
    fields: { key: entry.key },
  });
}

function checkNumbersLeft(store: string, last: SessionRecord): void {
  if (last.session < U32_MAX && last.fence < U32_MAX) return;
  throw new StorageError(
    'E_SESSIONS_USED_UP',
    `store ${store} has given all of its 2^32 sessions: copy it into a new store`,
    { fields: { store } },
  );
}

/**
 * Tells whether an attachment has been fenced, once it is known. A hint of the directory makes it
 * look, and so does a timer, because a hint may not come; who is refused a txn asks it to `check`.
 * It can only be late: what must not happen after a fence compares `stillAttached` as well.
 */
export class FenceGuard {
  readonly attachment: Attachment;
  readonly #directory: Directory;
  readonly #world: Pick<World, 'clock' | 'timers'>;
  readonly #pollNs: number;
  readonly #onFenced: () => void;
  readonly #unwatch: () => void;
  #timer: TimerId | null = null;
  #fenced = false;
  #open = true;

  constructor(
    directory: Directory,
    world: Pick<World, 'clock' | 'timers'>,
    attachment: Attachment,
    options: { readonly pollNs: number; readonly onFenced: () => void },
  ) {
    this.attachment = attachment;
    this.#directory = directory;
    this.#world = world;
    this.#pollNs = options.pollNs;
    this.#onFenced = options.onFenced;
    this.#unwatch = directory.watch(attachment.key, () => this.#look());
    this.#arm();
  }

  get fenced(): boolean {
    return this.#fenced;
  }

  /** Asks the directory. Rejects with `E_DIRECTORY` if it does not answer. */
  async check(): Promise<boolean> {
    if (this.#fenced) return true;
    const { key, version } = this.attachment;
    const entry = await this.#directory.get(key);
    if (entry?.version !== version && this.#open && !this.#fenced) {
      this.#fenced = true;
      this.#onFenced();
    }
    return this.#fenced;
  }

  close(): void {
    this.#open = false;
    this.#unwatch();
    if (this.#timer !== null) this.#world.timers.cancel(this.#timer);
    this.#timer = null;
  }

  #arm(): void {
    if (!this.#open || this.#fenced) return;
    const deadlineNs = nanos(this.#world.clock.nowNs() + this.#pollNs);
    this.#timer = this.#world.timers.at(deadlineNs, () => {
      this.#timer = null;
      this.#look();
      this.#arm();
    });
  }

  #look(): void {
    this.check().catch((thrown: unknown) => {
      // The directory does not answer now: the next look will tell.
      if (!(thrown instanceof StorageError)) throw thrown;
    });
  }
}
