/**
 * Fencing: once a disk has a new owner that has acknowledged something, nothing that the ejected
 * one still submits is ever seen.
 *
 * Owners of a disk follow one another: incarnations of a guest, or the same disk attached on
 * another host. Each has its records, and a zombie goes on recording. A write of an ejected owner
 * that was submitted after the first acknowledgement of any later owner must not be found by any
 * read of anybody else; what it holds in memory it may find itself. (One that it submitted before
 * may have been applied before the change, and then stays; that such a one does not appear after it
 * was found missing is `stability.ts`.)
 */
import { HistoryKind, HistoryStatus } from '../../world/history.ts';
import { broken, holds, type Verdict } from './check.ts';
import type { JudgedDisk } from './operations.ts';
import { operationText, timeText } from './words.ts';

const NAME = 'fencing';

/** One owner's records: [`firstRecord`, `endRecord`) of a history. */
export interface Tenure {
  readonly owner: string;
  readonly disk: JudgedDisk;
  readonly firstRecord: number;
  readonly endRecord: number;
}

interface Outlawed {
  readonly tenure: Tenure;
  readonly record: number;
  readonly successor: string;
  readonly sinceNs: number;
}

/** `tenures`: of one disk, in the order in which they owned it. */
export function judgeFencing(tenures: readonly Tenure[]): Verdict {
  const outlawed = new Map<number, Outlawed>();
  tenures.forEach((tenure, place) => collectOutlawed(tenure, tenures.slice(place + 1), outlawed));
  let reads = 0;
  for (const tenure of tenures) {
    const { history } = tenure.disk;
    for (let at = tenure.firstRecord; at < tenure.endRecord; at++) {
      const record = history.record(at);
      if (record.kind !== HistoryKind.read || record.status !== HistoryStatus.ok) continue;
      reads++;
      for (const { value } of history.found(record)) {
        const found = outlawed.get(value);
        if (found === undefined || found.tenure === tenure) continue;
        return broken(NAME, textOf(tenure, at, value, found));
      }
    }
  }
  return holds(
    NAME,
    `fencing: ${reads} reads of ${tenures.length} owners saw none of the ${outlawed.size} writes ` +
      'that ejected owners submitted',
  );
}

function collectOutlawed(
  tenure: Tenure,
  successors: readonly Tenure[],
  outlawed: Map<number, Outlawed>,
): void {
  let sinceNs = Number.POSITIVE_INFINITY;
  let successor = '';
  for (const later of successors) {
    const firstNs = firstAckNs(later);
    if (firstNs >= sinceNs) continue;
    sinceNs = firstNs;
    successor = later.owner;
  }
  for (let at = tenure.firstRecord; at < tenure.endRecord; at++) {
    const { kind, invokeNs, index } = tenure.disk.history.record(at);
    if (kind !== HistoryKind.write || invokeNs <= sinceNs) continue;
    outlawed.set(index, { tenure, record: at, successor, sinceNs });
  }
}

function firstAckNs({ disk, firstRecord, endRecord }: Tenure): number {
  let first = Number.POSITIVE_INFINITY;
  for (let at = firstRecord; at < endRecord; at++) {
    const { status, ackNs } = disk.history.record(at);
    if (status === HistoryStatus.ok) first = Math.min(first, ackNs);
  }
  return first;
}

function textOf(reader: Tenure, at: number, value: number, found: Outlawed): string {
  const { tenure, record, successor, sinceNs } = found;
  return (
    `fencing is broken on ${reader.disk.name}: ${reader.owner}: ` +
    `${operationText(reader.disk, at, value)}; but ${tenure.owner}: ` +
    `${operationText(tenure.disk, record)}, after ${successor} had taken over, ` +
    `which acknowledged something at ${timeText(sinceNs)}`
  );
}
