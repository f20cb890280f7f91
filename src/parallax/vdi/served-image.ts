/**
 * One image with everything that serves it: the state, the way of its mutations, its destage, and
 * the stories that its owner may ask for while guests go on.
 */
import { StorageError } from '../../base/errors.ts';
import { SECTOR_BYTES, SECTORS_PER_PAGE } from '../../base/units.ts';
import { MutationKind } from '../formats/log-group.ts';
import type { RootBlock } from '../formats/root-block.ts';
import type { RootIdentity } from '../formats/slab-table.ts';
import { readSnapshots, type SnapshotList } from '../tree/snapshot-log.ts';
import { Destage } from './destage.ts';
import { type BlockRun, type ExtentKind, extentsOf } from './extents.ts';
import { clausesOf, type Policy } from './policy.ts';
import type { ServingParts } from './serving-parts.ts';
import { Throttle } from './throttle.ts';
import type { Vdi, VdiListener } from './vdi.ts';
import { VdiDevice } from './vdi-device.ts';
import { type Numbered, WritePath } from './write-path.ts';

/** What an operator sees of an image that is served. */
export interface ImageStatus {
  readonly vdi: number;
  readonly name: string;
  readonly state: string;
  readonly policy: string;
  readonly generation: number;
  readonly sizeBytes: number;
  readonly watermark: number;
  readonly acknowledged: number;
  readonly dirtyBytes: number;
  /** What the loss of this host would lose now. */
  readonly loss: { readonly requests: number; readonly bytes: number; readonly seconds: number };
  readonly mappedBlocks: number;
  readonly supersededBlocks: number;
  readonly snapshots: number;
  /** What destage waits for; null if nothing. */
  readonly trouble: string | null;
}

/** How a front end takes the image as its disk. */
export interface Attaching {
  /** It has never been connected before: not to this driver VM, nor to one that is dead. */
  readonly isNew: boolean;
  /** Hears what is reported of the image; null: nobody asks. */
  readonly listener: VdiListener | null;
}

const ANEW: Attaching = { isNew: true, listener: null };

export class ServedImage {
  readonly vdi: Vdi;
  readonly writes: WritePath;
  readonly #parts: ServingParts;
  readonly #destage: Destage;
  #nextSnapshot: number;
  #lastNaming: Promise<unknown> = Promise.resolve();
  #destaging: Promise<void> | null = null;
  /** Front ends that have it as their disk. */
  devices = 0;
  #isClosing = false;

  constructor(vdi: Vdi, parts: ServingParts) {
    const { world, sizes, payloads, log, cache, plantedBug } = parts;
    this.#parts = parts;
    this.vdi = vdi;
    this.#nextSnapshot = vdi.batches.snapshots + vdi.image.snapshotCount + 1;
    const throttle = new Throttle(
      world,
      sizes.dirtyCapBytes,
      () => vdi.dirty.dirtyBytes + this.writes.loggingBytes,
      () => this.writes.pump(),
    );
    this.writes = new WritePath({
      world,
      vdi,
      log,
      cache,
      payloads,
      throttle,
      plantedBug,
      onDirty: () => this.#onDirty(),
      onNoRoom: () => this.makeRoom(),
      onLogFull: parts.logFull,
    });
    this.#destage = new Destage({
      ...parts,
      vdi,
      remapped: (index, block, crc) => this.#remapped(index, block, crc),
      published: (bytes, tookNs) => {
        log.published(vdi.id, vdi.watermark);
        parts.slab.published(vdi.id, identityOf(vdi.image));
        throttle.published(bytes, tookNs);
        parts.together(() => this.writes.published());
        parts.roomMade();
      },
      stopped: () => this.writes.failAll(),
    });
  }

  /** Destage begins, unless the image is lost. */
  serve(): void {
    if (this.vdi.state === 'serving') this.#beginDestage();
  }

  /**
   * The image as a disk of one front end; `numbered` hears the number of each of its mutations. A
   * front end that was there when a life of the image ended is answered with errors if what it had
   * been told is gone; whoever attaches anew accepts that. Throws `StorageError` E_IMAGE_CLOSING
   * when the image is just being closed: ask again who has it.
   */
  deviceFor(frontId: number, numbered: Numbered, how: Attaching = ANEW): VdiDevice {
    if (this.#isClosing) {
      const { name } = this.vdi;
      const text = `image ${name} is just being closed, perhaps for another host`;
      throw new StorageError('E_IMAGE_CLOSING', text, { fields: { image: name } });
    }
    // What its policy let go is accepted by attaching anew; damage only by an operator.
    if (how.isNew && this.vdi.state === 'lost') this.acceptLoss();
    this.writes.addFront(frontId, numbered);
    if (how.listener !== null) this.vdi.listen(how.listener);
    const { reads } = this.#parts;
    this.devices++;
    return new VdiDevice({
      vdi: this.vdi,
      frontId,
      reads,
      writes: this.writes,
      loader: this.#parts.tree.loader,
      failed: this.#parts.failed,
      hurry: () => this.hurry(false),
      resize: (sectors) => this.resize(sectors),
      closed: () => {
        this.devices--;
      },
    });
  }

  /**
   * What was acknowledged and is gone is gone: the image is served with what there is. Throws
   * `StorageError` if nothing of it is lost.
   */
  acceptLoss(): void {
    const { name, state } = this.vdi;
    if (state !== 'lost' && state !== 'damaged') {
      throw new StorageError('E_NOTHING_LOST', `${name} has lost nothing: it is ${state}`, {
        fields: { image: name, state },
      });
    }
    this.vdi.revive();
    this.#beginDestage();
  }

  #beginDestage(): void {
    this.#destaging = this.#destage.run();
    this.#destaging.catch(this.#parts.failed);
  }

  /** Somebody waits for what is dirty here: an epoch that is in the way is not kept back whole. */
  makeRoom(): void {
    this.hurry(this.vdi.batches.isOneEpoch);
  }

  /** Has what is acknowledged published soon. */
  hurry(splitsEpoch: boolean): void {
    this.vdi.hurry(splitsEpoch);
    this.#destage.wake();
  }

  /**
   * Takes a snapshot of everything acknowledged before, and of some of what is in flight. Settles
   * with its id when it is in the pool; `local`: when it is in the log, and may vanish whole with
   * the host.
   */
  async snapshot(name: string, local: boolean): Promise<number> {
    const { vdi } = this;
    const naming = this.#lastNaming.then(() => this.#beginSnapshot(name, local));
    this.#lastNaming = naming.catch(() => undefined);
    const { id, logged } = await naming;
    const vdiSeq = await logged;
    this.#destage.wake();
    if (!local && !(await vdi.published(vdiSeq))) throw this.#gone('the snapshot');
    return id;
  }

  /** Snapshots are named and enter the order one after the other; an id is used or given again. */
  async #beginSnapshot(
    name: string,
    local: boolean,
  ): Promise<{ readonly id: number; readonly logged: Promise<number> }> {
    const id = this.#nextSnapshot;
    await this.#parts.nameSnapshot(this.vdi.id, id, name);
    const mark = { kind: 'snapshot', id, name, isLocal: local } as const;
    const logged = this.#record(MutationKind.snapshot, mark, id);
    this.#nextSnapshot = id + 1;
    logged.catch(() => {
      this.#nextSnapshot = Math.min(this.#nextSnapshot, id);
    });
    return { id, logged };
  }

  async snapshots(): Promise<SnapshotList> {
    const { snapshotRoot: root, snapshotCount: count } = this.vdi.image;
    return readSnapshots(this.#parts.tree.loader, { root, count });
  }

  /** Takes a snapshot away; its number is never given again. */
  async deleteSnapshot(id: number): Promise<void> {
    await this.#destage.changeSnapshot(id, (record) => ({ ...record, deleted: true }));
  }

  async renameSnapshot(id: number, name: string): Promise<void> {
    await this.#destage.changeSnapshot(id, (record) => ({ ...record, name }));
  }

  /** A template is made to be cloned, and deleted only by who asks for it twice. */
  async setTemplate(id: number, template: boolean): Promise<void> {
    await this.#destage.changeSnapshot(id, (record) => ({ ...record, template }));
  }

  /**
   * Changes what acknowledgements mean from a number of the order on. From or to a policy without a
   * log, everything before is published first: the log has no gaps.
   */
  async setPolicy(policy: Policy): Promise<void> {
    const { vdi } = this;
    const next = clausesOf(policy);
    if (policy === vdi.clauses.policy) return;
    if (!next.logged || !vdi.clauses.logged) await this.drain();
    const vdiSeq = await this.#record(MutationKind.policy, { kind: 'policy', policy }, policy);
    this.#destage.wake();
    if (!(await vdi.published(vdiSeq))) throw this.#gone('the change of policy');
  }

  /** Settles when everything acknowledged before is under a published root. */
  async drain(): Promise<void> {
    const through = this.vdi.dirtySeq;
    this.hurry(true);
    if (!(await this.vdi.published(through))) throw this.#gone('what was acknowledged');
  }

  /** As `extentsOf`. */
  async extents(kind: ExtentKind, from: number, to: number): Promise<BlockRun[]> {
    const { loader } = this.#parts.tree;
    if (typeof kind === 'string') return extentsOf(this.vdi, loader, kind, from, to);
    const { records } = await this.snapshots();
    const snapshot = records.find(({ name, deleted }) => !deleted && name === kind.since);
    if (snapshot !== undefined) return extentsOf(this.vdi, loader, kind, from, to, snapshot.root);
    const text = `${this.vdi.name} has no snapshot "${kind.since}" any more`;
    throw new StorageError('E_NO_SNAPSHOT', text, { fields: { image: this.vdi.name } });
  }

  /** A new size. What lies beyond a smaller one is gone; guests have been told before. */
  async resize(sectors: number): Promise<void> {
    await this.drain();
    await this.#destage.resize(sectors / SECTORS_PER_PAGE);
    this.forgetCached();
    this.#parts.slab.openVdi(this.vdi.id, identityOf(this.vdi.image));
  }

  /** What is hidden in its root is not needed any more: of an orphan, that it is one. */
  async claim(): Promise<void> {
    await this.#destage.alter((image) => Promise.resolve({ ...image, hidden: null }));
  }

  /** What the caches have of the image is not of it any more. */
  forgetCached(): void {
    this.#parts.cache.invalidateVdi(this.vdi.id);
    this.#parts.slab.forgetVdi(this.vdi.id);
  }

  /**
   * The image is deleted, or another host has it: nothing of it is published any more, and whatever
   * waits is answered with an error. Settles when the log has nothing of it under way either.
   */
  async giveUp(): Promise<void> {
    this.vdi.fail('closed');
    this.#destage.stop();
    await this.#destaging;
    this.writes.failAll();
    await this.writes.settled();
  }

  /** Publishes everything, says so in the root block, and stops; nothing may be in flight. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.vdi.state === 'serving') await this.drain();
    this.#destage.stop();
    await this.#destaging;
    if (this.vdi.state === 'serving') await this.#destage.closeRoot();
    this.vdi.fail('closed');
    this.writes.failAll();
  }

  status(): ImageStatus {
    const { vdi } = this;
    const { image } = vdi;
    return {
      vdi: vdi.id,
      name: vdi.name,
      state: vdi.state,
      policy: vdi.clauses.name,
      generation: image.generation,
      sizeBytes: vdi.sectors * SECTOR_BYTES,
      watermark: vdi.watermark,
      acknowledged: vdi.dirtySeq,
      dirtyBytes: vdi.dirty.dirtyBytes,
      loss: vdi.lossNow(this.#parts.world.clock.nowNs()),
      mappedBlocks: image.mappedBlocks,
      supersededBlocks: image.supersededPrivateBlocks + image.supersededSharedBlocks,
      snapshots: image.snapshotCount,
      trouble: this.#destage.trouble,
    };
  }

  /** Somebody else has taken over: nothing is acknowledged any more. */
  fence(): void {
    if (this.vdi.state !== 'serving') return;
    this.vdi.fail('fenced');
    this.#destage.wake();
    this.writes.failAll();
  }

  /** The log has room again. */
  pump(): void {
    this.writes.pump();
  }

  /** Appends a record of the image's own; settles with its number when it is durable. */
  async #record(
    kind: MutationKind,
    mark: Parameters<WritePath['append']>[1],
    detail: number,
  ): Promise<number> {
    const settled = await new Promise<number>((resolve) => {
      this.writes.append(kind, mark, detail, (vdiSeq) => resolve(vdiSeq));
    });
    if (settled === 0) throw this.#gone('a record');
    return settled;
  }

  #onDirty(): void {
    if (this.vdi.clauses.publishBeforeAck) this.vdi.batches.hurry(true);
    this.#destage.wake();
  }

  #remapped(index: number, block: number, crc: number): void {
    const { slab } = this.#parts;
    if (block === 0) slab.forget(this.vdi.id, index);
    else slab.remap(this.vdi.id, index, block, crc);
  }

  #gone(what: string): StorageError {
    const { name, state } = this.vdi;
    const text = `${what} of ${name} is not sure to be kept: the image is ${state}`;
    return new StorageError('E_IMAGE_GONE', text, { fields: { image: name, state } });
  }
}

export function identityOf(image: RootBlock): RootIdentity {
  const { generation, vdiSeq, root } = image;
  return { generation, vdiSeq, block: root.block, crc: root.crc };
}
