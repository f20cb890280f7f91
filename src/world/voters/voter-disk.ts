/**
 * What a voter keeps on its disk: its promise, its log, and a state that stands for the log's
 * start.
 *
 * Files `voter-N`, of which the newest counts; each is written by one life of the voter:
 *
 * | offset | bytes | what |
 * |---:|---:|---|
 * | 0 | 12 | frame (`sealed.ts`), magic "SDVF", CRC of the header's 32 bytes |
 * | 12 | 4 | number N of the file |
 * | 16 | 4 | voter |
 * | 20 | 4 | length of the base |
 * | 24 | 4 | CRC-32 of the base |
 * | 512 | | base: promise, log and state when the file was made |
 * | then | | batches, each at a multiple of 512 bytes |
 *
 * A batch is frame, magic "SDVB", CRC of the whole batch, 12 u32 length, 16 u32 number of the file,
 * 20 u32 number of the batch from 1, and from 24 on u32 ballot, u16 vote (65535: none), entries; an
 * entry takes its slot from all that were there and behind it. The base is the same fields, u53
 * base slot, u32 its ballot, entries, u53 slot of the state, bytes of the state.
 *
 * **Order.** A new file's base is durable before its header is written, and that before the older
 * file is removed. A batch is durable before the next one is written: so the first that is not
 * whole is the torn tail, unless a later one is found behind it. Then it is damage, and the voter
 * does not start: it would forget what it has promised. A file is full when a batch does not fit; a
 * new one then takes the state as its base, which bounds the log.
 *
 * Every start makes a new file, so that nothing of an older life's tail is ever taken for new.
 */
import { StorageError } from '../../base/errors.ts';
import { ByteReader, ByteWriter } from '../../base/formats/byte-stream.ts';
import { beginFrame, frameDamage, seal, viewOf } from '../../base/formats/sealed.ts';
import { invariant } from '../../base/invariant.ts';
import { type Disk, type DiskIo, DiskStatus, type World } from '../world.ts';
import type { Promised, StateCopy } from './consensus.ts';
import { type LogEntry, NOBODY, readEntries, writeEntries } from './messages.ts';
import { SlotLog } from './slot-log.ts';

export interface Kept {
  readonly promised: Promised;
  readonly copy: StateCopy;
}

const FILE = { magic: 0x4656_4453, version: 1 } as const;
const BATCH = { magic: 0x4256_4453, version: 1 } as const;
const HEADER_BYTES = 32;
const BATCH_HEADER_BYTES = 24;
const ALIGN_BYTES = 512;
const BASE_AT = ALIGN_BYTES;
const NAME = /^voter-(\d+)$/;
const NO_VOTE = -1;

type DiskWorld = Pick<World, 'disks' | 'digest'>;

export class VoterDisk {
  readonly #world: DiskWorld;
  readonly #voter: number;
  readonly #roomBytes: number;
  #file = 0;
  #disk: Disk | null = null;
  #end = 0;
  #batch = 0;

  private constructor(world: DiskWorld, voter: number, roomBytes: number) {
    this.#world = world;
    this.#voter = voter;
    this.#roomBytes = roomBytes;
  }

  /**
   * Opens what an older life has left, null if `create` and there was none. `roomBytes`: what
   * batches may take before the log is cut.
   */
  static async open(
    world: DiskWorld,
    voter: number,
    roomBytes: number,
    create: boolean,
  ): Promise<{ readonly disk: VoterDisk; readonly kept: Kept | null }> {
    const disk = new VoterDisk(world, voter, roomBytes);
    const kept = await disk.#recover();
    if (kept === null && !create) {
      throw voterError(voter, 'it has no files: as an empty one it would forget its promises');
    }
    return { disk, kept };
  }

  /** Whether a batch of these entries fits the file. */
  fits(entries: readonly LogEntry[]): boolean {
    const bytes = entries.reduce((sum, { command }) => sum + command.length + 16, 64);
    return this.#disk !== null && this.#end + bytes + ALIGN_BYTES <= this.#disk.sizeBytes;
  }

  /** Makes a promise and entries durable; they fit. */
  async append(ballot: number, vote: number, entries: readonly LogEntry[]): Promise<void> {
    const disk = this.#disk;
    invariant(disk !== null, 'a voter has a file before it appends');
    const writer = new ByteWriter(1024);
    writer.raw(new Uint8Array(BATCH_HEADER_BYTES));
    writePromise(writer, ballot, vote);
    writeEntries(writer, entries);
    const written = writer.done();
    const bytes = new Uint8Array(aligned(written.length));
    bytes.set(written);
    const view = viewOf(bytes);
    this.#batch += 1;
    beginFrame(view, 0, BATCH);
    view.setUint32(12, bytes.length, true);
    view.setUint32(16, this.#file, true);
    view.setUint32(20, this.#batch, true);
    seal(this.#world.digest, bytes, view, 0, bytes.length);
    await run(this.#voter, (io) => disk.write(io), bytes, this.#end);
    await run(this.#voter, (io) => disk.flush(io), new Uint8Array(0), 0);
    this.#end += bytes.length;
  }

  /** Makes a new file with all that is kept, durably, and removes the older one. */
  async rewrite({ promised, copy }: Kept): Promise<void> {
    const older = { disk: this.#disk, file: this.#file };
    const base = baseBytes(promised, copy);
    const file = this.#file + 1;
    const name = `voter-${file}`;
    // One of that name was never finished, and may be of another size.
    await this.#world.disks.remove(name);
    const createBytes = BASE_AT + aligned(base.length) + this.#roomBytes;
    const disk = await this.#world.disks.open(name, { writable: true, createBytes });
    await run(this.#voter, (io) => disk.write(io), base, BASE_AT);
    await run(this.#voter, (io) => disk.flush(io), new Uint8Array(0), 0);
    const header = new Uint8Array(HEADER_BYTES);
    const view = viewOf(header);
    beginFrame(view, 0, FILE);
    view.setUint32(12, file, true);
    view.setUint32(16, this.#voter, true);
    view.setUint32(20, base.length, true);
    view.setUint32(24, this.#world.digest.crc32(base, 0, base.length), true);
    seal(this.#world.digest, header, view, 0, HEADER_BYTES);
    await run(this.#voter, (io) => disk.write(io), header, 0);
    await run(this.#voter, (io) => disk.flush(io), new Uint8Array(0), 0);
    this.#disk = disk;
    this.#file = file;
    this.#end = BASE_AT + aligned(base.length);
    this.#batch = 0;
    await older.disk?.close();
    if (older.file > 0) await this.#world.disks.remove(`voter-${older.file}`);
  }

  async #recover(): Promise<Kept | null> {
    const names = await this.#world.disks.list();
    const files = names
      .map((name) => Number(NAME.exec(name)?.[1] ?? 0))
      .filter((number) => number > 0)
      .sort((one, other) => other - one);
    for (const file of files) {
      const disk = await this.#world.disks.open(`voter-${file}`, { writable: true });
      const bytes = new Uint8Array(disk.sizeBytes);
      await run(this.#voter, (io) => disk.read(io), bytes, 0);
      const kept = this.#read(bytes, file);
      if (kept !== null) {
        this.#disk = disk;
        this.#file = file;
        await this.#removeOthers(files, file);
        return kept;
      }
      await disk.close();
    }
    // A first start makes file 1 and at once file 2: only where nothing was ever promised is
    // file 1 the only one, and not whole.
    if (files.length > 0 && files.some((file) => file > 1)) {
      throw voterError(this.#voter, 'none of its files is whole');
    }
    return null;
  }

  async #removeOthers(files: readonly number[], kept: number): Promise<void> {
    for (const file of files) if (file < kept) await this.#world.disks.remove(`voter-${file}`);
  }

  /** Null: the file was never finished. */
  #read(bytes: Uint8Array, file: number): Kept | null {
    const { digest } = this.#world;
    const view = viewOf(bytes);
    if (bytes.length < BASE_AT) return null;
    const damage = frameDamage(digest, bytes, view, 0, HEADER_BYTES, FILE);
    if (damage?.newer === true) throw voterError(this.#voter, `${damage.problem}: use it`);
    if (damage !== null || view.getUint32(12, true) !== file) return null;
    if (view.getUint32(16, true) !== this.#voter) {
      throw voterError(this.#voter, `its files are those of voter ${view.getUint32(16, true)}`);
    }
    const length = view.getUint32(20, true);
    const whole =
      BASE_AT + length <= bytes.length &&
      digest.crc32(bytes, BASE_AT, length) === view.getUint32(24, true);
    if (!whole) throw voterError(this.#voter, `the base of file ${file} is damaged`);
    const base = readBase(bytes.subarray(BASE_AT, BASE_AT + length));
    const { entries, baseSlot, baseBallot } = base.promised;
    const log = new SlotLog(baseSlot, baseBallot, entries);
    let { ballot, vote } = base.promised;
    let at = BASE_AT + aligned(length);
    for (let number = 1; ; number++) {
      const batch = this.#batchAt(bytes, view, at, file);
      if (batch?.number !== number) break;
      ({ ballot, vote } = batch);
      for (const entry of batch.entries) log.put(entry);
      at += batch.lengthBytes;
    }
    this.#checkTail(bytes, view, at, file);
    const promised = { ballot, vote, baseSlot, baseBallot, entries: log.entries };
    return { promised, copy: base.copy };
  }

  /** Behind the first batch that is not whole there is none that is: it would be damage. */
  #checkTail(bytes: Uint8Array, view: DataView, tail: number, file: number): void {
    for (let at = tail; at + BATCH_HEADER_BYTES <= bytes.length; at += ALIGN_BYTES) {
      if (this.#batchAt(bytes, view, at, file) === null) continue;
      throw voterError(this.#voter, `its file ${file} is damaged at byte ${tail}`);
    }
  }

  #batchAt(
    bytes: Uint8Array,
    view: DataView,
    at: number,
    file: number,
  ): {
    readonly number: number;
    readonly lengthBytes: number;
    readonly ballot: number;
    readonly vote: number;
    readonly entries: readonly LogEntry[];
  } | null {
    if (at + BATCH_HEADER_BYTES > bytes.length || view.getUint32(at, true) !== BATCH.magic) {
      return null;
    }
    const lengthBytes = view.getUint32(at + 12, true);
    if (lengthBytes % ALIGN_BYTES !== 0 || at + lengthBytes > bytes.length) return null;
    if (frameDamage(this.#world.digest, bytes, view, at, lengthBytes, BATCH) !== null) return null;
    if (view.getUint32(at + 16, true) !== file) return null;
    const reader = new ByteReader(bytes, at + BATCH_HEADER_BYTES);
    const { ballot, vote } = readPromise(reader);
    const entries = readEntries(reader);
    return { number: view.getUint32(at + 20, true), lengthBytes, ballot, vote, entries };
  }
}

function writePromise(writer: ByteWriter, ballot: number, vote: number): void {
  writer.u32(ballot);
  writer.u16(vote === NO_VOTE ? NOBODY : vote);
}

function readPromise(reader: ByteReader): { readonly ballot: number; readonly vote: number } {
  const ballot = reader.u32();
  const vote = reader.u16();
  return { ballot, vote: vote === NOBODY ? NO_VOTE : vote };
}

function baseBytes(promised: Promised, copy: StateCopy): Uint8Array {
  const writer = new ByteWriter(4096);
  writePromise(writer, promised.ballot, promised.vote);
  writer.u53(promised.baseSlot);
  writer.u32(promised.baseBallot);
  writeEntries(writer, promised.entries);
  writer.u53(copy.slot);
  writer.bytes(copy.state);
  return writer.done();
}

function readBase(bytes: Uint8Array): Kept {
  const reader = new ByteReader(bytes);
  const { ballot, vote } = readPromise(reader);
  const [baseSlot, baseBallot] = [reader.u53(), reader.u32()];
  const entries = readEntries(reader);
  const copy = { slot: reader.u53(), state: reader.bytes() };
  return { promised: { ballot, vote, baseSlot, baseBallot, entries }, copy };
}

function aligned(lengthBytes: number): number {
  return Math.ceil(lengthBytes / ALIGN_BYTES) * ALIGN_BYTES;
}

function run(
  voter: number,
  submit: (io: DiskIo) => void,
  buffer: Uint8Array,
  position: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    submit({
      buffer,
      bufferOffset: 0,
      lengthBytes: buffer.length,
      position,
      diskDone(status) {
        if (status === DiskStatus.ok) resolve();
        else reject(voterError(voter, `its disk failed (${status})`));
      },
    });
  });
}

function voterError(voter: number, why: string): StorageError {
  const text = `voter ${voter} of the directory does not go on: ${why}`;
  return new StorageError('E_VOTER', text, { fields: { voter } });
}
