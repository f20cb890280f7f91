/**
 * Reads a segment from front to back in large pieces, for a scan: few reads, however small the
 * groups are. A piece that cannot be read is read again block by block; blocks that still fail
 * read as zeros and are remembered, so that a group that is missing there is not taken for one
 * that was never written.
 */
import { PAGE_BYTES } from '../../base/units.ts';
import { type Disk, DiskStatus } from '../../world/world.ts';
import { diskCall } from '../story-io.ts';

const PIECE_BYTES = 4 * 2 ** 20;

export class SegmentReader {
  readonly disk: Disk;
  readonly #pieceBytes: number;
  #bytes: Uint8Array;
  #view: DataView;
  #start = 0;
  #end = 0;
  /** Positions of blocks that cannot be read. */
  readonly #unreadable = new Set<number>();
  scannedBytes = 0;

  constructor(disk: Disk) {
    this.disk = disk;
    this.#pieceBytes = Math.min(PIECE_BYTES, disk.sizeBytes);
    this.#bytes = new Uint8Array(this.#pieceBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get view(): DataView {
    return this.#view;
  }

  /** Index in `bytes` of a position that was loaded. */
  indexOf(position: number): number {
    return position - this.#start;
  }

  /** Whether the range is inside the disk. */
  holds(position: number, lengthBytes: number): boolean {
    return position + lengthBytes <= this.disk.sizeBytes;
  }

  has(position: number, lengthBytes: number): boolean {
    return position >= this.#start && position + lengthBytes <= this.#end;
  }

  /** Makes the range available in `bytes`, which may be another array afterwards. */
  async load(position: number, lengthBytes: number): Promise<void> {
    const wanted = Math.max(lengthBytes, this.#pieceBytes);
    const end = Math.min(position + wanted, this.disk.sizeBytes);
    // The beginning of a group that a piece ended in is there already.
    const kept = position >= this.#start && position < this.#end ? this.#end - position : 0;
    const from = position - this.#start;
    const before = this.#bytes;
    if (wanted > before.length) {
      this.#bytes = new Uint8Array(wanted);
      this.#view = new DataView(this.#bytes.buffer);
    }
    if (kept > 0) this.#bytes.set(before.subarray(from, from + kept), 0);
    this.#start = position;
    this.#end = end;
    await this.#read(kept, end - position);
  }

  /** Fills a part of the buffer. */
  async #read(from: number, to: number): Promise<void> {
    const into = this.#bytes.subarray(from, to);
    const position = this.#start + from;
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
