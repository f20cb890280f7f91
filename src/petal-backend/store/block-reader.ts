/**
 * Reads blocks: from RAM what is only in the log, from the slots the rest, each block as the newest
 * epoch up to the read's own has it.
 *
 * Promised: a block whose bit in `damaged` is clear is what the newest mutation wrote, by its CRC;
 * one that is damaged reads as zeros. What does not hold is resolved and read once more, block by
 * block: the disk may have erred on the way, or the block was written again meanwhile.
 */
import { PAGE_BYTES } from '../../base/units.ts';
import { type DiskIo, DiskStatus, type World } from '../../world/world.ts';
import { CHUNK_BLOCKS } from '../wire/messages.ts';
import { type StoreRead, StoreStatus } from './chunk-store.ts';
import type { ChunkTable } from './chunk-table.ts';
import type { IntentArena } from './intent-arena.ts';
import type { Later } from './later.ts';
import { blockPosition, type StoreDisks } from './place-keeper.ts';

const ATTEMPTS = 2;

/** One disk operation of a read. */
class PieceIo implements DiskIo {
  buffer: Uint8Array = NO_BYTES;
  bufferOffset = 0;
  lengthBytes = 0;
  position = 0;
  readonly #job: ReadJob;

  constructor(job: ReadJob) {
    this.#job = job;
  }

  diskDone(_status: DiskStatus): void {
    // Whatever the disk says: what holds is judged by its sum.
    this.#job.pieceDone();
  }
}

const NO_BYTES = new Uint8Array(0);

/** A read on its way; used again for the next one. */
class ReadJob {
  read: StoreRead | null = null;
  readonly pieces: PieceIo[] = [];
  /** Row that each block comes from; -1: it needs no disk, or holds already. */
  readonly rows: Int32Array = new Int32Array(CHUNK_BLOCKS);
  /** Blocks to be resolved. */
  wanted = 0;
  /** Blocks of which there are no data to be read. */
  lost = 0;
  attempt = 0;
  inFlight = 0;
  readonly #reader: BlockReader;

  constructor(reader: BlockReader) {
    this.#reader = reader;
    for (let i = 0; i < CHUNK_BLOCKS; i++) this.pieces.push(new PieceIo(this));
  }

  pieceDone(): void {
    this.inFlight--;
    if (this.inFlight === 0) this.#reader.piecesDone(this);
  }
}

export class BlockReader {
  readonly #world: World;
  readonly #disks: StoreDisks;
  readonly #table: ChunkTable;
  readonly #arena: IntentArena;
  readonly #later: Later;
  readonly #spare: ReadJob[] = [];
  #isClosed = false;

  constructor(
    world: World,
    disks: StoreDisks,
    table: ChunkTable,
    arena: IntentArena,
    later: Later,
  ) {
    this.#world = world;
    this.#disks = disks;
    this.#table = table;
    this.#arena = arena;
    this.#later = later;
  }

  /** What is on its way comes to its end, if it needs no other look at the disk. */
  close(): void {
    this.#isClosed = true;
  }

  read(read: StoreRead): void {
    const job = this.#spare.pop() ?? new ReadJob(this);
    job.read = read;
    job.wanted = 2 ** read.blocks - 1;
    job.attempt = 0;
    job.lost = 0;
    this.#begin(job);
  }

  piecesDone(job: ReadJob): void {
    const read = job.read as StoreRead;
    let failed = 0;
    for (let i = 0; i < read.blocks; i++) {
      const row = job.rows[i] as number;
      if (row < 0) continue;
      this.#table.busy[row] = (this.#table.busy[row] as number) - 1;
      if (!this.#holds(read, i, row)) failed |= 1 << i;
    }
    job.wanted = failed;
    if (failed !== 0 && job.attempt < ATTEMPTS) this.#begin(job);
    else this.#end(job);
  }

  #begin(job: ReadJob): void {
    if (this.#isClosed) return;
    const read = job.read as StoreRead;
    job.attempt++;
    for (let i = 0; i < read.blocks; i++) {
      job.rows[i] = (job.wanted & (1 << i)) === 0 ? -1 : this.#resolve(job, read, i);
    }
    job.inFlight = 1;
    for (let from = 0; from < read.blocks; ) {
      const to = this.#pieceEnd(job, read, from);
      if ((job.rows[from] as number) >= 0) this.#submit(job, read, from, to);
      from = to;
    }
    job.inFlight--;
    if (job.inFlight === 0) this.#later.call(() => this.piecesDone(job));
  }

  /** Fills the block if no disk is needed. The row whose slot has it, or -1. */
  #resolve(job: ReadJob, read: StoreRead, i: number): number {
    const { gmap, group, vdisk, epoch, block } = read;
    const at = i * PAGE_BYTES;
    const table = this.#table;
    const newest = table.index.newest(gmap, group, vdisk, Math.floor(block / CHUNK_BLOCKS));
    const inChunk = (block % CHUNK_BLOCKS) + i;
    const row = table.rowFor(newest, epoch, inChunk);
    job.lost &= ~(1 << i);
    if (row < 0 || !table.holdsData(row, inChunk)) {
      if (row >= 0 && table.isLost(row, inChunk)) job.lost |= 1 << i;
      read.data.fill(0, at, at + PAGE_BYTES);
      return -1;
    }
    const page = table.inRam[row * CHUNK_BLOCKS + inChunk] as number;
    if (page > 0) {
      const from = (page - 1) * PAGE_BYTES;
      read.data.set(this.#arena.bytes.subarray(from, from + PAGE_BYTES), at);
      return -1;
    }
    table.busy[row] = (table.busy[row] as number) + 1;
    return row;
  }

  /** End of the blocks that one disk operation gives; the second time each has its own. */
  #pieceEnd(job: ReadJob, read: StoreRead, from: number): number {
    let to = from + 1;
    if (job.attempt > 1) return to;
    while (to < read.blocks && job.rows[to] === job.rows[from]) to++;
    return to;
  }

  #submit(job: ReadJob, read: StoreRead, from: number, to: number): void {
    const row = job.rows[from] as number;
    read.data.fill(0, from * PAGE_BYTES, to * PAGE_BYTES);
    const data = this.#disks.data[this.#table.slotDiskOf(row)];
    if (data === undefined || data === null) return;
    const first = (read.block % CHUNK_BLOCKS) + from;
    const io = job.pieces[from] as PieceIo;
    io.buffer = read.data;
    io.bufferOffset = from * PAGE_BYTES;
    io.lengthBytes = (to - from) * PAGE_BYTES;
    io.position = blockPosition(data, this.#table.slotOf(row), first);
    job.inFlight++;
    data.disk.read(io);
  }

  #holds(read: StoreRead, i: number, row: number): boolean {
    const inChunk = (read.block % CHUNK_BLOCKS) + i;
    const crc = this.#world.digest.crc32(read.data, i * PAGE_BYTES, PAGE_BYTES);
    return this.#table.holdsData(row, inChunk) && this.#table.crcOf(row, inChunk) === crc;
  }

  #end(job: ReadJob): void {
    const read = job.read as StoreRead;
    const damaged = job.wanted | job.lost;
    job.read = null;
    this.#spare.push(job);
    for (let i = 0; i < read.blocks; i++) {
      if ((damaged & (1 << i)) !== 0) read.data.fill(0, i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
    }
    read.storeDone(damaged === 0 ? StoreStatus.ok : StoreStatus.ioError, damaged);
  }
}
