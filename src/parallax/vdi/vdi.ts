/**
 * A virtual disk image while a driver VM serves it: what is published, and what is on its way.
 *
 * ```
 * published    root block in the pool: tree, watermark, generation      changes by `Destage` alone
 * dirty        pieces in batches, acknowledged, not published           enter by `WritePath`
 * in flight    in the log's open groups, not acknowledged               nobody reads them
 * ```
 * Numbers: `nextSeq` is given to the next mutation; `dirtySeq` is the last one answered;
 * `watermark` the last one under the published root. watermark <= dirtySeq < nextSeq.
 *
 * A read takes the newest dirty pieces, and what no piece has from the published tree. Publishing
 * moves data from the pieces to the tree in one step of this actor, after the root block is
 * durable, so that a read finds every block in one of them, and always the same.
 */
import { invariant } from '../../base/invariant.ts';
import { SECTORS_PER_PAGE } from '../../base/units.ts';
import type { RootBlock } from '../formats/root-block.ts';
import type { TreeRoot } from '../formats/tree-root.ts';
import type { Batches } from './batches.ts';
import type { DirtyMap } from './dirty-map.ts';
import { type Clauses, clausesOf, type Policy } from './policy.ts';

export type VdiState =
  | 'serving'
  /**
   * Another host, or a later start, has raised the generation: nothing of this one is published.
   */
  | 'fenced'
  /**
   * What an earlier life had acknowledged is gone, by its policy: nothing is served until accepted.
   */
  | 'lost'
  /** Its log is damaged where it must not be: nothing is served until the cut is accepted. */
  | 'damaged'
  | 'closed';

/** What an image has acknowledged and not published. */
export interface Acknowledged {
  readonly dirty: DirtyMap;
  readonly batches: Batches;
}

export interface LossNow {
  readonly requests: number;
  readonly bytes: number;
  readonly seconds: number;
}

/** Hears what is reported of an image, as it is reported: a disk of the order tap. */
export interface VdiListener {
  /**
   * Everything up to this number is under a published root. Without order that is no promise: a
   * part of what follows may be there too.
   */
  published(vdiSeq: number, generation: number, inOrder: boolean): void;
  /** The place of a snapshot in the order; the log has it, or memory where there is no log. */
  snapshotTaken(id: number, vdiSeq: number, generation: number): void;
  /** What ends with this number is published whole or not at all; `asked`: by a flush. */
  epochEnded(vdiSeq: number, generation: number, asked: boolean): void;
  policyChanged(policy: Policy, vdiSeq: number, generation: number): void;
}

export class Vdi {
  readonly id: number;
  readonly name: string;
  readonly dirty: DirtyMap;
  readonly batches: Batches;
  /** As published last, with the version that the next publish compares. */
  image: RootBlock;
  version: number;
  clauses: Clauses;
  state: VdiState = 'serving';
  nextSeq: number;
  dirtySeq: number;
  #listener: VdiListener | null = null;
  #waiting: { readonly vdiSeq: number; readonly done: (ok: boolean) => void }[] = [];

  constructor(name: string, image: RootBlock, version: number, { dirty, batches }: Acknowledged) {
    this.id = image.vdi;
    this.name = name;
    this.image = image;
    this.version = version;
    this.clauses = clausesOf(image.policy as Policy);
    this.dirty = dirty;
    this.batches = batches;
    this.nextSeq = image.vdiSeq + 1;
    this.dirtySeq = image.vdiSeq;
  }

  get watermark(): number {
    return this.image.vdiSeq;
  }

  get root(): TreeRoot {
    return this.image.root;
  }

  get sectors(): number {
    return this.image.sizeBlocks * SECTORS_PER_PAGE;
  }

  get listener(): VdiListener | null {
    return this.#listener;
  }

  /** Who hears of the image from now on; it is told the watermark at once. */
  listen(listener: VdiListener): void {
    this.#listener = listener;
    this.#report();
  }

  setPolicy(policy: Policy): void {
    this.clauses = clausesOf(policy);
    this.batches.setClauses(this.clauses);
  }

  /** Has everything acknowledged published soon; `splitsEpoch`: also of an unfinished epoch. */
  hurry(splitsEpoch: boolean): void {
    const split = this.clauses.wholeEpochs && splitsEpoch;
    if (split) this.#listener?.epochEnded(this.dirtySeq, this.image.generation, false);
    this.batches.hurry(splitsEpoch);
  }

  /** What the loss of this host would lose now: what was acknowledged and is not in the pool. */
  lossNow(nowNs: number): LossNow {
    const { requests, bytes, sinceNs } = this.batches.unpublished();
    const seconds = requests === 0 ? 0 : Math.max(0, nowNs - sinceNs) / 1e9;
    return { requests, bytes, seconds };
  }

  setImage(image: RootBlock, version: number): void {
    invariant(image.vdiSeq >= this.image.vdiSeq, 'a watermark never goes back');
    this.image = image;
    this.version = version;
    this.#report();
  }

  /** What is published is in no batch any more: whoever waited for it hears. */
  tellPublished(): void {
    this.#tell();
  }

  fail(state: VdiState): void {
    this.state = state;
    this.#tell();
  }

  /** The operator has accepted what was lost: what is there is served. */
  revive(): void {
    const { state } = this;
    invariant(state === 'lost' || state === 'damaged', 'only a loss can be accepted');
    this.state = 'serving';
  }

  /** Calls `done` once everything up to `vdiSeq` is published (true), or the disk has failed. */
  whenPublished(vdiSeq: number, done: (ok: boolean) => void): void {
    this.#waiting.push({ vdiSeq, done });
  }

  /** Settles when everything up to `vdiSeq` is published; false if the disk has failed. */
  published(vdiSeq: number): Promise<boolean> {
    if (this.watermark >= vdiSeq) return Promise.resolve(true);
    return new Promise((resolve) => {
      this.whenPublished(vdiSeq, resolve);
    });
  }

  checkInvariants(): void {
    invariant(this.watermark <= this.dirtySeq, 'nothing is published before it is acknowledged');
    invariant(this.dirtySeq < this.nextSeq, 'nothing is acknowledged before it has a number');
  }

  #report(): void {
    this.#listener?.published(this.watermark, this.image.generation, this.clauses.inOrder);
  }

  #tell(): void {
    const isOver = this.state !== 'serving';
    const reached = this.#waiting.filter(({ vdiSeq }) => isOver || vdiSeq <= this.watermark);
    this.#waiting = this.#waiting.filter((one) => !reached.includes(one));
    for (const { vdiSeq, done } of reached) done(vdiSeq <= this.watermark);
  }
}
