/**
 * Parallax in this process: attached to a store as one of its hosts, for the time of one story.
 *
 * It is driven by the loop that drives a driver VM, on the main thread. However the story ends, it
 * is closed in order, with everything published and the host detached, so that the space it has
 * claimed is given back. Only where that is impossible (nothing can be published, or a bug) it is
 * abandoned as a process that dies abandons it, for the next start to recover.
 *
 * While the pool takes nothing, destage goes on trying, as it must while guests wait. A command
 * does not: when publishing has been stuck for a while it fails, with the reason.
 */
import { StorageError } from '../base/errors.ts';
import { invariant } from '../base/invariant.ts';
import { type Nanos, NEVER, PAGE_BYTES } from '../base/units.ts';
import { Parallax } from '../parallax/engine.ts';
import { DEFAULT_SIZES, type ParallaxSizes, ramBytes } from '../parallax/vdi/sizes.ts';
import type { ControlSurface, HostedActor, StepResult } from '../world/actor.ts';
import { EventLoop } from '../world/real/event-loop.ts';
import type { RealWorld } from '../world/real/real-world.ts';
import { bellIndex } from '../world/real/wake.ts';
import { createHostMemory, WASM_PAGE_BYTES } from '../world/real/wasm-memory.ts';
import { Interrupted } from './exit.ts';
import { STORE_NAME, type StoreFolder } from './store-folder.ts';

const MIB = 2 ** 20;
/** Page 0 is nobody's: the loop's bell is there. */
const BELL_ADDRESS = 0;
const SAFETY_POLL_MS = 50;
const WATCH_NS = 250e6;
/** With a reason that is known, and without one: then it may be a slow disk. */
const STUCK_NS = 5e9;
const PARKED_NS = 60e9;

/**
 * Of a command, which serves one image for a short time: small caches, and a log whose files are
 * quickly made. What lies on the disk longer than the command (the slab, what a checkpoint
 * remembers) has the size that a driver VM gives it.
 */
const COMMAND_SIZES: ParallaxSizes = {
  ...DEFAULT_SIZES,
  nodePages: (16 * MIB) / PAGE_BYTES,
  cachePages: MIB / PAGE_BYTES,
  payloadPages: (32 * MIB) / PAGE_BYTES,
  batchBytes: 8 * MIB,
  log: { ...DEFAULT_SIZES.log, segmentBytes: 8 * MIB },
};

export interface EngineOptions {
  readonly host: string;
  readonly signal: AbortSignal;
  /** Sentences for people: what was found damaged, what is being waited for. */
  readonly onNote: (text: string) => void;
  /** RAM for the story's own use, bytes. */
  readonly bufferBytes?: number;
}

/** What a story works with. */
export interface EngineRoom {
  readonly engine: Parallax;
  readonly world: RealWorld;
  /** RAM of the story's own. */
  readonly bufferAddress: number;
}

/** Starts Parallax as a host of the store, runs the story, and closes it. */
export async function withEngine<T>(
  store: StoreFolder,
  options: EngineOptions,
  story: (room: EngineRoom) => Promise<T>,
): Promise<T> {
  const { host, bufferBytes = 0, onNote, signal } = options;
  await store.prepareHost(host);
  const pool = await store.pool();
  const engineBytes = ramBytes(COMMAND_SIZES);
  const bytes = PAGE_BYTES + engineBytes + bufferBytes;
  const memory = createHostMemory(Math.ceil(bytes / WASM_PAGE_BYTES) * WASM_PAGE_BYTES);
  const loops: EventLoop[] = [];
  const world = store.worldOf(host, memory, onNote, () => loops[0]?.look());
  const loop = new EventLoop({
    words: memory.i32,
    bell: bellIndex(BELL_ADDRESS),
    mode: 'block',
    safetyPollMs: SAFETY_POLL_MS,
    timers: world.timers,
  });
  loops.push(loop);
  const start = (): Promise<Parallax> =>
    Parallax.start({
      world,
      directory: store.directory,
      openPool: pool.opener(world, () => loop.look()),
      store: STORE_NAME,
      host,
      sizes: COMMAND_SIZES,
      address: PAGE_BYTES,
      bytes: engineBytes,
      toleratesUnreadable: false,
      plantedBug: 'none',
      together: (answer) => answer(),
      failed: loop.fail,
    });
  const bufferAddress = PAGE_BYTES + engineBytes;
  const actor = new StoryActor(world, start, (engine) =>
    unlessInterrupted(signal, story({ engine, world, bufferAddress })),
  );
  const ended = loop.run(actor);
  actor.watch().catch(loop.fail);
  try {
    return (await ended) as T;
  } finally {
    actor.leave();
    await world.bury();
  }
}

class StoryActor<T> implements HostedActor {
  readonly control: ControlSurface = {};
  readonly #world: RealWorld;
  readonly #begin: () => Promise<Parallax>;
  readonly #story: (engine: Parallax) => Promise<T>;
  #engine: Parallax | null = null;
  #ended = false;
  #result: T | null = null;

  constructor(
    world: RealWorld,
    begin: () => Promise<Parallax>,
    story: (engine: Parallax) => Promise<T>,
  ) {
    this.#world = world;
    this.#begin = begin;
    this.#story = story;
  }

  async start(): Promise<void> {
    const engine = await this.#begin();
    this.#engine = engine;
    try {
      this.#result = await this.#story(engine);
    } catch (thrown) {
      // What the user gave, or storage, not a bug: then the images themselves are sound.
      if (thrown instanceof StorageError || thrown instanceof Interrupted)
        await this.#close(engine);
      throw thrown;
    }
    await this.#close(engine);
    this.#ended = true;
  }

  step(): StepResult {
    this.#engine?.step();
    return this.#engine?.hasWork === true ? 'again' : 'idle';
  }

  nextDeadlineNs(): Nanos {
    return NEVER;
  }

  checkInvariants(): void {
    this.#engine?.checkInvariants();
  }

  finished(): boolean {
    return this.#ended;
  }

  result(): unknown {
    invariant(this.#ended, 'a story that goes on has no result');
    return this.#result;
  }

  async #close(engine: Parallax): Promise<void> {
    await engine.close();
    this.#engine = null;
  }

  /** Nothing is watched any more. */
  leave(): void {
    this.#ended = true;
  }

  /** Rejects when nothing has moved for too long though something waits. */
  async watch(): Promise<void> {
    let stuckNs = 0;
    let before = 0;
    while (!this.#ended) {
      await this.#world.timers.sleep(WATCH_NS);
      const images = this.#engine?.served() ?? [];
      const moved = images.reduce((sum, { vdi }) => sum + vdi.nextSeq + vdi.watermark, 0);
      const waits = images.some(({ writes }) => writes.parked > 0);
      const trouble = images.map((image) => image.status().trouble).find((one) => one !== null);
      stuckNs = moved === before && (waits || trouble !== undefined) ? stuckNs + WATCH_NS : 0;
      before = moved;
      if (trouble !== undefined && stuckNs >= STUCK_NS) {
        const text = `nothing can be published: ${trouble}; what the log has is safe there`;
        throw new StorageError('E_PUBLISH_STUCK', text);
      }
      if (stuckNs >= PARKED_NS) {
        const text = 'nothing can be written: the log has no room; free space on the disk';
        throw new StorageError('E_LOG_STUCK', text);
      }
    }
  }
}

/** What `story` gives; rejects at once when the user interrupts. */
export async function unlessInterrupted<T>(signal: AbortSignal, story: Promise<T>): Promise<T> {
  let interrupt: () => void = () => undefined;
  const interrupted = new Promise<never>((_, reject) => {
    interrupt = () => reject(new Interrupted('interrupted'));
  });
  signal.addEventListener('abort', interrupt);
  if (signal.aborted) interrupt();
  try {
    return await Promise.race([story, interrupted]);
  } finally {
    signal.removeEventListener('abort', interrupt);
  }
}
