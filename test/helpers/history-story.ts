/** Small histories written down by hand, and every checker run over them. */
import type { Verdict } from '../../src/experiments/checkers/check.ts';
import { judgeConservation } from '../../src/experiments/checkers/conservation.ts';
import { judgeFencing } from '../../src/experiments/checkers/fencing.ts';
import { judgeFlushDurability } from '../../src/experiments/checkers/flush-durability.ts';
import { judgeLinearizability } from '../../src/experiments/checkers/linearizability.ts';
import { judgeLiveness } from '../../src/experiments/checkers/liveness.ts';
import { judgeNoInvention } from '../../src/experiments/checkers/no-invention.ts';
import { OperationTable } from '../../src/experiments/checkers/operations.ts';
import type { Recovery } from '../../src/experiments/checkers/recovery.ts';
import { judgeRingOrder } from '../../src/experiments/checkers/ring-order.ts';
import { judgeStability } from '../../src/experiments/checkers/stability.ts';
import { Findings, findingsBufferFor } from '../../src/world/findings.ts';
import { History, HistoryKind, HistoryStatus, recordBufferFor } from '../../src/world/history.ts';

/** Submitted and answered, in ns; no second number: never answered. */
type Times = readonly [number] | readonly [number, number];

export interface StoryOp {
  readonly kind: keyof typeof HistoryKind;
  readonly times: Times;
  /** First sector and how many; a whole block at 0 where it is left out. */
  readonly place: readonly [number, number];
  readonly failed: boolean;
  readonly fua: boolean;
  readonly answeredTwice: boolean;
  /** What a read found: pairs of sectors and value. */
  readonly found: readonly (readonly [number, number])[];
}

export interface Story {
  readonly title: string;
  /** Names of the verdicts that must be broken; none for a history that is right. */
  readonly breaks: readonly string[];
  readonly ops: readonly StoryOp[];
  readonly recoveries?: readonly Recovery[];
  /** First records of later incarnations of the guest. */
  readonly lives?: readonly number[];
  /** Owners in their order: name, first record, end. */
  readonly tenures?: readonly (readonly [string, number, number])[];
  /** The guest uses one queue, so the order of its records is judged too. */
  readonly oneQueue?: boolean;
}

const BLOCK = [0, 8] as const;
const PLAIN = { place: BLOCK, failed: false, fua: false, answeredTwice: false, found: [] };
type Extra = Partial<Pick<StoryOp, 'place' | 'failed' | 'fua' | 'answeredTwice'>>;

/** The n-th write of a story has write index n. */
export function write(times: Times, extra: Extra = {}): StoryOp {
  return { ...PLAIN, kind: 'write', times, ...extra };
}

export function zero(times: Times, extra: Extra = {}): StoryOp {
  return { ...PLAIN, kind: 'zero', times, ...extra };
}

export function discard(times: Times, extra: Extra = {}): StoryOp {
  return { ...PLAIN, kind: 'discard', times, ...extra };
}

export function flush(times: Times, extra: Extra = {}): StoryOp {
  return { ...PLAIN, kind: 'flush', times, place: [0, 0], ...extra };
}

/** A read of what all its sectors held, or of pairs of sectors and value. */
export function read(
  times: Times,
  found: number | readonly (readonly [number, number])[],
  extra: Extra = {},
): StoryOp {
  const place = extra.place ?? BLOCK;
  const runs = typeof found === 'number' ? [[place[1], found] as const] : found;
  return { ...PLAIN, kind: 'read', times, ...extra, found: runs };
}

export const DISK_SECTORS = 64;

export function tableOf(story: Pick<Story, 'ops' | 'lives'>): OperationTable {
  const findings = new Findings(findingsBufferFor(64));
  const history = new History(recordBufferFor(64), findings);
  let writes = 0;
  for (const op of story.ops) {
    const [invokeNs, ackNs] = op.times;
    const isWrite = op.kind === 'write';
    const index = isWrite ? ++writes : 0;
    const [lba, sectors] = op.place;
    const flags = op.fua ? 1 : 0;
    const record = history.invoke(HistoryKind[op.kind], flags, lba, sectors, invokeNs, index);
    if (ackNs === undefined) continue;
    const status = op.failed ? HistoryStatus.error : HistoryStatus.ok;
    const isFinding = op.kind === 'read' && !op.failed;
    const last = isFinding ? findingOf(findings, op) : index;
    history.acknowledge(record, status, ackNs, last);
    if (op.answeredTwice) history.acknowledge(record, status, ackNs + 1, last);
  }
  const lives = [0, ...(story.lives ?? [])].map((firstRecord) => ({ firstRecord }));
  return new OperationTable({ name: 'g0', sectors: DISK_SECTORS, history, lives });
}

/** Every checker of histories, over one story. */
export function verdictsOf(story: Story): Verdict[] {
  const table = tableOf(story);
  const { disk } = table;
  const recovered = { table, recoveries: story.recoveries ?? [] };
  const outages = recovered.recoveries.filter(({ successorRecord }) => successorRecord === 0);
  const living = { disk, finished: true, phase: 'done' };
  const tenures = (story.tenures ?? []).map(([owner, firstRecord, endRecord]) => {
    return { owner, disk, firstRecord, endRecord };
  });
  return [
    judgeLinearizability([recovered]),
    judgeFlushDurability([{ table, recoveries: outages }]),
    judgeNoInvention([recovered]),
    judgeStability([recovered]),
    judgeLiveness([living], { quietSinceNs: 0, withinNs: 1000 }),
    judgeConservation([disk], []),
    judgeFencing(tenures),
    ...(story.oneQueue === true ? [judgeRingOrder([recovered])] : []),
  ];
}

function findingOf(findings: Findings, { found }: StoryOp): number {
  findings.begin();
  for (const [sectors, value] of found) {
    for (let i = 0; i < sectors; i++) findings.sector(value);
  }
  return findings.end();
}
