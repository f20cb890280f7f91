/**
 * Tells whether a seed means one run: runs it twice, and if the two differ says at which event.
 *
 * The hashes of the first two runs, kept every 1,024 records, give the window in which they part.
 * Two more runs keep the records of that window. What makes two runs differ may itself differ from
 * run to run, so the window of the second pair is compared too, and the search goes on with it for
 * a few rounds if the first difference has moved.
 */
import {
  CHECKPOINT_RECORDS,
  type EventLog,
  type LogRecord,
  type TraceWindow,
} from './event-log.ts';

/** Builds and runs the simulation of a seed, with `trace` in its options; returns its log. */
export type SeededRun = (seed: number, trace: TraceWindow | null) => Promise<EventLog>;

interface ReplayDifference {
  /** Number of the first record that differs, from 0. */
  readonly record: number;
  /** What the two runs did there; null for a run that was over. */
  readonly first: LogRecord | null;
  readonly second: LogRecord | null;
  /** What both did before, oldest first. */
  readonly before: readonly LogRecord[];
  /** What each did from there on. */
  readonly firstAfter: readonly LogRecord[];
  readonly secondAfter: readonly LogRecord[];
}

export interface ReplayVerdict {
  readonly same: boolean;
  readonly seed: number;
  readonly hashes: readonly [string, string];
  readonly records: readonly [number, number];
  /** Null if the runs are the same, or differ in another place each time. */
  readonly difference: ReplayDifference | null;
}

const CONTEXT_RECORDS = 8;
const ROUNDS = 4;

export async function checkReplay(seed: number, run: SeededRun): Promise<ReplayVerdict> {
  const pair: [EventLog, EventLog] = [await run(seed, null), await run(seed, null)];
  const hashes: [string, string] = [pair[0].hash, pair[1].hash];
  const records: [number, number] = [pair[0].records, pair[1].records];
  const same = hashes[0] === hashes[1] && records[0] === records[1];
  const difference = same ? null : await findDifference(seed, run, pair);
  return { same, seed, hashes, records, difference };
}

/** The verdict in words, for a terminal. */
export function describeVerdict(verdict: ReplayVerdict): string {
  const { seed, hashes, records, difference } = verdict;
  if (verdict.same) return `seed ${seed}: two runs of ${records[0]} records, hash ${hashes[0]}`;
  const head = `seed ${seed} is not deterministic: hash ${hashes[0]}, then ${hashes[1]}`;
  if (difference === null) return `${head}; the first difference is elsewhere each time`;
  return [
    `${head}; the first difference is record ${difference.record}`,
    'both runs:',
    ...difference.before.map(lineOf),
    'first run:',
    ...difference.firstAfter.map(lineOf),
    'second run:',
    ...difference.secondAfter.map(lineOf),
  ].join('\n');
}

async function findDifference(
  seed: number,
  run: SeededRun,
  pair: readonly [EventLog, EventLog],
): Promise<ReplayDifference | null> {
  let known = pair;
  for (let round = 0; round < ROUNDS; round++) {
    const interval = firstDifferentInterval(known[0], known[1]);
    const stopAt = (interval + 1) * CHECKPOINT_RECORDS + CONTEXT_RECORDS;
    const window: TraceWindow = { last: CHECKPOINT_RECORDS + 2 * CONTEXT_RECORDS, stopAt };
    const first = await run(seed, window);
    const second = await run(seed, window);
    const found = compareKept(first.kept(), second.kept());
    if (found !== null) return found;
    known = [first, second];
  }
  return null;
}

/** Number of the interval between checkpoints in which two logs part. */
function firstDifferentInterval(first: EventLog, second: EventLog): number {
  const shared = Math.min(first.checkpoints.length, second.checkpoints.length) / 2;
  // Once different, hashes stay different: halve the range in which they begin to be.
  let low = 0;
  let high = shared;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isSameAt(first, second, middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isSameAt(first: EventLog, second: EventLog, checkpoint: number): boolean {
  const at = checkpoint * 2;
  return (
    first.checkpoints[at] === second.checkpoints[at] &&
    first.checkpoints[at + 1] === second.checkpoints[at + 1]
  );
}

function compareKept(
  first: readonly LogRecord[],
  second: readonly LogRecord[],
): ReplayDifference | null {
  // If one run was over before the window, the two begin at different records: align them.
  const start = Math.max(first[0]?.record ?? 0, second[0]?.record ?? 0);
  const left = first.filter((record) => record.record >= start);
  const right = second.filter((record) => record.record >= start);
  const length = Math.max(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const one = left[i] ?? null;
    const other = right[i] ?? null;
    if (one !== null && other !== null && isSameRecord(one, other)) continue;
    // Differing at the window's first record, the runs parted before it: look again elsewhere.
    if (i === 0 && start > 0) return null;
    return {
      record: start + i,
      first: one,
      second: other,
      before: left.slice(Math.max(0, i - CONTEXT_RECORDS), i),
      firstAfter: left.slice(i, i + CONTEXT_RECORDS),
      secondAfter: right.slice(i, i + CONTEXT_RECORDS),
    };
  }
  return null;
}

function isSameRecord(one: LogRecord, other: LogRecord): boolean {
  return (
    one.timeNs === other.timeNs &&
    one.actor === other.actor &&
    one.kind === other.kind &&
    Object.is(one.a, other.a) &&
    Object.is(one.b, other.b)
  );
}

function lineOf(record: LogRecord): string {
  const { timeNs, actor, kind, a, b } = record;
  return `  ${record.record}  ${timeNs} ns  ${actor}  ${kind}  ${a} ${b}`;
}
