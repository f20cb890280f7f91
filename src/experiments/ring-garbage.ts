/**
 * Garbage in the rings of a guest, as a stray pointer of its kernel leaves it: random values in the
 * indices and event indices of both sides, in slots, in the padding, and in its event page.
 *
 * Values are small steps from what is there as often as wild ones: a `req_prod` that is two too far
 * makes the driver VM run stale slots, a wild one is refused at once. All is written word by word,
 * as a store of a CPU would; nothing outside of the guest's own pages is touched.
 */
import { StorageError } from '../base/errors.ts';
import type { Prng } from '../base/prng.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import { frameNo, frameToAddress, PAGE_BYTES } from '../base/units.ts';
import { readRingKeys } from '../driver-vm/ring-keys.ts';
import { VIRTUAL_DEVICE } from '../hypervisor/disk-keys.ts';
import type { DomainLayout } from '../hypervisor/machine.ts';
import { type GuestDomain, type Toolstack } from '../hypervisor/toolstack.ts';
import { frontendPath } from '../hypervisor/xenbus.ts';
import { GrantEntries } from '../ring/grant-table.ts';
import {
  REQ_EVENT_BYTES,
  REQ_PROD_BYTES,
  RING_HEADER_BYTES,
  RSP_EVENT_BYTES,
  RSP_PROD_BYTES,
} from '../ring/layout.ts';

/** Pages of a guest, by their byte address in the host's RAM. */
export interface SharedPages {
  /** First page of each ring: the one with the indices. */
  readonly headPages: readonly number[];
  readonly slotPages: readonly number[];
  readonly eventPage: number;
}

const HEADER = [REQ_PROD_BYTES, REQ_EVENT_BYTES, RSP_PROD_BYTES, RSP_EVENT_BYTES];
const MOST_SLOT_WORDS = 64;
const MOST_EVENT_WORDS = 16;
/** Bell, pending, masked and remote words of an event page. */
const EVENT_PAGE_USED_BYTES = 1280;

/**
 * The pages that a guest shares with its driver VM for talking, as its keys in the store name them.
 * A guest that has not connected yet has an event page only.
 */
export async function sharedPagesOf(
  toolstack: Toolstack,
  { layout }: GuestDomain,
  memory: SharedMemory,
): Promise<SharedPages> {
  const store = toolstack.xenstore.local();
  const headPages: number[] = [];
  const slotPages: number[] = [];
  try {
    const keys = await readRingKeys(store, frontendPath(layout.domain, VIRTUAL_DEVICE));
    for (const { ringRefs } of keys.queues) {
      const [head, ...rest] = ringRefs.map((ref) => pageOf(memory, layout, ref));
      if (typeof head === 'number') headPages.push(head);
      for (const page of rest) if (page !== null) slotPages.push(page);
    }
  } catch (thrown) {
    if (!(thrown instanceof StorageError)) throw thrown;
  } finally {
    store.close();
  }
  return { headPages, slotPages, eventPage: layout.eventPageAddress };
}

/** The page behind a grant; null if it is none of the guest's own, whatever its table says. */
function pageOf(memory: SharedMemory, layout: DomainLayout, ref: number): number | null {
  const { grantTableAddress, grantEntryCount, heapFrame, heapEndFrame } = layout;
  if (ref >= grantEntryCount) return null;
  const frame = new GrantEntries(memory, grantTableAddress, grantEntryCount).frame(ref);
  return frame >= heapFrame && frame < heapEndFrame ? frameToAddress(frameNo(frame)) : null;
}

/** Writes the garbage. The same random stream over the same RAM writes the same. */
export function scribble(memory: SharedMemory, pages: SharedPages, random: Prng): void {
  for (const page of pages.headPages) {
    const damaged = HEADER.filter(() => random.chance(1 / 2));
    for (const at of damaged.length > 0 ? damaged : HEADER) spoil(memory, page + at, random);
    const pad = HEADER.length * 4;
    if (random.chance(1 / 2)) spoilSome(memory, page, pad, RING_HEADER_BYTES, 4, random);
    spoilSome(memory, page, RING_HEADER_BYTES, PAGE_BYTES, MOST_SLOT_WORDS, random);
  }
  for (const page of pages.slotPages) {
    spoilSome(memory, page, 0, PAGE_BYTES, MOST_SLOT_WORDS, random);
  }
  spoilSome(memory, pages.eventPage, 0, EVENT_PAGE_USED_BYTES, MOST_EVENT_WORDS, random);
}

function spoilSome(
  memory: SharedMemory,
  page: number,
  fromBytes: number,
  toBytes: number,
  most: number,
  random: Prng,
): void {
  const words = random.between(1, most);
  for (let i = 0; i < words; i++) {
    spoil(memory, page + 4 * random.between(fromBytes / 4, toBytes / 4 - 1), random);
  }
}

function spoil(memory: SharedMemory, address: number, random: Prng): void {
  const before = Atomics.load(memory.i32, address / 4);
  const near = random.chance(1 / 2);
  Atomics.store(memory.i32, address / 4, near ? before + random.between(1, 40) : random.nextU32());
}
