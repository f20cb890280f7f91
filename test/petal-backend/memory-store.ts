/**
 * A server's store in memory, for tests of the protocol: the disk outlives its server, mutations
 * take time, and one that was under way when its server died was made or not.
 */
import type { Prng } from '../../src/base/prng.ts';
import type { Term } from '../../src/base/units.ts';
import type {
  BlockFacts,
  ChunkStore,
  PairNote,
  ScrubStep,
  StoreMutation,
  StorePlace,
  StoreRead,
  StoreStatistics,
} from '../../src/petal-backend/store/chunk-store.ts';
import { StoreOp, StoreStatus } from '../../src/petal-backend/store/chunk-store.ts';
import {
  type BlockVersion,
  CHUNK_BLOCKS,
  type DirtyBlock,
} from '../../src/petal-backend/wire/messages.ts';
import { BLOCK_BYTES } from '../../src/world/block-pool.ts';
import type { World } from '../../src/world/world.ts';

interface Block extends Omit<BlockFacts, 'hasData'> {
  readonly gmap: number;
  readonly group: number;
  readonly vdisk: number;
  readonly epoch: number;
  readonly block: number;
  readonly data: Uint8Array | null;
  readonly missing: number;
}

const NOTHING: Omit<BlockFacts, 'hasData'> = {
  version: { term: 0 as Term, n: 0 },
  conditionalVersion: 0,
  crc: 0,
  origin: { session: 0 as never, seq: 0 },
  dirty: false,
  isLost: false,
  missing: 0,
};

/** What is on the disk. */
export class MemoryDisk {
  incarnation = 0;
  intact = true;
  /** Every mutation fails with this while it is set. */
  trouble: StoreStatus | null = null;
  readonly blocks: Map<string, Block> = new Map();
  /** Blocks that the disk does not give until they are written again. */
  readonly unreadable: Set<string> = new Set();
  readonly notes: Map<string, PairNote> = new Map();

  wipe(): void {
    this.blocks.clear();
    this.notes.clear();
    this.intact = false;
  }
}

const WRITE_NS = 100_000;
const READ_NS = 50_000;

export class MemoryStore implements ChunkStore {
  readonly incarnation: number;
  readonly #world: World;
  readonly #disk: MemoryDisk;
  readonly #random: Prng;
  #scrubbed = 0;

  constructor(world: World, disk: MemoryDisk) {
    this.#world = world;
    this.#disk = disk;
    this.#random = world.random.fork('store');
    this.incarnation = ++disk.incarnation;
  }

  get intact(): boolean {
    return this.#disk.intact;
  }

  get losses(): readonly string[] {
    return this.intact ? [] : ['the disk was wiped'];
  }

  /** Goes on behind the blocks that it has looked at. */
  async scrub(limit: number): Promise<ScrubStep> {
    await this.#sleep();
    const blocks = [...this.#disk.blocks.values()];
    const some = blocks.slice(this.#scrubbed, this.#scrubbed + limit * CHUNK_BLOCKS);
    const isRoundDone = this.#scrubbed + some.length >= blocks.length;
    this.#scrubbed = isRoundDone ? 0 : this.#scrubbed + some.length;
    return { damaged: some.filter((block) => this.#isDamaged(block)), chunks: limit, isRoundDone };
  }

  hasRoom(): boolean {
    return true;
  }

  mutate(mutation: StoreMutation): void {
    const { trouble } = this.#disk;
    const isEarly = trouble === null && this.#random.chance(0.5);
    if (isEarly) this.#apply(mutation);
    this.#later(WRITE_NS, () => {
      if (trouble !== null) return mutation.storeDone(trouble);
      if (!isEarly) this.#apply(mutation);
      mutation.storeDone(StoreStatus.ok);
    });
  }

  read(read: StoreRead): void {
    this.#later(READ_NS, () => {
      let damaged = 0;
      for (let at = 0; at < read.blocks; at++) {
        const found = this.#at({ ...read, block: read.block + at });
        const target = read.data.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES);
        target.fill(0);
        if (found?.data != null) target.set(found.data);
        if (found !== undefined && this.#isDamaged(found)) damaged |= 1 << at;
      }
      read.storeDone(damaged === 0 ? StoreStatus.ok : StoreStatus.ioError, damaged);
    });
  }

  facts(place: Omit<StorePlace, 'blocks'>): BlockFacts {
    const found = this.#at(place);
    if (found === undefined) return { ...NOTHING, hasData: false };
    return { ...found, hasData: found.data !== null };
  }

  commit(gmap: number, group: number, through: BlockVersion): void {
    for (const [key, block] of this.#disk.blocks) {
      if (block.gmap !== gmap || block.group !== group || !block.dirty) continue;
      if (isUpTo(block.version, through)) this.#disk.blocks.set(key, { ...block, dirty: false });
    }
  }

  dirtyBlocks(gmap: number, group: number): readonly DirtyBlock[] {
    return this.#blocksOf(gmap, group).filter(({ dirty }) => dirty);
  }

  blocksOf(gmap: number, group: number): readonly DirtyBlock[] {
    return this.#blocksOf(gmap, group);
  }

  arrived(member: number, place: StorePlace, version: BlockVersion): void {
    for (let at = 0; at < place.blocks; at++) {
      const key = keyOf({ ...place, block: place.block + at });
      const block = this.#disk.blocks.get(key);
      if (block === undefined || !isUpTo(block.version, version)) continue;
      this.#disk.blocks.set(key, { ...block, missing: block.missing & ~(1 << member) });
    }
  }

  missingOf(gmap: number, group: number, member: number, limit: number): readonly DirtyBlock[] {
    const bit = 1 << member;
    const found: DirtyBlock[] = [];
    for (const block of this.#disk.blocks.values()) {
      if (found.length === limit) break;
      const isOfPair = block.gmap === gmap && block.group === group;
      if (isOfPair && (block.missing & bit) !== 0) found.push(block);
    }
    return found;
  }

  async mark(
    gmap: number,
    group: number,
    member: number,
    blocks: readonly DirtyBlock[],
  ): Promise<void> {
    await this.#sleep();
    for (const { vdisk, epoch, block } of blocks) {
      const place = { gmap, group, vdisk, epoch, block };
      const known = this.#at(place) ?? { ...NOTHING, ...place, data: null, missing: 0 };
      this.#disk.blocks.set(keyOf(place), { ...known, missing: known.missing | (1 << member) });
    }
  }

  async markAll(gmap: number, group: number, member: number): Promise<void> {
    await this.mark(gmap, group, member, this.#blocksOf(gmap, group));
  }

  pairNote(gmap: number, group: number): PairNote {
    return this.#disk.notes.get(`${gmap}/${group}`) ?? { lastTerm: 0 as Term, markedSince: [] };
  }

  async setPair(gmap: number, group: number, note: PairNote): Promise<void> {
    await this.#sleep();
    this.#disk.notes.set(`${gmap}/${group}`, note);
  }

  lastN(gmap: number, group: number, term: Term): number {
    const numbers = this.#blocksOf(gmap, group)
      .filter(({ version }) => version.term === term)
      .map(({ version }) => version.n);
    return Math.max(0, ...numbers);
  }

  decommit(): void {}

  statistics(): StoreStatistics {
    const blocks = [...this.#disk.blocks.values()];
    return {
      chunks: 0,
      usedBytes: 0,
      freeBytes: 0,
      logBytes: 0,
      dirty: blocks.filter(({ dirty }) => dirty).length,
      missing: blocks.filter(({ missing }) => missing !== 0).length,
    };
  }

  checkInvariants(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }

  #apply(mutation: StoreMutation): void {
    const { gmap, group, vdisk, epoch, op, conditionalVersion, missing, dirty, data } = mutation;
    for (let at = 0; at < mutation.blocks; at++) {
      const place = { gmap, group, vdisk, epoch, block: mutation.block + at };
      const hasData = op === StoreOp.write || op === StoreOp.writeIf;
      this.#disk.unreadable.delete(keyOf(place));
      const before = this.#at(place)?.missing ?? 0;
      this.#disk.blocks.set(keyOf(place), {
        ...place,
        version: { term: mutation.term, n: mutation.n },
        conditionalVersion,
        crc: hasData ? (mutation.crcs[at] as number) : 0,
        origin: { session: mutation.session, seq: mutation.seq },
        dirty,
        isLost: op === StoreOp.lose,
        missing: before | missing,
        data: hasData ? data.slice(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES) : null,
      });
    }
  }

  #isDamaged(block: Block): boolean {
    const { data, crc, isLost } = block;
    if (isLost || this.#disk.unreadable.has(keyOf(block))) return true;
    return data !== null && this.#world.digest.crc32(data, 0, BLOCK_BYTES) !== crc;
  }

  #blocksOf(gmap: number, group: number): Block[] {
    return [...this.#disk.blocks.values()].filter(
      (block) => block.gmap === gmap && block.group === group,
    );
  }

  #at(place: Omit<StorePlace, 'blocks'>): Block | undefined {
    return this.#disk.blocks.get(keyOf(place));
  }

  #sleep(): Promise<void> {
    return this.#world.timers.sleep(WRITE_NS);
  }

  #later(delayNs: number, then: () => void): void {
    const { timers, clock } = this.#world;
    const jitterNs = this.#random.below(delayNs);
    timers.at((clock.nowNs() + delayNs + jitterNs) as never, then);
  }
}

function isUpTo(version: BlockVersion, through: BlockVersion): boolean {
  return version.term < through.term || (version.term === through.term && version.n <= through.n);
}

function keyOf({ gmap, group, vdisk, epoch, block }: Omit<StorePlace, 'blocks'>): string {
  return `${gmap}/${group}/${vdisk}/${epoch}/${block}`;
}
