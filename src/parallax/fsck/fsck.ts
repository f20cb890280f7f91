/**
 * The check of a whole store: everything that is in it is read, nothing is changed.
 *
 * ```
 * superblock and label of the pool file
 * names of images, and the counter of their numbers
 * root blocks, each with its snapshots and every tree that it names, data blocks too if wanted
 * extents: records and maps against what was reached
 * names again
 * ```
 * The store may be in use meanwhile. Trees are never changed in place, and blocks are not used
 * again yet, so each image is checked as its root block was when it was read; what comes later in
 * the list can only know more. A tree that is published meanwhile is not looked at.
 *
 * It shares the decoders of the formats with the code that it judges, and nothing else: trees are
 * read here without its caches and loaders.
 *
 * Memory: root blocks (4 KiB an image), `block-marks.ts`, `tree-check.ts`, `data-check.ts`.
 */
import { StorageError } from '../../base/errors.ts';
import { formatUuid } from '../../base/formats/field-bytes.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import { isZeros } from '../../base/zeros.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS } from '../../world/block-pool.ts';
import type { Directory } from '../../world/directory.ts';
import type { World } from '../../world/world.ts';
import { decodeRootBlock, type RootBlock } from '../formats/root-block.ts';
import type { EmbeddedPlace } from '../pool/embedded-store.ts';
import { checkStoreName } from '../pool/keys.ts';
import type { ImageName } from '../store/registry.ts';
import type { CancelToken } from '../tree/story-nodes.ts';
import { BlockMarks } from './block-marks.ts';
import { DataCheck } from './data-check.ts';
import { ExtentCheck, type ExtentFacts } from './extent-check.ts';
import { Findings } from './findings.ts';
import { ImageCheck } from './image-check.ts';
import { Lineages } from './lineages.ts';
import { type FoundNames, readNames, tellNames } from './names-check.ts';
import { type CheckWorld, type OpenedStore, openForCheck } from './open-for-check.ts';
import type { FsckReport, HostReport, ImageReport } from './report.ts';
import { readSessions } from './sessions-check.ts';
import { TreeCheck, type TreeCheckParts } from './tree-check.ts';

export interface FsckProgress {
  /** The image that is being looked at. */
  readonly image: string;
  readonly nodes: number;
  readonly blocks: number;
  /** As the root blocks count them; blocks that images share are reached once. */
  readonly expectedBlocks: number;
}

export interface FsckOptions {
  /** Reads data blocks too. */
  readonly withData: boolean;
  readonly cancel?: CancelToken;
  readonly progress?: (progress: FsckProgress) => void;
}

export interface FsckOutcome {
  /** Of the store alone: its hosts are looked at by `checkHost`. */
  readonly report: FsckReport;
  /** The same with what was found at the hosts, whose findings were added to `findings`. */
  readonly reportWith: (hosts: readonly HostReport[]) => FsckReport;
  readonly findings: Findings;
  /** Watermarks of the images whose root blocks can be read. */
  readonly watermarks: ReadonlyMap<number, number>;
  readonly uuid: Uint8Array | null;
  readonly hasAttached: (host: string) => boolean;
}

/** A store that is to be checked, whatever its pool is. */
export interface CheckedStore {
  readonly store: string;
  readonly directory: Directory;
  /** null: there is nothing that could be looked at; the findings say why. */
  readonly open: (findings: Findings) => Promise<OpenedStore | null>;
}

/** Checks a store whose blocks are in a file; see `checkStore`. */
export async function fsckStore(
  world: CheckWorld,
  place: EmbeddedPlace,
  options: FsckOptions,
): Promise<FsckOutcome> {
  const { store, directory } = place;
  const open = (findings: Findings) => openForCheck(world, place, findings);
  return checkStore(world, { store, directory, open }, options);
}

/** Checks a store. Rejects `E_CANCELLED` if it was; what is wrong with the store is a finding. */
export async function checkStore(
  world: Pick<World, 'clock' | 'digest'>,
  checked: CheckedStore,
  options: FsckOptions,
): Promise<FsckOutcome> {
  checkStoreName('store', checked.store);
  return new Fsck(world, checked, options).run();
}

interface FoundRoot {
  readonly image: RootBlock;
  readonly version: number;
}

const NO_EXTENTS: ExtentFacts = {
  totals: { claimed: 0, open: 0, closed: 0, full: 0, partial: 0 },
  leakedBlocks: 0,
  undecidedBlocks: 0,
};

class Fsck {
  readonly #world: Pick<World, 'clock' | 'digest'>;
  readonly #place: CheckedStore;
  readonly #options: FsckOptions;
  readonly #findings = new Findings();
  readonly #marks = new BlockMarks();
  readonly #roots = new Map<number, FoundRoot>();
  readonly #images: ImageReport[] = [];
  #extents = NO_EXTENTS;
  #nodes = 0;
  #blocks = 0;
  #opened: OpenedStore | null = null;
  #hasAttached: (host: string) => boolean = () => false;

  constructor(world: Pick<World, 'clock' | 'digest'>, place: CheckedStore, options: FsckOptions) {
    this.#world = world;
    this.#place = place;
    this.#options = options;
  }

  async run(): Promise<FsckOutcome> {
    const startNs = this.#world.clock.nowNs();
    try {
      this.#opened = await this.#place.open(this.#findings);
      if (this.#opened !== null) await this.#checkAll(this.#opened);
    } catch (thrown) {
      if (!(thrown instanceof StorageError) || thrown.code !== 'E_DIRECTORY') throw thrown;
      this.#findings.add('directory', `store ${this.#place.store}`, thrown.message);
    } finally {
      await this.#opened?.pool.close();
    }
    const reportWith = (hosts: readonly HostReport[]): FsckReport =>
      this.#report(hosts, this.#world.clock.nowNs() - startNs);
    return {
      report: reportWith([]),
      reportWith,
      findings: this.#findings,
      watermarks: new Map([...this.#roots].map(([vdi, { image }]) => [vdi, image.vdiSeq])),
      uuid: this.#opened?.uuid ?? null,
      hasAttached: this.#hasAttached,
    };
  }

  async #checkAll(opened: OpenedStore): Promise<void> {
    const { directory, store } = this.#place;
    const { digest } = this.#world;
    const names = await readNames(directory, store);
    const unusable = await this.#readRoots(opened, names);
    await this.#checkImages(opened, names);
    const sessions = await readSessions(directory, digest, store, this.#findings);
    this.#hasAttached = (host) => sessions.hasHost(host);
    this.#extents = await new ExtentCheck({
      directory,
      store,
      digest,
      ...opened,
      marks: this.#marks,
      sessions,
      findings: this.#findings,
    }).run();
    const again = await readNames(directory, store);
    tellNames(this.#findings, names, again);
    this.#compareNames(names, again, unusable);
  }

  /** Reads the root blocks there may be. Gives the numbers of those that cannot be used. */
  async #readRoots({ pool, uuid }: OpenedStore, names: FoundNames): Promise<Set<number>> {
    const { digest } = this.#world;
    const storeUuid = formatUuid(uuid);
    const unusable = new Set<number>();
    for (const vdi of await this.#numbers(names)) {
      const where = `image ${vdi}`;
      const tell = (what: string): void => {
        this.#findings.add('root-block', where, what);
        unusable.add(vdi);
      };
      try {
        const { data, version } = await pool.readConditional(vdi);
        // A deleted image leaves zeros.
        if (isZeros(data)) continue;
        const decoded = decodeRootBlock(digest, data);
        if (isDamage(decoded)) tell(`byte ${decoded.byte}: ${decoded.problem}`);
        else if (decoded.vdi !== vdi) tell(`it is the root of image ${decoded.vdi}`);
        else if (decoded.storeUuid !== storeUuid) {
          tell(`it belongs to store ${decoded.storeUuid}`);
        } else this.#roots.set(vdi, { image: decoded, version });
      } catch (thrown) {
        if (!(thrown instanceof StorageError) || thrown.code === 'E_DIRECTORY') throw thrown;
        tell(thrown.message);
      }
    }
    return unusable;
  }

  /** Numbers that were given, have a name, or have a root block all the same. */
  async #numbers({ images, lastNumber }: FoundNames): Promise<number[]> {
    const { directory, store } = this.#place;
    const numbers = new Set<number>(images.keys());
    for (let vdi = 1; vdi <= Math.min(lastNumber, EXTENT_BLOCKS - 1); vdi++) numbers.add(vdi);
    const prefix = `cond/${store}/`;
    for (const { key } of await directory.list(prefix)) {
      const vdi = Number(key.slice(prefix.length));
      if (vdi === 0) continue;
      if (Number.isInteger(vdi) && vdi > 0 && vdi < EXTENT_BLOCKS) numbers.add(vdi);
      else this.#findings.add('root-block', key, 'it is not the number of an image');
    }
    return [...numbers].filter((vdi) => vdi < EXTENT_BLOCKS).sort((one, other) => one - other);
  }

  async #checkImages({ pool }: OpenedStore, names: FoundNames): Promise<void> {
    const { withData, cancel, progress } = this.#options;
    const { digest } = this.#world;
    const findings = this.#findings;
    const data = withData ? new DataCheck(pool, digest, findings) : null;
    let expectedBlocks = 0;
    for (const { image } of this.#roots.values()) expectedBlocks += image.mappedBlocks;
    let name = '';
    const parts: TreeCheckParts = {
      pool,
      digest,
      marks: this.#marks,
      findings,
      data,
      cancel: cancel ?? null,
      reached: (nodes, blocks) => {
        this.#nodes += nodes;
        this.#blocks += blocks;
        progress?.({ image: name, nodes: this.#nodes, blocks: this.#blocks, expectedBlocks });
      },
    };
    const trees = new TreeCheck(parts);
    const origins = [...this.#roots].map(([vdi, { image }]): [number, number | null] => [
      vdi,
      image.origin?.vdi ?? null,
    ]);
    const lineages = new Lineages(new Map(origins));
    for (const [vdi, { image, version }] of this.#roots) {
      const named = names.images.get(vdi) ?? null;
      name = nameOf(vdi, named);
      const before = findings.count('error');
      const check = new ImageCheck(parts, trees, image, name, lineages.of(vdi));
      const facts = await check.run(version);
      await data?.run();
      const errors = findings.count('error') - before;
      this.#images.push({ ...imageFacts(image, named), ...facts, errors });
    }
  }

  #compareNames(names: FoundNames, again: FoundNames, unusable: ReadonlySet<number>): void {
    for (const [vdi, named] of names.images) {
      if (this.#roots.has(vdi) || unusable.has(vdi) || !again.images.has(vdi)) continue;
      this.#findings.add('name-without-root', nameOf(vdi, named), 'it has no root block');
    }
    for (const vdi of this.#roots.keys()) {
      if (names.images.has(vdi) || again.images.has(vdi)) continue;
      this.#findings.add('root-without-name', nameOf(vdi, null), 'it has a root block and no name');
    }
    const highest = Math.max(0, ...this.#roots.keys());
    if (highest > again.lastNumber && !again.troubles.has(`image-counter ${this.#counterKey}`)) {
      const what = `${again.lastNumber} numbers were given, but image ${highest} has a root block`;
      this.#findings.add('image-counter', this.#counterKey, what);
    }
  }

  get #counterKey(): string {
    return `images/${this.#place.store}`;
  }

  #report(hosts: readonly HostReport[], durationNs: number): FsckReport {
    const findings = this.#findings;
    const images = this.#images;
    const { totals, leakedBlocks, undecidedBlocks } = this.#extents;
    const roots = [...this.#roots.values()];
    return {
      format: 'stordom-fsck',
      version: 1,
      store: this.#place.store,
      uuid: this.#opened === null ? null : formatUuid(this.#opened.uuid),
      ok: findings.count('error') === 0,
      errors: findings.count('error'),
      warnings: findings.count('warning'),
      findings: findings.kept,
      omittedFindings: findings.omitted,
      totals: {
        images: images.length,
        snapshots: images.reduce((sum, { snapshots }) => sum + snapshots, 0),
        nodes: this.#nodes,
        dataBlocks: this.#blocks,
        reachableBytes: this.#marks.reachableBlocks * BLOCK_BYTES,
        leakedBlocks,
        undecidedBlocks,
        supersededBlocks: roots.reduce((sum, { image }) => sum + supersededOf(image), 0),
      },
      images,
      extents: totals,
      hosts,
      withData: this.#options.withData,
      durationNs,
    };
  }
}

function nameOf(vdi: number, named: ImageName | null): string {
  return named === null ? `image ${vdi} (no name)` : `image ${vdi} "${named.name}"`;
}

function imageFacts(
  image: RootBlock,
  named: ImageName | null,
): Pick<
  ImageReport,
  'vdi' | 'name' | 'host' | 'policy' | 'generation' | 'watermark' | 'sizeBlocks'
> {
  const { vdi, policy, generation, vdiSeq: watermark, sizeBlocks } = image;
  const name = named?.name ?? null;
  return { vdi, name, host: named?.host ?? '', policy, generation, watermark, sizeBlocks };
}

function supersededOf(image: RootBlock): number {
  return image.supersededPrivateBlocks + image.supersededSharedBlocks;
}
