/** A guest's front end over plain memory, with hands in the place of the back end. */
import type { DomainId } from '../../src/base/units.ts';
import { frameToAddress, PAGE_BYTES } from '../../src/base/units.ts';
import { Blkfront } from '../../src/guests/blkfront.ts';
import { GuestFrames } from '../../src/guests/frames.ts';
import { FrontPages } from '../../src/guests/front-pages.ts';
import { type BackFeatures, FrontQueue } from '../../src/guests/front-queue.ts';
import { FrontOp, FrontRequest, type FrontStatus } from '../../src/guests/front-request.ts';
import { type DomainLayout, Machine } from '../../src/hypervisor/machine.ts';
import { FrontRing } from '../../src/ring/front-ring.ts';
import { MemoryGrantMapper } from '../../src/ring/grant-mapper.ts';
import { GrantEntries, GrantTable } from '../../src/ring/grant-table.ts';
import { HostileBack } from '../../src/ring/hostile/hostile-back.ts';
import type { RingView } from '../../src/ring/ports.ts';
import { BenchWorld } from './bench-world.ts';

export const FEATURES: BackFeatures = {
  sectors: 4096,
  sectorSizeBytes: 512,
  readonly: false,
  flush: true,
  barrier: true,
  discard: true,
  fua: false,
  maxIndirectSegments: 0,
};

export class BenchRequest extends FrontRequest {
  readonly outcomes: FrontStatus[] = [];

  override frontDone(status: FrontStatus): void {
    this.outcomes.push(status);
  }
}

export interface FrontBenchOptions {
  readonly order?: number;
  readonly startIndex?: number;
  readonly persistent?: boolean;
  readonly publish?: 'each' | 'batch';
  readonly features?: Partial<BackFeatures>;
  readonly heapPages?: number;
}

export interface BenchConnection {
  readonly queue: FrontQueue;
  readonly pages: FrontPages;
  readonly back: HostileBack;
  readonly view: RingView;
}

export class FrontBench {
  readonly world: BenchWorld;
  readonly machine: Machine;
  readonly guest: DomainLayout;
  readonly driver: DomainLayout;
  readonly entries: GrantEntries;
  readonly grants: GrantTable;
  readonly frames: GuestFrames;
  readonly mapper: MemoryGrantMapper;
  readonly disk: Blkfront;
  readonly features: BackFeatures;
  kicks = 0;
  /** Times the front end said that it looks at its ring. */
  acknowledgements = 0;

  constructor(options: FrontBenchOptions = {}) {
    this.world = new BenchWorld(16 * 2 ** 20);
    this.machine = new Machine(this.world.memory);
    this.driver = this.machine.createDomain(2 ** 20, 64);
    this.guest = this.machine.createDomain((options.heapPages ?? 512) * PAGE_BYTES, 1024);
    const { grantTableAddress, grantEntryCount, heapFrame, heapEndFrame } = this.guest;
    this.entries = new GrantEntries(this.world.memory, grantTableAddress, grantEntryCount);
    this.grants = new GrantTable(this.entries);
    this.frames = new GuestFrames(heapFrame, heapEndFrame);
    this.mapper = new MemoryGrantMapper(this.world.memory, this.machine, this.driver.domain, 2048);
    this.features = { ...FEATURES, ...options.features };
    this.disk = new Blkfront(this.world, {
      policy: 'stall',
      deadlineNs: 30e9,
      plantedBug: 'none',
    });
  }

  /** A ring of its own with hands behind it; not yet given to the disk. */
  ring(options: FrontBenchOptions = {}): BenchConnection {
    const order = options.order ?? 0;
    const startIndex = options.startIndex ?? 0;
    const { u8, i32, u32 } = this.world.memory;
    const frame = this.frames.mustTake(2 ** order, 'a ring');
    const view: RingView = { u8, i32, u32, baseBytes: frameToAddress(frame) };
    const pages = new FrontPages(this.world.memory, this.grants, this.frames, this.backDomain, {
      persistent: options.persistent ?? true,
      trusted: true,
    });
    const queue = new FrontQueue({
      world: this.world,
      ring: new FrontRing(view, order, startIndex),
      side: null,
      channel: {
        notify: () => {
          this.kicks++;
        },
        acknowledge: () => {
          this.acknowledgements++;
        },
      },
      pages,
      features: { ...this.features, ...options.features },
      publish: options.publish ?? 'each',
      partDone: (request, status) => this.disk.partDone(request, status),
    });
    const random = this.world.random.fork('back');
    const back = new HostileBack({ view, order, random, notify: () => undefined }, startIndex);
    return { queue, pages, back, view };
  }

  /** A ring that the disk is connected over. */
  connected(options: FrontBenchOptions = {}): BenchConnection {
    const made = this.ring(options);
    this.disk.connect([made.queue], { ...this.features, ...options.features });
    this.step();
    return made;
  }

  request(op: FrontOp, lba: number, sectors: number): BenchRequest {
    const request = new BenchRequest();
    request.op = op;
    request.lba = lba;
    request.sectors = sectors;
    request.address = frameToAddress(this.frames.mustTake(Math.ceil((sectors + 7) / 8), 'data'));
    return request;
  }

  submitted(op: FrontOp, lba: number, sectors: number): BenchRequest {
    const request = this.request(op, lba, sectors);
    this.disk.submit(request);
    return request;
  }

  step(): void {
    this.disk.step(this.world.clock.nowNs());
    this.disk.kick();
    this.disk.finalCheck();
    this.disk.checkInvariants();
  }

  get backDomain(): DomainId {
    return this.driver.domain;
  }
}
