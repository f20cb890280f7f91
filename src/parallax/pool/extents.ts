/**
 * Allocation of pool blocks, by one attached session.
 *
 * Space is claimed from the directory in extents; inside its own extents a session allocates in
 * memory, without asking anybody. What makes this safe:
 * - A record in the directory says who may allocate in an extent: the session for which it is
 *   `open`. It becomes open by one txn, and only from nothing or from `partial`.
 * - An extent that is open when its session ends without a word stays so until the host's next
 *   attachment marks it `closed`; nobody allocates in it before a sweep. The old session may go on
 *   to allocate in it as a zombie: nobody else does, so no block is handed out twice.
 * - `partial` is written by the session itself, after the map in the extent is durable, and names
 *   the sequence of that map. Whoever goes on there takes no other map: an older copy would have
 *   blocks as free that are in use. An extent whose map is not the one that is named is closed.
 *
 * One extent's states here: open (allocates), full (nothing is free; its map is being written, then
 * is), closed (the outcome of a write is unknown). An extent's record and map are changed by
 * one story at a time (`tend`), which looks at what is wanted and at what is so, until they agree.
 * A story that fails leaves the extent open in the directory, which is safe; it is tended again at
 * the end.
 *
 * A claim whose outcome is unknown may turn out later to have been made: the extent is then found
 * in the directory as this session's own, and is taken up.
 *
 * Ahead of need: when less than `reserveBlocks` are free the next extent is claimed in the
 * background, so that in the steady state `allocate` waits for nobody.
 *
 * Not done: freeing. What is superseded is counted; a sweep will find it.
 */
import { StorageError } from '../../base/errors.ts';
import { invariant, present } from '../../base/invariant.ts';
import { type BlockPool, EXTENT_BLOCKS, type PoolBlock } from '../../world/block-pool.ts';
import type { Directory } from '../../world/directory.ts';
import type { World } from '../../world/world.ts';
import type { ExtentRecord, ExtentState } from '../formats/directory-records.ts';
import { type Attachment, type FenceGuard, fencedError } from './attach.ts';
import { ExtentMapIo, type FoundMap } from './extent-map-io.ts';
import { ExtentSpace } from './extent-space.ts';
import { ExtentTable, type ListedExtent } from './extent-table.ts';

export interface ExtentParts {
  readonly world: Pick<World, 'clock' | 'digest' | 'log' | 'crashPoint'>;
  readonly directory: Directory;
  readonly pool: BlockPool;
  readonly guard: FenceGuard;
  /** uuid of the store. */
  readonly uuid: Uint8Array;
  /** With fewer free blocks than this the next extent is claimed; half an extent unless said. */
  readonly reserveBlocks?: number;
}

export interface ExtentStats {
  readonly extents: number;
  readonly openExtents: number;
  readonly allocatedBlocks: number;
  readonly freeBlocks: number;
  readonly supersededPrivate: number;
  readonly supersededShared: number;
}

/** An extent of this session. */
interface Held {
  readonly space: ExtentSpace;
  wanted: ExtentState;
  /** What the directory has, as far as this session knows. */
  recorded: ExtentState;
  /** Sequence of the newest map that is durable; its states may be behind. */
  durableSequence: number;
  /** Raised by each change that the map must show; `mapped` follows when it does. */
  changes: number;
  mapped: number;
  tending: Promise<void> | null;
}

const BACKGROUND_RETRY_NS = 1_000_000_000;

export class ExtentAllocator {
  readonly #world: ExtentParts['world'];
  readonly #pool: BlockPool;
  readonly #guard: FenceGuard;
  readonly #attachment: Attachment;
  readonly #reserveBlocks: number;
  readonly #table: ExtentTable;
  readonly #maps: ExtentMapIo;
  readonly #held = new Map<number, Held>();
  /** Those that can be allocated from, oldest first. */
  #open: Held[] = [];
  #claiming: Promise<void> | null = null;
  #claimAgainNs = 0;
  #allocatedBlocks = 0;
  #supersededPrivate = 0;
  #supersededShared = 0;
  #closing: Promise<void> | null = null;
  #broken: { readonly thrown: unknown } | null = null;

  private constructor(parts: ExtentParts) {
    this.#world = parts.world;
    this.#pool = parts.pool;
    this.#guard = parts.guard;
    this.#attachment = parts.guard.attachment;
    this.#reserveBlocks = parts.reserveBlocks ?? EXTENT_BLOCKS / 2;
    const { directory, world, guard, pool, uuid } = parts;
    this.#table = new ExtentTable(directory, world.digest, guard);
    this.#maps = new ExtentMapIo(pool, world.digest, uuid, guard);
  }

  /** Begins a session: what older sessions of this host have left open is closed first. */
  static async open(parts: ExtentParts): Promise<ExtentAllocator> {
    const allocator = new ExtentAllocator(parts);
    for (const listed of await allocator.#table.list()) await allocator.#closeLeftOpen(listed);
    return allocator;
  }

  /**
   * Hands out `count` blocks in as few runs as there can be: `visit` is called for each, before
   * the promise settles and with nothing in between. Rejects with `E_POOL_FULL`, `E_FENCED` or
   * `E_DIRECTORY`, and then has handed out nothing.
   */
  async allocate(count: number, visit: (first: PoolBlock, blocks: number) => void): Promise<void> {
    invariant(Number.isInteger(count) && count > 0, 'an allocation asks for blocks');
    while (this.#freeBlocks() < count) {
      this.#checkUsable();
      await this.#claim();
    }
    this.#checkUsable();
    for (let left = count; left > 0; ) left -= this.#takeRun(left, visit);
    this.#allocatedBlocks += count;
    this.#retireFull();
    if (this.#freeBlocks() < this.#reserveBlocks) this.#claimAhead();
  }

  /** A block of some tree has no use there any more. Counted only. */
  superseded(_block: PoolBlock, shared: boolean): void {
    if (shared) this.#supersededShared += 1;
    else this.#supersededPrivate += 1;
  }

  /** A write to this block ended in an unknown state: its extent is not allocated from any more. */
  closeExtentOf(block: PoolBlock): void {
    this.#rethrow();
    const held = this.#heldOf(block);
    if (held.wanted === 'closed') return;
    held.wanted = 'closed';
    this.#open = this.#open.filter((other) => other !== held);
    this.#tendSoon(held);
  }

  /**
   * Marks a block of this session's extents as shared. Durable when settled; if it rejects with
   * `E_POOL_IO` it may be or not.
   */
  async markShared(block: PoolBlock): Promise<void> {
    this.#checkUsable();
    const held = this.#heldOf(block);
    if (held.space.share(block)) held.changes += 1;
    const { changes } = held;
    while (held.mapped < changes) await this.#tend(held);
  }

  stats(): ExtentStats {
    return {
      extents: this.#held.size,
      openExtents: this.#open.length,
      allocatedBlocks: this.#allocatedBlocks,
      freeBlocks: this.#freeBlocks(),
      supersededPrivate: this.#supersededPrivate,
      supersededShared: this.#supersededShared,
    };
  }

  /**
   * Ends the session's allocation: maps are written, extents given back. No write to a block of
   * them may be in flight. If it rejects, what was not given back is closed by the next session.
   */
  close(): Promise<void> {
    this.#closing ??= this.#giveBack();
    return this.#closing;
  }

  #checkUsable(): void {
    this.#rethrow();
    invariant(this.#closing === null, 'nobody allocates after the end');
    if (this.#guard.fenced) throw fencedError(this.#attachment);
  }

  #freeBlocks(): number {
    let free = 0;
    for (const { space } of this.#open) free += space.freeBlocks;
    return free;
  }

  /** Takes one run: the first that is long enough, or the longest one. Gives back its length. */
  #takeRun(count: number, visit: (first: PoolBlock, blocks: number) => void): number {
    let best: ExtentSpace | null = null;
    for (const { space } of this.#open) {
      if (space.freeBlocks === 0) continue;
      space.findRun(count);
      if (best === null || space.runBlocks > best.runBlocks) best = space;
      if (best.runBlocks === count) break;
    }
    const space = present(best, 'free blocks that were counted are found');
    const blocks = Math.min(count, space.runBlocks);
    visit(space.take(blocks), blocks);
    return blocks;
  }

  #retireFull(): void {
    for (const held of this.#open) {
      if (held.space.freeBlocks > 0) continue;
      held.wanted = 'full';
      held.changes += 1;
      this.#tendSoon(held);
    }
    this.#open = this.#open.filter(({ wanted }) => wanted === 'open');
  }

  #heldOf(block: PoolBlock): Held {
    const held = this.#held.get(Math.floor(block / EXTENT_BLOCKS));
    return present(held, 'a session changes only extents of its own');
  }

  // Claims.

  #claimAhead(): void {
    if (this.#claiming !== null || this.#world.clock.nowNs() < this.#claimAgainNs) return;
    this.#claim().catch((thrown: unknown) => {
      // Whoever needs the blocks will ask again and hear why there are none.
      this.#claimAgainNs = this.#world.clock.nowNs() + BACKGROUND_RETRY_NS;
      this.#keepIfBug(thrown);
    });
  }

  /** One claim at a time: who comes meanwhile waits for the same one. */
  #claim(): Promise<void> {
    this.#claiming ??= this.#claimNext().finally(() => {
      this.#claiming = null;
    });
    return this.#claiming;
  }

  async #claimNext(): Promise<void> {
    for (;;) {
      const listed = await this.#table.list();
      const claimable = this.#choose(listed);
      if (claimable === null) throw this.#fullError();
      if (await this.#tryClaim(claimable)) return;
    }
  }

  /** What this session owns without knowing it, then what others gave back, then what is new. */
  #choose(listed: readonly ListedExtent[]): ListedExtent | null {
    const own = listed.find(({ extent, record }) => {
      return record !== null && this.#isOwn(record) && !this.#held.has(extent);
    });
    if (own !== undefined) return own;
    const partial = listed.find(({ record }) => record?.state === 'partial');
    if (partial !== undefined) return partial;
    const taken = new Set(listed.map(({ extent }) => extent));
    const end = Math.floor(this.#pool.sizeBlocks / EXTENT_BLOCKS);
    for (let extent = 1; extent < end; extent++) {
      if (!taken.has(extent)) return { extent, record: null, version: 0 };
    }
    return null;
  }

  #isOwn({ state, session }: ExtentRecord): boolean {
    return state === 'open' && session === this.#attachment.session;
  }

  /** False: it cannot be had, look for another. */
  async #tryClaim(listed: ListedExtent): Promise<boolean> {
    const { extent, record, version } = listed;
    const mapSequence = record?.mapSequence ?? 0;
    let map: FoundMap | null = null;
    if (record !== null && mapSequence > 0) {
      map = await this.#maps.read(extent, record);
      if (map === null) {
        this.#world.log.note(`extent ${extent} has not the map that it should have: closed`);
        await this.#table.change(extent, version, { ...record, state: 'closed' });
        return false;
      }
    }
    const space = new ExtentSpace(extent, map?.map ?? null, map?.copy ?? 1);
    if (record === null || !this.#isOwn(record)) {
      this.#world.crashPoint('extent.before-claim');
      const claimed = this.#record('open', space.freeBlocks, mapSequence);
      if (!(await this.#table.change(extent, version, claimed))) return false;
      this.#world.crashPoint('extent.after-claim');
    }
    this.#hold(space);
    return true;
  }

  #hold(space: ExtentSpace): void {
    invariant(!this.#held.has(space.extent), 'an extent is claimed once');
    const held: Held = {
      space,
      wanted: 'open',
      recorded: 'open',
      durableSequence: space.mapSequence,
      changes: 0,
      mapped: 0,
      tending: null,
    };
    this.#held.set(space.extent, held);
    this.#open.push(held);
  }

  #record(state: ExtentState, freeBlocks: number, mapSequence: number): ExtentRecord {
    const { session, host } = this.#attachment;
    return { state, session, host, freeBlocks, mapSequence };
  }

  async #closeLeftOpen(left: ListedExtent): Promise<void> {
    let listed = left;
    for (;;) {
      const { record, version, extent } = listed;
      const { host, session } = this.#attachment;
      const isLeft = record?.state === 'open' && record.host === host && record.session !== session;
      if (!isLeft) return;
      if (await this.#table.change(extent, version, { ...record, state: 'closed' })) return;
      listed = await this.#table.get(extent);
    }
  }

  #fullError(): StorageError {
    const { store } = this.#attachment;
    const sizeBlocks = this.#pool.sizeBlocks;
    return new StorageError(
      'E_POOL_FULL',
      `store ${store} is full: all of its ${Math.floor(sizeBlocks / EXTENT_BLOCKS) - 1} extents ` +
        'are in use; delete snapshots or disks, or use a larger store',
      { fields: { store, sizeBlocks } },
    );
  }

  // Maps and records of extents that are held.

  #tendSoon(held: Held): void {
    this.#tend(held).catch((thrown: unknown) => {
      // It stays open in the directory: safe, and tried again at the end.
      if (this.#keepIfBug(thrown)) return;
      const text = `extent ${held.space.extent} is not yet ${held.wanted}: ${String(thrown)}`;
      this.#world.log.note(text);
    });
  }

  /** Nobody waits for a story of the background: what broke it is thrown at the next call. */
  #keepIfBug(thrown: unknown): boolean {
    if (thrown instanceof StorageError) return false;
    this.#broken ??= { thrown };
    return true;
  }

  #rethrow(): void {
    if (this.#broken !== null) throw this.#broken.thrown;
  }

  #tend(held: Held): Promise<void> {
    held.tending ??= this.#tendUntilSo(held).finally(() => {
      held.tending = null;
    });
    return held.tending;
  }

  async #tendUntilSo(held: Held): Promise<void> {
    while (held.mapped < held.changes || held.recorded !== held.wanted) {
      if (held.mapped < held.changes) {
        const ok = await this.#writeMap(held);
        // The record of a closed extent promises nothing about its map.
        if (!ok) throw this.#mapError(held);
      }
      if (held.mapped === held.changes && held.recorded !== held.wanted) {
        await this.#writeRecord(held, held.wanted);
      }
    }
  }

  async #writeMap(held: Held): Promise<boolean> {
    const { space, changes } = held;
    this.#world.crashPoint('extent.before-map-write');
    const ok = await this.#maps.write(space);
    this.#world.crashPoint('extent.after-map-write');
    if (!ok) return false;
    held.durableSequence = space.mapSequence;
    held.mapped = changes;
    return true;
  }

  async #writeRecord(held: Held, state: ExtentState): Promise<void> {
    const { extent, freeBlocks } = held.space;
    const record = this.#record(state, freeBlocks, held.durableSequence);
    for (;;) {
      const { record: found, version } = await this.#table.get(extent);
      // What an unknown outcome has made already is made.
      if (found !== null && sameRecord(found, record)) break;
      if (await this.#table.change(extent, version, record)) break;
    }
    held.recorded = state;
  }

  #mapError({ space }: Held): StorageError {
    const { extent } = space;
    return new StorageError('E_POOL_IO', `the map of extent ${extent} cannot be written`, {
      fields: { extent },
    });
  }

  // The end.

  async #giveBack(): Promise<void> {
    await this.#claiming?.catch(() => undefined);
    this.#rethrow();
    const open = this.#open;
    this.#open = [];
    let first: unknown = null;
    for (const held of this.#held.values()) {
      try {
        await held.tending?.catch(() => undefined);
        if (open.includes(held)) await this.#giveBackOpen(held);
        else await this.#tend(held);
      } catch (thrown) {
        first ??= thrown;
      }
    }
    if (first !== null) throw first;
  }

  async #giveBackOpen(held: Held): Promise<void> {
    const { space } = held;
    this.#world.crashPoint('extent.before-give-back');
    if (!space.touched && space.mapSequence === 0) {
      const { version, record } = await this.#table.get(space.extent);
      if (record !== null) await this.#table.change(space.extent, version, null);
      return;
    }
    if (space.touched) held.changes += 1;
    held.wanted = 'partial';
    await this.#tend(held);
  }
}

function sameRecord(one: ExtentRecord, other: ExtentRecord): boolean {
  return (
    one.state === other.state &&
    one.session === other.session &&
    one.freeBlocks === other.freeBlocks &&
    one.mapSequence === other.mapSequence
  );
}
