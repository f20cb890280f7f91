/** How checkers speak of operations: one sentence each, and the timeline around two witnesses. */
import { HistoryFlag, type HistoryKind, HistoryStatus } from '../../world/history.ts';
import { DAMAGE, type JudgedDisk, type OperationTable } from './operations.ts';

const VERBS: Readonly<Record<HistoryKind, string>> = {
  0: 'read',
  1: 'write',
  2: 'flush',
  3: 'discard',
  4: 'write of zeros',
  5: 'loss of power',
  6: 'loss of what was acknowledged',
};
/** Operations of a timeline on each side of a witness. */
const NEIGHBOURS = 2;

/** `read of sectors 8-15 (record 17), submitted 1.2ms, acknowledged 1.3ms, found write 4`. */
export function operationText({ history }: JudgedDisk, at: number, value?: number): string {
  const record = history.record(at);
  const { kind, flags, status, lba, sectors, invokeNs, ackNs, index } = record;
  const number = kind === 1 ? ` ${index}` : '';
  const fua = (flags & HistoryFlag.fua) !== 0 ? ' with FUA' : '';
  const place = sectors === 0 ? '' : ` of ${sectorsText(lba, sectors)}`;
  const text =
    `${VERBS[kind]}${number}${fua}${place} (record ${at}), submitted ${timeText(invokeNs)}, ` +
    endText(status, ackNs);
  if (kind !== 0 || status !== HistoryStatus.ok) return text;
  const found = value === undefined ? findingText(history.found(record)) : valueText(value);
  return `${text}, found ${found}`;
}

export function valueText(value: number): string {
  if (value === -1) return 'no stamp at all';
  if (value === -2) return 'a stamp of another place';
  if (value === -3) return 'a sector torn inside';
  return value === 0 ? 'zeros' : `write ${value}`;
}

export function sectorsText(lba: number, sectors: number): string {
  return sectors === 1 ? `sector ${lba}` : `sectors ${lba}-${lba + sectors - 1}`;
}

/** Milliseconds to the nanosecond, so that no order is lost. */
export function timeText(ns: number): string {
  return `${(ns / 1e6).toFixed(6)}ms`;
}

/**
 * The operations on a unit around its witnesses, in order of submission, one a line. Of a read it
 * says what was found on this unit, unless that was damage.
 */
export function timelineOf(
  table: OperationTable,
  unit: number,
  witnesses: readonly number[],
): string {
  const { disk, starts } = table;
  const first = starts[unit] as number;
  const end = starts[unit + 1] as number;
  const marked = new Set(witnesses);
  const near = new Set<number>();
  const found = (entry: number): number | undefined => {
    const value = table.valueAt(entry);
    return value === DAMAGE ? undefined : value;
  };
  for (let entry = first; entry < end; entry++) {
    if (!marked.has(table.recordAt(entry))) continue;
    const from = Math.max(first, entry - NEIGHBOURS);
    const to = Math.min(end - 1, entry + NEIGHBOURS);
    for (let other = from; other <= to; other++) near.add(other);
  }
  const lines = [...near]
    .sort((a, b) => a - b)
    .map((entry) => {
      const at = table.recordAt(entry);
      const mark = marked.has(at) ? '>' : ' ';
      return `  ${mark} ${disk.name} ${operationText(disk, at, found(entry))}`;
    });
  const place = sectorsText(table.firstSectors[unit] as number, table.sectorsOf(unit));
  return [`around it on ${place} of ${disk.name}:`, ...lines].join('\n');
}

function endText(status: HistoryStatus, ackNs: number): string {
  if (ackNs === 0) return 'never answered';
  const how = status === HistoryStatus.ok ? 'acknowledged' : 'failed';
  return `${how} ${timeText(ackNs)}`;
}

function findingText(
  runs: readonly { readonly sectors: number; readonly value: number }[],
): string {
  if (runs.length === 0) return 'what was not kept';
  const [only] = runs;
  if (runs.length === 1 && only !== undefined) return valueText(only.value);
  const shown = runs.slice(0, 6).map(({ sectors, value }) => `${sectors} x ${valueText(value)}`);
  return `${shown.join(', ')}${runs.length > 6 ? ', ...' : ''}`;
}
