/**
 * The part of a history and of an order tap that can be judged. A guest whose rings are struck by
 * garbage is answerable for what it did before, and for nothing after: its records are kept as they
 * stand in that moment, and what was not answered then counts as never answered.
 *
 * By the records as they stand, not by their times: in the simulator an actor that is busy stamps
 * what it does later than others see it. In threads the guest goes on writing while it is copied;
 * an answer of which only a part is there yet is none.
 */
import type { Findings } from '../world/findings.ts';
import {
  History,
  HistoryKind,
  HistoryStatus,
  OrderTap,
  recordBufferFor,
} from '../world/history.ts';

/**
 * A copy of a history as it stands, with room for `capacity` records. What its reads found stays
 * where it is, unless it is said to be elsewhere.
 */
export function historyNow(
  history: History,
  capacity: number = Math.max(1, history.length),
  findings: Findings | null = history.findings,
): History {
  const { length } = history;
  const copy = new History(recordBufferFor(capacity), findings);
  for (let at = 0; at < length; at++) {
    const { kind, flags, status, lba, sectors, invokeNs, ackNs, index } = history.record(at);
    const answered = status !== HistoryStatus.unknown;
    // What a read found is known by its answer only.
    const known = answered || kind !== HistoryKind.read ? index : 0;
    const record = copy.invoke(kind, flags, lba, sectors, invokeNs, known);
    if (answered) copy.acknowledge(record, status, ackNs, index);
  }
  return copy;
}

/** The first `length` records of a tap, and behind them all of another one. */
export function joinedTaps(first: OrderTap, length: number, second: OrderTap): OrderTap {
  const joined = new OrderTap(recordBufferFor(Math.max(1, length + second.length)));
  for (let at = 0; at < length; at++) joined.copy(first, at);
  for (let at = 0; at < second.length; at++) joined.copy(second, at);
  return joined;
}

/** What a tap told of one disk in its first `length` records. */
export function tapPart(tap: OrderTap, disk: number, length: number): OrderTap {
  const part = new OrderTap(recordBufferFor(Math.max(1, length)));
  for (let at = 0; at < length; at++) {
    if (tap.record(at).disk === disk) part.copy(tap, at);
  }
  return part;
}
