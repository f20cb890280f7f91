/**
 * Which requests of a front end are in the log already, so that a replay after a crash of the
 * driver VM answers them and does not execute them again.
 *
 * The window of a front end holds the last `depth` parts of requests in the order in which they
 * came into the log. That is enough, and by age in the log it must be, not by `frontSeq`: a part
 * that is in the log and not yet answered is acknowledged in log order, so it is among the newest
 * parts, as many as all queues together can hold. A request that waits outside the log meanwhile
 * may fall far behind in `frontSeq`; it is not in the window and is executed, as it must be.
 *
 * A split request has an entry for each of its parts, told apart by `partOffset`.
 */
import { invariant } from '../../base/invariant.ts';
import type { AnsweredRange, CheckpointFront } from '../formats/checkpoint.ts';

/** Largest count in a range of a checkpoint. */
const RANGE_COUNT_MAX = 0xffff;

export class AnsweredWindow {
  readonly #depth: number;
  readonly #maxFronts: number;
  /** In the order in which they were first or last heard of: the stalest first. */
  readonly #fronts = new Map<number, FrontWindow>();

  constructor(depth: number, maxFronts: number) {
    invariant(depth > 0 && maxFronts > 0, 'a window has room');
    this.#depth = depth;
    this.#maxFronts = maxFronts;
  }

  get fronts(): number {
    return this.#fronts.size;
  }

  has(frontId: number, frontSeq: number, partOffset: number): boolean {
    return this.#fronts.get(frontId)?.has(frontSeq, partOffset) ?? false;
  }

  /** The part is in the log. `frontId` 0 stands for no front end. Added twice, it counts twice. */
  add(frontId: number, frontSeq: number, partOffset: number): void {
    if (frontId === 0) return;
    let front = this.#fronts.get(frontId);
    if (front === undefined) {
      front = new FrontWindow(this.#depth);
      this.#fronts.set(frontId, front);
      if (this.#fronts.size > this.#maxFronts) this.#forgetStalest();
    }
    front.add(frontSeq, partOffset);
  }

  /** The front end is gone for good: nothing of it will be replayed. */
  forget(frontId: number): void {
    this.#fronts.delete(frontId);
  }

  encode(): CheckpointFront[] {
    return [...this.#fronts].map(([frontId, front]) => ({ frontId, ranges: front.ranges() }));
  }

  restore(fronts: readonly CheckpointFront[]): void {
    for (const { frontId, ranges } of fronts) {
      for (const { first, count, partOffset } of ranges) {
        for (let i = 0; i < count; i++) this.add(frontId, first + i, partOffset);
      }
    }
  }

  /** More front ends than a host has disks: the one made first is the one that is long gone. */
  #forgetStalest(): void {
    for (const frontId of this.#fronts.keys()) {
      this.#fronts.delete(frontId);
      return;
    }
  }
}

/** The last parts of one front end, in a circle. */
class FrontWindow {
  readonly #seqs: Float64Array;
  readonly #offsets: Uint32Array;
  #count = 0;
  #next = 0;
  /** Of all that ever were in it. */
  #highest = -1;

  constructor(depth: number) {
    this.#seqs = new Float64Array(depth);
    this.#offsets = new Uint32Array(depth);
  }

  add(frontSeq: number, partOffset: number): void {
    if (frontSeq > this.#highest) this.#highest = frontSeq;
    this.#seqs[this.#next] = frontSeq;
    this.#offsets[this.#next] = partOffset;
    this.#next = (this.#next + 1) % this.#seqs.length;
    if (this.#count < this.#seqs.length) this.#count++;
  }

  /** Looks at all of them only for a replay, or for what others have overtaken. */
  has(frontSeq: number, partOffset: number): boolean {
    if (frontSeq > this.#highest) return false;
    for (let i = 0; i < this.#count; i++) {
      if (this.#seqs[i] === frontSeq && this.#offsets[i] === partOffset) return true;
    }
    return false;
  }

  ranges(): AnsweredRange[] {
    const depth = this.#seqs.length;
    const ranges: { first: number; count: number; partOffset: number }[] = [];
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#next - this.#count + i + depth) % depth;
      const first = this.#seqs[at] as number;
      const partOffset = this.#offsets[at] as number;
      const last = ranges.at(-1);
      const follows =
        last !== undefined &&
        last.partOffset === partOffset &&
        last.first + last.count === first &&
        last.count < RANGE_COUNT_MAX;
      if (follows) last.count++;
      else ranges.push({ first, count: 1, partOffset });
    }
    return ranges;
  }
}
