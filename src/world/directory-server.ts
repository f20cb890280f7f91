/**
 * Serves a directory to many links.
 *
 * A frame may arrive twice, and a txn that is made twice is not the txn that was asked for: the
 * second could undo what others did in between. Numbers of requests are used once, so each
 * connection remembers those it has taken: all below a floor, and a set of those above it. The
 * floor follows the newest number at a distance, which bounds the set; a frame later than that
 * distance is dropped, as if the link had lost it.
 *
 * Clients are not trusted: frames that are no message are counted and dropped, requests beyond
 * `IN_FLIGHT_MAX` and watches beyond `WATCHES_MAX` are refused.
 */
import { StorageError } from '../base/errors.ts';
import type { Directory, DirectoryEntry } from './directory.ts';
import {
  type DirectoryMessage,
  decodeDirectoryMessage,
  encodeDirectoryMessage,
} from './directory-wire.ts';
import type { Link } from './world.ts';

const IN_FLIGHT_MAX = 256;
const WATCHES_MAX = 256;
const REMEMBERED_REQUESTS = 8192;
const WHY_LENGTH_MAX = 400;

export class DirectoryServer {
  readonly #directory: Directory;
  readonly #connections = new Set<Connection>();

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  /** Frames that were no request, over all connections that are open. */
  get badFrames(): number {
    let count = 0;
    for (const connection of this.#connections) count += connection.badFrames;
    return count;
  }

  /** Serves the client at the other end until the function it gives back is called. */
  serve(link: Link): () => void {
    const connection = new Connection(this.#directory, link);
    this.#connections.add(connection);
    return () => {
      this.#connections.delete(connection);
      connection.end();
    };
  }

  /** Ends all connections. The directory stays open: it belongs to who made it. */
  close(): void {
    for (const connection of this.#connections) connection.end();
    this.#connections.clear();
  }
}

class Connection {
  readonly #directory: Directory;
  readonly #link: Link;
  readonly #watches = new Map<number, () => void>();
  readonly #taken = new Set<number>();
  /** Every number up to this one is taken. */
  #floor = 0;
  #inFlight = 0;
  #open = true;
  badFrames = 0;

  constructor(directory: Directory, link: Link) {
    this.#directory = directory;
    this.#link = link;
    link.onFrame((frame) => this.#receive(frame));
  }

  end(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const unwatch of this.#watches.values()) unwatch();
    this.#watches.clear();
    this.#link.close();
  }

  #receive(frame: Uint8Array): void {
    if (!this.#open) return;
    const message = decodeDirectoryMessage(frame);
    if (message === null) {
      this.badFrames += 1;
    } else if (message.kind === 'foreign') {
      this.#fail(message.request, `version ${message.version} of the protocol is not known here`);
    } else if (message.kind === 'unwatch') {
      this.#watches.get(message.request)?.();
      this.#watches.delete(message.request);
      // One that overtook its watch must still end it.
      this.#takeNumber(message.request);
    } else if (this.#takeNumber(message.request)) {
      this.#begin(message);
    }
  }

  /** True the first time. */
  #takeNumber(request: number): boolean {
    if (request <= this.#floor || this.#taken.has(request)) return false;
    this.#taken.add(request);
    const floor = request - REMEMBERED_REQUESTS;
    if (floor > this.#floor) {
      this.#floor = floor;
      for (const old of this.#taken) if (old <= floor) this.#taken.delete(old);
    }
    while (this.#taken.delete(this.#floor + 1)) this.#floor += 1;
    return true;
  }

  #begin(message: DirectoryMessage): void {
    switch (message.kind) {
      case 'get':
        return this.#answer(message.request, async () => {
          const entry = await this.#directory.get(message.key);
          return entries(message.request, entry === null ? [] : [entry]);
        });
      case 'list':
        return this.#answer(message.request, async () =>
          entries(message.request, await this.#directory.list(message.prefix)),
        );
      case 'txn':
        return this.#answer(message.request, async () => {
          const made = await this.#directory.txn(message.comparisons, message.changes);
          return { kind: 'decided', request: message.request, made };
        });
      case 'watch':
        return this.#watch(message.request, message.prefix);
      case 'unwatch':
      case 'entries':
      case 'decided':
      case 'failed':
      case 'hint':
        this.badFrames += 1;
    }
  }

  #watch(request: number, prefix: string): void {
    // Hints may be missing: a watch beyond the limit has none at all.
    if (this.#watches.size >= WATCHES_MAX) return;
    const changed = (key: string): void => this.#send({ kind: 'hint', request, key });
    this.#watches.set(request, this.#directory.watch(prefix, changed));
  }

  #answer(request: number, ask: () => Promise<DirectoryMessage>): void {
    if (this.#inFlight >= IN_FLIGHT_MAX) {
      return this.#fail(request, 'too many requests at once');
    }
    this.#inFlight += 1;
    ask().then(
      (message) => {
        this.#inFlight -= 1;
        this.#send(message);
      },
      (thrown: unknown) => {
        this.#inFlight -= 1;
        // A bug in the directory is the directory's: the client hears that there is no answer.
        this.#fail(request, thrown instanceof StorageError ? thrown.message : String(thrown));
      },
    );
  }

  #fail(request: number, why: string): void {
    const ascii = why.slice(0, WHY_LENGTH_MAX).replace(/[^\x20-\x7e]/g, '?');
    this.#send({ kind: 'failed', request, why: ascii });
  }

  #send(message: DirectoryMessage): void {
    if (!this.#open) return;
    const frame = encodeDirectoryMessage(message);
    if (frame === null) this.#fail(message.request, 'the answer is too long for one message');
    else this.#link.send(frame);
  }
}

function entries(request: number, list: readonly DirectoryEntry[]): DirectoryMessage {
  return { kind: 'entries', request, entries: list };
}
