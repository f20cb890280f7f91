/**
 * What a write-back policy promises of an image after a loss: C3 by policy.
 *
 * | policy | host lost                                | power lost, or driver VM killed           |
 * |--------|------------------------------------------|-------------------------------------------|
 * | W0     | nothing lost: other checkers             | nothing lost                              |
 * | W1     | a prefix, all that was reported          | a prefix, all that was reported           |
 * | W2     | a prefix, all that was reported, not old | nothing lost                              |
 * | W3     | a prefix that ends with an epoch         | a prefix (C2 asks for what was flushed)   |
 * | W4     | each sector held it once                 | nothing lost                              |
 * | W5     | each sector held it once                 | each sector held it once                  |
 *
 * *Reported* is the published watermark as the image told it before the loss. What was reported at
 * a flush of W1 is what the flush covered. *Not old*: when the first write that is missing had been
 * acknowledged, it was younger than the write-back period and what a publish takes; and the bytes
 * that are missing are no more than may be dirty. Both are asked only where the pool took writes.
 *
 * An epoch ends with a flush, with a snapshot, and where the driver VM had to publish part of one
 * for room: the image says each of these places.
 */
import { SECTOR_BYTES } from '../../base/units.ts';
import { TapKind } from '../../world/history.ts';
import { broken, holds, type Verdict } from './check.ts';
import {
  type CutSearch,
  type CutWitness,
  type ImageMutation,
  type ImageOrder,
  type OrderPlace,
  type Tenure,
  UNSEEN,
} from './image-order.ts';
import { sectorsText, valueText } from './words.ts';

export type CutPromise = 'prefix' | 'whole-epochs' | 'per-sector';

/** How much a loss may take; null: nobody asks. */
export interface LossBounds {
  readonly ageNs: number | null;
  readonly bytes: number | null;
}

export interface JudgedLoss {
  readonly order: ImageOrder;
  /** Which loss of the image it is. */
  readonly loss: number;
  /** `W2, host lost`. */
  readonly clause: string;
  readonly promise: CutPromise;
  readonly bounds: LossBounds;
  readonly atNs: number;
}

const NAME = 'policy-cut';

export function judgePolicyCut(judged: JudgedLoss): Verdict {
  const { order, loss, promise } = judged;
  const tenure = order.tenures[loss] as Tenure;
  const foreign = foreignSector(tenure, order.found[loss] as Int32Array);
  if (foreign !== null) return wrong(judged, foreign);
  if (promise === 'per-sector') {
    return right(judged, 'each sector holds something that it held before');
  }
  const search = order.searches[loss] as CutSearch;
  if (search.fits === null) return wrong(judged, noCutText(tenure, search.late, search.early));
  const least = reported(order, loss);
  let fits = search.fits.filter((cut) => cut >= least.cut);
  if (fits.length === 0) return wrong(judged, tooShortText(tenure, search.fits, least));
  if (promise === 'whole-epochs') {
    fits = fits.filter((cut) => endsEpoch(order, loss, tenure, cut));
    if (fits.length === 0) return wrong(judged, 'the image ends inside an epoch');
  }
  const cut = fits[fits.length - 1] as number;
  const excess = excessOf(judged, tenure, cut);
  if (excess !== null) return wrong(judged, excess);
  const { length } = tenure.mutations;
  return right(judged, `${cut} of ${length} mutations are there, ${least.cut} were reported`);
}

/** At the end everything is there: what was written, and zeros where it was discarded. */
export function judgeEnd(order: ImageOrder): Verdict {
  const tenure = order.tenures[order.tenures.length - 1] as Tenure;
  const { name } = order.track;
  const image = order.imageAtEnd();
  const foreign = foreignSector(tenure, image);
  if (foreign !== null) return broken(NAME, `C3 is broken on ${name} (at the end): ${foreign}`);
  const search = tenure.search(image);
  const { length } = tenure.mutations;
  if (search.fits?.includes(length)) {
    return holds(NAME, `C3: ${name} (at the end): all of ${length} mutations are there`);
  }
  const what =
    search.fits === null
      ? noCutText(tenure, search.late, search.early)
      : `${mutationText(at(tenure, (search.fits[search.fits.length - 1] ?? 0) + 1))} is missing`;
  return broken(NAME, `C3 is broken on ${name} (at the end): ${what}`);
}

/** The watermark reported last before a loss, as a cut that must be there. */
function reported(order: ImageOrder, loss: number): { cut: number; place: OrderPlace | null } {
  const tenure = order.tenures[loss] as Tenure;
  let cut = 0;
  let place: OrderPlace | null = null;
  for (const told of order.told(loss, TapKind.published)) {
    const { least } = tenure.around(told);
    if (told.a !== 0 || least < cut) continue;
    cut = least;
    place = told;
  }
  return { cut, place };
}

function endsEpoch(order: ImageOrder, loss: number, tenure: Tenure, cut: number): boolean {
  if (cut === 0) return true;
  const ends = [TapKind.epoch, TapKind.snapshot, TapKind.policy].flatMap((kind) =>
    order.told(loss, kind),
  );
  return ends.some((place) => {
    const { least, most } = tenure.around(place);
    return least <= cut && cut <= most;
  });
}

/** A sector that shows what it never held; null: none. */
function foreignSector(tenure: Tenure, found: Int32Array): string | null {
  for (let sector = 0; sector < found.length; sector++) {
    const shown = found[sector] as number;
    if (shown === UNSEEN || tenure.intervals(sector, shown).length > 0) continue;
    const base = tenure.base[sector] as number;
    const was = base === UNSEEN ? '' : `; it began with ${valueText(base)}`;
    return `sector ${sector} shows ${valueText(shown)}, which it never held in this time${was}`;
  }
  return null;
}

function excessOf({ bounds, atNs }: JudgedLoss, tenure: Tenure, cut: number): string | null {
  const lost = tenure.mutations.slice(cut).filter(({ doneNs }) => doneNs <= atNs);
  const [first] = lost;
  if (first === undefined) return null;
  const ageNs = atNs - first.doneNs;
  if (bounds.ageNs !== null && ageNs > bounds.ageNs) {
    const age = `${(ageNs / 1e6).toFixed(1)} ms`;
    const most = `${(bounds.ageNs / 1e6).toFixed(1)} ms`;
    const what = `${mutationText(first)} is missing, acknowledged ${age} before the loss`;
    return `${what}: at most ${most}`;
  }
  const sectors = new Set<number>();
  for (const { lba, sectors: count } of lost) {
    for (let sector = lba; sector < lba + count; sector++) sectors.add(sector);
  }
  const bytes = sectors.size * SECTOR_BYTES;
  if (bounds.bytes !== null && bytes > bounds.bytes) {
    return `${bytes} acknowledged bytes are missing: at most ${bounds.bytes} may be`;
  }
  return null;
}

function noCutText(tenure: Tenure, late: CutWitness, early: CutWitness): string {
  const shows = witnessText(tenure, late);
  return `no state of the disk fits: ${shows}; but ${witnessText(tenure, early)}`;
}

function witnessText(tenure: Tenure, { sector, shown, intervals }: CutWitness): string {
  const first = intervals[0];
  const last = intervals[intervals.length - 1];
  const from = first === undefined ? 0 : first.from;
  const since = from === 0 ? '' : `, there since ${mutationText(at(tenure, from))}`;
  const end = last === undefined ? tenure.mutations.length + 1 : last.to;
  const until =
    end > tenure.mutations.length ? '' : `, replaced by ${mutationText(at(tenure, end))}`;
  return `sector ${sector} shows ${valueText(shown)}${since}${until}`;
}

function tooShortText(
  tenure: Tenure,
  fits: readonly number[],
  { cut, place }: { readonly cut: number; readonly place: OrderPlace | null },
): string {
  const there = fits[fits.length - 1] ?? 0;
  return (
    `${there} mutations are there, but ${cut} had been reported as published ` +
    `(number ${place?.vdiSeq} of generation ${place?.generation}): ` +
    `${mutationText(at(tenure, there + 1))} is missing`
  );
}

/** The mutation that makes a cut. */
function at(tenure: Tenure, cut: number): ImageMutation {
  return tenure.mutations[cut - 1] as ImageMutation;
}

function mutationText({ value, lba, sectors, vdiSeq, generation }: ImageMutation): string {
  const what = value === 0 ? 'zeros' : `write ${value}`;
  return `${what} of ${sectorsText(lba, sectors)} (number ${vdiSeq} of generation ${generation})`;
}

function wrong({ clause, order }: JudgedLoss, why: string): Verdict {
  return broken(NAME, `C3 is broken on ${order.track.name} (${clause}): ${why}`);
}

function right({ clause, order }: JudgedLoss, what: string): Verdict {
  return holds(NAME, `C3: ${order.track.name} (${clause}): ${what}`);
}
