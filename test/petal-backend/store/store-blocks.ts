/** Data of blocks that tell where they come from, and mutations made of them. */
import type { Session, Term } from '../../../src/base/units.ts';
import type { StoreMutation, StoreStatus } from '../../../src/petal-backend/store/chunk-store.ts';
import { MutationOp } from '../../../src/petal-backend/wire/messages.ts';
import { simDigest } from '../../../src/world/sim/sim-digest.ts';
import { GMAP, type Step } from './store-model.ts';

const PAGE = 4096;

const SECTOR_WORDS = 128;

/** Data of one block that nobody else has, and no sector of it is like another; 0: zeros. */
export function fillBlock(bytes: Uint8Array, at: number, stamp: number): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + at, PAGE / 4);
  words.fill(Math.imul(stamp, 0x9e37_79b1));
  if (stamp === 0) return;
  for (let word = 0; word < words.length; word += SECTOR_WORDS) words[word] = stamp + word;
}

const expected = new Uint8Array(PAGE);

/** The stamp of a block; -1 if it is not a block that was written. */
export function stampOf(bytes: Uint8Array, at: number): number {
  const stamp = new DataView(bytes.buffer, bytes.byteOffset + at, PAGE).getUint32(0, true);
  fillBlock(expected, 0, stamp);
  return Buffer.compare(expected, bytes.subarray(at, at + PAGE)) === 0 ? stamp : -1;
}

export function dataOf(stamp: number, blocks: number): Uint8Array {
  const data = new Uint8Array(blocks * PAGE);
  for (let i = 0; i < blocks; i++) fillBlock(data, i * PAGE, stamp + i);
  return data;
}

export function mutationOf(step: Step, done: (status: StoreStatus) => void): StoreMutation {
  const isTrim = step.op === MutationOp.trim;
  const data = isTrim ? new Uint8Array(0) : dataOf(step.stamp, step.blocks);
  const crcs: number[] = [];
  for (let at = 0; at < data.length; at += PAGE) crcs.push(simDigest.crc32(data, at, PAGE));
  return {
    gmap: GMAP,
    group: step.group,
    vdisk: step.vdisk,
    epoch: step.epoch,
    block: step.block,
    blocks: step.blocks,
    session: step.session as Session,
    seq: step.seq,
    term: step.term as Term,
    n: step.n,
    op: step.op,
    crcs,
    conditionalVersion: step.conditional,
    missing: step.missing,
    dirty: step.dirty,
    data,
    storeDone: done,
  };
}
