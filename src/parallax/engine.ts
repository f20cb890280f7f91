/**
 * Parallax in one driver VM: the store it is attached to, its log and caches, its images.
 *
 * The order of a start is the safety of it:
 * ```
 * 1 attach      a new session; whatever an earlier one of this host still does is refused
 * 2 generation  of every image of this host is raised by writeIf: an earlier life publishes nothing
 * 3 recover     the log is scanned; what no root holds goes into the dirty maps; of an image that
 *               went on with another log (`log/log-identity.ts`) into those of an image of its own,
 *               which is made before 2: `store/orphans.ts`
 * 4 cut         the new incarnation writes down what it found, so that a later one finds the same
 * 5 serve       guests connect; destage begins
 * ```
 * A crash anywhere in it leaves a state from which the next start does the same.
 *
 * Nothing here outlives the driver VM but the log's files, the slab's file and the pool.
 */
import { UsageError } from '../base/errors.ts';
import { present } from '../base/invariant.ts';
import type { CleanSlab } from './cache/clean-slab.ts';
import {
  type EngineParts,
  EngineStart,
  type EngineState,
  newVdi,
  noteLoss,
} from './engine-start.ts';
import { HiddenKind, type RootBlock } from './formats/root-block.ts';
import { handOver } from './hand-over.ts';
import { keepLiveSuffix } from './live-suffix.ts';
import type { DirtyLog } from './log/dirty-log.ts';
import { detach, type FenceGuard } from './pool/attach.ts';
import type { ExtentAllocator } from './pool/extents.ts';
import { elsewhere, type Images } from './store/images.ts';
import type { ImageName } from './store/registry.ts';
import type { SnapshotNames } from './store/snapshot-names.ts';
import type { NodeLoader } from './tree/node-loader.ts';
import type { ReadPath } from './vdi/read-path.ts';
import { identityOf, ServedImage } from './vdi/served-image.ts';
import type { ServingParts } from './vdi/serving-parts.ts';
import type { Vdi } from './vdi/vdi.ts';

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
  /** Of an orphan's number: the image of whose suffix it is being made. */
  readonly #origins = new Map<number, number>();

  /** Attaches, recovers, and serves every image that this host may start. */
  static async start(parts: EngineParts): Promise<Parallax> {
    const made: { engine: Parallax | null } = { engine: null };
    const hooks = {
      fenced: () => made.engine?.fenced(),
      roomMade: () => made.engine?.pump(),
      logFull: () => made.engine?.makeRoom(),
    };
    made.engine = new Parallax(parts, await new EngineStart(parts, hooks).run());
    return made.engine;
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
    for (const { pin, orphan } of made.suffixes) this.#publishSuffix(orphan, pin.image.vdi);
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

  /** Another host has the image from here on, whole: see `hand-over.ts`. Again does nothing. */
  async handOver(name: string, to: string): Promise<void> {
    const named = await this.images.registry.byName(name);
    const { host } = this.#parts;
    if (named.host === to && to !== host) return;
    const image = await this.image(name);
    try {
      await handOver({ ...this.#parts, images: this.images }, image, named, to);
    } finally {
      // Closed here, whoever has it now: it is started again if it is asked for again.
      if (image.vdi.state === 'closed') {
        image.forgetCached();
        this.#served.delete(image.vdi.id);
        this.log.forgetVdi(image.vdi.id);
      }
    }
  }

  /**
   * Takes an image over from the host that has it, which is lost or is to be cut off: from here on
   * nothing of that one is published. What it had acknowledged and not published stays in its log,
   * and is pinned. Throws `UsageError` if the image is this host's own.
   */
  async takeOver(name: string): Promise<ServedImage> {
    const { host } = this.#parts;
    const { registry } = this.images;
    const named = await registry.byName(name);
    const own = this.#served.get(named.vdi);
    // One that has this host's name and is not served here is a take-over that was cut short.
    if (named.host === host && own !== undefined && own.vdi.state !== 'fenced') {
      const text = `image ${name} is of host ${host} already: there is nothing to take over`;
      throw new UsageError('E_IMAGE_HERE', text, { fields: { image: name, host } });
    }
    // A life of the image that another host has ended.
    if (own !== undefined) await this.#giveUp(own, named);
    await registry.moveTo(named.vdi, named.host, host);
    return this.image(name);
  }

  /** An orphan becomes an ordinary image: all of it is published, and nothing waits for more. */
  async keepOrphan(name: string): Promise<void> {
    const image = await this.image(name);
    await image.drain();
    const { origin, hidden } = image.vdi.image;
    if (origin === null || hidden?.kind !== HiddenKind.orphanSuffix) throw notAnOrphan(name);
    await this.images.releasePin(origin.vdi, hidden.generation);
    await image.claim();
  }

  /** Takes an image of this host away, with its snapshots. No front end has it open. */
  async remove(name: string): Promise<void> {
    const { vdi } = await this.images.registry.byName(name);
    const served = this.#served.get(vdi);
    if (served !== undefined) await this.#giveUp(served);
    await this.images.remove(name);
    this.log.forgetVdi(vdi);
    this.#suffixDone(vdi);
  }

  /** `named`: another host has ended this life, and what it had is kept if it is waited for. */
  async #giveUp(image: ServedImage, named: ImageName | null = null): Promise<void> {
    await image.giveUp();
    image.forgetCached();
    if (named !== null) {
      const { world, host } = this.#parts;
      const parts = { world, images: this.images, log: this.log, logUuid: this.#logUuid, host };
      const suffix = await keepLiveSuffix(parts, named, image.vdi);
      if (suffix !== null) {
        this.#serve(suffix.vdi, suffix.before);
        this.#publishSuffix(suffix.vdi, named.vdi);
      }
    }
    this.#served.delete(image.vdi.id);
  }

  /** An orphan is published soon; then nothing of the suffix is needed in the log any more. */
  #publishSuffix(orphan: Vdi, origin: number): void {
    this.#origins.set(orphan.id, origin);
    // No flush is to be awaited of who is gone.
    this.#served.get(orphan.id)?.hurry(true);
    void orphan.published(orphan.dirtySeq).then((ok) => {
      if (ok) this.#suffixDone(orphan.id);
    });
  }

  /** Nothing of a suffix is needed in the log any more. */
  #suffixDone(orphan: number): void {
    const origin = this.#origins.get(orphan);
    if (origin === undefined) return;
    this.#origins.delete(orphan);
    this.log.releaseVdi(origin);
    if (!this.#served.has(origin)) this.log.forgetVdi(origin);
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
    this.#serving.pool.checkInvariants();
  }

  async #start(vdi: number): Promise<ServedImage> {
    const { host, sizes } = this.#parts;
    const { registry } = this.images;
    const named = present(await registry.get(vdi), 'an image is named before it is started');
    const mayStart = named.host === '' || named.host === host;
    if (!mayStart || !(await registry.moveTo(vdi, named.host, host))) {
      throw elsewhere(vdi, named);
    }
    const { plantedBug } = this.#parts;
    const { image, version, before } = await this.images.start(
      vdi,
      host,
      this.#logUuid,
      plantedBug,
    );
    const { payloads } = this.#serving;
    const state = newVdi(named.name, image, version, sizes, payloads);
    noteLoss(state, before);
    this.log.beginVdi(vdi, state.watermark);
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

function notAnOrphan(name: string): UsageError {
  return new UsageError(
    'E_NO_ORPHAN',
    `${name} is no orphan: expected one of those that stordom vdi orphan ls names`,
    { fields: { image: name } },
  );
}
