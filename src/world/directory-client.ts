/**
 * A directory at the other end of a link.
 *
 * Every call is one request with a number of its own, never used again on this link, and settles
 * once: by its answer, or with `E_DIRECTORY` when none came in time. A request is never sent a
 * second time, because nobody could tell one txn from two. Answers may come late, twice or for
 * nothing; an answer whose request is not waited for is dropped, one of the wrong kind fails its
 * request, since no better one will come.
 *
 * At most `WINDOW` requests are out; the others wait here, in order, and their time runs already.
 */
import { StorageError } from '../base/errors.ts';
import { invariant, present } from '../base/invariant.ts';
import { nanos } from '../base/units.ts';
import type { Change, Comparison, Directory, DirectoryEntry } from './directory.ts';
import { checkKey, checkPrefix, checkTxn, directoryError } from './directory-rules.ts';
import {
  type DirectoryMessage,
  decodeDirectoryMessage,
  encodeDirectoryMessage,
  WIRE_VERSION,
} from './directory-wire.ts';
import type { Link, TimerId, World } from './world.ts';

/** Name of an actor's link to a directory, where it has one. */
export const DIRECTORY_LINK = 'directory';

export interface DirectoryClientOptions {
  /** How long a call waits for its answer. */
  readonly timeoutNs: number;
}

/** Below the server's limit. */
const WINDOW = 64;
const U32_MAX = 2 ** 32 - 1;
const DEFAULT_TIMEOUT_NS = 5_000_000_000;

type Answer = Extract<DirectoryMessage, { readonly kind: 'entries' | 'decided' }>;

interface Pending {
  readonly frame: Uint8Array;
  readonly answerKind: Answer['kind'];
  timer: TimerId | null;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

export class DirectoryClient implements Directory {
  readonly #link: Link;
  readonly #world: Pick<World, 'clock' | 'timers'>;
  readonly #timeoutNs: number;
  /** In the order in which they were asked; the first `WINDOW` of them are out. */
  readonly #pending = new Map<number, Pending>();
  readonly #waiting: number[] = [];
  readonly #watches = new Map<number, (key: string) => void>();
  #out = 0;
  #lastRequest = 0;
  #strayFrames = 0;
  #open = true;

  constructor(
    link: Link,
    world: Pick<World, 'clock' | 'timers'>,
    options: Partial<DirectoryClientOptions> = {},
  ) {
    this.#link = link;
    this.#world = world;
    this.#timeoutNs = options.timeoutNs ?? DEFAULT_TIMEOUT_NS;
    link.onFrame((frame) => this.#receive(frame));
  }

  /** Frames that were no answer to anything: late, twice, or not a message. */
  get strayFrames(): number {
    return this.#strayFrames;
  }

  async get(key: string): Promise<DirectoryEntry | null> {
    checkKey(key);
    const entries = await this.#entries({ kind: 'get', request: this.#next(), key });
    if (entries.length > 1 || (entries.length === 1 && entries[0]?.key !== key)) {
      throw directoryError(`it answered with other keys than "${key}"`);
    }
    return entries[0] ?? null;
  }

  async list(prefix: string): Promise<readonly DirectoryEntry[]> {
    checkPrefix(prefix);
    const entries = await this.#entries({ kind: 'list', request: this.#next(), prefix });
    const inOrder = entries.every(({ key }, at) => {
      return key.startsWith(prefix) && (at === 0 || (entries[at - 1] as DirectoryEntry).key < key);
    });
    if (!inOrder) throw directoryError(`it answered with other keys than those of "${prefix}"`);
    return entries;
  }

  async txn(comparisons: readonly Comparison[], changes: readonly Change[]): Promise<boolean> {
    checkTxn(comparisons, changes);
    const request = this.#next();
    const answer = await this.#call({ kind: 'txn', request, comparisons, changes }, 'decided');
    return answer.kind === 'decided' && answer.made;
  }

  watch(prefix: string, changed: (key: string) => void): () => void {
    checkPrefix(prefix);
    const request = this.#next();
    this.#watches.set(request, changed);
    this.#tell({ kind: 'watch', request, prefix });
    return () => {
      if (this.#watches.delete(request)) this.#tell({ kind: 'unwatch', request });
    };
  }

  close(): Promise<void> {
    if (!this.#open) return Promise.resolve();
    for (const watch of this.#watches.keys()) this.#tell({ kind: 'unwatch', request: watch });
    this.#watches.clear();
    this.#open = false;
    for (const request of this.#pending.keys()) {
      this.#take(request)?.reject(directoryError('this end of the link was closed'));
    }
    this.#link.close();
    return Promise.resolve();
  }

  async #entries(message: DirectoryMessage): Promise<readonly DirectoryEntry[]> {
    const answer = await this.#call(message, 'entries');
    return answer.kind === 'entries' ? answer.entries : [];
  }

  #next(): number {
    invariant(this.#lastRequest < U32_MAX, 'a link lasts for fewer requests than it has numbers');
    this.#lastRequest += 1;
    return this.#lastRequest;
  }

  #tell(message: DirectoryMessage): void {
    if (this.#open) this.#link.send(frameOf(message));
  }

  #call(message: DirectoryMessage, answerKind: Answer['kind']): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (!this.#open) return reject(directoryError('this end of the link was closed'));
      const { request } = message;
      const frame = frameOf(message);
      const pending: Pending = { frame, answerKind, timer: null, resolve, reject };
      this.#pending.set(request, pending);
      const deadlineNs = nanos(this.#world.clock.nowNs() + this.#timeoutNs);
      pending.timer = this.#world.timers.at(deadlineNs, () => this.#timeOut(request));
      this.#waiting.push(request);
      this.#sendMore();
    });
  }

  #sendMore(): void {
    while (this.#out < WINDOW) {
      const request = this.#waiting.shift();
      if (request === undefined) return;
      this.#out += 1;
      this.#link.send(present(this.#pending.get(request), 'who waits is pending').frame);
    }
  }

  #timeOut(request: number): void {
    const why = `no answer within ${this.#timeoutNs / 1e6} ms`;
    const pending = this.#take(request);
    if (pending !== null) pending.timer = null;
    pending?.reject(directoryError(why));
  }

  /** Takes a request off the books, and lets the next one out in its place. */
  #take(request: number): Pending | null {
    const pending = this.#pending.get(request);
    if (pending === undefined) return null;
    this.#pending.delete(request);
    if (pending.timer !== null) this.#world.timers.cancel(pending.timer);
    const waitsAt = this.#waiting.indexOf(request);
    if (waitsAt >= 0) this.#waiting.splice(waitsAt, 1);
    else this.#out -= 1;
    if (this.#open) this.#sendMore();
    return pending;
  }

  #receive(frame: Uint8Array): void {
    if (!this.#open) return;
    const message = decodeDirectoryMessage(frame);
    if (message === null) {
      this.#strayFrames += 1;
    } else if (message.kind === 'hint') {
      this.#watches.get(message.request)?.(message.key);
    } else {
      const pending = this.#take(message.request);
      if (pending === null) this.#strayFrames += 1;
      else if (message.kind === 'foreign') pending.reject(versionError(message.version));
      else if (message.kind === 'failed') pending.reject(directoryError(message.why));
      else if (message.kind === pending.answerKind) pending.resolve(message as Answer);
      else pending.reject(directoryError('its answer does not fit the question'));
    }
  }
}

function frameOf(message: DirectoryMessage): Uint8Array {
  return present(encodeDirectoryMessage(message), 'a request fits a frame');
}

function versionError(version: number): StorageError {
  return new StorageError(
    'E_DIRECTORY_VERSION',
    `the directory speaks version ${version} of the protocol, this program version ` +
      `${WIRE_VERSION}: use the same release on both sides`,
    { fields: { version, expected: WIRE_VERSION } },
  );
}
