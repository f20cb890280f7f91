/**
 * The order of an image between two losses: what each of its sectors held after each mutation, from
 * what the order tap tells, and which states of the whole disk a read back may have found.
 *
 * A *tenure* is what lies between two crashes that may have lost acknowledged writes. It has its
 * mutations in the order of their (generation, vdiSeq), behind those of the tenure before that were
 * found after the crash: a second crash may take back what the first one had left. Where what was
 * found is no cut, as some policies allow, the next tenure begins with it as its *base*.
 *
 * A *cut* is a number of mutations: the state after the first c. What a sector shows fits an
 * interval of cuts: from the mutation that left it to the next one on the sector. A value that was
 * left several times (zeros) fits several intervals. The image is a state that the disk once had
 * exactly if one cut fits every sector; with counts of the sectors that begin and end to fit, one
 * pass over the cuts finds them all.
 *
 * ```
 * sector  mutations        shows   fits cuts
 *   7     3: w12, 8: zero  w12     3..7
 *   9     5: w13           base    0..4        -> no cut fits both 7 and 9 if 9 must be at least 5
 * ```
 * A mutation that was never acknowledged and has no number in the tenure's last generation may have
 * been lost when its driver VM died, with a number that was given again: it is *optional*, and a
 * sector that lacks it is not wrong. What a sector held before it was ever read is unknown, and
 * then whatever no mutation explains is taken for it.
 */
import { invariant } from '../../base/invariant.ts';
import {
  type History,
  HistoryKind,
  HistoryStatus,
  isLossRecord,
  type OrderTap,
  TapKind,
} from '../../world/history.ts';
import { isZeroing, recordsOfWrites } from './recovery.ts';

export interface ImageMutation {
  readonly generation: number;
  readonly vdiSeq: number;
  readonly lba: number;
  readonly sectors: number;
  /** Write index, 0 for zeros. */
  readonly value: number;
  /** When the guest knew that it was done; Infinity: it never did. */
  readonly doneNs: number;
  readonly invokeNs: number;
  /** It was answered with an error: it may have happened. */
  readonly failed: boolean;
  /** Nothing is wrong if it never happened, though later ones did. */
  readonly optional: boolean;
}

/** A place in the order. */
export interface OrderPlace {
  readonly generation: number;
  readonly vdiSeq: number;
}

export interface ImageTrack {
  readonly name: string;
  /** Number of the disk in the tap. */
  readonly disk: number;
  readonly sectors: number;
  /** What a loss leaves is a cut: else what a few sectors show says nothing of the others. */
  readonly inOrder: boolean;
  readonly history: History;
  readonly tap: OrderTap;
  /** Losses: record of each in the history, and how long the tap was then. */
  readonly losses: readonly { readonly record: number; readonly tapLength: number }[];
}

export interface ToldPlace extends OrderPlace {
  readonly a: number;
  readonly timeNs: number;
  readonly tapRecord: number;
}

/** What is told when a number is given, and not later of one that was given before. */
const GIVES_A_NUMBER: ReadonlySet<TapKind> = new Set([
  TapKind.mutation,
  TapKind.extent,
  TapKind.snapshot,
  TapKind.policy,
]);
/** What a sector shows if nobody has read it, or if it held damage. */
export const UNSEEN = -1;

/** One place in a sector's story: the mutation of this number (from 1) left this value. */
interface Step {
  readonly cut: number;
  readonly value: number;
  readonly optional: boolean;
}

/** Cuts [`from`, `to`). */
interface Interval {
  readonly from: number;
  readonly to: number;
}

export interface CutWitness {
  readonly sector: number;
  readonly shown: number;
  readonly intervals: readonly Interval[];
}

export type CutSearch =
  | { readonly fits: readonly number[]; readonly judged: number }
  | {
      readonly fits: null;
      /** Shows what only later cuts have. */
      readonly late: CutWitness;
      /** Lacks what those have. */
      readonly early: CutWitness;
    };

export class Tenure {
  readonly mutations: readonly ImageMutation[];
  /** What each sector held at the beginning; `UNSEEN`: not known. */
  readonly base: Int32Array;
  readonly #steps: readonly (readonly Step[])[];

  constructor(mutations: readonly ImageMutation[], base: Int32Array) {
    this.mutations = mutations;
    this.base = base;
    const steps: Step[][] = Array.from({ length: base.length }, () => []);
    mutations.forEach(({ lba, sectors, value, optional }, at) => {
      for (let sector = lba; sector < lba + sectors; sector++) {
        steps[sector]?.push({ cut: at + 1, value, optional });
      }
    });
    this.#steps = steps;
  }

  /**
   * Cuts that are just after a place of the order: all that surely happened before it is in them,
   * and nothing behind it.
   */
  around({ generation, vdiSeq }: OrderPlace): { readonly least: number; readonly most: number } {
    let least = 0;
    let most = this.mutations.length;
    for (let at = 0; at < this.mutations.length; at++) {
      const one = this.mutations[at] as ImageMutation;
      const isLater = one.vdiSeq > vdiSeq && !(one.optional && one.generation < generation);
      if (one.generation > generation || isLater) {
        most = at;
        break;
      }
      if (!one.optional) least = at + 1;
    }
    return { least, most };
  }

  /** Cuts that fit what a sector shows; none: it is nothing that it could have held. */
  intervals(sector: number, shown: number): Interval[] {
    const steps = this.#steps[sector] as readonly Step[];
    const end = this.mutations.length + 1;
    const base = this.base[sector] as number;
    const found: Interval[] = [];
    const isBase = base === UNSEEN ? !steps.some(({ value }) => value === shown) : base === shown;
    if (isBase || (base === UNSEEN && shown === 0))
      found.push({ from: 0, to: until(steps, 0, end) });
    steps.forEach(({ cut, value }, at) => {
      if (value === shown) found.push({ from: cut, to: until(steps, at + 1, end) });
    });
    return found.filter(({ from, to }) => from < to);
  }

  /** All cuts that fit every sector of an image. */
  search(shown: Int32Array): CutSearch {
    const cuts = this.mutations.length + 1;
    const change = new Int32Array(cuts + 1);
    let judged = 0;
    let late: CutWitness | null = null;
    let early: CutWitness | null = null;
    for (let sector = 0; sector < shown.length; sector++) {
      const value = shown[sector] as number;
      if (value === UNSEEN) continue;
      judged++;
      const intervals = this.intervals(sector, value);
      for (const { from, to } of merged(intervals)) {
        change[from] = (change[from] as number) + 1;
        change[to] = (change[to] as number) - 1;
      }
      const witness = { sector, shown: value, intervals };
      if (late === null || firstOf(witness) > firstOf(late)) late = witness;
      if (early === null || lastOf(witness) < lastOf(early)) early = witness;
    }
    const fits: number[] = [];
    for (let cut = 0, count = 0; cut < cuts; cut++) {
      count += change[cut] as number;
      if (count === judged) fits.push(cut);
    }
    if (fits.length > 0 || late === null || early === null) return { fits, judged };
    return { fits: null, late, early };
  }
}

/** The tenures of an image, and what was found after each loss. */
export class ImageOrder {
  readonly track: ImageTrack;
  readonly tenures: readonly Tenure[];
  /** What was found after each loss, and the cuts of the tenure before it that fit. */
  readonly found: readonly Int32Array[];
  readonly searches: readonly CutSearch[];
  readonly #records: Uint32Array;

  constructor(track: ImageTrack) {
    this.track = track;
    this.#records = recordsOfWrites(track.history);
    const { losses, tap, sectors, history } = track;
    const tenures: Tenure[] = [];
    const found: Int32Array[] = [];
    const searches: CutSearch[] = [];
    let base: Int32Array = new Int32Array(sectors);
    let kept: readonly ImageMutation[] = [];
    let from = 0;
    losses.forEach(({ record, tapLength }, at) => {
      const tenure = new Tenure(this.#order(kept, from, tapLength, record), base);
      const image = this.#imageAfter(at);
      const search = tenure.search(image);
      tenures.push(tenure);
      found.push(image);
      searches.push(search);
      const cut = search.fits === null ? null : search.fits[search.fits.length - 1];
      if (cut === undefined || cut === null || !track.inOrder) {
        kept = [];
        base = image;
      } else {
        const again = this.#firstGivenAfter(tapLength, losses[at + 1]?.tapLength ?? tap.length);
        kept = tenure.mutations.slice(0, cut).filter(({ vdiSeq }) => vdiSeq < again);
      }
      from = tapLength;
    });
    tenures.push(new Tenure(this.#order(kept, from, tap.length, history.length), base));
    this.tenures = tenures;
    this.found = found;
    this.searches = searches;
  }

  /** What the tap was told of this image up to the end of a tenure. */
  told(tenure: number, kind: TapKind): ToldPlace[] {
    const { tap, losses, disk } = this.track;
    const end = losses[tenure]?.tapLength ?? tap.length;
    const told: ToldPlace[] = [];
    for (let at = 0; at < end; at++) {
      const record = tap.record(at);
      if (record.kind !== kind || record.disk !== disk) continue;
      const { generation, vdiSeq, frontSeq, timeNs } = record;
      told.push({ generation, vdiSeq, a: frontSeq, timeNs, tapRecord: at });
    }
    return told;
  }

  /** What each sector was found to hold at the end, after all that was to be written there. */
  imageAtEnd(): Int32Array {
    const { history, sectors: size } = this.track;
    const image = new Int32Array(size).fill(UNSEEN);
    for (let at = 0; at < history.length; at++) {
      const record = history.record(at);
      const { kind, lba, sectors, status } = record;
      if (isLossRecord(kind)) image.fill(UNSEEN);
      else if (kind === HistoryKind.read && status === HistoryStatus.ok) {
        let sector = lba;
        for (const run of history.found(record)) {
          image.fill(run.value >= 0 ? run.value : UNSEEN, sector, sector + run.sectors);
          sector += run.sectors;
        }
      } else if (kind !== HistoryKind.flush) image.fill(UNSEEN, lba, lba + sectors);
    }
    return image;
  }

  /**
   * The first number that was given in this part of the tap: whoever gave it had found nothing with
   * that number or a higher one, whatever the few sectors that were read would allow.
   */
  #firstGivenAfter(from: number, to: number): number {
    const { tap, disk } = this.track;
    for (let at = from; at < to; at++) {
      const { kind, disk: of, vdiSeq } = tap.record(at);
      if (of !== disk) continue;
      if (GIVES_A_NUMBER.has(kind)) return vdiSeq;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Mutations that were kept, and those of a part of the tap; of the history up to `end`. */
  #order(kept: readonly ImageMutation[], from: number, to: number, end: number): ImageMutation[] {
    const order = [...kept, ...this.#mutations(from, to, end)];
    order.sort((a, b) => a.generation - b.generation || a.vdiSeq - b.vdiSeq);
    const newest = this.#newestGeneration(to);
    const last = new Map(order.map((one) => [partOf(one), one.generation]));
    return order.map((one) => {
      // What was numbered again after a driver VM's death was not in its log: only the last counts.
      const again = one.value > 0 && (last.get(partOf(one)) ?? 0) > one.generation;
      const doneNs = again ? Number.POSITIVE_INFINITY : one.doneNs;
      const isOpen = doneNs === Number.POSITIVE_INFINITY;
      return { ...one, doneNs, optional: isOpen && (one.generation < newest || one.failed) };
    });
  }

  /** Of the image, as far as the tap tells: one that numbers nothing reports its watermark. */
  #newestGeneration(end: number): number {
    const { tap, disk } = this.track;
    for (let at = end - 1; at >= 0; at--) {
      const record = tap.record(at);
      if (record.disk === disk) return record.generation;
    }
    return 0;
  }

  #mutations(from: number, to: number, end: number): ImageMutation[] {
    const { tap, disk, history } = this.track;
    const found: ImageMutation[] = [];
    let value = 0;
    for (let at = from; at < to; at++) {
      const { kind, disk: of, frontSeq, writeIndex, vdiSeq, generation } = tap.record(at);
      if (of !== disk) continue;
      if (kind === TapKind.mutation) value = writeIndex;
      if (kind !== TapKind.extent) continue;
      const write = (this.#records[value] ?? 0) - 1;
      const known = value > 0 && write >= 0 && write < end ? history.record(write) : null;
      const doneNs = known?.status === HistoryStatus.ok ? known.ackNs : Number.POSITIVE_INFINITY;
      const failed =
        value === 0
          ? this.#mayHaveFailed(frontSeq, writeIndex, end)
          : known?.status === HistoryStatus.error;
      const what = { lba: frontSeq, sectors: writeIndex, value };
      const when = { doneNs, invokeNs: known?.invokeNs ?? 0 };
      found.push({ generation, vdiSeq, ...what, ...when, failed, optional: false });
    }
    return found;
  }

  /**
   * Whether a request that zeroes some of these sectors was answered with an error. Which one the
   * mutation is of is not told: what zeroes has no write index.
   */
  #mayHaveFailed(from: number, count: number, end: number): boolean {
    const { history } = this.track;
    for (let at = 0; at < end; at++) {
      const { kind, status, lba, sectors } = history.record(at);
      if (!isZeroing(kind) || status !== HistoryStatus.error) continue;
      if (lba < from + count && from < lba + sectors) return true;
    }
    return false;
  }

  /** What each sector was first found to hold after a loss, before anything was written there. */
  #imageAfter(loss: number): Int32Array {
    const { history, losses, sectors: size } = this.track;
    const image = new Int32Array(size).fill(UNSEEN);
    const changed = new Uint8Array(size);
    const from = (losses[loss] as ImageTrack['losses'][number]).record + 1;
    for (let at = from; at < history.length; at++) {
      const record = history.record(at);
      const { kind, lba, sectors, status } = record;
      if (isLossRecord(kind)) break;
      if (kind === HistoryKind.flush) continue;
      invariant(lba + sectors <= size, 'a request is on its disk');
      if (kind !== HistoryKind.read) {
        changed.fill(1, lba, lba + sectors);
        continue;
      }
      if (status !== HistoryStatus.ok) continue;
      let sector = lba;
      for (const run of history.found(record)) {
        for (let i = 0; i < run.sectors; i++, sector++) {
          if (changed[sector] === 0 && image[sector] === UNSEEN && run.value >= 0) {
            image[sector] = run.value;
          }
        }
      }
    }
    return image;
  }
}

/** A part of a guest's request: a large one has several, with one write index. */
function partOf({ value, lba }: ImageMutation): string {
  return `${value}/${lba}`;
}

/** Where a value ends to be shown: at the next mutation that surely happened. */
function until(steps: readonly Step[], from: number, end: number): number {
  for (let at = from; at < steps.length; at++) {
    const step = steps[at] as Step;
    if (!step.optional) return step.cut;
  }
  return end;
}

/** Intervals of one sector overlap where a mutation between them is optional. */
function merged(intervals: readonly Interval[]): Interval[] {
  const joined: Interval[] = [];
  for (const { from, to } of intervals) {
    const last = joined[joined.length - 1];
    if (last === undefined || from >= last.to) joined.push({ from, to });
    else joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, to) };
  }
  return joined;
}

function firstOf({ intervals }: CutWitness): number {
  return intervals[0]?.from ?? Number.POSITIVE_INFINITY;
}

function lastOf({ intervals }: CutWitness): number {
  return intervals[intervals.length - 1]?.to ?? 0;
}
