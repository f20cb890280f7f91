/**
 * A store for a benchmark: a pool and a directory in a folder, with images in it.
 *
 * An image can be filled without a guest: blocks go to the pool in runs and the tree over them is
 * published at once, as a destage of everything would have left it. So an image of a terabyte with
 * a million blocks is there in seconds, and what is measured begins from a known state.
 */
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { formatUuid } from '../src/base/formats/field-bytes.ts';
import { fail } from '../src/base/invariant.ts';
import { Prng } from '../src/base/prng.ts';
import { POOL_DISK } from '../src/parallax/disk-names.ts';
import { encodeRootBlock, NO_LOG } from '../src/parallax/formats/root-block.ts';
import type { Superblock } from '../src/parallax/formats/superblock.ts';
import { EMPTY_ROOT, type TreeRoot } from '../src/parallax/formats/tree-root.ts';
import { attach, detach, FenceGuard } from '../src/parallax/pool/attach.ts';
import { createEmbeddedStore, openEmbeddedStore } from '../src/parallax/pool/embedded-store.ts';
import { ExtentAllocator } from '../src/parallax/pool/extents.ts';
import type { FilePool } from '../src/parallax/pool/file-pool.ts';
import { Images } from '../src/parallax/store/images.ts';
import { Registry } from '../src/parallax/store/registry.ts';
import { ChangeList } from '../src/parallax/tree/change-list.ts';
import { NodeCache } from '../src/parallax/tree/node-cache.ts';
import { NodeLoader } from '../src/parallax/tree/node-loader.ts';
import { updateTree } from '../src/parallax/tree/update-tree.ts';
import { Policy } from '../src/parallax/vdi/policy.ts';
import { BLOCK_BYTES, type PoolBlock, PoolStatus } from '../src/world/block-pool.ts';
import { DirectoryServer } from '../src/world/directory-server.ts';
import { LmdbDirectory } from '../src/world/real/lmdb-directory.ts';
import type { Link, World } from '../src/world/world.ts';

export const BENCH_STORE = 'bench';
const FILLER = 'filler';
const MIB = 2 ** 20;
const UUID_BYTES = 16;
const WRITE_BLOCKS = 256;
const ARENA_PAGES = { nodes: 2048, loader: 64, update: 256 } as const;
/** RAM that filling needs, from `address` on. */
export const FILL_BYTES: number =
  (ARENA_PAGES.nodes + ARENA_PAGES.loader + ARENA_PAGES.update) * BLOCK_BYTES;

export interface BenchImage {
  readonly name: string;
  readonly sizeBlocks: number;
  /** Blocks that are mapped from the beginning, ascending. */
  readonly filled: ArrayLike<number>;
  /** `zeros`: mapped to blocks that were never written, which a sparse pool reads as zeros. */
  readonly content: 'random' | 'zeros';
}

export class BenchStore {
  readonly #directory: LmdbDirectory;
  readonly #server: DirectoryServer;

  /** The folder exists. */
  constructor(folder: string) {
    this.#directory = new LmdbDirectory(join(folder, 'directory.lmdb'));
    this.#server = new DirectoryServer(this.#directory);
  }

  readonly serve = (link: Link): void => {
    this.#server.serve(link);
  };

  /** `address`: of `FILL_BYTES` of the world's RAM, for the time of the call. */
  async create(
    world: World,
    poolBlocks: number,
    host: string,
    images: readonly BenchImage[],
    address: number,
  ): Promise<void> {
    const directory = this.#directory;
    const place = { store: BENCH_STORE, directory, diskName: POOL_DISK };
    const random = world.random.fork('store');
    const uuid = Uint8Array.from({ length: UUID_BYTES }, () => random.below(256));
    const facts = { uuid, createdMs: world.wallMs(), sizeBlocks: poolBlocks };
    await createEmbeddedStore(world, place, facts);
    const attachment = await attach(directory, world.digest, BENCH_STORE, FILLER);
    const unused = { pollNs: 1e9, onFenced: () => fail('nobody fences the filler') };
    const guard = new FenceGuard(directory, world, attachment, unused);
    const { pool, superblock } = await openEmbeddedStore(world, place, guard);
    const space = await ExtentAllocator.open({ world, directory, pool, guard, uuid });
    const filler = new Filler(world, directory, pool, superblock, space, address);
    for (const image of images) await filler.make(image, host);
    await space.close();
    guard.close();
    await detach(directory, attachment);
    await pool.close();
  }

  close(): Promise<void> {
    return this.#directory.close();
  }
}

/**
 * Gives the first bytes of a pool their places on the file system, as if they had been in use
 * before; what they hold stays. Else each sync of the pool waits for the file system's own journal.
 */
export function allocatePool(poolFolder: string, bytes: number): void {
  const fd = openSync(join(poolFolder, POOL_DISK), 'r+');
  const piece = new Uint8Array(MIB);
  for (let at = 0; at < bytes; at += MIB) {
    readSync(fd, piece, 0, MIB, at);
    writeSync(fd, piece, 0, MIB, at);
  }
  fsyncSync(fd);
  closeSync(fd);
}

class Filler {
  readonly #world: World;
  readonly #pool: FilePool;
  readonly #space: ExtentAllocator;
  readonly #images: Images;
  readonly #address: number;

  constructor(
    world: World,
    directory: LmdbDirectory,
    pool: FilePool,
    superblock: Superblock,
    space: ExtentAllocator,
    address: number,
  ) {
    const registry = new Registry(directory, BENCH_STORE);
    this.#world = world;
    this.#pool = pool;
    this.#space = space;
    this.#images = new Images(world, pool, registry, formatUuid(superblock.uuid));
    this.#address = address;
  }

  async make({ name, sizeBlocks, filled, content }: BenchImage, host: string): Promise<void> {
    const { vdi } = await this.#images.create({ name, sizeBlocks, policy: Policy.w2, host });
    if (filled.length === 0) return;
    const { image, version } = await this.#images.start(vdi, host, NO_LOG);
    const changes = new ChangeList(filled.length);
    for (let from = 0; from < filled.length; from += WRITE_BLOCKS) {
      await this.#writeSome(filled, from, content, changes);
    }
    const root = await this.#tree(changes, image.birth);
    const next = { ...image, root, mappedBlocks: filled.length };
    const bytes = encodeRootBlock(this.#world.digest, next);
    const { written } = await this.#pool.writeIf(vdi, version, bytes);
    if (!written) fail('nobody else writes the root of an image that is filled');
  }

  async #writeSome(
    filled: ArrayLike<number>,
    from: number,
    content: BenchImage['content'],
    changes: ChangeList,
  ): Promise<void> {
    const { digest } = this.#world;
    const count = Math.min(WRITE_BLOCKS, filled.length - from);
    const bytes = new Uint8Array(count * BLOCK_BYTES);
    if (content === 'random') fillRandomly(bytes, from);
    const runs: [first: PoolBlock, blocks: number][] = [];
    await this.#space.allocate(count, (first, blocks) => runs.push([first, blocks]));
    let done = 0;
    for (const [first, blocks] of runs) {
      if (content === 'random') await this.#write(first, blocks, bytes, done * BLOCK_BYTES);
      for (let i = 0; i < blocks; i++, done++) {
        const crc = digest.crc32(bytes, done * BLOCK_BYTES, BLOCK_BYTES);
        changes.map(filled[from + done] as number, first + i, crc, 0);
      }
    }
  }

  async #write(block: number, blocks: number, buffer: Uint8Array, at: number): Promise<void> {
    const status = await new Promise<PoolStatus>((poolDone) => {
      this.#pool.write({ block, blocks, buffer, bufferOffset: at, poolDone });
    });
    if (status !== PoolStatus.ok) fail('the pool of a benchmark takes what is written');
  }

  async #tree(changes: ChangeList, birth: number): Promise<TreeRoot> {
    const world = this.#world;
    const at = this.#address;
    const nodes = { address: at, bytes: ARENA_PAGES.nodes * BLOCK_BYTES };
    const loads = { address: at + nodes.bytes, bytes: ARENA_PAGES.loader * BLOCK_BYTES };
    const arena = { address: loads.address + loads.bytes, bytes: ARENA_PAGES.update * BLOCK_BYTES };
    const loader = new NodeLoader({
      world,
      pool: this.#pool,
      cache: new NodeCache({ memory: world.memory, arena: nodes }),
      arena: loads,
      onDamage: () => fail('a tree that was just written is whole'),
    });
    const superseded = (): void => undefined;
    const parts = { loader, space: this.#space, arena, superseded };
    const { root } = await updateTree(parts, EMPTY_ROOT, birth, changes);
    return root;
  }
}

/** All blocks of an image, from the first on. */
export function firstBlocks(count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, block) => block);
}

/** So many different blocks below `end`, at random, ascending. */
export function randomBlocks(count: number, end: number): Uint32Array {
  const random = new Prng(1, 'blocks');
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(random.below(end));
  return Uint32Array.from(chosen).sort();
}

/** No two blocks of a benchmark have the same content. */
function fillRandomly(bytes: Uint8Array, seed: number): void {
  const random = new Prng(seed, 'content');
  const words = new Uint32Array(bytes.buffer);
  for (let i = 0; i < words.length; i++) words[i] = random.nextU32();
}
