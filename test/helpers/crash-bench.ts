/** A front end over rings in one thread, with a back end that does what the test says. */
import { Blkfront, type BlkfrontOptions } from '../../src/guests/blkfront.ts';
import { FrontPages } from '../../src/guests/front-pages.ts';
import { type BackFeatures, FrontQueue } from '../../src/guests/front-queue.ts';
import { FrontOp, FrontRequest, type FrontStatus } from '../../src/guests/front-request.ts';
import { BackRing } from '../../src/ring/back-ring.ts';
import {
  BlkifOp,
  entryByte1,
  entryDiscardSectors,
  entryHalf1,
  entryIdLow,
  entryIndirectRef,
  entryOp,
  entrySector,
  entrySegmentRange,
  entrySegmentRef,
  newEntry,
} from '../../src/ring/entries.ts';
import { newSideEntry, type SideEntry, SidePage } from '../../src/ring/side-page.ts';
import { TwoDomains } from './domains.ts';
import { type MadeRing, makeRing, takeBack } from './ring-bench.ts';

export const FEATURES: BackFeatures = {
  sectors: 4096,
  sectorSizeBytes: 512,
  readonly: false,
  flush: true,
  barrier: true,
  discard: true,
  fua: true,
  maxIndirectSegments: 0,
};

interface Segment {
  /** Byte address in the guest's granted page. */
  readonly address: number;
  readonly lengthBytes: number;
}

/** A request as the back end found it on the ring. */
export interface Taken {
  readonly id: number;
  /** The operation asked for: of an indirect request, the one inside. */
  readonly op: number;
  readonly indirect: boolean;
  readonly lba: number;
  readonly sectors: number;
  readonly segments: readonly Segment[];
  readonly side: SideEntry;
}

export class ScriptedBack {
  readonly #domains: TwoDomains;
  readonly #ring: BackRing;
  readonly #side: SidePage;
  readonly #image: Uint8Array;
  readonly #entry = newEntry();

  constructor(domains: TwoDomains, made: MadeRing, image: Uint8Array) {
    this.#domains = domains;
    this.#ring = new BackRing(made.view, made.order);
    this.#side = new SidePage(made.sideView);
    this.#image = image;
  }

  get unread(): number {
    return this.#ring.unread();
  }

  /** Takes up to `count` requests off the ring, in its order. */
  take(count: number = Number.POSITIVE_INFINITY): Taken[] {
    const taken: Taken[] = [];
    while (this.#ring.unread() > 0 && taken.length < count) {
      const side = newSideEntry();
      this.#side.read(this.#ring.nextSlot, side);
      this.#ring.take(this.#entry);
      taken.push(this.#decode(side));
    }
    return taken;
  }

  /** Does what a request asks for. */
  apply(taken: Taken): void {
    const { u8 } = this.#domains.world.memory;
    let at = taken.lba * 512;
    if (taken.op === BlkifOp.discard) this.#image.fill(0, at, at + taken.sectors * 512);
    for (const { address, lengthBytes } of taken.segments) {
      const part = this.#image.subarray(at, at + lengthBytes);
      if (taken.op === BlkifOp.read) u8.set(part, address);
      else part.set(u8.subarray(address, address + lengthBytes));
      at += lengthBytes;
    }
  }

  /** Answers without publishing. */
  answer(taken: Taken, status: number = 0): void {
    this.#ring.put(taken.id, 0, taken.op, status);
  }

  publish(): void {
    this.#ring.push();
  }

  /** Applies, answers and publishes everything that is on the ring. */
  serveAll(): Taken[] {
    const all = this.take();
    for (const taken of all) {
      this.apply(taken);
      this.answer(taken);
    }
    this.publish();
    return all;
  }

  #decode(side: SideEntry): Taken {
    const entry = this.#entry;
    const outer = entryOp(entry);
    const indirect = outer === BlkifOp.indirect;
    const op = indirect ? entryByte1(entry) : outer;
    const segments: Segment[] = [];
    const count = outer === BlkifOp.discard ? 0 : indirect ? entryHalf1(entry) : entryByte1(entry);
    for (let i = 0; i < count; i++) {
      const [ref, range] = indirect
        ? this.#descriptor(i)
        : [entrySegmentRef(entry, i), entrySegmentRange(entry, i)];
      const first = range & 0xff;
      const sectors = ((range >>> 8) & 0xff) - first + 1;
      const address = this.#domains.entries.frame(ref) * 4096 + first * 512;
      segments.push({ address, lengthBytes: sectors * 512 });
    }
    const bytes = segments.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    const sectors = outer === BlkifOp.discard ? entryDiscardSectors(entry) : bytes / 512;
    return {
      id: entryIdLow(entry),
      op,
      indirect,
      lba: entrySector(entry),
      sectors,
      segments,
      side,
    };
  }

  #descriptor(segment: number): readonly [number, number] {
    const page = this.#domains.entries.frame(entryIndirectRef(this.#entry, segment >>> 9));
    const word = page * 1024 + 2 * (segment & 511);
    const { u32 } = this.#domains.world.memory;
    return [u32[word] as number, u32[word + 1] as number];
  }
}

export class BenchRequest extends FrontRequest {
  readonly outcomes: FrontStatus[] = [];
  onDone: () => void = () => undefined;

  override frontDone(status: FrontStatus): void {
    this.outcomes.push(status);
    this.onDone();
  }

  get done(): boolean {
    return this.outcomes.length > 0;
  }
}

export interface ConnectOptions {
  readonly queues?: number;
  readonly order?: number;
  readonly features?: Partial<BackFeatures>;
  readonly persistent?: boolean;
  readonly publish?: 'each' | 'batch';
  readonly startIndex?: number;
}

export class FrontBench {
  readonly domains: TwoDomains;
  readonly blkfront: Blkfront;
  /** What the disk holds, over all back ends. */
  readonly image: Uint8Array = new Uint8Array(FEATURES.sectors * 512);
  backs: ScriptedBack[] = [];
  #rings: MadeRing[] = [];
  #pages: FrontPages | null = null;

  constructor(options: Partial<BlkfrontOptions> = {}, guestPages: number = 1024) {
    this.domains = new TwoDomains(guestPages, 16, 2048);
    this.blkfront = new Blkfront(this.domains.world, {
      policy: 'stall',
      deadlineNs: 1e9,
      plantedBug: 'none',
      ...options,
    });
  }

  connect(options: ConnectOptions = {}): void {
    const { domains, blkfront, image } = this;
    const { world, grants, frames, driver } = domains;
    const features = { ...FEATURES, ...options.features };
    const pages = new FrontPages(world.memory, grants, frames, driver.domain, {
      persistent: options.persistent ?? true,
      trusted: true,
    });
    this.#pages = pages;
    this.#rings = Array.from({ length: options.queues ?? 1 }, () =>
      makeRing(domains, options.order ?? 0, options.startIndex ?? 0),
    );
    this.backs = this.#rings.map((made) => new ScriptedBack(domains, made, image));
    const queues = this.#rings.map(
      ({ ring, side, channel }) =>
        new FrontQueue({
          world,
          ring,
          side,
          channel,
          pages,
          features,
          publish: options.publish ?? 'each',
          partDone: (request, status) => blkfront.partDone(request, status),
        }),
    );
    blkfront.connect(queues, features);
    this.step();
  }

  back(queue: number = 0): ScriptedBack {
    const back = this.backs[queue];
    if (back === undefined) throw new Error(`no queue ${queue}`);
    return back;
  }

  /** The driver VM is gone and its exit was observed. */
  crash(): void {
    this.domains.replaceDriver();
    this.blkfront.suspend();
    if (this.#pages?.close() === false) throw new Error('a dead back end has a page mapped');
    for (const made of this.#rings) takeBack(this.domains, made);
    this.#rings = [];
    this.backs = [];
  }

  request(fields: Partial<FrontRequest>): BenchRequest {
    const request = new BenchRequest();
    Object.assign(request, { op: FrontOp.write, ...fields });
    if (request.sectors > 0 && request.op !== FrontOp.discard) {
      const frame = this.domains.frames.mustTake(Math.ceil(request.sectors / 8), 'a buffer');
      request.address = frame * 4096;
      request.onDone = () => this.domains.frames.give(frame);
    }
    return request;
  }

  submit(fields: Partial<FrontRequest>, fill: number | null = null): BenchRequest {
    const request = this.request(fields);
    if (fill !== null) {
      const { address, sectors } = request;
      this.domains.world.memory.u8.fill(fill, address, address + sectors * 512);
    }
    this.blkfront.submit(request);
    this.blkfront.kick();
    return request;
  }

  step(): void {
    while (this.blkfront.step(this.domains.world.clock.nowNs())) this.blkfront.checkInvariants();
    this.blkfront.checkInvariants();
  }

  /** Serves every ring until nothing is in flight. */
  finish(): void {
    for (let turn = 0; this.blkfront.inFlight > 0; turn++) {
      if (turn > 10_000) throw new Error(`${this.blkfront.inFlight} requests never end`);
      for (const back of this.backs) back.serveAll();
      this.step();
    }
  }
}
