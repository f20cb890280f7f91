/**
 * Parallax in one driver VM: the store it is attached to, its log and caches, its images.
 *
 * The order of a start is the safety of it:
 * ```
 * 1 attach      a new session; whatever an earlier one of this host still does is refused
 * 2 generation  of every image of this host is raised by writeIf: an earlier life publishes nothing
 * 3 recover     the log is scanned; what no root holds goes into the dirty maps, unless the image
 *               went on with another log: `log/log-identity.ts`
 * 4 cut         the new incarnation writes down what it found, so that a later one finds the same
 * 5 serve       guests connect; destage begins
 * ```
 * A crash anywhere in it leaves a state from which the next start does the same.
 *
 * Nothing here outlives the driver VM but the log's files, the slab's file and the pool.
 */
import { StorageError } from '../base/errors.ts';
import { formatUuid } from '../base/formats/field-bytes.ts';
import { present } from '../base/invariant.ts';
import type { BlockPool } from '../world/block-pool.ts';
import type { Directory } from '../world/directory.ts';
import type { PlantedBug } from '../world/faults.ts';
import type { World } from '../world/world.ts';
import type { Arena } from './arena.ts';
import { CleanSlab } from './cache/clean-slab.ts';
import { MemoryCache } from './cache/memory-cache.ts';
import type { LogEntry } from './formats/log-group.ts';
import type { RootBlock } from './formats/root-block.ts';
import { DirtyLog } from './log/dirty-log.ts';
import { IDENTITY_DISK, openLogIdentity } from './log/log-identity.ts';
import { parseLogName } from './log/log-names.ts';
import { recoverLog } from './log/recovery.ts';
import { attach, detach, FenceGuard } from './pool/attach.ts';
import { openEmbeddedStore } from './pool/embedded-store.ts';
import { ExtentAllocator } from './pool/extents.ts';
import { ReplayedLog } from './recovered-images.ts';
import { Images } from './store/images.ts';
import { Registry } from './store/registry.ts';
import { SnapshotNames } from './store/snapshot-names.ts';
import { NodeCache } from './tree/node-cache.ts';
import { NodeLoader } from './tree/node-loader.ts';
import { TreeReader } from './tree/tree-reader.ts';
import { BaseReader } from './vdi/base-reader.ts';
import { BlockWriter } from './vdi/block-writer.ts';
import { PayloadMemory } from './vdi/payload-memory.ts';
import { PieceReader } from './vdi/piece-reader.ts';
import { isVolatile } from './vdi/policy.ts';
import { PublishTurn } from './vdi/publish-turn.ts';
import { ReadPath } from './vdi/read-path.ts';
import { RunLog } from './vdi/run-log.ts';
import { identityOf, ServedImage } from './vdi/served-image.ts';
import type { ServingParts } from './vdi/serving-parts.ts';
import { cutArenas, type ParallaxArenas, type ParallaxSizes } from './vdi/sizes.ts';
import { Vdi } from './vdi/vdi.ts';

export interface EngineParts {
  readonly world: World;
  readonly directory: Directory;
  readonly store: string;
  readonly host: string;
  readonly sizes: ParallaxSizes;
  /** RAM of the driver VM that is Parallax's: as much as `ramBytes` says. */
  readonly address: number;
  readonly bytes: number;
  /** What of the log cannot be read is damage; else the start rejects, to be tried again. */
  readonly toleratesUnreadable: boolean;
  readonly plantedBug: PlantedBug;
  /** A story failed: a bug. */
  readonly failed: (thrown: unknown) => void;
  /** Calls `answer`, in which many requests may be answered: their guests hear of them as one. */
  readonly together: (answer: () => void) => void;
}

/** The pool's file, and the slab's on the host's own disk. */
export const POOL_DISK = 'blocks';
export const SLAB_DISK = 'slab';
/** Whether a disk of a host is one of Parallax's own: its log or its slab. */
export function isParallaxDisk(name: string): boolean {
  return name === SLAB_DISK || name === IDENTITY_DISK || parseLogName(name) !== null;
}
const FENCE_POLL_NS = 1e9;
/** What is wrong with one image alone. */
const UNUSABLE = new Set([
  'E_ROOT_DAMAGED',
  'E_ROOT_MISPLACED',
  'E_POOL_DAMAGED',
  'E_FORMAT_NEWER',
  'E_GENERATIONS_EXHAUSTED',
]);

export class Parallax {
  readonly images: Images;
  readonly log: DirtyLog;
  readonly slab: CleanSlab;
  readonly reads: ReadPath;
  readonly nodes: NodeLoader;
  readonly allocator: ExtentAllocator;
  readonly #parts: EngineParts;
  readonly #guard: FenceGuard;
  readonly #logUuid: string;
  readonly #serving: ServingParts;
  readonly #names: SnapshotNames;
  readonly #served = new Map<number, ServedImage>();
  readonly #opening = new Map<number, Promise<ServedImage>>();

  /** Attaches, recovers, and serves every image that this host may start. */
  static async start(parts: EngineParts): Promise<Parallax> {
    return new EngineStart(parts).run();
  }

  constructor(parts: EngineParts, made: EngineState) {
    this.#parts = parts;
    this.#guard = made.guard;
    this.#logUuid = made.logUuid;
    this.images = made.images;
    this.log = made.serving.log;
    this.slab = made.serving.slab;
    this.reads = made.serving.reads;
    this.nodes = made.serving.tree.loader;
    this.allocator = made.allocator;
    this.#serving = made.serving;
    this.#names = made.names;
    for (const { vdi, before } of made.vdis) this.#serve(vdi, before);
  }

  /** At each step of the driver VM, after its rings. */
  step(): void {
    this.log.step();
    this.slab.beginStep();
  }

  served(): readonly ServedImage[] {
    return [...this.#served.values()];
  }

  /** An image that is served here, started if need be. */
  async image(name: string): Promise<ServedImage> {
    const { vdi } = await this.images.registry.byName(name);
    const served = this.#served.get(vdi);
    if (served !== undefined) return served;
    const opening = this.#opening.get(vdi) ?? this.#start(vdi);
    this.#opening.set(vdi, opening);
    try {
      return await opening;
    } finally {
      this.#opening.delete(vdi);
    }
  }

  /** Every image publishes what it has, and the host leaves the store. */
  async close(): Promise<void> {
    for (const image of this.#served.values()) await image.close();
    await this.allocator.close();
    await this.slab.close();
    await this.log.close();
    this.#guard.close();
    await detach(this.#parts.directory, this.#guard.attachment);
    await this.#serving.pool.close();
  }

  /** The image is not this host's any more: it was published whole, or is to be given up. */
  async release(vdi: number): Promise<void> {
    const image = present(this.#served.get(vdi), 'an image is served before it is released');
    await image.close();
    image.forgetCached();
    this.#served.delete(vdi);
    this.log.forgetVdi(vdi);
    await this.images.registry.moveTo(vdi, this.#parts.host, '');
  }

  /** Takes an image of this host away, with its snapshots. No front end has it open. */
  async remove(name: string): Promise<void> {
    const { vdi } = await this.images.registry.byName(name);
    await this.#served.get(vdi)?.giveUp();
    this.#served.get(vdi)?.forgetCached();
    this.#served.delete(vdi);
    await this.images.remove(name);
    this.log.forgetVdi(vdi);
  }

  /**
   * Images whose log is damaged serve again with what was found before the damage; the rest of the
   * log's evidence is removed. All of them at once, because they share one log.
   */
  acceptLoss(): void {
    this.log.acceptDamage();
    for (const image of this.#served.values()) {
      if (image.vdi.state === 'damaged' || image.vdi.state === 'lost') {
        image.acceptLoss();
      }
    }
  }

  /** Something gathered that the next step sends out. */
  get hasWork(): boolean {
    return this.log.hasWork;
  }

  /** The log has room again. */
  pump(): void {
    for (const image of this.#served.values()) image.pump();
  }

  /** The log is full. Each image has its part in that, also one that nobody writes to. */
  makeRoom(): void {
    for (const image of this.#served.values()) image.makeRoom();
  }

  /** A successor has attached: nothing that this one does is kept any more. */
  fenced(): void {
    for (const image of this.#served.values()) image.fence();
  }

  checkInvariants(): void {
    for (const { vdi } of this.#served.values()) vdi.checkInvariants();
  }

  async #start(vdi: number): Promise<ServedImage> {
    const { host, sizes } = this.#parts;
    const { registry } = this.images;
    const named = present(await registry.get(vdi), 'an image is named before it is started');
    const mayStart = named.host === '' || named.host === host;
    if (!mayStart || !(await registry.moveTo(vdi, named.host, host))) {
      throw new StorageError(
        'E_IMAGE_ELSEWHERE',
        `image ${named.name} is served by host ${named.host}: move it here first`,
        { fields: { image: named.name, host: named.host } },
      );
    }
    const { plantedBug } = this.#parts;
    const { image, version, before } = await this.images.start(vdi, this.#logUuid, plantedBug);
    const { payloads } = this.#serving;
    const state = newVdi(named.name, image, version, sizes, payloads);
    noteLoss(state, before);
    state.nextSeq = Math.max(state.nextSeq, this.log.lastVdiSeq(vdi) + 1);
    return this.#serve(state, before);
  }

  #serve(vdi: Vdi, before: RootBlock): ServedImage {
    if (this.#parts.plantedBug === 'stale-slab') this.slab.trustVdi(vdi.id);
    else this.slab.openVdi(vdi.id, identityOf(before));
    this.slab.published(vdi.id, identityOf(vdi.image));
    const image = new ServedImage(vdi, this.#serving);
    this.#served.set(vdi.id, image);
    image.serve();
    const { snapshotCount } = vdi.image;
    this.#names.dropThrough(vdi.id, snapshotCount).catch(() => undefined);
    return image;
  }
}

interface StartedVdi {
  readonly vdi: Vdi;
  /** What its root block said before this start raised the generation. */
  readonly before: RootBlock;
}

interface EngineState {
  readonly guard: FenceGuard;
  readonly images: Images;
  readonly names: SnapshotNames;
  readonly allocator: ExtentAllocator;
  readonly serving: ServingParts;
  readonly vdis: readonly StartedVdi[];
  /** Which log this host has. */
  readonly logUuid: string;
}

/** The story of a start. */
class EngineStart {
  readonly #parts: EngineParts;
  #engine: Parallax | null = null;

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  async run(): Promise<Parallax> {
    const { world, directory, store, host, sizes, address, bytes } = this.#parts;
    const arenas = cutArenas(sizes, address, bytes);
    const attachment = await attach(directory, world.digest, store, host);
    const guard = new FenceGuard(directory, world, attachment, {
      pollNs: FENCE_POLL_NS,
      onFenced: () => this.#engine?.fenced(),
    });
    let pool: BlockPool | null = null;
    try {
      const place = { store, directory, diskName: POOL_DISK };
      const opened = await openEmbeddedStore(world, place, guard);
      pool = opened.pool;
      this.#engine = await this.#serve(arenas, guard, pool, opened.superblock.uuid);
      return this.#engine;
    } catch (thrown) {
      guard.close();
      await pool?.close();
      throw thrown;
    }
  }

  async #serve(
    arenas: ParallaxArenas,
    guard: FenceGuard,
    pool: BlockPool,
    uuid: Uint8Array,
  ): Promise<Parallax> {
    const { world, directory, store } = this.#parts;
    const registry = new Registry(directory, store);
    const images = new Images(world, pool, registry, formatUuid(uuid));
    const names = new SnapshotNames(directory, store);
    const payloads = new PayloadMemory(arenas.payloads);
    const { session } = guard.attachment;
    // A session is given once in a store: nobody else makes a log of this name.
    const seed = `${formatUuid(uuid)}/${this.#parts.host}/${session}`;
    const logUuid = await openLogIdentity(world, seed);
    const vdis = await this.#startImages(images, payloads, logUuid);
    const log = await this.#recover(vdis, registry, await names.all(), arenas.log);
    for (const { vdi, before } of vdis) noteLoss(vdi, before);
    const allocator = await ExtentAllocator.open({ world, directory, pool, guard, uuid });
    const slab = await this.#openSlab(arenas.slab, uuid);
    const serving = this.#build(arenas, { pool, log, payloads, allocator, slab, names });
    const state = { guard, images, names, allocator, serving, vdis, logUuid };
    return new Parallax(this.#parts, state);
  }

  /** Raises the generation of every image that this host may start. */
  async #startImages(
    images: Images,
    payloads: PayloadMemory,
    logUuid: string,
  ): Promise<StartedVdi[]> {
    const { world, host, sizes, plantedBug } = this.#parts;
    const started: StartedVdi[] = [];
    for (const { vdi, name, host: owner } of await images.registry.list()) {
      if (owner !== host) continue;
      try {
        const { image, version, before } = await images.start(vdi, logUuid, plantedBug);
        started.push({ vdi: newVdi(name, image, version, sizes, payloads), before });
      } catch (thrown) {
        // One image that cannot be started keeps no other from its guest.
        if (!(thrown instanceof StorageError) || !UNUSABLE.has(thrown.code)) throw thrown;
        world.log.note(`image ${name} is not started: ${thrown.message}`);
      }
    }
    return started;
  }

  /** The log of this incarnation, and what the old ones hold in the dirty maps. */
  async #recover(
    vdis: readonly StartedVdi[],
    registry: Registry,
    snapshotNames: ReadonlyMap<string, string>,
    arena: Arena,
  ): Promise<DirtyLog> {
    const { world, sizes } = this.#parts;
    const byNumber = new Map(vdis.map(({ vdi }) => [vdi.id, vdi]));
    const { toleratesUnreadable, together, plantedBug } = this.#parts;
    const replayed = new ReplayedLog(world, byNumber, snapshotNames, plantedBug);
    const options = { ...sizes.log, arena, plantedBug };
    const enter = (entry: LogEntry, bytes: Uint8Array, at: number): void => {
      replayed.enter(entry, bytes, at);
    };
    const found = await recoverLog(world, options, enter, !toleratesUnreadable);
    for (const { reason, file, position, vdis: hit } of found.damage) {
      world.log.note(`the log is damaged: ${file}, byte ${position}: ${reason}`);
      for (const { vdi } of vdis) if (hit === null || hit.includes(vdi.id)) vdi.fail('damaged');
    }
    for (const { vdi } of vdis) {
      const last = found.vdis.get(vdi.id);
      if (last === undefined) continue;
      vdi.nextSeq = Math.max(vdi.nextSeq, last.lastVdiSeq + 1, last.reservedVdiSeq + 1);
    }
    const onRoom = (): void => this.#engine?.pump();
    const log = new DirtyLog(world, options, found, onRoom, together);
    await log.start();
    for (const { vdi } of vdis) log.published(vdi.id, vdi.watermark);
    for (const [vdi, entries] of replayed.counts.orphans) {
      const { name } = present(byNumber.get(vdi), 'an orphan is of an image that is served');
      world.log.note(
        `${entries} mutations of ${name} are not replayed: it went on with another log since`,
      );
    }
    for (const [vdi, entries] of replayed.counts.foreign) {
      const named = await registry.get(vdi);
      if (named === null) log.forgetVdi(vdi);
      else world.log.note(`the log keeps ${entries} mutations of ${named.name}, served elsewhere`);
    }
    return log;
  }

  async #openSlab(arena: Arena, uuid: Uint8Array): Promise<CleanSlab> {
    const { world, sizes, failed } = this.#parts;
    const createBytes = sizes.slabBytes;
    const disk = await world.disks.open(SLAB_DISK, { writable: true, createBytes });
    const checkpointNs = sizes.slabCheckpointNs;
    return CleanSlab.open({ world, disk, arena, store: uuid, failed }, { checkpointNs });
  }

  #build(arenas: ParallaxArenas, made: MadeParts): ServingParts {
    const { world, sizes, plantedBug, failed, together } = this.#parts;
    const { pool, log, allocator, slab, payloads, names } = made;
    const { memory } = world;
    const loader = new NodeLoader({
      world,
      pool,
      cache: new NodeCache({ memory, arena: arenas.nodes }),
      arena: arenas.loader,
      onDamage: ({ block, level }) => {
        world.log.note(`node ${block} of level ${level} is damaged in the pool`);
      },
    });
    const tree = new TreeReader(loader);
    const salt = world.random.fork('cache').nextU32();
    const cache = new MemoryCache(memory, arenas.cache, salt);
    const pieces = new PieceReader(world, log, arenas.scratch.address);
    const reads = new ReadPath({
      world,
      pool,
      cache,
      slab,
      tree,
      pieces,
      pages: new PayloadMemory(arenas.reads),
      onDamage: (vdi, index, block) => {
        world.log.note(`block ${index} of ${vdi.name} cannot be read (pool block ${block})`);
      },
    });
    return {
      world,
      sizes,
      pool,
      log,
      cache,
      slab,
      reads,
      payloads,
      pieces,
      runLog: new RunLog(world, log, arenas.runLog),
      base: new BaseReader(world, pool, tree),
      writer: new BlockWriter({ world, pool, space: allocator, arena: arenas.writer }),
      tree: { loader, space: allocator, arena: arenas.update },
      turn: new PublishTurn(),
      plantedBug,
      roomMade: () => this.#engine?.pump(),
      logFull: () => this.#engine?.makeRoom(),
      together,
      failed,
      superseded: (block, shared) => allocator.superseded(block, shared),
      nameSnapshot: (vdi, id, name) => names.put(vdi, id, name),
    };
  }
}

interface MadeParts {
  readonly pool: BlockPool;
  readonly log: DirtyLog;
  readonly payloads: PayloadMemory;
  readonly allocator: ExtentAllocator;
  readonly slab: CleanSlab;
  readonly names: SnapshotNames;
}

/** An earlier life of the image did not end cleanly: what it had in memory alone is gone. */
function noteLoss(vdi: Vdi, before: RootBlock): void {
  if (before.open && isVolatile(vdi.clauses) && vdi.state === 'serving') vdi.fail('lost');
}

function newVdi(
  name: string,
  image: RootBlock,
  version: number,
  sizes: ParallaxSizes,
  payloads: PayloadMemory,
): Vdi {
  return new Vdi(name, image, version, sizes, {
    released: (address) => payloads.give(address),
  });
}
