/**
 * C3, cut consistency: after a cache is lost, the image of a disk is one that the disk once had.
 *
 * Writes have an order (`vdiSeq`). Let `v(u)` be the number of the write that unit u holds after
 * the recovery (0: of none), and `next(v(u))` that of the following write to u. The image is the
 * state after some write c exactly if every v(u) <= c < next(v(u)), so
 *
 * ```
 * prefix         max v <  min next                 the state after one write, nothing missing
 * epoch          epoch(max v) <= epoch(min next)   all of the earlier epochs, any part of the last
 * whole epochs   epoch(max v) <  epoch(min next)   all of the earlier epochs, nothing of the others
 * ```
 * An epoch is what lies between two flushes; epochs ascend with the numbers, so the extremes of
 * one are the extremes of the other. The two extremes are the witnesses: a write that is missing
 * although a later one survived. A write over several units has one number on all of them, so half
 * of it is no cut. A dropped last write still leaves a prefix: whether the cut is recent enough is
 * asked by the bounds (not older than what was reported as safe; not newer than what existed).
 *
 * Writes are scanned in order for the first one that its unit has not reached; that is `min next`.
 * So the check costs one pass over the writes and no memory.
 *
 * Not done: a unit that holds zeros although something zeroed it fits several cuts; the caller
 * leaves it out (`NOT_JUDGED`). That the unit's number is of a write to that unit is C4.
 */
import { invariant } from '../../base/invariant.ts';
import { broken, holds, type Verdict } from './check.ts';

/** Every write of a disk in its order: one entry for each unit that it changed. */
export interface WriteOrder {
  /** The disk's numbers; they never go down. */
  readonly sequences: Uint32Array;
  readonly units: Uint32Array;
  /** Flushes before each entry; null where nothing is asked about epochs. */
  readonly epochs: Uint32Array | null;
}

/** A unit of an image that fits several cuts. */
export const NOT_JUDGED: number = 2 ** 32 - 1;

export type CutRule = 'prefix' | 'epoch' | 'whole-epochs';

export interface CutBounds {
  /** Writes up to this number must be there: what was reported as safe. 0: none. */
  readonly atLeast: number;
  /** No write with this number or a higher one may be there. */
  readonly below: number;
}

export const ANY_CUT: CutBounds = { atLeast: 0, below: Number.POSITIVE_INFINITY };

/** What the image shows: its newest write, and the oldest one that it lacks. */
export interface CutExtremes {
  readonly newest: number;
  readonly newestUnit: number;
  /** Infinity: it lacks nothing. */
  readonly missing: number;
  readonly missingUnit: number;
  readonly newestEpoch: number;
  readonly missingEpoch: number;
}

/** `recovered`: number of the write that each unit holds, 0, or `NOT_JUDGED`. */
export function cutExtremes(order: WriteOrder, recovered: Uint32Array): CutExtremes {
  const { sequences, units, epochs } = order;
  let newest = 0;
  let newestUnit = -1;
  for (let unit = 0; unit < recovered.length; unit++) {
    const own = recovered[unit] as number;
    if (own <= newest || own === NOT_JUDGED) continue;
    newest = own;
    newestUnit = unit;
  }
  const entries = sequences.length;
  let at = 0;
  // A unit that is not judged holds the highest number of all: nothing is missing from it.
  while (at < entries && (sequences[at] as number) <= (recovered[units[at] as number] as number)) {
    at++;
  }
  const lacks = at < entries;
  return {
    newest,
    newestUnit,
    missing: lacks ? (sequences[at] as number) : Number.POSITIVE_INFINITY,
    missingUnit: lacks ? (units[at] as number) : -1,
    newestEpoch: newest === 0 || epochs === null ? -1 : epochOf(order, epochs, newest),
    missingEpoch: !lacks || epochs === null ? Number.POSITIVE_INFINITY : (epochs[at] as number),
  };
}

export interface JudgedCut {
  /** The verdict's name and the clause it speaks of. */
  readonly name: string;
  readonly clause: string;
  readonly disk: string;
  readonly rule: CutRule;
  readonly bounds: CutBounds;
  /** A place in words, from the number of its unit. */
  readonly place: (unit: number) => string;
}

export function judgeCut(order: WriteOrder, recovered: Uint32Array, cut: JudgedCut): Verdict {
  invariant(cut.rule === 'prefix' || order.epochs !== null, 'a rule of epochs is given epochs');
  const { name, clause, disk, bounds, place } = cut;
  const extremes = cutExtremes(order, recovered);
  const { newest, newestUnit, missing, missingUnit } = extremes;
  const head = `${clause} is broken on ${disk}: `;
  const lacking = `write ${missing} of ${place(missingUnit)} is missing`;
  if (!isCut(extremes, cut.rule)) {
    const { newestEpoch, missingEpoch } = extremes;
    const epochs = cut.rule === 'prefix' ? '' : ` (epochs ${missingEpoch} and ${newestEpoch})`;
    const later = `write ${newest} of ${place(newestUnit)} survived`;
    const relation = newest > missing ? 'though the later' : 'though';
    return broken(name, `${head}${lacking}, ${relation} ${later}${epochs}`);
  }
  if (missing <= bounds.atLeast) {
    return broken(name, `${head}${lacking}, though all up to ${bounds.atLeast} had to be there`);
  }
  if (newest >= bounds.below) {
    const early = `write ${newest} of ${place(newestUnit)} is there`;
    return broken(name, `${head}${early}, though the cut lies before ${bounds.below}`);
  }
  const lost =
    missing === Number.POSITIVE_INFINITY ? 'nothing is missing' : `${missing} is missing`;
  return holds(
    name,
    `${clause}: ${disk} is ${RULE_TEXT[cut.rule]}: its newest write is ${newest}, ${lost}`,
  );
}

const RULE_TEXT: Readonly<Record<CutRule, string>> = {
  prefix: 'a prefix of its writes',
  epoch: 'a prefix of its flush epochs with part of one more',
  'whole-epochs': 'a prefix of its flush epochs',
};

function isCut(extremes: CutExtremes, rule: CutRule): boolean {
  switch (rule) {
    case 'prefix':
      return extremes.newest < extremes.missing;
    case 'epoch':
      return extremes.newestEpoch <= extremes.missingEpoch;
    case 'whole-epochs':
      return extremes.newestEpoch < extremes.missingEpoch;
  }
}

function epochOf({ sequences }: WriteOrder, epochs: Uint32Array, sequence: number): number {
  let low = 0;
  let high = sequences.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sequences[middle] as number) < sequence) low = middle + 1;
    else high = middle;
  }
  invariant(sequences[low] === sequence, 'what a unit holds has a place in the order');
  return epochs[low] as number;
}
