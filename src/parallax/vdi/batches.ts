/**
 * The batches of a virtual disk image: how its order is cut into what destage may publish at once.
 *
 * One batch is open and takes what is acknowledged; the others are sealed and wait, oldest first.
 * A batch is sealed when it is large or old enough, and at once where the order itself has a mark:
 * a snapshot, a change of policy, a flush that waits for the pool. Under a policy with whole epochs
 * a batch is sealed at every flush and nowhere else, because the pool may never show a part of an
 * epoch.
 *
 * Destage takes a run of sealed batches from the oldest on and publishes it under one root. A mark
 * ends such a run: what it decides belongs to that root.
 *
 * Numbers of batches ascend with the order: all of batch n comes before all of batch n + 1.
 */
import { invariant } from '../../base/invariant.ts';
import type { Clauses } from './policy.ts';

/** What is decided at the end of a batch, in the root that publishes it. */
export type BatchMark =
  | {
      readonly kind: 'snapshot';
      readonly id: number;
      readonly name: string;
      readonly isLocal: boolean;
    }
  | { readonly kind: 'policy'; readonly policy: number };

export interface Batch {
  readonly number: number;
  /** Last number of the disk's order in it. */
  lastSeq: number;
  requests: number;
  bytes: number;
  /** When its first mutation was acknowledged; Infinity while it has none. */
  openedNs: number;
  mark: BatchMark | null;
}

export interface BatchLimits {
  readonly batchBytes: number;
  /** Age at which what was acknowledged is published although it is little. */
  readonly periodNs: number;
}

export interface Unpublished {
  readonly requests: number;
  readonly bytes: number;
  /** When the oldest of them was acknowledged; Infinity if there is none. */
  readonly sinceNs: number;
}

/** A run of batches under one root is at most about this many times as large as one. */
const RUN_BATCHES = 4;

export class Batches {
  readonly #limits: BatchLimits;
  readonly #sealed: Batch[] = [];
  #open: Batch = newBatch(1);
  #clauses: Clauses;
  /** Publish as soon as anything is sealed: somebody waits for it. */
  #urgentThrough = 0;

  constructor(limits: BatchLimits, clauses: Clauses) {
    this.#limits = limits;
    this.#clauses = clauses;
  }

  /** Number of the batch that takes what is acknowledged now. */
  get openNumber(): number {
    return this.#open.number;
  }

  /** Last number of the disk's order in any batch, 0 if there is none. */
  get lastSeq(): number {
    if (this.#open.requests > 0) return this.#open.lastSeq;
    return this.#sealed[this.#sealed.length - 1]?.lastSeq ?? 0;
  }

  /** Snapshots that no published root has yet. */
  get snapshots(): number {
    return this.#sealed.filter(({ mark }) => mark?.kind === 'snapshot').length;
  }

  /** They are of another image from now on, which counts its snapshots anew. */
  renumberSnapshots(first: number): void {
    let id = first;
    for (const batch of this.#sealed) {
      const { mark } = batch;
      if (mark?.kind === 'snapshot') batch.mark = { ...mark, id: id++ };
    }
  }

  unpublished(): Unpublished {
    let { requests, bytes, openedNs: sinceNs } = this.#open;
    for (const batch of this.#sealed) {
      requests += batch.requests;
      bytes += batch.bytes;
      sinceNs = Math.min(sinceNs, batch.openedNs);
    }
    return { requests, bytes, sinceNs };
  }

  setClauses(clauses: Clauses): void {
    this.#clauses = clauses;
  }

  /** A mutation was acknowledged; its pieces are in the open batch already. */
  add(vdiSeq: number, bytes: number, nowNs: number): void {
    const open = this.#open;
    invariant(vdiSeq > this.lastSeq, 'mutations enter batches in the order of the disk');
    if (open.requests++ === 0) open.openedNs = nowNs;
    open.lastSeq = vdiSeq;
    open.bytes += bytes;
    if (open.bytes >= this.#limits.batchBytes && !this.#clauses.wholeEpochs) this.#seal(null);
  }

  /** A flush took its place in the order: an epoch ends with it. */
  endEpoch(vdiSeq: number, nowNs: number): void {
    this.add(vdiSeq, 0, nowNs);
    this.#seal(null);
  }

  /** Something is decided here, at `vdiSeq`: it ends the open batch. */
  mark(mark: BatchMark, vdiSeq: number, nowNs: number): void {
    this.add(vdiSeq, 0, nowNs);
    // A batch that was just full has ended one number earlier: then the mark has one of its own.
    if (this.#open.requests > 0) this.#seal(mark);
    else (this.#sealed[this.#sealed.length - 1] as Batch).mark = mark;
  }

  /**
   * Ends the open batch, and has everything up to here published soon. What is of an unfinished
   * epoch is kept back, unless `splitsEpoch`.
   */
  hurry(splitsEpoch: boolean): void {
    if (!this.#clauses.wholeEpochs || splitsEpoch) this.#seal(null);
    this.#urgentThrough = this.#open.number - 1;
  }

  /** Nothing can be published that is not a part of an unfinished epoch. */
  get isOneEpoch(): boolean {
    return this.#clauses.wholeEpochs && this.#sealed.length === 0 && this.#open.requests > 0;
  }

  /** The run of batches to publish now: its last one; null if there is none. */
  ready(nowNs: number): Batch | null {
    this.#sealIfOld(nowNs);
    const oldest = this.#sealed[0];
    if (oldest === undefined) return null;
    let bytes = 0;
    let last = oldest;
    let isDue = oldest.number <= this.#urgentThrough;
    isDue ||= nowNs >= oldest.openedNs + this.#limits.periodNs;
    for (const batch of this.#sealed) {
      bytes += batch.bytes;
      last = batch;
      if (batch.mark !== null || bytes >= RUN_BATCHES * this.#limits.batchBytes) break;
    }
    isDue ||= last.mark !== null || bytes >= this.#limits.batchBytes;
    return isDue ? last : null;
  }

  /** The sealed batches up to this one, oldest first. */
  through(number: number): readonly Batch[] {
    return this.#sealed.filter((batch) => batch.number <= number);
  }

  /** When `ready` may give something although nothing else happens; Infinity: never. */
  get dueNs(): number {
    const oldest = this.#sealed[0];
    const sealedNs = oldest?.openedNs ?? Number.POSITIVE_INFINITY;
    const openNs = this.#clauses.wholeEpochs ? Number.POSITIVE_INFINITY : this.#open.openedNs;
    return Math.min(sealedNs, openNs) + this.#limits.periodNs;
  }

  /** Batches up to this one are published. */
  dropThrough(number: number): readonly Batch[] {
    const count = this.#sealed.findIndex((batch) => batch.number > number);
    return this.#sealed.splice(0, count < 0 ? this.#sealed.length : count);
  }

  /** Takes out the sealed batches that end at or before this number of the order. */
  publishedBy(vdiSeq: number): readonly Batch[] {
    const through = this.#sealed.findLast((batch) => batch.lastSeq <= vdiSeq);
    return through === undefined ? [] : this.dropThrough(through.number);
  }

  #sealIfOld(nowNs: number): void {
    if (this.#clauses.wholeEpochs) return;
    if (nowNs >= this.#open.openedNs + this.#limits.periodNs) this.#seal(null);
  }

  #seal(mark: BatchMark | null): void {
    if (this.#open.requests === 0) return;
    this.#open.mark = mark;
    this.#sealed.push(this.#open);
    this.#open = newBatch(this.#open.number + 1);
  }
}

function newBatch(number: number): Batch {
  return {
    number,
    lastSeq: 0,
    requests: 0,
    bytes: 0,
    openedNs: Number.POSITIVE_INFINITY,
    mark: null,
  };
}
