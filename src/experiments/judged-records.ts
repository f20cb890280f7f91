/**
 * The part of a history and of an order tap that can be judged. A guest whose rings were struck by
 * garbage is answerable for what it did before, and for nothing after: what was submitted later is
 * left out, and what was answered later counts as never answered.
 */
import { History, HistoryKind, OrderTap, recordBufferFor } from '../world/history.ts';

/** The records of a history up to a moment of the run, as they stood then. */
export function historyUntil(history: History, untilNs: number): History {
  const part = new History(recordBufferFor(Math.max(1, history.length)), history.findings);
  for (let at = 0; at < history.length; at++) {
    const { kind, flags, status, lba, sectors, invokeNs, ackNs, index } = history.record(at);
    if (invokeNs > untilNs) break;
    const answered = ackNs !== 0 && ackNs <= untilNs;
    // What a read found is known by its answer only.
    const known = answered || kind !== HistoryKind.read ? index : 0;
    const record = part.invoke(kind, flags, lba, sectors, invokeNs, known);
    if (answered) part.acknowledge(record, status, ackNs, index);
  }
  return part;
}

/** The numbers that were given to one disk up to a moment of the run. */
export function tapUntil(tap: OrderTap, disk: number, untilNs: number): OrderTap {
  const part = new OrderTap(recordBufferFor(Math.max(1, tap.length)));
  for (let at = 0; at < tap.length; at++) {
    const record = tap.record(at);
    if (record.disk !== disk || record.timeNs > untilNs) continue;
    const { frontId, frontSeq, writeIndex, vdiSeq, generation, queue, timeNs } = record;
    part.append(disk, frontId, frontSeq, writeIndex, vdiSeq, generation, queue, timeNs);
  }
  return part;
}
