/**
 * Images as they lie in the pool: made, cloned, started, deleted. What a running driver VM does
 * with one is in `vdi/`.
 *
 * Starting raises the generation, and does so before anything of the host's log is looked at: from
 * that moment an earlier life of the image, here or elsewhere, publishes nothing more.
 */
import { StorageError, UsageError } from '../../base/errors.ts';
import { formatUuid, UUID_BYTES } from '../../base/formats/field-bytes.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import type { Prng } from '../../base/prng.ts';
import type { BlockPool } from '../../world/block-pool.ts';
import type { PlantedBug } from '../../world/faults.ts';
import type { World } from '../../world/world.ts';
import { nextBirth, nextGeneration } from '../formats/lineage-numbers.ts';
import { decodeRootBlock, encodeRootBlock, NO_LOG, type RootBlock } from '../formats/root-block.ts';
import type { SnapshotRecord } from '../formats/snapshot-record.ts';
import { EMPTY_ROOT } from '../formats/tree-root.ts';
import type { Policy } from '../vdi/policy.ts';
import { checkImageName, type ImageName, type Registry } from './registry.ts';

/** Largest image: 16 TiB. */
export const MAX_IMAGE_BLOCKS: number = 2 ** 32;

export interface PublishedImage {
  readonly image: RootBlock;
  readonly version: number;
}

export interface ImageSpec {
  readonly name: string;
  readonly sizeBlocks: number;
  readonly policy: Policy;
  /** The only host that may start it; empty: any. */
  readonly host: string;
}

const START_TRIES = 8;

export class Images {
  readonly registry: Registry;
  readonly #world: World;
  readonly #pool: BlockPool;
  readonly #storeUuid: string;
  readonly #random: Prng;

  constructor(world: World, pool: BlockPool, registry: Registry, storeUuid: string) {
    this.#world = world;
    this.#pool = pool;
    this.registry = registry;
    this.#storeUuid = storeUuid;
    this.#random = world.random.fork('images');
  }

  /** Makes an image of zeros. Throws `UsageError` if the name is taken or the size impossible. */
  async create(spec: ImageSpec): Promise<ImageName> {
    checkImageSize(spec.sizeBlocks);
    return this.#make(spec, {
      sizeBlocks: spec.sizeBlocks,
      birth: 1,
      root: EMPTY_ROOT,
      origin: null,
      mappedBlocks: 0,
    });
  }

  /** Makes an image that begins as a snapshot of another one; nothing is copied. */
  async clone(source: number, snapshot: SnapshotRecord, spec: ImageSpec): Promise<ImageName> {
    return this.#make(spec, {
      sizeBlocks: snapshot.sizeBlocks,
      birth: nextBirth(snapshot.birth),
      root: snapshot.root,
      origin: { vdi: source, snapshot: snapshot.id },
      mappedBlocks: snapshot.mappedBlocks,
    });
  }

  /** What is published of an image. Rejects with `StorageError` if its root block is damaged. */
  async read(vdi: number): Promise<PublishedImage> {
    const { data, version } = await this.#pool.readConditional(vdi);
    const image = decodeRootBlock(this.#world.digest, data);
    if (isDamage(image)) {
      const { problem, byte, newer } = image;
      const what = `the root block of image ${vdi}`;
      throw new StorageError(
        newer ? 'E_FORMAT_NEWER' : 'E_ROOT_DAMAGED',
        newer
          ? `${what}: ${problem}: update stordom`
          : `${what} is damaged: byte ${byte}: ${problem}`,
        { fields: { vdi } },
      );
    }
    if (image.vdi !== vdi || image.storeUuid !== this.#storeUuid) {
      const text = `block ${vdi} holds the root of image ${image.vdi} of store ${image.storeUuid}`;
      throw new StorageError('E_ROOT_MISPLACED', text, { fields: { vdi } });
    }
    return { image, version };
  }

  /**
   * Begins a life of the image: its generation is raised, whatever else happens to it meanwhile.
   * Its mutations go to the log of that uuid from now on.
   */
  async start(
    vdi: number,
    logUuid: string,
    plantedBug: PlantedBug = 'none',
  ): Promise<PublishedImage & { readonly before: RootBlock }> {
    for (let tries = 0; tries < START_TRIES; tries++) {
      const { image, version } = await this.read(vdi);
      const isKept = plantedBug === 'same-generation' && image.generation > 0;
      const generation = isKept ? image.generation : nextGeneration(image.generation);
      const logSince = image.logUuid === logUuid ? image.logSince : generation;
      const next = { ...image, generation, open: true, logUuid, logSince };
      const bytes = encodeRootBlock(this.#world.digest, next);
      const result = await this.#pool.writeIf(vdi, version, bytes);
      if (result.written) return { image: next, version: result.version, before: image };
    }
    const text = `others keep changing the root of image ${vdi}: two hosts may be starting it`;
    throw new StorageError('E_ROOT_BUSY', text, { fields: { vdi } });
  }

  /**
   * Takes the image away: its name, and its root. Blocks that clones and their snapshots have are
   * theirs; those that nobody has are found by a sweep.
   */
  async remove(name: string): Promise<void> {
    const { vdi } = await this.registry.byName(name);
    await this.registry.remove(vdi);
    const { data, version } = await this.#pool.readConditional(vdi);
    if (version > 0) await this.#pool.writeIf(vdi, version, new Uint8Array(data.length));
  }

  async #make(
    spec: ImageSpec,
    content: Pick<RootBlock, 'sizeBlocks' | 'birth' | 'root' | 'origin' | 'mappedBlocks'>,
  ): Promise<ImageName> {
    checkImageName(spec.name);
    if ((await this.registry.find(spec.name)) !== null) {
      throw new UsageError('E_NAME_TAKEN', `there is an image "${spec.name}" already`, {
        fields: { name: spec.name },
      });
    }
    const vdi = await this.registry.newNumber();
    const createdMs = this.#world.wallMs();
    const image: RootBlock = {
      ...content,
      storeUuid: this.#storeUuid,
      vdi,
      vdiUuid: this.#newUuid(),
      generation: 0,
      vdiSeq: 0,
      ordered: true,
      open: false,
      policy: spec.policy,
      previousRoot: EMPTY_ROOT,
      snapshotRoot: EMPTY_ROOT,
      snapshotCount: 0,
      hidden: null,
      logUuid: NO_LOG,
      logSince: 0,
      gcCycle: 0,
      publishedMs: createdMs,
      supersededPrivateBlocks: 0,
      supersededSharedBlocks: 0,
    };
    const result = await this.#pool.writeIf(vdi, 0, encodeRootBlock(this.#world.digest, image));
    if (!result.written) {
      throw new StorageError('E_ROOT_BUSY', `block ${vdi} of the pool is in use already`);
    }
    const named = { vdi, name: spec.name, host: spec.host, createdMs };
    await this.registry.add(named);
    return named;
  }

  /** Version 4 (RFC 9562). */
  #newUuid(): string {
    const digits = Array.from({ length: 32 }, () => this.#random.below(16));
    digits[12] = 4;
    digits[16] = 8 + ((digits[16] as number) & 3);
    const byteAt = (at: number): number =>
      (digits[2 * at] as number) * 16 + (digits[2 * at + 1] as number);
    return formatUuid(Uint8Array.from({ length: UUID_BYTES }, (_, at) => byteAt(at)));
  }
}

/** Throws `UsageError` unless an image can have that size. */
export function checkImageSize(sizeBlocks: number): void {
  if (Number.isInteger(sizeBlocks) && sizeBlocks >= 1 && sizeBlocks <= MAX_IMAGE_BLOCKS) return;
  throw new UsageError(
    'E_IMAGE_SIZE',
    `an image of ${sizeBlocks} blocks cannot be made: expected 1 to ${MAX_IMAGE_BLOCKS} blocks ` +
      'of 4 KiB (4k to 16t)',
    { fields: { sizeBlocks } },
  );
}
