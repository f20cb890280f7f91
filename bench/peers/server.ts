/** The driver's side of the peers that are not piscina: one thread that serves all guests. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { type Endpoint, expose } from 'comlink';
import { type HostMemoryTransfer, openHostMemory } from '../../src/world/real/wasm-memory.ts';
import {
  BLOCK_BYTES,
  driverPage,
  type PeerRequest,
  type PeerResponse,
  type ServerBoot,
  sharedPage,
} from './peer.ts';
import { PageStore } from './store.ts';

const { kind, ports, memories } = workerData as ServerBoot;

function servePort(port: MessagePort): void {
  const store = new PageStore();
  port.on('message', (request: PeerRequest) => port.postMessage(store.serve(request)));
}

function serveSharedPort(port: MessagePort, transfer: HostMemoryTransfer): void {
  const memory = openHostMemory(transfer);
  port.on('message', ({ slot, write }: PeerRequest) => {
    if (write) memory.copy(driverPage(slot), sharedPage(slot), BLOCK_BYTES);
    else memory.copy(sharedPage(slot), driverPage(slot), BLOCK_BYTES);
    port.postMessage({ slot, status: 0, data: null } satisfies PeerResponse);
  });
}

ports.forEach((port, guest) => {
  if (kind === 'port') servePort(port);
  else if (kind === 'port-shared') serveSharedPort(port, memories[guest] as HostMemoryTransfer);
  else expose(new PageStore(), port as unknown as Endpoint);
});
