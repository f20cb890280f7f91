/**
 * Event channels and doorbells: one page a domain.
 *
 * ```
 * byte    0  bell u32           what the domain sleeps on: changes whenever there is news
 *        64  pending u32[8]     one bit a port: this port was notified since it was last looked at
 *       128  masked u32[8]      one bit a port: set pending but do not ring the bell
 *       256  remote u32[256]    where each local port leads: domain << 16 | port, 0 = not bound
 * ```
 *
 * The rules are Xen's (two-level event channels): a notification sets the pending bit; if it was
 * set already, or the port is masked, the bell stays silent. The owner clears a port's bit *before*
 * it looks at the ring, so that a notification that comes while it looks is not lost. That alone
 * coalesces a storm of notifications into one wake for each look; masking a port that keeps ringing
 * with nothing to say turns the storm into no wakes at all (the answer to XSA-391).
 *
 * In Xen the hypervisor writes the pending bits. Here the notifier's own thread does it, in these
 * functions: the emulation trusts its own code, not the values that guests pass in.
 */
import { StorageError } from '../base/errors.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import type { DomainId, EventPort } from '../base/units.ts';
import type { EventChannel } from './ports.ts';

export const MAX_EVENT_PORTS = 256;
const PENDING_BYTES = 64;
const MASKED_BYTES = 128;
const REMOTE_BYTES = 256;
const BITMAP_WORDS = MAX_EVENT_PORTS / 32;

/** Rings a bell word once it has changed; `World.wake` is one. */
export interface BellRinger {
  ring(bellAddress: number): void;
}

/** Finds the event page of a domain; null when the domain is gone. */
export interface EventPages {
  eventPageOf(domain: DomainId): number | null;
}

/** The owner's view of its page. Also used by the toolstack to set a page up. */
export class EventPage {
  readonly bellAddress: number;
  readonly #i32: Int32Array;
  readonly #pending: number;
  readonly #masked: number;
  readonly #remote: number;

  constructor(memory: SharedMemory, address: number) {
    this.bellAddress = address;
    this.#i32 = memory.i32;
    this.#pending = (address + PENDING_BYTES) / 4;
    this.#masked = (address + MASKED_BYTES) / 4;
    this.#remote = (address + REMOTE_BYTES) / 4;
  }

  /**
   * Takes a free local port that `remote` may connect to. Port 0 is never given out. Throws
   * `StorageError` when all are taken: peers decide how many channels they ask for.
   */
  allocate(remote: DomainId): EventPort {
    for (let port = 1; port < MAX_EVENT_PORTS; port++) {
      const claim = (remote << 16) | 0xffff;
      if (Atomics.compareExchange(this.#i32, this.#remote + port, 0, claim) === 0) {
        return port as EventPort;
      }
    }
    throw new StorageError('E_EVENT_CHANNELS_FULL', 'a domain has at most 255 event channels');
  }

  /** Completes a channel: our `port` leads to `remotePort` of `remote`. */
  connect(port: EventPort, remote: DomainId, remotePort: EventPort): void {
    Atomics.store(this.#i32, this.#remote + port, (remote << 16) | remotePort);
  }

  /** Who may connect to, or is at the other end of, a local port; 0 when it is free. */
  remoteDomain(port: number): number {
    if (!Number.isInteger(port) || port < 1 || port >= MAX_EVENT_PORTS) return 0;
    return Atomics.load(this.#i32, this.#remote + port) >>> 16;
  }

  remotePort(port: EventPort): number {
    return Atomics.load(this.#i32, this.#remote + port) & 0xffff;
  }

  close(port: EventPort): void {
    Atomics.store(this.#i32, this.#remote + port, 0);
    this.clearPending(port);
    this.unmask(port);
  }

  /** Changes the bell word, so that a sleeper who compared it with an old value does not sleep. */
  touchBell(): void {
    Atomics.add(this.#i32, this.bellAddress / 4, 1);
  }

  /** Marks a port and touches the bell. True when the owner should be woken. */
  raise(port: number): boolean {
    const bit = 1 << (port & 31);
    const word = port >>> 5;
    const before = Atomics.or(this.#i32, this.#pending + word, bit);
    if ((before & bit) !== 0) return false;
    if ((Atomics.load(this.#i32, this.#masked + word) & bit) !== 0) return false;
    this.touchBell();
    return true;
  }

  /** True when any port is pending and not masked: a cheap look before a scan. */
  anyPending(): boolean {
    for (let word = 0; word < BITMAP_WORDS; word++) {
      const pending = Atomics.load(this.#i32, this.#pending + word);
      if (pending !== 0 && (pending & ~Atomics.load(this.#i32, this.#masked + word)) !== 0) {
        return true;
      }
    }
    return false;
  }

  isPending(port: EventPort): boolean {
    return (Atomics.load(this.#i32, this.#pending + (port >>> 5)) & (1 << (port & 31))) !== 0;
  }

  /** To be called before the ring behind the port is looked at. True if it was pending. */
  clearPending(port: EventPort): boolean {
    const bit = 1 << (port & 31);
    return (Atomics.and(this.#i32, this.#pending + (port >>> 5), ~bit) & bit) !== 0;
  }

  mask(port: EventPort): void {
    Atomics.or(this.#i32, this.#masked + (port >>> 5), 1 << (port & 31));
  }

  unmask(port: EventPort): void {
    Atomics.and(this.#i32, this.#masked + (port >>> 5), ~(1 << (port & 31)));
  }
}

/** One end of a bound channel in emulated host RAM. */
export class MemoryEventChannel implements EventChannel {
  readonly #local: EventPage;
  #port: EventPort;
  readonly #memory: SharedMemory;
  readonly #pages: EventPages;
  readonly #ringer: BellRinger;
  #remotePage: EventPage | null = null;
  #remotePort = 0;
  /** Notifications sent: what a benchmark calls kicks. */
  notifications = 0;

  constructor(
    memory: SharedMemory,
    pages: EventPages,
    ringer: BellRinger,
    local: EventPage,
    port: EventPort,
  ) {
    this.#memory = memory;
    this.#pages = pages;
    this.#ringer = ringer;
    this.#local = local;
    this.#port = port;
  }

  notify(): void {
    this.notifications++;
    const page = this.#remotePage ?? this.#resolve();
    if (page?.raise(this.#remotePort)) this.#ringer.ring(page.bellAddress);
  }

  /** Goes on over another local port: the other end has changed. */
  rebind(port: EventPort): void {
    this.#port = port;
    this.#remotePage = null;
  }

  acknowledge(): void {
    if (this.#local.isPending(this.#port)) this.#local.clearPending(this.#port);
  }

  /** Looks the other end up once it is connected; until then a notification has nowhere to go. */
  #resolve(): EventPage | null {
    const remotePort = this.#local.remotePort(this.#port);
    // A page that was written over may say anything: beyond the last port are other pages.
    if (remotePort === 0 || remotePort >= MAX_EVENT_PORTS) return null;
    const remote = this.#local.remoteDomain(this.#port) as DomainId;
    const address = this.#pages.eventPageOf(remote);
    if (address === null) return null;
    this.#remotePort = remotePort;
    this.#remotePage = new EventPage(this.#memory, address);
    return this.#remotePage;
  }
}
