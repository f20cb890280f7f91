/** An NBD server without sockets and rings: streams in memory, and a disk that is an array. */
import { readdirSync, readFileSync } from 'node:fs';
import { BufferMemory } from '../../../src/base/shared-memory.ts';
import { frameNo, PAGE_BYTES, SECTOR_BYTES } from '../../../src/base/units.ts';
import { ExportDisk, type ExportFront } from '../../../src/exports/export-disk.ts';
import type { NbdExport } from '../../../src/exports/nbd/catalog.ts';
import type { TlsRule } from '../../../src/exports/nbd/handshake.ts';
import type { Extent } from '../../../src/exports/nbd/replies.ts';
import { NbdServer } from '../../../src/exports/nbd/server.ts';
import type { RequestTap } from '../../../src/exports/request-tap.ts';
import { GuestFrames } from '../../../src/guests/frames.ts';
import { FrontOp, type FrontRequest, FrontStatus } from '../../../src/guests/front-request.ts';
import type { ByteStream, StreamUser } from '../../../src/world/byte-stream.ts';
import type { TimerId } from '../../../src/world/world.ts';
import { BenchWorld } from '../../helpers/bench-world.ts';
import { FEATURES } from '../../helpers/front-bench.ts';

/** As many as an export of `stordom serve` has for buffers. */
export const BUFFER_PAGES = 8192;
export const DISK_BYTES: number = 2 * 2 ** 20;
const CORPUS = 'test/exports/nbd/corpus';

/** A front end that keeps its disk in an array, and answers when it is told to. */
export class ArrayFront implements ExportFront {
  readonly features: typeof FEATURES = { ...FEATURES, sectors: DISK_BYTES / SECTOR_BYTES };
  readonly state = 'connected';
  readonly bytes: Uint8Array = new Uint8Array(DISK_BYTES);
  readonly waiting: FrontRequest[] = [];
  readonly #memory: BufferMemory;
  flushes = 0;
  /** Sectors whose requests fail. */
  bad: ReadonlySet<number> = new Set();

  constructor(memory: BufferMemory) {
    this.#memory = memory;
  }

  get inFlight(): number {
    return this.waiting.length;
  }

  submit(request: FrontRequest): void {
    this.waiting.push(request);
  }

  kick(): void {}

  /** Answers the request that has waited longest, or the one at `at`. */
  answer(at = 0): void {
    const [request] = this.waiting.splice(at, 1);
    if (request === undefined) return;
    const { op, lba, sectors, address } = request;
    const from = lba * SECTOR_BYTES;
    const to = from + sectors * SECTOR_BYTES;
    if (op === FrontOp.flush) this.flushes++;
    if (from < 0 || to > DISK_BYTES)
      throw new Error('the front end was asked for what is not there');
    if (this.bad.has(lba)) return request.frontDone(FrontStatus.error);
    if (op === FrontOp.read) this.#memory.u8.set(this.bytes.subarray(from, to), address);
    if (op === FrontOp.write)
      this.bytes.set(this.#memory.u8.subarray(address, address + to - from), from);
    if (op === FrontOp.discard) this.bytes.fill(0, from, to);
    request.frontDone(FrontStatus.ok);
  }
}

/** The client's end of a connection. */
export class BenchStream implements ByteStream {
  readonly peer = 'a test';
  #user: StreamUser | null = null;
  #pending: Uint8Array = new Uint8Array(0);
  readonly #unread: { readonly bytes: Uint8Array; readonly done: () => void }[] = [];
  /** The client reads everything at once; otherwise it does by `read`. */
  isReading = true;
  #sent: Uint8Array[] = [];
  sentBytes = 0;
  /** What is sent is kept, to be looked at. */
  keeps = true;
  isEnded = false;
  isDestroyed = false;
  isClosed = false;
  /** TLS was asked for: settles it. */
  encrypting: ((problem: string | null) => void) | null = null;

  attach(user: StreamUser): void {
    this.#user = user;
  }

  /** Nothing is copied before the client reads: whoever changes the bytes earlier is found out. */
  send(bytes: Uint8Array, lengthBytes: number, done: () => void): void {
    this.#unread.push({ bytes: bytes.subarray(0, lengthBytes), done });
  }

  /** The client reads all there is; false: there was nothing. */
  read(): boolean {
    const unread = this.#unread.splice(0);
    for (const { bytes, done } of unread) {
      this.sentBytes += bytes.length;
      if (this.keeps) this.#sent.push(bytes.slice());
      done();
    }
    return unread.length > 0;
  }

  /** What was read and not looked at yet. */
  take(): Uint8Array {
    return Uint8Array.from(Buffer.concat(this.#sent.splice(0)));
  }

  /** A client that reads does so by itself. */
  readIfReading(): boolean {
    return this.isReading && this.read();
  }

  resume(): void {
    this.#offer();
  }

  encrypt(done: (problem: string | null) => void): void {
    this.encrypting = done;
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  /** Bytes that the server has not taken. */
  get heldBytes(): number {
    return this.#pending.length;
  }

  /** The client sends. */
  push(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#pending.length + bytes.length);
    all.set(this.#pending);
    all.set(bytes, this.#pending.length);
    this.#pending = all;
    this.#offer();
    while (this.readIfReading());
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.read();
    this.#user?.closed();
  }

  get isOver(): boolean {
    return this.isEnded || this.isDestroyed || this.isClosed;
  }

  #offer(): void {
    if (this.isOver || this.#pending.length === 0) return;
    const offered = this.#pending;
    const taken = this.#user?.received(offered, 0, offered.length) ?? 0;
    if (this.#pending === offered) this.#pending = offered.slice(taken);
  }
}

export class NbdBench {
  readonly world: BenchWorld;
  readonly front: ArrayFront;
  readonly disk: ExportDisk;
  readonly server: NbdServer;
  readonly frames: GuestFrames;
  readonly notes: string[] = [];
  extents: (context: string, offset: number, length: number) => Promise<readonly Extent[]>;
  tick: () => void = () => undefined;
  /** What clients that come now are told. */
  sizeBytes: number = DISK_BYTES;
  /** Set before clients connect. */
  readonly tap: RequestTap | null;
  readonly #streams = new Set<BenchStream>();

  /** `bufferPages`: what the export's disk has for buffers. */
  constructor(
    bufferPages: number = BUFFER_PAGES,
    tap: RequestTap | null = null,
    tls: TlsRule = 'none',
  ) {
    this.tap = tap;
    this.world = new BenchWorld((bufferPages + 1) * PAGE_BYTES);
    this.frames = new GuestFrames(frameNo(1), frameNo(bufferPages + 1));
    this.front = new ArrayFront(this.world.memory);
    this.disk = new ExportDisk(this.world.memory, this.frames, () => undefined);
    this.disk.begin(this.front);
    this.extents = (_context, _offset, length) =>
      Promise.resolve([{ lengthBytes: length, flags: 0 }]);
    const timers = {
      ...this.world.timers,
      at: (_atNs: number, fire: () => void): TimerId => {
        this.tick = fire;
        return 0 as TimerId;
      },
      cancel: (): void => undefined,
    };
    this.server = new NbdServer({
      clock: this.world.clock,
      timers,
      exports: [this.#exported('disk', false), this.#exported('frozen', true)],
      tls,
      note: (text) => this.notes.push(text),
      failed: (thrown) => {
        throw thrown;
      },
    });
  }

  connect(): BenchStream {
    const stream = new BenchStream();
    stream.attach(this.server.accept(stream));
    stream.readIfReading();
    this.#streams.add(stream);
    return stream;
  }

  /** The disk answers everything, and the step ends, until nothing moves any more. */
  run(): void {
    let moves = true;
    while (moves) {
      while (this.front.waiting.length > 0) this.front.answer();
      this.step();
      moves = this.front.waiting.length > 0;
    }
  }

  step(): void {
    this.disk.pump(64, this.world.clock.nowNs());
    for (const stream of this.#streams) {
      if (stream.isClosed) this.#streams.delete(stream);
      else while (stream.readIfReading());
    }
  }

  #exported(name: string, isReadOnly: boolean): NbdExport {
    const told = (): number => this.sizeBytes;
    return {
      name,
      description: `the ${name}`,
      isReadOnly,
      get sizeBytes() {
        return told();
      },
      disk: this.disk,
      tap: this.tap,
      contexts: ['base:allocation', 'stordom:dirty'],
      extents: (context, offset, length) => this.extents(context, offset, length),
    };
  }
}

export interface Conversation {
  readonly name: string;
  /** What the client sends, message by message. */
  readonly messages: readonly Uint8Array[];
}

/** Conversations of well-behaved and of strange clients: hex, a comment before each message. */
export function corpus(): Conversation[] {
  return readdirSync(CORPUS)
    .sort()
    .map((name) => ({ name, messages: messagesOf(readFileSync(`${CORPUS}/${name}`, 'utf8')) }));
}

function messagesOf(text: string): Uint8Array[] {
  return text
    .split(/^#.*\n/m)
    .filter((part) => part !== '')
    .map((part) => Uint8Array.from(Buffer.from(part.replaceAll('\n', ''), 'hex')));
}
