/**
 * A guest of a peer: the same closed loop as the guest of a ring, over another transport. Its depth
 * comes as a message; what it has completed is in its shared words.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { present } from '../../src/base/invariant.ts';
import { Prng } from '../../src/base/prng.ts';
import { type ClientBoot, PEER_MAX_DEPTH, PeerWord } from './peer.ts';
import { transportOf } from './transports.ts';

const BLOCKS = 4096;

const boot = workerData as ClientBoot;
const words = new Float64Array(boot.words);
const random = new Prng(1, 'peer');
const free = Array.from({ length: PEER_MAX_DEPTH }, (_, slot) => slot);
let depth = 0;

const transport = transportOf(boot, (slot) => {
  words[PeerWord.completed] = (words[PeerWord.completed] as number) + 1;
  free.push(slot);
  pump();
});

function pump(): void {
  while (PEER_MAX_DEPTH - free.length < depth) {
    const slot = present(free.pop(), 'a slot is free below the greatest depth');
    const write = (random.nextU32() & 1) === 1;
    transport.send(slot, write, random.nextU32() % BLOCKS);
  }
}

present(parentPort, 'a client is a worker').on('message', (next: number) => {
  depth = next;
  pump();
});
