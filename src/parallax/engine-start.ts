/**
 * The start of Parallax in a driver VM: from a store, and the disks of its host, to images that can
 * be served. The order of it is in `engine.ts`.
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
import { SLAB_DISK } from './disk-names.ts';
import type { LogEntry } from './formats/log-group.ts';
import { HiddenKind, type RootBlock } from './formats/root-block.ts';
import { DirtyLog } from './log/dirty-log.ts';
import { openLogIdentity } from './log/log-identity.ts';
import { recoverLog } from './log/recovery.ts';
import { attach, FenceGuard } from './pool/attach.ts';
import { ExtentAllocator } from './pool/extents.ts';
import type { PoolOpener } from './pool/store-pool.ts';
import { type RecoveredSuffix, type ReplayCounts, ReplayedLog } from './recovered-images.ts';
import { Images, type Pin } from './store/images.ts';
import { findOrphan, makeOrphan } from './store/orphans.ts';
import { Registry } from './store/registry.ts';
import { SnapshotNames } from './store/snapshot-names.ts';
import { NodeCache } from './tree/node-cache.ts';
import { NodeLoader } from './tree/node-loader.ts';
import { TreeReader } from './tree/tree-reader.ts';
import { BaseReader } from './vdi/base-reader.ts';
import { Batches } from './vdi/batches.ts';
import { BlockWriter } from './vdi/block-writer.ts';
import { DirtyMap } from './vdi/dirty-map.ts';
import { PayloadMemory } from './vdi/payload-memory.ts';
import { PieceReader } from './vdi/piece-reader.ts';
import { clausesOf, isVolatile, type Policy } from './vdi/policy.ts';
import { PublishTurn } from './vdi/publish-turn.ts';
import { ReadPath } from './vdi/read-path.ts';
import { RunLog } from './vdi/run-log.ts';
import type { ServingParts } from './vdi/serving-parts.ts';
import { cutArenas, type ParallaxArenas, type ParallaxSizes } from './vdi/sizes.ts';
import { Vdi } from './vdi/vdi.ts';

export interface EngineParts {
  readonly world: World;
  readonly directory: Directory;
  readonly openPool: PoolOpener;
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

const FENCE_POLL_NS = 1e9;
/** What is wrong with one image alone. */
const UNUSABLE = new Set([
  'E_ROOT_DAMAGED',
  'E_ROOT_MISPLACED',
  'E_POOL_DAMAGED',
  'E_FORMAT_NEWER',
  'E_GENERATIONS_EXHAUSTED',
  'E_BIRTHS_EXHAUSTED',
  'E_ORPHAN_NAMES',
  'E_IMAGE_ELSEWHERE',
]);

export interface StartedVdi {
  readonly vdi: Vdi;
  /** What its root block said before this start raised the generation. */
  readonly before: RootBlock;
}

export interface EngineState {
  readonly guard: FenceGuard;
  readonly images: Images;
  readonly names: SnapshotNames;
  readonly allocator: ExtentAllocator;
  readonly serving: ServingParts;
  readonly vdis: readonly StartedVdi[];
  /** Which log this host has. */
  readonly logUuid: string;
  /** What of it was an orphan, and has entered images of its own. */
  readonly suffixes: readonly RecoveredSuffix[];
}

/** What a start has others hear of; nobody hears before it has ended. */
export interface EngineHooks {
  /** A successor has attached. */
  readonly fenced: () => void;
  /** There is room again for what waits. */
  readonly roomMade: () => void;
  /** An append found no room in the log that all images share. */
  readonly logFull: () => void;
}

/** The story of a start. */
export class EngineStart {
  readonly #parts: EngineParts;
  readonly #hooks: EngineHooks;

  constructor(parts: EngineParts, hooks: EngineHooks) {
    this.#parts = parts;
    this.#hooks = hooks;
  }

  async run(): Promise<EngineState> {
    const { world, directory, openPool, store, host, sizes, address, bytes } = this.#parts;
    const arenas = cutArenas(sizes, address, bytes);
    const attachment = await attach(directory, world.digest, store, host);
    const guard = new FenceGuard(directory, world, attachment, {
      pollNs: FENCE_POLL_NS,
      onFenced: this.#hooks.fenced,
    });
    let pool: BlockPool | null = null;
    try {
      const opened = await openPool(guard);
      pool = opened.pool;
      return await this.#prepare(arenas, guard, pool, opened.superblock.uuid);
    } catch (thrown) {
      guard.close();
      await pool?.close();
      throw thrown;
    }
  }

  async #prepare(
    arenas: ParallaxArenas,
    guard: FenceGuard,
    pool: BlockPool,
    uuid: Uint8Array,
  ): Promise<EngineState> {
    const { world, directory, store } = this.#parts;
    const registry = new Registry(directory, store);
    const images = new Images(world, pool, registry, formatUuid(uuid));
    const names = new SnapshotNames(directory, store);
    const payloads = new PayloadMemory(arenas.payloads);
    const { session } = guard.attachment;
    // A session is given once in a store: nobody else makes a log of this name.
    const seed = `${formatUuid(uuid)}/${this.#parts.host}/${session}`;
    const logUuid = await openLogIdentity(world, seed);
    const pins = await this.#pinsFor(images, logUuid);
    const unmade = await this.#makeOrphans(images, pins);
    const vdis = await this.#startImages(images, payloads, logUuid);
    const suffixes = await this.#suffixesOf(images, pins, vdis, unmade);
    const kept = await this.#keptOf(images, vdis, logUuid);
    const log = await this.#recover({
      images,
      vdis,
      suffixes,
      held: unmade,
      kept,
      snapshotNames: await names.all(),
      arena: arenas.log,
    });
    for (const { vdi, before } of vdis) noteLoss(vdi, before);
    const allocator = await ExtentAllocator.open({ world, directory, pool, guard, uuid });
    const slab = await this.#openSlab(arenas.slab, uuid);
    const serving = this.#build(arenas, { pool, log, payloads, allocator, slab, names });
    return { guard, images, names, allocator, serving, vdis, logUuid, suffixes };
  }

  /** What waits for this host's log. */
  async #pinsFor(images: Images, logUuid: string): Promise<Pin[]> {
    const pins: Pin[] = [];
    if (this.#parts.plantedBug === 'forgotten-suffix') return pins;
    for (const image of await images.registry.list()) {
      try {
        const pin = await images.pinOf(image);
        if (pin?.hidden.suffix.logUuid === logUuid) pins.push(pin);
      } catch (thrown) {
        if (!isUnusable(thrown)) throw thrown;
      }
    }
    return pins;
  }

  /**
   * Images that are not started here, and of which the log may not forget anything. They are looked
   * at when those that are have been started: until then another host may take any of them over.
   */
  async #keptOf(
    images: Images,
    vdis: readonly StartedVdi[],
    logUuid: string,
  ): Promise<Set<number>> {
    const started = new Set(vdis.map(({ vdi }) => vdi.id));
    const kept = new Set<number>();
    for (const { vdi } of await images.registry.list()) {
      if (started.has(vdi)) continue;
      try {
        const { logUuid: log, hidden } = (await images.read(vdi)).image;
        // Whoever has its name has not started it yet: what is in the log is not pinned so far.
        const pinned = hidden?.kind === HiddenKind.takeOverPin ? hidden.suffix?.logUuid : null;
        if (log === logUuid || pinned === logUuid) kept.add(vdi);
      } catch (thrown) {
        if (!isUnusable(thrown)) throw thrown;
        kept.add(vdi);
      }
    }
    return kept;
  }

  /** The numbers of those images of which a suffix is in the log and has become no image. */
  async #makeOrphans(images: Images, pins: readonly Pin[]): Promise<Set<number>> {
    const { world, host } = this.#parts;
    const unmade = new Set<number>();
    for (const pin of pins) {
      try {
        const orphan = await makeOrphan(world, images, pin, host);
        if (orphan === null) continue;
        const { name } = pin.image;
        world.log.note(`${name} was taken over: what the log has of it becomes ${orphan.name}`);
      } catch (thrown) {
        if (!isUnusable(thrown)) throw thrown;
        world.log.note(`a suffix of ${pin.image.name} stays in the log: ${thrown.message}`);
        unmade.add(pin.image.vdi);
      }
    }
    return unmade;
  }

  /**
   * The suffixes whose images are started here. One whose image is not, because it is damaged,
   * stays in the log as well: its number is added to `held`.
   */
  async #suffixesOf(
    images: Images,
    pins: readonly Pin[],
    vdis: readonly StartedVdi[],
    held: Set<number>,
  ): Promise<RecoveredSuffix[]> {
    const suffixes: RecoveredSuffix[] = [];
    for (const pin of pins) {
      const named = await findOrphan(images, pin);
      if (named?.host !== this.#parts.host) continue;
      const started = vdis.find(({ vdi }) => vdi.id === named.vdi);
      held.add(pin.image.vdi);
      if (started !== undefined) suffixes.push({ pin, orphan: started.vdi });
    }
    return suffixes;
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
        const { image, version, before } = await images.start(vdi, host, logUuid, plantedBug);
        started.push({ vdi: newVdi(name, image, version, sizes, payloads), before });
      } catch (thrown) {
        // One image that cannot be started keeps no other from its guest.
        if (!isUnusable(thrown)) throw thrown;
        world.log.note(`image ${name} is not started: ${thrown.message}`);
      }
    }
    return started;
  }

  /** The log of this incarnation, and what the old ones hold in the dirty maps. */
  async #recover(parts: RecoverParts): Promise<DirtyLog> {
    const { vdis, suffixes, held, snapshotNames, arena } = parts;
    const { world, sizes } = this.#parts;
    const byNumber = new Map(vdis.map(({ vdi }) => [vdi.id, vdi]));
    const byOrigin = new Map(suffixes.map((suffix) => [suffix.pin.image.vdi, suffix]));
    const { toleratesUnreadable, together, plantedBug } = this.#parts;
    const replayed = new ReplayedLog(world, byNumber, byOrigin, snapshotNames, plantedBug);
    const options = { ...sizes.log, arena, plantedBug };
    const enter = (entry: LogEntry, bytes: Uint8Array, at: number): void => {
      replayed.enter(entry, bytes, at);
    };
    const found = await recoverLog(world, options, enter, !toleratesUnreadable);
    for (const { reason, file, position, vdis: hit } of found.damage) {
      world.log.note(`the log is damaged: ${file}, byte ${position}: ${reason}`);
      const isHit = (vdi: number): boolean => hit === null || hit.includes(vdi);
      for (const { vdi } of vdis) if (isHit(vdi.id)) vdi.fail('damaged');
      for (const { pin, orphan } of suffixes) if (isHit(pin.image.vdi)) orphan.fail('damaged');
    }
    for (const { vdi } of vdis) {
      const last = found.vdis.get(vdi.id);
      if (last === undefined) continue;
      vdi.nextSeq = Math.max(vdi.nextSeq, last.lastVdiSeq + 1, last.reservedVdiSeq + 1);
    }
    const log = new DirtyLog(world, options, found, this.#hooks.roomMade, together);
    for (const vdi of held) log.holdVdi(vdi);
    await log.start();
    for (const { vdi } of vdis) log.beginVdi(vdi.id, vdi.watermark);
    await this.#tellCounts(parts, log, replayed.counts);
    return log;
  }

  /** What in the log was not of an image that this host serves. */
  async #tellCounts(parts: RecoverParts, log: DirtyLog, counts: ReplayCounts): Promise<void> {
    const { world } = this.#parts;
    const { images, vdis, suffixes, held, kept } = parts;
    for (const [vdi, entries] of counts.suffixes) {
      const { orphan } = present(
        suffixes.find(({ pin }) => pin.image.vdi === vdi),
        'a suffix has entered an image',
      );
      world.log.note(`${entries} mutations of image ${vdi} have entered ${orphan.name}`);
    }
    for (const [vdi, entries] of counts.orphans) {
      const started = vdis.find((one) => one.vdi.id === vdi);
      const { name } = present(started, 'an orphan is of an image that is served').vdi;
      world.log.note(
        `${entries} mutations of ${name} are not replayed: it went on with another log since`,
      );
    }
    for (const [vdi, entries] of counts.foreign) {
      const named = await images.registry.get(vdi);
      const isKept = kept.has(vdi) || held.has(vdi);
      if (named === null || !isKept) log.forgetVdi(vdi);
      if (named === null) continue;
      const what = `${entries} mutations of ${named.name}, served elsewhere`;
      world.log.note(
        isKept ? `the log keeps ${what}` : `the log lets go of ${what}: nothing is pinned for them`,
      );
    }
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
      roomMade: this.#hooks.roomMade,
      logFull: this.#hooks.logFull,
      together,
      failed,
      superseded: (block, shared) => allocator.superseded(block, shared),
      nameSnapshot: (vdi, id, name) => names.put(vdi, id, name),
    };
  }
}

interface RecoverParts {
  readonly images: Images;
  readonly vdis: readonly StartedVdi[];
  readonly suffixes: readonly RecoveredSuffix[];
  /** Images of which the log has a suffix that is not published: it keeps everything of them. */
  readonly held: ReadonlySet<number>;
  /** Images that are not started here, and of which the log may not forget anything. */
  readonly kept: ReadonlySet<number>;
  readonly snapshotNames: ReadonlyMap<string, string>;
  readonly arena: Arena;
}

interface MadeParts {
  readonly pool: BlockPool;
  readonly log: DirtyLog;
  readonly payloads: PayloadMemory;
  readonly allocator: ExtentAllocator;
  readonly slab: CleanSlab;
  readonly names: SnapshotNames;
}

/** Whether it is wrong with one image alone, and keeps no other one from its guest. */
function isUnusable(thrown: unknown): thrown is StorageError {
  return thrown instanceof StorageError && UNUSABLE.has(thrown.code);
}

/** An earlier life of the image did not end cleanly: what it had in memory alone is gone. */
export function noteLoss(vdi: Vdi, before: RootBlock): void {
  if (before.open && isVolatile(vdi.clauses) && vdi.state === 'serving') vdi.fail('lost');
}

export function newVdi(
  name: string,
  image: RootBlock,
  version: number,
  sizes: ParallaxSizes,
  payloads: PayloadMemory,
): Vdi {
  const dirty = new DirtyMap({ released: (address) => payloads.give(address) });
  const batches = new Batches(sizes, clausesOf(image.policy as Policy));
  return new Vdi(name, image, version, { dirty, batches });
}
