/**
 * How a hostile guest comes to a ring: the normal handshake, done with its own hands, so that it
 * can begin it again at any time, in the middle too, and with any keys.
 *
 * Its pages are laid out once and granted anew at each connection, by writing the entries over
 * whatever stands there, mapped or not:
 * ```
 * heap frame 0 .. 15  ring pages (the first alone is the ring that is used)
 *           16 .. 27  data pages, granted for reading and writing
 *                 28  a data page granted for reading only
 * ```
 */
import { StorageError } from '../base/errors.ts';
import type { Prng } from '../base/prng.ts';
import { type DomainId, type EventPort, type FrameNo, frameToAddress, MS } from '../base/units.ts';
import { DomainDirectory, type DomainLayout } from '../hypervisor/machine.ts';
import { FrontendExtra } from '../hypervisor/stordom-keys.ts';
import {
  BackendKey,
  FrontendKey,
  frontendPath,
  parseInRange,
  parseState,
  XenbusState,
} from '../hypervisor/xenbus.ts';
import { XenstoreClient } from '../hypervisor/xenstore/client.ts';
import { EventPage, MemoryEventChannel } from '../ring/event-page.ts';
import { FrontRing } from '../ring/front-ring.ts';
import { FIRST_FREE_REF, GrantEntries, GrantFlag } from '../ring/grant-table.ts';
import { GrantForger } from '../ring/hostile/grant-forger.ts';
import { type GrantedPage, HostileFront } from '../ring/hostile/hostile-front.ts';
import type { RingView } from '../ring/ports.ts';
import type { World } from '../world/world.ts';
import { type StoreHands, setState, writeKeys } from './store-pranks.ts';

const RING_PAGES = 16;
const DATA_PAGES = 12;
const READONLY_PAGE = RING_PAGES + DATA_PAGES;
const TOOLSTACK_KEYS: ReadonlySet<string> = new Set<string>([
  FrontendKey.state,
  FrontendKey.backend,
  FrontendKey.backendId,
  FrontendKey.virtualDevice,
  FrontendKey.deviceType,
  FrontendExtra.ringEpoch,
  FrontendExtra.backendAlive,
  FrontendExtra.frontId,
]);
const ALL_PAGES = READONLY_PAGE + 1;
/** How long it waits for a state before it starts over, and how often it looks. */
const PATIENCE_NS = 20 * MS;
const LOOK_NS = MS;

export class HostileConnector {
  readonly #world: World;
  readonly #layout: DomainLayout;
  readonly #store: XenstoreClient;
  readonly #path: string;
  readonly #random: Prng;
  readonly #entries: GrantEntries;
  readonly #events: EventPage;
  readonly #directory: DomainDirectory;
  #port: EventPort | null = null;
  #nextRef = FIRST_FREE_REF;
  #back: { readonly path: string; readonly domain: DomainId } | null = null;

  constructor(world: World, layout: DomainLayout, virtualDevice: number, random: Prng) {
    this.#world = world;
    this.#layout = layout;
    this.#store = new XenstoreClient(world.net.link('xenstore'));
    this.#path = frontendPath(layout.domain, virtualDevice);
    this.#random = random;
    const { grantTableAddress, grantEntryCount } = layout;
    this.#entries = new GrantEntries(world.memory, grantTableAddress, grantEntryCount);
    this.#events = new EventPage(world.memory, layout.eventPageAddress);
    this.#directory = new DomainDirectory(world.memory);
  }

  /** Begins anew: state 1, then waits for the back end's offer. False when none comes. */
  async begin(): Promise<boolean> {
    const back = await this.#store.read(`${this.#path}/${FrontendKey.backend}`);
    const domain = await this.#store.read(`${this.#path}/${FrontendKey.backendId}`);
    const number = parseInRange(domain, 1, 0xffff);
    if (back === null || number === null) return false;
    this.#back = { path: back, domain: number as DomainId };
    await this.#clearKeys();
    await setState({ store: this.#store, path: this.#path }, XenbusState.initialising);
    return (await this.waitFor((state) => state === XenbusState.initWait)) !== null;
  }

  /** Looks at the back end's state until `accept` takes it; null when patience ends. */
  async waitFor(accept: (state: XenbusState) => boolean): Promise<XenbusState | null> {
    const key = `${this.#back?.path ?? this.#path}/${BackendKey.state}`;
    for (let waitedNs = 0; waitedNs < PATIENCE_NS; waitedNs += LOOK_NS) {
      const state = await this.#readState(key);
      if (accept(state)) return state;
      await this.#world.timers.sleep(LOOK_NS);
    }
    return null;
  }

  /** Makes a ring and says how to name it; the pages of the one before are granted again. */
  async hands(startIndex: number): Promise<StoreHands> {
    this.#nextRef = FIRST_FREE_REF;
    const refs = this.#grantAll();
    new FrontRing(this.#view(), 0, startIndex);
    if (this.#port !== null) this.#events.close(this.#port);
    this.#port = this.#events.allocate(this.#backDomain);
    const epoch = await this.#store.read(`${this.#path}/${FrontendExtra.ringEpoch}`);
    return {
      store: this.#store,
      path: this.#path,
      random: this.#random,
      sleep: (durationNs) => this.#world.timers.sleep(durationNs),
      keys: {
        [FrontendKey.protocol]: 'x86_64-abi',
        [FrontendKey.featurePersistent]: this.#random.below(2),
        [FrontendKey.ringRef]: refs[0] as number,
        [FrontendKey.eventChannel]: this.#port,
        [FrontendExtra.frontEpoch]: epoch ?? '1',
      },
      freshRefs: (count) => this.#freshRefs(count),
    };
  }

  /** Names the ring and waits until the back end is connected; null when it refuses. */
  async connect(hands: StoreHands, startIndex: number): Promise<HostileFront | null> {
    await writeKeys(hands, hands.keys);
    await setState(hands, XenbusState.initialised);
    const state = await this.waitFor((seen) => seen >= XenbusState.connected);
    if (state !== XenbusState.connected) return null;
    await setState(hands, XenbusState.connected);
    const back = this.#back?.path ?? '';
    const sectors = await this.#store.read(`${back}/${BackendKey.sectors}`);
    return this.#makeFront(parseInRange(sectors, 1, 2 ** 40) ?? 8, startIndex);
  }

  /** Takes away the keys of its own, right and wrong, that stand there from before. */
  async #clearKeys(): Promise<void> {
    for (const name of await this.#store.directory(this.#path)) {
      if (!TOOLSTACK_KEYS.has(name)) {
        await writeKeys({ store: this.#store, path: this.#path }, { [name]: null });
      }
    }
  }

  #makeFront(diskSectors: number, startIndex: number): HostileFront {
    const { memory, wake } = this.#world;
    const port = this.#port as EventPort;
    const channel = new MemoryEventChannel(memory, this.#directory, wake, this.#events, port);
    const page = (at: number): GrantedPage => ({
      ref: FIRST_FREE_REF + at,
      address: this.#address(at),
    });
    const means = {
      view: this.#view(),
      order: 0,
      random: this.#random,
      notify: () => channel.notify(),
      diskSectors,
      pages: Array.from({ length: DATA_PAGES }, (_, at) => page(RING_PAGES + at)),
      readonlyPage: page(READONLY_PAGE),
      ringRef: FIRST_FREE_REF,
      forger: new GrantForger(this.#entries, this.#layout.domain),
    };
    return new HostileFront(means, startIndex);
  }

  async #readState(key: string): Promise<XenbusState> {
    try {
      return parseState(await this.#store.read(key));
    } catch (thrown) {
      if (thrown instanceof StorageError) return XenbusState.unknown;
      throw thrown;
    }
  }

  get #backDomain(): DomainId {
    return this.#back?.domain ?? (0 as DomainId);
  }

  #view(): RingView {
    const { u8, i32, u32 } = this.#world.memory;
    return { u8, i32, u32, baseBytes: this.#address(0) };
  }

  #address(page: number): number {
    return frameToAddress((this.#layout.heapFrame + page) as FrameNo);
  }

  #grantAll(): readonly number[] {
    const refs: number[] = [];
    for (let page = 0; page < ALL_PAGES; page++) refs.push(this.#grant(page));
    return refs;
  }

  /** The first pages once more, under references that were not used yet. */
  #freshRefs(count: number): readonly number[] {
    const refs: number[] = [];
    for (let page = 0; page < count; page++) refs.push(this.#grant(page % RING_PAGES));
    return refs;
  }

  #grant(page: number): number {
    const ref = this.#nextRef++;
    const flags = GrantFlag.permitAccess | (page === READONLY_PAGE ? GrantFlag.readonly : 0);
    this.#entries.setFrame(ref, this.#layout.heapFrame + page);
    this.#entries.setHead(ref, flags | (this.#backDomain << 16));
    return ref;
  }
}
