/**
 * `bench checkers`: how fast histories are judged.
 *
 * - `checkers.linear.ops-per-s`: from a history of 5 million operations on single blocks of a disk
 *   of 200 thousand, half of them reads, 16 under way at a time, to the verdict of per-block
 *   linearizability; building the operation table is part of it.
 * - `checkers.cut.ms`: from the order of 5 million writes and what each of 200 thousand units holds
 *   after a crash that lost the last thousand of them, to the verdict on the prefix.
 *
 * Each history is also made wrong in one place, and must be refused: a checker that is fast
 * because it looks at nothing would show.
 */
import { Prng } from '../src/base/prng.ts';
import { ANY_CUT, judgeCut, type WriteOrder } from '../src/experiments/checkers/cut.ts';
import { findConflict } from '../src/experiments/checkers/linearizability.ts';
import { type JudgedDisk, OperationTable } from '../src/experiments/checkers/operations.ts';
import { History, HistoryKind, HistoryStatus, recordBufferFor } from '../src/world/history.ts';
import { type BenchOptions, type BenchResult, medianOf, spreadOf, target } from './bench-result.ts';
import { describeMachine } from './machine.ts';

interface Sizes {
  readonly rounds: number;
  readonly operations: number;
  readonly blocks: number;
}

const FULL: Sizes = { rounds: 7, operations: 5_000_000, blocks: 200_000 };
const QUICK: Sizes = { rounds: 1, operations: 100_000, blocks: 4_000 };
const SECTORS = 8;
const DEPTH = 16;
const STEP_NS = 1000;
const LOST_WRITES = 1000;
const SEED = 1;

export async function run(options: BenchOptions = {}): Promise<BenchResult> {
  const machine = describeMachine();
  const sizes = options.quick === true ? QUICK : FULL;
  const linear = linearRounds(sizes);
  const cut = cutRounds(sizes);
  const targets = [
    target('checkers.linear.ops-per-s', medianOf(linear), 'higher', 3_000_000),
    target('checkers.cut.ms', medianOf(cut), 'lower', 50),
  ];
  return {
    bench: 'checkers',
    machine,
    runs: sizes.rounds,
    targets,
    samples: [
      { id: 'checkers.linear.ops-per-s', ...spreadOf(linear), ...sizes },
      { id: 'checkers.cut.ms', ...spreadOf(cut), ...sizes },
    ],
  };
}

function linearRounds(sizes: Sizes): number[] {
  const right = historyOf(sizes, -1);
  const rates: number[] = [];
  for (let round = 0; round < sizes.rounds; round++) {
    const startedMs = performance.now();
    const conflict = findConflict(new OperationTable(right));
    rates.push(sizes.operations / ((performance.now() - startedMs) / 1000));
    expect(conflict === null, 'the history of the benchmark is right');
  }
  const wrong = historyOf(sizes, Math.floor(sizes.operations * 0.9));
  expect(findConflict(new OperationTable(wrong)) !== null, 'one stale read among all is found');
  return rates;
}

/** A history that is right, but for the first read at or after `staleFrom` that can be stale. */
function historyOf({ operations, blocks }: Sizes, staleFrom: number): JudgedDisk {
  const random = new Prng(SEED, 'history');
  const history = new History(recordBufferFor(operations));
  const latest = new Uint32Array(blocks);
  const earlier = new Uint32Array(blocks);
  let writes = 0;
  let isStale = staleFrom < 0;
  for (let at = 0; at < operations; at++) {
    const block = random.below(blocks);
    const isRead = random.chance(0.5);
    const invokeNs = (at + 1) * STEP_NS;
    const ackNs = invokeNs + random.between(1, DEPTH) * STEP_NS;
    let index = isRead ? (latest[block] as number) : ++writes;
    if (isRead && !isStale && at >= staleFrom && (earlier[block] as number) > 0) {
      index = earlier[block] as number;
      isStale = true;
    }
    const kind = isRead ? HistoryKind.read : HistoryKind.write;
    const record = history.invoke(kind, 0, block * SECTORS, SECTORS, invokeNs, index);
    history.acknowledge(record, HistoryStatus.ok, ackNs, index);
    if (isRead) continue;
    // So long ago that it had been acknowledged before this write was submitted.
    earlier[block] = latest[block] as number;
    latest[block] = index;
  }
  return { name: 'bench', sectors: blocks * SECTORS, history, lives: [{ firstRecord: 0 }] };
}

function cutRounds({ rounds, operations, blocks }: Sizes): number[] {
  const random = new Prng(SEED, 'cut');
  const order: WriteOrder = {
    sequences: Uint32Array.from({ length: operations }, (_, at) => at + 1),
    units: Uint32Array.from({ length: operations }, () => random.below(blocks)),
    epochs: null,
  };
  const image = new Uint32Array(blocks);
  const kept = operations - LOST_WRITES;
  for (let at = 0; at < kept; at++) image[order.units[at] as number] = at + 1;
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startedMs = performance.now();
    const { ok } = judge(order, image);
    times.push(performance.now() - startedMs);
    expect(ok, 'the image of the benchmark is a prefix');
  }
  image[order.units[operations - 1] as number] = operations;
  expect(!judge(order, image).ok, 'a write that survived others is found');
  return times;
}

function judge(order: WriteOrder, image: Uint32Array) {
  return judgeCut(order, image, {
    name: 'cut',
    clause: 'C3',
    disk: 'bench',
    rule: 'prefix',
    bounds: ANY_CUT,
    place: (unit) => `block ${unit}`,
  });
}

function expect(isSo: boolean, law: string): void {
  if (!isSo) throw new Error(`the benchmark measures something else: ${law}`);
}
