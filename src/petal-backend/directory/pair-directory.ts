/**
 * One pair's record as a server or client lives with it: reads that say how old they are, changes
 * that end in an answer, and a watch that does not rely on hints.
 *
 * **Observation.** What a read shows was so at some moment after it was asked. So `askedNs`, the
 * reader's own monotonic clock *before* the request went out, is the one time from which a lease
 * may be counted; the time of the answer would let a slow directory stretch it. A txn that was made
 * is an observation too.
 *
 * **Changes.** A change is one txn that compares the version that was read. When the directory does
 * not answer, the txn may have been made, or may yet be made. Then the record is read again: our
 * next record is there, or another, or still the old one, and in that case the same txn is asked
 * again: both compare the same version, so at most one of them is made. If the record has become
 * another, the caller decides anew by what it is now: a reason to drop a server that held in one
 * term is none in the next.
 *
 * **Watch.** The record is read at each hint and each third of the lease, whatever the hints. A
 * read that takes long does not hold up the next one; only newer observations count.
 */
import { StorageError } from '../../base/errors.ts';
import { sameBytes } from '../../base/formats/field-bytes.ts';
import { type Nanos, nanos } from '../../base/units.ts';
import type { Directory } from '../../world/directory.ts';
import type { TimerId, World } from '../../world/world.ts';
import { pairKey, poolKey } from './keys.ts';
import { isRefusal, type PairTransition } from './pair-transitions.ts';
import {
  forcedPairPlan,
  type OperatorAct,
  type Plan,
  type PoolPlace,
  pairPlan,
  type Stored,
} from './pool-transitions.ts';
import { decodeRecord, encodeRecord, type PairRecord, pairKind, poolKind } from './records.ts';

/** The record, and since when at least it was no older than this. */
export interface PairView extends Stored<PairRecord> {
  readonly askedNs: Nanos;
}

export type ChangeOutcome =
  /** The record is what the change makes of it. */
  | { readonly kind: 'made'; readonly view: PairView }
  /** The transition does not allow it. */
  | { readonly kind: 'refused'; readonly why: string }
  /** Something else was made first: this is the record now. */
  | { readonly kind: 'other'; readonly view: PairView }
  /** The directory did not answer in time: it may be made, now or later. */
  | { readonly kind: 'unknown' };

export interface PairDirectoryOptions {
  /** How long a change is tried. */
  readonly giveUpNs: number;
  /** Between two tries. */
  readonly pauseNs: number;
}

const DEFAULT_OPTIONS: PairDirectoryOptions = { giveUpNs: 10_000_000_000, pauseNs: 20_000_000 };
/** Reads of one watch that have not been answered, at the most. */
const READS_MAX = 4;

type PairWorld = Pick<World, 'clock' | 'timers' | 'digest'>;

export class PairDirectory {
  readonly #directory: Directory;
  readonly #world: PairWorld;
  readonly #at: PoolPlace;
  readonly #key: string;
  readonly #options: PairDirectoryOptions;

  constructor(
    directory: Directory,
    world: PairWorld,
    pair: { readonly pool: string; readonly gmap: number; readonly group: number },
    options: Partial<PairDirectoryOptions> = {},
  ) {
    this.#directory = directory;
    this.#world = world;
    this.#at = { pool: pair.pool, digest: world.digest };
    this.#key = pairKey(pair.pool, pair.gmap, pair.group);
    this.#options = { ...DEFAULT_OPTIONS, ...options };
  }

  /** Rejects with `E_DIRECTORY` if there is no answer, or with what is wrong with the record. */
  async read(): Promise<PairView> {
    const askedNs = this.#world.clock.nowNs();
    const entry = await this.#directory.get(this.#key);
    if (entry === null) throw new StorageError('E_NO_PAIR', `there is no "${this.#key}"`);
    const record = decodeRecord(this.#world.digest, pairKind, entry);
    return { record, version: entry.version, askedNs };
  }

  /** Makes the transition if the record is still the one of `from`. */
  change(from: PairView, transition: PairTransition): Promise<ChangeOutcome> {
    return this.#make(from, () => Promise.resolve(pairPlan(this.#at, from, transition)));
  }

  /** As `change`, of an act of an operator: its record is made by the same txn. */
  force(
    from: PairView,
    act: OperatorAct,
    transition: (forced: number) => PairTransition,
  ): Promise<ChangeOutcome> {
    return this.#make(from, async () => {
      const entry = await this.#directory.get(poolKey(this.#at.pool));
      if (entry === null) throw new StorageError('E_NO_POOL', `there is no pool ${this.#at.pool}`);
      const record = decodeRecord(this.#world.digest, poolKind, entry);
      const pool = { record, version: entry.version };
      return forcedPairPlan(this.#at, pool, from, act, transition);
    });
  }

  /**
   * Calls `seen` with each newer observation until it is ended, or until the record cannot be read
   * for another reason than that the directory does not answer: then `lost`, once.
   */
  watch(
    leaseNs: number,
    seen: (view: PairView) => void,
    lost: (error: StorageError) => void,
  ): PairWatch {
    const { timers, clock } = this.#world;
    const hints = (changed: () => void): (() => void) => this.#directory.watch(this.#key, changed);
    return new PairWatch({ timers, clock }, leaseNs / 3, hints, () => this.read(), seen, lost);
  }

  async #make(
    from: PairView,
    plan: () => Promise<Plan<PairRecord> | { readonly refused: string }>,
  ): Promise<ChangeOutcome> {
    const { clock, timers, digest } = this.#world;
    const endNs = clock.nowNs() + this.#options.giveUpNs;
    /** All that were asked: any of them may have been made. */
    const asked: Uint8Array[] = [];
    while (clock.nowNs() < endNs) {
      try {
        const planned = await plan();
        if (isRefusal(planned)) return { kind: 'refused', why: planned.refused };
        asked.push(encodeRecord(digest, pairKind, planned.next));
        const { comparisons, changes } = planned.txn;
        await this.#directory.txn(comparisons, changes);
      } catch (thrown) {
        rethrowUnlessSilent(thrown);
      }
      const view = await this.#readQuietly();
      if (view !== null && view.version !== from.version) {
        const now = encodeRecord(digest, pairKind, view.record);
        const made = asked.some((bytes) => sameBytes(bytes, now));
        return { kind: made ? 'made' : 'other', view };
      }
      await timers.sleep(this.#options.pauseNs);
    }
    return { kind: 'unknown' };
  }

  async #readQuietly(): Promise<PairView | null> {
    try {
      return await this.read();
    } catch (thrown) {
      rethrowUnlessSilent(thrown);
      return null;
    }
  }
}

/** Whether a lease that is counted from an observation still holds. */
export function leaseHolds(view: PairView, nowNs: Nanos, leaseNs: number): boolean {
  return nowNs - view.askedNs < leaseNs;
}

export class PairWatch {
  readonly #world: Pick<World, 'clock' | 'timers'>;
  readonly #pollNs: number;
  readonly #read: () => Promise<PairView>;
  readonly #seen: (view: PairView) => void;
  readonly #lost: (error: StorageError) => void;
  readonly #unwatch: () => void;
  #newest: PairView | null = null;
  #reads = 0;
  #timer: TimerId | null = null;
  #open = true;

  constructor(
    world: Pick<World, 'clock' | 'timers'>,
    pollNs: number,
    hints: (changed: () => void) => () => void,
    read: () => Promise<PairView>,
    seen: (view: PairView) => void,
    lost: (error: StorageError) => void,
  ) {
    this.#world = world;
    this.#pollNs = pollNs;
    this.#read = read;
    this.#seen = seen;
    this.#lost = lost;
    this.#unwatch = hints(() => this.#look());
    this.#poll();
  }

  get newest(): PairView | null {
    return this.#newest;
  }

  close(): void {
    this.#open = false;
    this.#unwatch();
    if (this.#timer !== null) this.#world.timers.cancel(this.#timer);
    this.#timer = null;
  }

  #poll(): void {
    this.#look();
    const nextNs = nanos(this.#world.clock.nowNs() + this.#pollNs);
    this.#timer = this.#world.timers.at(nextNs, () => {
      this.#timer = null;
      if (this.#open) this.#poll();
    });
  }

  #look(): void {
    if (!this.#open || this.#reads >= READS_MAX) return;
    this.#reads += 1;
    this.#read().then(
      (view) => {
        this.#reads -= 1;
        this.#take(view);
      },
      (thrown: unknown) => {
        this.#reads -= 1;
        rethrowUnlessStorage(thrown);
        if (!this.#open || thrown.code === 'E_DIRECTORY') return;
        this.close();
        this.#lost(thrown);
      },
    );
  }

  #take(view: PairView): void {
    if (!this.#open) return;
    const newest = this.#newest ?? view;
    if (view.version < newest.version) return;
    if (view.version === newest.version && view !== newest && view.askedNs <= newest.askedNs)
      return;
    // A later version was so after whatever an earlier one was read at.
    const askedNs = nanos(Math.max(view.askedNs, newest.askedNs));
    this.#newest = { ...view, askedNs };
    this.#seen(this.#newest);
  }
}

function rethrowUnlessStorage(thrown: unknown): asserts thrown is StorageError {
  if (!(thrown instanceof StorageError)) throw thrown;
}

/** The directory did not answer: anything else is the caller's affair. */
function rethrowUnlessSilent(thrown: unknown): void {
  if (!(thrown instanceof StorageError) || thrown.code !== 'E_DIRECTORY') throw thrown;
}
