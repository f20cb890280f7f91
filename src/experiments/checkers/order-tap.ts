/**
 * Judges the order tap: the numbers a driver VM gave to mutations must be an order that its guests
 * could have seen.
 *
 * 1. Every acknowledged write has a number. (A number given after the acknowledgement is lost when
 *    the driver VM dies in between.)
 * 2. Ring order: within one generation of one disk, numbers of one ring ascend with `frontSeq`.
 * 3. Real time: a write that was acknowledged before another was submitted has the lower number. A
 *    write that was executed twice, because it was replayed, has two; both were given before its
 *    acknowledgement.
 *
 * 4. Of an image, a number is never given twice in one generation, whatever ring it came from.
 *
 * Numbers of an image ascend within a generation only: where a crash has lost mutations that had
 * numbers, the next generation gives these again. There a lower number is one of an earlier
 * generation, or the lower of two of the same.
 *
 * Linear but for one sort by submission. Writes are matched by (frontId, write index).
 */
import {
  type History,
  HistoryKind,
  HistoryStatus,
  type OrderTap,
  TapKind,
} from '../../world/history.ts';
import { broken, holds, type Verdict } from './check.ts';

export interface JudgedGuest {
  readonly name: string;
  readonly history: History;
  /** The front ids of its incarnations and where each one's records begin. */
  readonly lives: readonly { readonly frontId: number; readonly firstRecord: number }[];
  /** Its disk is an image: each generation of it has numbers of its own. */
  readonly isImage: boolean;
}

/** Generations of a run are few: the place of (generation, vdiSeq) as one number. */
const GENERATION_STEP = 2 ** 36;

const NAME = 'order-tap';

interface Given {
  first: number;
  last: number;
}

interface TimedWrite {
  readonly writeIndex: number;
  readonly invokeNs: number;
  readonly ackNs: number;
  readonly given: Given;
}

export function judgeOrderTap(guest: JudgedGuest, tap: OrderTap): Verdict {
  const frontIds = new Set(guest.lives.map(({ frontId }) => frontId));
  const unordered = findRingDisorder(tap, frontIds);
  if (unordered !== null) return broken(NAME, `${guest.name}: ${unordered}`);
  const twice = guest.isImage ? findNumberGivenTwice(tap, frontIds) : null;
  if (twice !== null) return broken(NAME, `${guest.name}: ${twice}`);
  const given = numbersByWrite(tap, frontIds, guest.isImage);
  const writes: TimedWrite[] = [];
  for (let life = 0; life < guest.lives.length; life++) {
    const end = guest.lives[life + 1]?.firstRecord ?? guest.history.length;
    const missing = collectWrites(guest, life, end, given, writes);
    if (missing !== null) return broken(NAME, `${guest.name}: ${missing}`);
  }
  const late = findTimeDisorder(writes);
  if (late !== null) return broken(NAME, `${guest.name}: ${late}`);
  return holds(NAME, `${guest.name}: the numbers of ${writes.length} writes agree with its rings`);
}

/** Rule 2. */
function findRingDisorder(tap: OrderTap, frontIds: ReadonlySet<number>): string | null {
  const lastByRing = new Map<string, { frontSeq: number; vdiSeq: number }>();
  for (let at = 0; at < tap.length; at++) {
    const { kind, frontId, frontSeq, vdiSeq, generation, queue } = tap.record(at);
    if (kind !== TapKind.mutation || !frontIds.has(frontId)) continue;
    const ring = `${frontId}/${generation}/${queue}`;
    const last = lastByRing.get(ring);
    if (last !== undefined && (frontSeq < last.frontSeq || vdiSeq <= last.vdiSeq)) {
      return (
        `request ${frontSeq} got number ${vdiSeq} after request ${last.frontSeq} of the same ` +
        `ring got ${last.vdiSeq} (generation ${generation}, queue ${queue})`
      );
    }
    lastByRing.set(ring, { frontSeq, vdiSeq });
  }
  return null;
}

/** Rule 4. */
function findNumberGivenTwice(tap: OrderTap, frontIds: ReadonlySet<number>): string | null {
  const last = new Map<number, number>();
  for (let at = 0; at < tap.length; at++) {
    const { kind, frontId, vdiSeq, generation } = tap.record(at);
    if (kind !== TapKind.mutation || !frontIds.has(frontId)) continue;
    const before = last.get(generation) ?? 0;
    if (vdiSeq <= before) {
      return `number ${vdiSeq} of generation ${generation} was given after ${before}`;
    }
    last.set(generation, vdiSeq);
  }
  return null;
}

function numbersByWrite(
  tap: OrderTap,
  frontIds: ReadonlySet<number>,
  byGeneration: boolean,
): Map<string, Given> {
  const given = new Map<string, Given>();
  for (let at = 0; at < tap.length; at++) {
    const { kind, frontId, writeIndex, vdiSeq, generation } = tap.record(at);
    if (kind !== TapKind.mutation || writeIndex === 0 || !frontIds.has(frontId)) continue;
    const key = `${frontId}/${writeIndex}`;
    const known = given.get(key);
    const place = byGeneration ? generation * GENERATION_STEP + vdiSeq : vdiSeq;
    if (known === undefined) given.set(key, { first: place, last: place });
    else known.last = place;
  }
  return given;
}

/** Rule 1; collects what rule 3 needs. */
function collectWrites(
  guest: JudgedGuest,
  life: number,
  end: number,
  given: ReadonlyMap<string, Given>,
  writes: TimedWrite[],
): string | null {
  const { frontId, firstRecord } = guest.lives[life] as JudgedGuest['lives'][number];
  for (let at = firstRecord; at < end; at++) {
    const { kind, status, index, invokeNs, ackNs } = guest.history.record(at);
    if (kind !== HistoryKind.write) continue;
    const numbers = given.get(`${frontId}/${index}`);
    if (numbers === undefined) {
      if (status === HistoryStatus.ok) {
        return `write ${index} was acknowledged and never got a number (history record ${at})`;
      }
      continue;
    }
    const known = status === HistoryStatus.ok ? ackNs : Number.POSITIVE_INFINITY;
    writes.push({ writeIndex: index, invokeNs, ackNs: known, given: numbers });
  }
  return null;
}

/** Rule 3. Records are in order of submission within a history. */
function findTimeDisorder(writes: readonly TimedWrite[]): string | null {
  const byAck = writes.filter(({ ackNs }) => ackNs < Number.POSITIVE_INFINITY);
  byAck.sort((a, b) => a.ackNs - b.ackNs);
  let at = 0;
  let highest: TimedWrite | null = null;
  for (const write of writes) {
    for (let next = byAck[at]; next !== undefined; next = byAck[++at]) {
      if (next.ackNs >= write.invokeNs) break;
      if (highest === null || next.given.last > highest.given.last) highest = next;
    }
    if (highest !== null && highest.given.last >= write.given.first) {
      return (
        `write ${write.writeIndex} has number ${numberText(write.given.first)}, but write ` +
        `${highest.writeIndex}, acknowledged before it was submitted, has ` +
        numberText(highest.given.last)
      );
    }
  }
  return null;
}

function numberText(place: number): string {
  const generation = Math.floor(place / GENERATION_STEP);
  const number = place % GENERATION_STEP;
  return generation === 0 ? `${number}` : `${number} of generation ${generation}`;
}
