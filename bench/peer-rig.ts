/** One peer of the ring, with its threads: opened, measured at several depths, thrown away. */
import { MessageChannel, Worker } from 'node:worker_threads';
import {
  createHostMemory,
  WASM_PAGE_BYTES,
  type WasmMemory,
} from '../src/world/real/wasm-memory.ts';
import { sleepMs } from './machine.ts';
import {
  BLOCK_BYTES,
  type ClientBoot,
  PEER_MAX_DEPTH,
  PEER_WORDS,
  type PeerKind,
  PeerWord,
  type ServerBoot,
  SHARED_AREAS,
} from './peers/peer.ts';

const MEMORY_BYTES =
  Math.ceil((SHARED_AREAS * PEER_MAX_DEPTH * BLOCK_BYTES) / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;

/** The pages a guest shares with the driver; rigs that follow one another use the same. */
export function peerMemory(): WasmMemory {
  return createHostMemory(MEMORY_BYTES);
}

export class PeerRig {
  readonly #clients: Worker[] = [];
  readonly #words: Float64Array[] = [];
  readonly #server: Worker | null;
  #failure: unknown = null;

  /** One guest a memory. */
  constructor(kind: PeerKind, guestMemories: readonly WasmMemory[]) {
    const channels = guestMemories.map(() => new MessageChannel());
    const memories = guestMemories.map(({ transfer }) => transfer);
    channels.forEach(({ port1 }, guest) => {
      const words = new SharedArrayBuffer(PEER_WORDS * Float64Array.BYTES_PER_ELEMENT);
      this.#words.push(new Float64Array(words));
      const memory = memories[guest] as ClientBoot['memory'];
      const boot: ClientBoot = { kind, words, port: port1, memory };
      this.#clients.push(this.#watched('client', boot, [port1]));
    });
    const ports = channels.map(({ port2 }) => port2);
    const boot: ServerBoot = { kind, ports, memories };
    this.#server = kind === 'piscina' ? null : this.#watched('server', boot, ports);
  }

  /** How many requests each guest keeps outstanding from now on. */
  setDepth(depth: number): void {
    for (const client of this.#clients) client.postMessage(depth);
  }

  /** Settles when every guest has had its first answers. */
  async ready(): Promise<void> {
    while (this.#failure === null && this.#words.some((words) => words[PeerWord.completed] === 0)) {
      await sleepMs(1);
    }
  }

  /** Requests a second, of all guests, in `durationMs`, or in the time one request takes. */
  async measure(durationMs: number): Promise<number> {
    const before = this.#completed();
    const startMs = performance.now();
    await sleepMs(durationMs);
    while (this.#completed() === before && this.#failure === null) await sleepMs(1);
    const requests = this.#completed() - before;
    const elapsedMs = performance.now() - startMs;
    if (this.#failure !== null) throw new Error('a peer has failed', { cause: this.#failure });
    return (requests * 1000) / elapsedMs;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.terminate();
    await this.#server?.terminate();
  }

  #completed(): number {
    return this.#words.reduce((sum, words) => sum + (words[PeerWord.completed] as number), 0);
  }

  #watched(
    file: 'client' | 'server',
    boot: ClientBoot | ServerBoot,
    ports: ServerBoot['ports'],
  ): Worker {
    const url = new URL(`./peers/${file}.js`, import.meta.url);
    const worker = new Worker(url, { workerData: boot, transferList: [...ports] });
    worker.on('error', (thrown) => {
      this.#failure ??= thrown;
    });
    return worker;
  }
}
