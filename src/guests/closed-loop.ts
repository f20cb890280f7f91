/**
 * The closed-loop workload: a fixed number of requests outstanding, as fast as they come back; for
 * benchmarks of the path itself. Data is copied, not checked. It counts in the guest's shared words
 * and runs until it is told to stop there, so that several measurements can use one guest.
 */
import type { Prng } from '../base/prng.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import { type Nanos, NEVER, PAGE_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';
import type { Clock } from '../world/world.ts';
import type { Blkfront } from './blkfront.ts';
import type { GuestFrames } from './frames.ts';
import { FrontOp, FrontRequest, FrontStatus } from './front-request.ts';
import type { Workload } from './workload.ts';

/** Words of the shared buffer, as doubles. */
export const LoopWord = {
  /** By the runner: how many may be outstanding; 0 pauses, below 0 ends. */
  depth: 0,
  /** By the guest. */
  completed: 1,
  errors: 2,
  outstanding: 3,
  notifications: 4,
  /** By the runner: share of reads from now on; at first that of the options. */
  readShare: 5,
  /**
   * By the guest, if it samples latencies: longest time without a completion. The runner puts 0
   * here when it begins to look.
   */
  longestGapNs: 6,
} as const;
const HEADER_DOUBLES = 16;
/** Latencies are kept in a circle of this many, newest over oldest. */
export const LATENCY_SAMPLES: number = 1 << 16;
const WORD_BYTES = 4;
const PAUSED_LOOK_NS = 1e6;

export function closedLoopBuffer(): SharedArrayBuffer {
  return new SharedArrayBuffer((HEADER_DOUBLES + LATENCY_SAMPLES) * 8);
}

export interface ClosedLoopOptions {
  readonly maxDepth: number;
  /** Share of reads, in [0, 1]; the others are writes. */
  readonly readShare: number;
  /** Writes are acknowledged only when they are durable. */
  readonly fua: boolean;
  readonly sectors: number;
  /** Latency costs two looks at the clock a request; off for throughput. */
  readonly sampleLatency: boolean;
}

class LoopRequest extends FrontRequest {
  readonly #loop: ClosedLoop;
  startedNs = 0;

  constructor(loop: ClosedLoop, address: number) {
    super();
    this.#loop = loop;
    this.address = address;
    this.sectors = SECTORS_PER_PAGE;
  }

  override frontDone(status: FrontStatus): void {
    this.#loop.requestDone(this, status);
  }
}

export class ClosedLoop implements Workload {
  readonly #options: ClosedLoopOptions;
  readonly #words: Float64Array;
  readonly #memory: SharedMemory;
  readonly #random: Prng;
  readonly #clock: Clock;
  readonly #free: LoopRequest[] = [];
  readonly #notifications: () => number;
  #disk: Blkfront | null = null;
  #outstanding = 0;
  #writes = 0;
  #lastDoneNs = 0;
  /** While nothing is outstanding: when to look whether the runner wants something. */
  #nextLookNs: Nanos = 0 as Nanos;

  constructor(
    buffer: SharedArrayBuffer,
    options: ClosedLoopOptions,
    frames: GuestFrames,
    memory: SharedMemory,
    random: Prng,
    clock: Clock,
    notifications: () => number,
  ) {
    this.#options = options;
    this.#words = new Float64Array(buffer);
    this.#memory = memory;
    this.#random = random;
    this.#clock = clock;
    this.#notifications = notifications;
    this.#words[LoopWord.readShare] = options.readShare;
    for (let i = 0; i < options.maxDepth; i++) {
      const address = frames.address(frames.mustTake(1, 'a buffer'));
      const first = address / WORD_BYTES;
      for (let word = 0; word < PAGE_BYTES / WORD_BYTES; word++) {
        memory.u32[first + word] = random.nextU32();
      }
      this.#free.push(new LoopRequest(this, address));
    }
  }

  begin(disk: Blkfront): void {
    this.#disk = disk;
  }

  pump(budget: number, nowNs: Nanos): number {
    this.#nextLookNs = (nowNs + PAUSED_LOOK_NS) as Nanos;
    const depth = this.#words[LoopWord.depth] as number;
    let submitted = 0;
    while (submitted < budget && this.#disk !== null && this.#outstanding < depth) {
      const request = this.#free.pop();
      if (request === undefined) break;
      this.#choose(request);
      if (this.#outstanding++ === 0) this.#lastDoneNs = nowNs;
      this.#disk.submit(request);
      submitted++;
    }
    this.#words[LoopWord.outstanding] = this.#outstanding;
    this.#words[LoopWord.notifications] = this.#notifications();
    return submitted;
  }

  nextDeadlineNs(): Nanos {
    return this.#outstanding === 0 ? this.#nextLookNs : NEVER;
  }

  finished(): boolean {
    return (this.#words[LoopWord.depth] as number) < 0 && this.#outstanding === 0;
  }

  result(): unknown {
    return null;
  }

  checkInvariants(): void {}

  requestDone(request: LoopRequest, status: FrontStatus): void {
    const completed = this.#words[LoopWord.completed] as number;
    if (this.#options.sampleLatency) {
      const at = HEADER_DOUBLES + (completed & (LATENCY_SAMPLES - 1));
      const nowNs = this.#clock.nowNs();
      this.#words[at] = nowNs - request.startedNs;
      this.#noteGap(nowNs);
    }
    if (status !== FrontStatus.ok) {
      this.#words[LoopWord.errors] = (this.#words[LoopWord.errors] as number) + 1;
    }
    this.#words[LoopWord.completed] = completed + 1;
    this.#outstanding--;
    this.#free.push(request);
  }

  /** While nothing was outstanding nothing could complete: that is no gap. */
  #noteGap(nowNs: Nanos): void {
    const gapNs = nowNs - this.#lastDoneNs;
    this.#lastDoneNs = nowNs;
    if (gapNs > (this.#words[LoopWord.longestGapNs] as number)) {
      this.#words[LoopWord.longestGapNs] = gapNs;
    }
  }

  #choose(request: LoopRequest): void {
    const draw = this.#random.nextU32();
    const blocks = this.#options.sectors / SECTORS_PER_PAGE;
    const readShare = this.#words[LoopWord.readShare] as number;
    request.op = (draw & 0xffff) / 0x10000 < readShare ? FrontOp.read : FrontOp.write;
    request.fua = this.#options.fua && request.op === FrontOp.write;
    request.lba = (this.#random.nextU32() % blocks) * SECTORS_PER_PAGE;
    if (request.op === FrontOp.write) {
      // No two writes are the same, and none is zeros: an image would not even map those.
      const first = request.address / WORD_BYTES;
      this.#memory.u32[first] = ++this.#writes;
      this.#memory.u32[first + 1] = draw;
    }
    if (this.#options.sampleLatency) request.startedNs = this.#clock.nowNs();
  }
}

/** Latencies of the last requests, oldest first lost; unsorted. */
export function latencySamples(buffer: SharedArrayBuffer): Float64Array {
  const words = new Float64Array(buffer);
  const count = Math.min(words[LoopWord.completed] as number, LATENCY_SAMPLES);
  return words.slice(HEADER_DOUBLES, HEADER_DOUBLES + count);
}
