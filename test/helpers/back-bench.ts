/**
 * A driver domain's back ends over plain memory: real rings, grants, event channels and queues,
 * without store and actors. Guests are hands that write into their own pages.
 */
import { Prng } from '../../src/base/prng.ts';
import type { EventPort, FrameNo, Generation, GrantRef } from '../../src/base/units.ts';
import { frameToAddress, PAGE_BYTES, SECTOR_BYTES } from '../../src/base/units.ts';
import { BackQueue, type PublishMode } from '../../src/driver-vm/back-queue.ts';
import { DiskOrder } from '../../src/driver-vm/order.ts';
import { PersistentGrants } from '../../src/driver-vm/persistent-grants.ts';
import { type QueuePages, takeQueuePages } from '../../src/driver-vm/queue-pages.ts';
import { Rounds } from '../../src/driver-vm/rounds.ts';
import { StagingMemory } from '../../src/driver-vm/staging.ts';
import { TokenBucket } from '../../src/driver-vm/token-bucket.ts';
import { Vbd } from '../../src/driver-vm/vbd.ts';
import { type DomainLayout, Machine } from '../../src/hypervisor/machine.ts';
import { BackRing } from '../../src/ring/back-ring.ts';
import { EventPage, MemoryEventChannel } from '../../src/ring/event-page.ts';
import { FrontRing } from '../../src/ring/front-ring.ts';
import { MemoryGrantMapper } from '../../src/ring/grant-mapper.ts';
import { GrantEntries, GrantTable } from '../../src/ring/grant-table.ts';
import { GrantForger } from '../../src/ring/hostile/grant-forger.ts';
import { type GrantedPage, HostileFront } from '../../src/ring/hostile/hostile-front.ts';
import { OFFERED_INDIRECT_SEGMENTS, ringSlots } from '../../src/ring/layout.ts';
import type { GrantMapper, MappedPages, RingView } from '../../src/ring/ports.ts';
import {
  type BlockDevice,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
} from '../../src/world/block-device.ts';
import { BenchWorld } from './bench-world.ts';

/** A disk of bytes that can hold its completions back, and remembers what it was given. */
export class BenchDevice implements BlockDevice {
  readonly info: BlockDevice['info'];
  readonly bytes: Uint8Array;
  readonly held: DeviceRequest[] = [];
  holds = false;
  writes = 0;
  readonly #world: BenchWorld;

  constructor(world: BenchWorld, sectors: number, options: Partial<BlockDevice['info']> = {}) {
    this.#world = world;
    this.bytes = new Uint8Array(sectors * SECTOR_BYTES);
    this.info = {
      kind: 'bench',
      sectors,
      sectorSizeBytes: SECTOR_BYTES,
      readonly: false,
      flush: true,
      discard: true,
      ordersItself: false,
      ...options,
    };
  }

  submit(request: DeviceRequest): void {
    if (this.holds) this.held.push(request);
    else this.#perform(request);
  }

  /** Performs what was held back, first in first out. */
  release(): void {
    for (let next = this.held.shift(); next !== undefined; next = this.held.shift()) {
      this.#perform(next);
    }
  }

  #perform(request: DeviceRequest): void {
    const at = request.lba * SECTOR_BYTES;
    const { u8 } = this.#world.memory;
    const end = request.address + request.sectors * SECTOR_BYTES;
    if (request.op === DeviceOp.write) {
      this.writes++;
      this.bytes.set(u8.subarray(request.address, end), at);
    } else if (request.op === DeviceOp.read) {
      u8.set(this.bytes.subarray(at, at + request.sectors * SECTOR_BYTES), request.address);
    } else if (request.op === DeviceOp.discard) {
      this.bytes.fill(0, at, at + request.sectors * SECTOR_BYTES);
    }
    request.deviceDone(DeviceStatus.ok);
  }

  resize(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export interface RingOptions {
  readonly order?: number;
  readonly startIndex?: number;
  readonly persistent?: boolean;
  /** When responses are published; each at once unless said otherwise. */
  readonly publish?: PublishMode;
  readonly device?: Partial<BlockDevice['info']>;
  readonly sectors?: number;
  /** Another ring of this disk. */
  readonly beside?: BenchRing;
}

export interface BenchRing {
  readonly guest: DomainLayout;
  readonly view: RingView;
  readonly front: HostileFront;
  readonly entries: GrantEntries;
  readonly grants: GrantTable;
  readonly pages: readonly GrantedPage[];
  readonly ringRef: GrantRef;
  readonly queue: BackQueue;
  readonly vbd: Vbd;
  readonly device: BenchDevice;
  readonly mapped: MappedPages;
}

const DATA_PAGES = 12;
const SECTORS = 1024;
const MAPPINGS = 4096;

export class BackBench {
  readonly world: BenchWorld;
  readonly machine: Machine;
  readonly driver: DomainLayout;
  readonly events: EventPage;
  readonly mapper: GrantMapper;
  readonly staging: StagingMemory;
  readonly rounds: Rounds;
  readonly rings: BenchRing[] = [];
  readonly #random: Prng;

  /** `decorate` may put a monitor between the back ends and their grants. */
  constructor(seed = 1, decorate: (mapper: GrantMapper) => GrantMapper = (mapper) => mapper) {
    this.world = new BenchWorld(32 * 2 ** 20, seed);
    this.#random = this.world.random;
    this.machine = new Machine(this.world.memory);
    this.driver = this.machine.createDomain(8 * 2 ** 20, 64);
    this.events = new EventPage(this.world.memory, this.driver.eventPageAddress);
    const { domain } = this.driver;
    this.mapper = decorate(
      new MemoryGrantMapper(this.world.memory, this.machine, domain, MAPPINGS),
    );
    const { heapFrame, heapEndFrame } = this.driver;
    this.staging = new StagingMemory(heapFrame, heapEndFrame, () => undefined);
    this.rounds = new Rounds(this.events);
  }

  /** A guest with one ring of one disk, connected. */
  connect(options: RingOptions = {}): BenchRing {
    const order = options.order ?? 0;
    const startIndex = options.startIndex ?? 0;
    const { memory } = this.world;
    const guest = options.beside?.guest ?? this.machine.createDomain(2 ** 20, 512);
    const taken = options.beside === undefined ? 0 : 64;
    const frame = (at: number): FrameNo => (guest.heapFrame + taken + at) as FrameNo;
    const entries = new GrantEntries(memory, guest.grantTableAddress, guest.grantEntryCount);
    const grants = options.beside?.grants ?? new GrantTable(entries);
    const grant = (at: number, readonly: boolean): GrantRef =>
      grants.grant(this.driver.domain, frame(at), readonly) as GrantRef;
    const ringPages = 2 ** order;
    const ringRefs = Array.from({ length: ringPages }, (_, at) => grant(at, false));
    const granted = (at: number, readonly: boolean): GrantedPage => ({
      ref: grant(at, readonly),
      address: frameToAddress(frame(at)),
    });
    const pages = Array.from({ length: DATA_PAGES }, (_, at) => granted(ringPages + at, false));
    const readonlyPage = granted(ringPages + DATA_PAGES, true);
    const { u8, i32, u32 } = memory;
    const view: RingView = { u8, i32, u32, baseBytes: frameToAddress(frame(0)) };
    new FrontRing(view, order, startIndex);
    const device =
      options.beside?.device ??
      new BenchDevice(this.world, options.sectors ?? SECTORS, options.device);
    const vbd = options.beside?.vbd ?? this.#vbd(device);
    const mapped = this.mapper.mapSideBySide(guest.domain, ringRefs) as MappedPages;
    const [notifyBack, channel, port] = this.#channels(guest);
    const queue = new BackQueue({
      world: this.world,
      vbd,
      index: vbd.queues.length,
      ring: new BackRing(mapped.view, order),
      side: null,
      channel,
      grants: this.mapper,
      granter: guest.domain,
      persistent:
        options.persistent === true ? new PersistentGrants(this.mapper, guest.domain) : null,
      staging: this.staging,
      pages: takeQueuePages(this.staging, ringSlots(order)) as QueuePages,
      publish: options.publish ?? 'each',
      plantedBug: 'none',
    });
    vbd.queues.push(queue);
    this.rounds.add(queue, vbd, port);
    const front = new HostileFront(
      {
        view,
        order,
        random: this.#random.fork(`front/${this.rings.length}`),
        notify: () => notifyBack.notify(),
        diskSectors: device.info.sectors,
        pages,
        readonlyPage,
        ringRef: ringRefs[0] as GrantRef,
        forger: new GrantForger(entries, 99),
      },
      startIndex,
    );
    const ringRef = ringRefs[0] as GrantRef;
    const ring = {
      guest,
      view,
      front,
      entries,
      grants,
      pages,
      ringRef,
      queue,
      vbd,
      device,
      mapped,
    };
    this.rings.push(ring);
    return ring;
  }

  /** Lets the driver domain work until it says that it is idle, or for `steps` steps. */
  turn(steps = 10_000): number {
    let taken = 0;
    while (taken < steps) {
      taken++;
      const result = this.rounds.step(64, this.world.clock.nowNs());
      for (const { queue } of this.rings) queue.checkInvariants();
      if (result === 'idle') break;
    }
    return taken;
  }

  #vbd(device: BenchDevice): Vbd {
    return new Vbd({
      name: `disk${this.rings.length}`,
      device,
      order: new DiskOrder(null, 1, 1, 1 as Generation, false),
      bucket: new TokenBucket({ requestsPerSecond: 0, bytesPerSecond: 0 }, 0),
      maxIndirectSegments: OFFERED_INDIRECT_SEGMENTS,
      weight: 1,
    });
  }

  #channels(guest: DomainLayout): [MemoryEventChannel, MemoryEventChannel, EventPort] {
    const { memory, wake } = this.world;
    const guestEvents = new EventPage(memory, guest.eventPageAddress);
    const guestPort = guestEvents.allocate(this.driver.domain);
    const port = this.events.allocate(guest.domain);
    guestEvents.connect(guestPort, this.driver.domain, port);
    this.events.connect(port, guest.domain, guestPort);
    return [
      new MemoryEventChannel(memory, this.machine, wake, guestEvents, guestPort),
      new MemoryEventChannel(memory, this.machine, wake, this.events, port),
      port,
    ];
  }
}

/** Fills a page with one byte. */
export function fillPage(bench: BackBench, page: GrantedPage, value: number): void {
  bench.world.memory.u8.fill(value, page.address, page.address + PAGE_BYTES);
}

export function statuses(ring: BenchRing): number[] {
  return ring.front.collect().map(({ status }) => status);
}
