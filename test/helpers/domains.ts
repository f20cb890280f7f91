/** A host's RAM with a guest and a driver domain in it, as the toolstack would have made them. */
import { type DomainId, type FrameNo, type GrantRef, PAGE_BYTES } from '../../src/base/units.ts';
import { GuestFrames } from '../../src/guests/frames.ts';
import { DomainDirectory, type DomainLayout, Machine } from '../../src/hypervisor/machine.ts';
import { EventPage } from '../../src/ring/event-page.ts';
import { MemoryGrantMapper } from '../../src/ring/grant-mapper.ts';
import { GrantEntries, GrantTable } from '../../src/ring/grant-table.ts';
import type { RingView } from '../../src/ring/ports.ts';
import { CoreWorld } from './core-world.ts';

export class TwoDomains {
  readonly world: CoreWorld;
  readonly machine: Machine;
  readonly directory: DomainDirectory;
  readonly guest: DomainLayout;
  driver: DomainLayout;
  readonly frames: GuestFrames;
  readonly entries: GrantEntries;
  readonly grants: GrantTable;
  readonly guestEvents: EventPage;
  mapper: MemoryGrantMapper;

  constructor(guestHeapPages = 512, driverHeapPages = 256, grantEntries = 1024, seed = 1) {
    const pages = 3 * driverHeapPages + guestHeapPages + 64;
    this.world = new CoreWorld(pages * PAGE_BYTES, seed);
    const { memory } = this.world;
    this.machine = new Machine(memory);
    this.directory = new DomainDirectory(memory);
    this.guest = this.machine.createDomain(guestHeapPages * PAGE_BYTES, grantEntries);
    this.driver = this.machine.createDomain(driverHeapPages * PAGE_BYTES, 512);
    this.frames = new GuestFrames(this.guest.heapFrame, this.guest.heapEndFrame);
    const { grantTableAddress, grantEntryCount, eventPageAddress } = this.guest;
    this.entries = new GrantEntries(memory, grantTableAddress, grantEntryCount);
    this.grants = new GrantTable(this.entries);
    this.guestEvents = new EventPage(memory, eventPageAddress);
    this.mapper = this.mapperOf(this.driver.domain);
  }

  mapperOf(domain: DomainId, capacity = 2048): MemoryGrantMapper {
    return new MemoryGrantMapper(this.world.memory, this.directory, domain, capacity);
  }

  /** The driver VM is killed and another takes its place: a new domain with new mappings. */
  replaceDriver(): void {
    const dead = this.driver;
    this.machine.releaseMappingsOf(dead.domain);
    const heapBytes = (dead.heapEndFrame - dead.heapFrame) * PAGE_BYTES;
    this.driver = this.machine.createDomain(heapBytes, 512);
    this.mapper = this.mapperOf(this.driver.domain);
    this.machine.destroyDomain(dead);
  }

  viewAt(frame: FrameNo): RingView {
    const { u8, i32, u32 } = this.world.memory;
    return { u8, i32, u32, baseBytes: frame * PAGE_BYTES };
  }

  /** Grants one fresh page to the driver domain. */
  grantPage(readonly = false): { readonly frame: FrameNo; readonly ref: GrantRef } {
    const frame = this.frames.mustTake(1, 'a page of a test');
    const ref = this.grants.grant(this.driver.domain, frame, readonly);
    if (ref === null) throw new Error('the grant table of the test is full');
    return { frame, ref };
  }
}
