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
import {
  decodeRootBlock,
  encodeRootBlock,
  HiddenKind,
  type HiddenRoot,
  NO_LOG,
  type RootBlock,
  type SuffixPlace,
} from '../formats/root-block.ts';
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

/** A root that was pinned when a host took the image over, and where what followed it is. */
export interface Pin {
  /** The image that was taken over, as it is called now. */
  readonly image: ImageName;
  readonly hidden: HiddenRoot & { readonly suffix: SuffixPlace };
}

/** What a new image begins with. */
type NewContent = Pick<RootBlock, 'sizeBlocks' | 'birth' | 'root' | 'origin' | 'mappedBlocks'>;

/** A host that is taken over from may go on publishing, and be faster now and then. */
const START_TRIES = 64;

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
   * Its mutations go to the log of that uuid from now on. If they went to another one, and that
   * life has not ended cleanly, this is a take-over, and pins what it has found. Rejects with
   * `E_IMAGE_ELSEWHERE` if the image is not of this host.
   *
   * Whose it is is asked between the reading of the root and the writing. A host that takes it over
   * becomes its owner first and raises the generation then: so whoever is late, a start that stood
   * still in between, finds another root, asks again, and fences nobody.
   */
  async start(
    vdi: number,
    host: string,
    logUuid: string,
    plantedBug: PlantedBug = 'none',
  ): Promise<PublishedImage & { readonly before: RootBlock }> {
    for (let tries = 0; tries < START_TRIES; tries++) {
      const { image, version } = await this.read(vdi);
      await this.#checkOwner(vdi, host);
      const goesOn = image.logUuid === logUuid;
      const isQuiet = plantedBug === 'quiet-take-over' && !goesOn;
      const isKept = (plantedBug === 'same-generation' || isQuiet) && image.generation > 0;
      const generation = isKept ? image.generation : nextGeneration(image.generation);
      const logSince = goesOn ? image.logSince : generation;
      const found = goesOn ? image : pinned(image);
      const next = { ...found, generation, open: true, logUuid, logSince };
      const bytes = encodeRootBlock(this.#world.digest, next);
      const result = await this.#pool.writeIf(vdi, version, bytes);
      if (result.written) return { image: next, version: result.version, before: image };
    }
    throw rootBusy(vdi);
  }

  async #checkOwner(vdi: number, host: string): Promise<void> {
    const named = await this.registry.get(vdi);
    if (named?.host !== host) throw elsewhere(vdi, named);
  }

  /** What an image has pinned for a suffix that may come back; null: nothing. */
  async pinOf(image: ImageName): Promise<Pin | null> {
    const { hidden } = (await this.read(image.vdi)).image;
    const suffix = hidden?.suffix ?? null;
    if (hidden?.kind !== HiddenKind.takeOverPin || suffix === null) return null;
    return { image, hidden: { ...hidden, suffix } };
  }

  /**
   * Gives up what a take-over had pinned when it found that generation: whatever comes back of its
   * suffix is not made an image any more. One that is gone already stays so.
   */
  async releasePin(vdi: number, generation: number): Promise<void> {
    for (let tries = 0; tries < START_TRIES; tries++) {
      const { data, version } = await this.#pool.readConditional(vdi);
      const image = decodeRootBlock(this.#world.digest, data);
      const isPinned = !isDamage(image) && image.hidden?.kind === HiddenKind.takeOverPin;
      const isThis = isPinned && image.hidden?.generation === generation;
      if (!isThis) return this.registry.forgetOrphan(vdi, generation);
      const bytes = encodeRootBlock(this.#world.digest, { ...image, hidden: null });
      if ((await this.#pool.writeIf(vdi, version, bytes)).written) {
        return this.registry.forgetOrphan(vdi, generation);
      }
    }
    throw rootBusy(vdi);
  }

  /**
   * Writes the root of the image that a suffix becomes, under its number: what was pinned, where
   * the first mutation of the suffix comes next. One that is there already stays as it is.
   */
  async makeOrphan({ image, hidden }: Pin, vdi: number): Promise<void> {
    const { root, suffix, vdiSeq } = hidden;
    const { sizeBlocks, mappedBlocks, policy } = suffix;
    const origin = { vdi: image.vdi, snapshot: 0 };
    const content = { sizeBlocks, mappedBlocks, root, origin, birth: nextBirth(suffix.birth) };
    const made = this.#newRoot(vdi, policy, this.#world.wallMs(), content);
    const orphan = { ...made, vdiSeq, hidden: { ...hidden, kind: HiddenKind.orphanSuffix } };
    await this.#pool.writeIf(vdi, 0, encodeRootBlock(this.#world.digest, orphan));
  }

  /**
   * Takes the image away: its name, and its root. Blocks that clones and their snapshots have are
   * theirs; those that nobody has are found by a sweep. With an orphan the pin goes that it was
   * made of, and goes first: what is left of its suffix must not become an image again.
   */
  async remove(name: string): Promise<void> {
    const { vdi } = await this.registry.byName(name);
    const orphan = (await this.read(vdi).catch(() => null))?.image ?? null;
    if (orphan?.hidden?.kind === HiddenKind.orphanSuffix && orphan.origin !== null) {
      await this.releasePin(orphan.origin.vdi, orphan.hidden.generation);
    }
    await this.registry.remove(vdi);
    const { data, version } = await this.#pool.readConditional(vdi);
    if (version > 0) await this.#pool.writeIf(vdi, version, new Uint8Array(data.length));
  }

  async #make(spec: ImageSpec, content: NewContent): Promise<ImageName> {
    checkImageName(spec.name);
    if ((await this.registry.find(spec.name)) !== null) {
      throw new UsageError('E_NAME_TAKEN', `there is an image "${spec.name}" already`, {
        fields: { name: spec.name },
      });
    }
    const vdi = await this.registry.newNumber();
    const createdMs = this.#world.wallMs();
    const image = this.#newRoot(vdi, spec.policy, createdMs, content);
    const result = await this.#pool.writeIf(vdi, 0, encodeRootBlock(this.#world.digest, image));
    if (!result.written) {
      throw new StorageError('E_ROOT_BUSY', `block ${vdi} of the pool is in use already`);
    }
    const named = { vdi, name: spec.name, host: spec.host, createdMs };
    await this.registry.add(named);
    return named;
  }

  #newRoot(vdi: number, policy: number, publishedMs: number, content: NewContent): RootBlock {
    return {
      ...content,
      storeUuid: this.#storeUuid,
      vdi,
      vdiUuid: this.#newUuid(),
      generation: 0,
      vdiSeq: 0,
      ordered: true,
      open: false,
      policy,
      previousRoot: EMPTY_ROOT,
      snapshotRoot: EMPTY_ROOT,
      snapshotCount: 0,
      hidden: null,
      logUuid: NO_LOG,
      logSince: 0,
      gcCycle: 0,
      publishedMs,
      supersededPrivateBlocks: 0,
      supersededSharedBlocks: 0,
    };
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

/**
 * The image with its root pinned for the log that it leaves, if there is anything to wait for: a
 * life that was closed has published everything. What was pinned before and is not claimed stays.
 * Nothing that is written from here on is as old as what the pin keeps.
 */
function pinned(image: RootBlock): RootBlock {
  if (image.logUuid === NO_LOG || !image.open || image.hidden !== null) return image;
  const { root, vdiSeq, generation, birth } = image;
  const { logUuid, logSince, sizeBlocks, mappedBlocks, policy } = image;
  const suffix = { logUuid, logSince, birth, sizeBlocks, mappedBlocks, policy };
  const hidden = { kind: HiddenKind.takeOverPin, root, vdiSeq, generation, suffix };
  return { ...image, birth: nextBirth(birth), hidden };
}

/** `named`: null if it has no name any more. */
export function elsewhere(vdi: number, named: ImageName | null): StorageError {
  const text =
    named === null
      ? `image ${vdi} was removed`
      : `image ${named.name} is served by host ${named.host}: take it over first`;
  return new StorageError('E_IMAGE_ELSEWHERE', text, {
    fields: { image: named?.name ?? vdi, host: named?.host ?? '' },
  });
}

function rootBusy(vdi: number): StorageError {
  const text = `others keep changing the root of image ${vdi}: two hosts may be starting it`;
  return new StorageError('E_ROOT_BUSY', text, { fields: { vdi } });
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
