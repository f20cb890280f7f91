/** The guest's side of each peer: sends one request, and says when its answer is there. */
import type { MessagePort } from 'node:worker_threads';
import { type Endpoint, wrap } from 'comlink';
import { Piscina } from 'piscina';
import { openHostMemory } from '../../src/world/real/wasm-memory.ts';
import {
  BLOCK_BYTES,
  type ClientBoot,
  guestBuffer,
  PEER_MAX_DEPTH,
  type PeerRequest,
  type PeerResponse,
  sharedPage,
} from './peer.ts';
import type { PageStore } from './store.ts';

export interface Transport {
  /** Sends; `done(slot)` is called when the answer was taken in. */
  send(slot: number, write: boolean, lba: number): void;
}

type Done = (slot: number) => void;

export function transportOf(boot: ClientBoot, done: Done): Transport {
  switch (boot.kind) {
    case 'port':
      return portTransport(boot.port, done);
    case 'port-shared':
      return sharedPortTransport(boot, done);
    case 'comlink': {
      const store = wrap<PageStore>(boot.port as unknown as Endpoint);
      return callTransport((request) => store.serve(request), done);
    }
    case 'piscina': {
      const pool = new Piscina<PeerRequest, PeerResponse>({
        filename: new URL('./piscina-task.js', import.meta.url).href,
        minThreads: 1,
        maxThreads: 1,
        concurrentTasksPerWorker: PEER_MAX_DEPTH,
      });
      return callTransport((request) => pool.run(request, { name: 'serve' }), done);
    }
  }
}

/** One message a request and one an answer, the block inside. */
function portTransport(port: MessagePort, done: Done): Transport {
  const buffers = ownBuffers();
  port.on('message', ({ slot, data }: PeerResponse) => {
    if (data !== null) (buffers[slot] as Uint8Array).set(data);
    done(slot);
  });
  return {
    send: (slot, write, lba) => {
      const data = write ? (buffers[slot] as Uint8Array) : null;
      port.postMessage({ slot, write, lba, data } satisfies PeerRequest);
    },
  };
}

/** One message a request and one an answer, the block in a page that both sides see. */
function sharedPortTransport(boot: ClientBoot, done: Done): Transport {
  const memory = openHostMemory(boot.memory);
  const reads = new Uint8Array(PEER_MAX_DEPTH);
  boot.port.on('message', ({ slot }: PeerResponse) => {
    if (reads[slot] === 1) memory.copy(guestBuffer(slot), sharedPage(slot), BLOCK_BYTES);
    done(slot);
  });
  return {
    send: (slot, write, lba) => {
      reads[slot] = write ? 0 : 1;
      if (write) memory.copy(sharedPage(slot), guestBuffer(slot), BLOCK_BYTES);
      boot.port.postMessage({ slot, write, lba, data: null } satisfies PeerRequest);
    },
  };
}

/** One call a request, the block in its arguments or its result. */
function callTransport(
  call: (request: PeerRequest) => Promise<PeerResponse>,
  done: Done,
): Transport {
  const buffers = ownBuffers();
  const take = ({ slot, data }: PeerResponse): void => {
    if (data !== null) (buffers[slot] as Uint8Array).set(data);
    done(slot);
  };
  return {
    send: (slot, write, lba) => {
      const data = write ? (buffers[slot] as Uint8Array) : null;
      // A failed call is unhandled on purpose: it ends the thread, and with it the benchmark.
      void call({ slot, write, lba, data }).then(take);
    },
  };
}

/** A buffer each, since a clone of a view copies all of the buffer under it. */
function ownBuffers(): readonly Uint8Array[] {
  return Array.from({ length: PEER_MAX_DEPTH }, () => new Uint8Array(BLOCK_BYTES));
}
