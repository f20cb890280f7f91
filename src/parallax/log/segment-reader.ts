/**
 * Reads segments from front to back in large pieces, for a scan: few reads, however small the
 * groups are. While one piece is looked at the next one is on its way, so that another core copies
 * it from the page cache. A piece that cannot be read is read again block by block; blocks that
 * still fail read as zeros and are remembered, so that a group that is missing there is not taken
 * for one that was never written.
 */
import { PAGE_BYTES } from '../../base/units.ts';
import { diskCall } from '../../world/disk-story.ts';
import { type Disk, DiskStatus } from '../../world/world.ts';

const PIECE_BYTES = 2 * 2 ** 20;

/** Memory for one piece, and before it as much for the end of the piece before. */
class Piece {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Positions on the disk between which the piece lies. */
  from = 0;
  to = 0;

  constructor(bytes: number) {
    this.bytes = new Uint8Array(bytes);
    this.view = new DataView(this.bytes.buffer);
  }
}

/** What the readers of a scan share, which read one after the other. */
export class ScanMemory {
  readonly pieceBytes: number;
  /** Whose bytes these are. */
  owner: SegmentReader | null = null;
  current: Piece;
  ahead: Piece;
  /** Until it settles a read fills `ahead`; null: nothing of use is in it. */
  filling: Promise<void> | null = null;

  constructor(disks: readonly Disk[], pieceBytes: number = PIECE_BYTES) {
    const largest = Math.max(PAGE_BYTES, ...disks.map(({ sizeBytes }) => sizeBytes));
    this.pieceBytes = Math.min(pieceBytes, largest);
    this.current = new Piece(2 * this.pieceBytes);
    this.ahead = new Piece(2 * this.pieceBytes);
  }
}

export class SegmentReader {
  readonly disk: Disk;
  readonly #memory: ScanMemory;
  /** What is in `bytes`: positions on the disk, and that of index 0. */
  #start = 0;
  #end = 0;
  #zero = 0;
  /** Positions of blocks that cannot be read. */
  readonly #unreadable = new Set<number>();
  scannedBytes = 0;

  constructor(disk: Disk, memory: ScanMemory) {
    this.disk = disk;
    this.#memory = memory;
  }

  get bytes(): Uint8Array {
    return this.#memory.current.bytes;
  }

  get view(): DataView {
    return this.#memory.current.view;
  }

  /** Index in `bytes` of a position that was loaded. */
  indexOf(position: number): number {
    return position - this.#zero;
  }

  /** Whether the range is inside the disk. */
  holds(position: number, lengthBytes: number): boolean {
    return position + lengthBytes <= this.disk.sizeBytes;
  }

  has(position: number, lengthBytes: number): boolean {
    const isHere = this.#memory.owner === this;
    return isHere && position >= this.#start && position + lengthBytes <= this.#end;
  }

  /** Makes the range available in `bytes`, which may be another array afterwards. */
  async load(position: number, lengthBytes: number): Promise<void> {
    const memory = this.#memory;
    const { filling } = memory;
    memory.filling = null;
    await filling;
    if (filling === null || !this.#goesOn(position, lengthBytes)) {
      await this.#readAt(position, Math.max(lengthBytes, memory.pieceBytes));
    }
    this.#readAhead();
  }

  /** Makes a range available, and nothing behind it. */
  async loadAlone(position: number, lengthBytes: number): Promise<void> {
    const { filling } = this.#memory;
    this.#memory.filling = null;
    await filling;
    await this.#readAt(position, lengthBytes);
  }

  /** Goes on to the piece ahead, if the range is in it and what is left of this one. */
  #goesOn(position: number, lengthBytes: number): boolean {
    const memory = this.#memory;
    const { current, ahead, pieceBytes } = memory;
    if (memory.owner !== this || ahead.from !== this.#end) return false;
    const left = this.#end - position;
    if (left < 0 || left > pieceBytes || position < this.#start) return false;
    if (position + lengthBytes > ahead.to) return false;
    const at = this.indexOf(position);
    ahead.bytes.set(current.bytes.subarray(at, at + left), pieceBytes - left);
    memory.current = ahead;
    memory.ahead = current;
    this.#start = position;
    this.#end = ahead.to;
    this.#zero = ahead.from - pieceBytes;
    return true;
  }

  /** Reads a range that does not follow what is here, or is larger than a piece. */
  async #readAt(position: number, lengthBytes: number): Promise<void> {
    const memory = this.#memory;
    const end = Math.min(position + lengthBytes, this.disk.sizeBytes);
    if (end - position > memory.current.bytes.length) memory.current = new Piece(end - position);
    memory.owner = this;
    this.#start = position;
    this.#end = end;
    this.#zero = position;
    await this.#read(memory.current.bytes.subarray(0, end - position), position);
  }

  #readAhead(): void {
    const memory = this.#memory;
    const { ahead, pieceBytes } = memory;
    ahead.from = this.#end;
    ahead.to = Math.min(this.#end + pieceBytes, this.disk.sizeBytes);
    if (ahead.to === ahead.from) return;
    const into = ahead.bytes.subarray(pieceBytes, pieceBytes + ahead.to - ahead.from);
    memory.filling = this.#read(into, ahead.from);
  }

  async #read(into: Uint8Array, position: number): Promise<void> {
    this.scannedBytes += into.length;
    if ((await diskCall(this.disk, 'read', position, into)) === DiskStatus.ok) return;
    for (let at = 0; at < into.length; at += PAGE_BYTES) {
      const block = into.subarray(at, at + PAGE_BYTES);
      if ((await diskCall(this.disk, 'read', position + at, block)) === DiskStatus.ok) continue;
      block.fill(0);
      this.#unreadable.add(position + at);
    }
  }

  isUnreadable(position: number, lengthBytes: number): boolean {
    for (const at of this.#unreadable) {
      if (at + PAGE_BYTES > position && at < position + lengthBytes) return true;
    }
    return false;
  }
}
