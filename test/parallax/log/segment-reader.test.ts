import test from 'ava';
import { Prng } from '../../../src/base/prng.ts';
import { ScanMemory, SegmentReader } from '../../../src/parallax/log/segment-reader.ts';
import { type Disk, type DiskIo, DiskStatus } from '../../../src/world/world.ts';
import { check } from '../../helpers/property.ts';

const BLOCK = 4096;
const PIECE = 4 * BLOCK;

/** Answers reads some turns later; reads that touch a bad block fail. */
class SlowDisk {
  readonly bytes: Uint8Array;
  readonly bad = new Set<number>();
  readonly #random: Prng;
  readonly #busy = new Set<ArrayBufferLike>();

  constructor(blocks: number, random: Prng) {
    this.bytes = new Uint8Array(blocks * BLOCK);
    for (let i = 0; i < this.bytes.length; i++) this.bytes[i] = 1 + random.below(255);
    for (let at = 0; at < blocks; at++) if (random.chance(0.05)) this.bad.add(at * BLOCK);
    this.#random = random;
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  read(io: DiskIo): void {
    const { buffer, bufferOffset, lengthBytes, position } = io;
    check(lengthBytes > 0 && position + lengthBytes <= this.sizeBytes, 'a read is inside the disk');
    check(!this.#busy.has(buffer.buffer), 'one read at a time goes to a piece of memory');
    this.#busy.add(buffer.buffer);
    const turns = this.#random.below(4);
    const answer = (left: number): void => {
      if (left > 0) return void setImmediate(answer, left - 1);
      this.#busy.delete(buffer.buffer);
      for (const at of this.bad) {
        const isHit = at + BLOCK > position && at < position + lengthBytes;
        if (isHit) return io.diskDone(DiskStatus.ioError);
      }
      buffer.set(this.bytes.subarray(position, position + lengthBytes), bufferOffset);
      io.diskDone(DiskStatus.ok);
    };
    setImmediate(answer, turns);
  }

  /** What a reader has to show: bad blocks are zeros. */
  shown(at: number): number {
    return this.bad.has(at - (at % BLOCK)) ? 0 : (this.bytes[at] as number);
  }
}

test('whatever is loaded in whatever order, a reader shows the bytes of its disk', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Prng(seed, 'reader');
    const disks = [12, 30, 1].map((blocks) => new SlowDisk(blocks, random));
    const memory = new ScanMemory(disks as unknown as Disk[], PIECE);
    const readers = disks.map((disk) => new SegmentReader(disk as unknown as Disk, memory));
    let which = 0;
    let position = 0;
    for (let step = 0; step < 120; step++) {
      const jump = random.below(10);
      if (jump === 0) {
        which = random.below(disks.length);
        position = 0;
      } else if (jump === 1) {
        position = BLOCK * random.below((disks[which] as SlowDisk).sizeBytes / BLOCK);
      }
      const disk = disks[which] as SlowDisk;
      const reader = readers[which] as SegmentReader;
      const length = BLOCK * random.between(1, random.chance(0.1) ? 12 : 3);
      if (!reader.holds(position, length)) {
        position = 0;
        continue;
      }
      if (!reader.has(position, length)) {
        if (random.chance(0.1)) await reader.loadAlone(position, length);
        else await reader.load(position, length);
      }
      check(reader.has(position, length), `seed ${seed}: what was loaded is there`);
      const first = reader.indexOf(position);
      let unreadable = false;
      for (let at = 0; at < length; at++) {
        const shown = reader.bytes[first + at];
        check(shown === disk.shown(position + at), `seed ${seed}, step ${step}: byte ${at}`);
        unreadable ||= shown === 0;
      }
      check(reader.view.getUint8(first) === reader.bytes[first], 'the view is of the same bytes');
      t.is(reader.isUnreadable(position, length), unreadable);
      position += length;
    }
    // Nothing of one seed is in flight in the next.
    await memory.filling;
  }
});
