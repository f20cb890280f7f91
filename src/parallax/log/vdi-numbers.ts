/**
 * The sequence numbers of all VDIs in the log: which comes next, and up to which a published root
 * has them. Numbers of a VDI have no gap in the log of one incarnation.
 */
import { invariant } from '../../base/invariant.ts';
import type { CheckpointVdi } from '../formats/checkpoint.ts';
import type { LogSegment } from './segment.ts';

const FORGOTTEN = 2 ** 48 - 1;

interface VdiNumbers {
  readonly vdi: number;
  generation: number;
  /** 0: this incarnation has appended nothing of it. */
  lastAppended: number;
  /** No number below this is given again. */
  next: number;
  published: number;
  /** All of it is needed, whatever is published: it is not of what the number stands for now. */
  held: boolean;
}

export class VdiTable {
  readonly #vdis = new Map<number, VdiNumbers>();
  readonly #maxVdis: number;

  constructor(maxVdis: number) {
    this.#maxVdis = maxVdis;
  }

  /** What a recovery found: numbers up to `last` are taken. */
  restore(vdi: number, generation: number, last: number, published: number): void {
    const numbers = this.#of(vdi);
    numbers.generation = generation;
    numbers.next = last + 1;
    numbers.published = published;
  }

  /** Says that the number comes next; `appended` makes it taken. */
  checkNext(vdi: number, vdiSeq: number): void {
    const { lastAppended, next } = this.#of(vdi);
    const follows = lastAppended === 0 ? vdiSeq >= next : vdiSeq === lastAppended + 1;
    invariant(follows, 'the numbers of a VDI have no gap and do not go back');
  }

  appended(vdi: number, generation: number, vdiSeq: number): void {
    const numbers = this.#of(vdi);
    numbers.generation = generation;
    numbers.lastAppended = vdiSeq;
    numbers.next = vdiSeq + 1;
  }

  /** True if it is news. */
  published(vdi: number, vdiSeq: number): boolean {
    const numbers = this.#of(vdi);
    if (vdiSeq <= numbers.published) return false;
    numbers.published = vdiSeq;
    return true;
  }

  /** The highest number that was, or may have been, given; 0: none. */
  lastOf(vdi: number): number {
    return (this.#vdis.get(vdi)?.next ?? 1) - 1;
  }

  /** A life of the VDI begins, whatever this log knew of it: its root has it up to `published`. */
  begin(vdi: number, published: number): void {
    const numbers = this.#of(vdi);
    numbers.lastAppended = 0;
    numbers.next = Math.max(numbers.next, published + 1);
    numbers.published = published;
  }

  /** Nothing of it may go until it is held no more. */
  hold(vdi: number, held: boolean): void {
    this.#of(vdi).held = held;
  }

  /** The VDI is gone: whatever of it is in the log is not needed. */
  forget(vdi: number): void {
    this.#of(vdi).published = FORGOTTEN;
  }

  needs(segment: LogSegment): boolean {
    for (const [vdi, top] of segment.tops) {
      const { held, published } = this.#of(vdi);
      if (held || published < top) return true;
    }
    return false;
  }

  /** Drops forgotten VDIs of which nothing is left in these segments. */
  dropForgotten(segments: readonly LogSegment[]): void {
    for (const { vdi, published } of this.#vdis.values()) {
      const there = published !== FORGOTTEN || segments.some(({ tops }) => tops.has(vdi));
      if (!there) this.#vdis.delete(vdi);
    }
  }

  encode(): CheckpointVdi[] {
    return [...this.#vdis.values()].map(({ vdi, generation, next, published }) => ({
      vdi,
      generation,
      nextVdiSeq: next,
      published,
    }));
  }

  #of(vdi: number): VdiNumbers {
    let numbers = this.#vdis.get(vdi);
    if (numbers === undefined) {
      invariant(this.#vdis.size < this.#maxVdis, 'a driver VM serves a bounded number of VDIs');
      numbers = { vdi, generation: 0, lastAppended: 0, next: 1, published: 0, held: false };
      this.#vdis.set(vdi, numbers);
    }
    return numbers;
  }
}
