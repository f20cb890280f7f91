/**
 * The back end's half of the handshake for one disk: from the toolstack's keys to served rings.
 *
 * ```
 * start      open the device, write limits                              -> state InitWait (2)
 * front 3/4  read and check the front's keys, map rings, write features
 *            and size                                                    -> state Connected (4)
 * front 5    stop the rings, wait for what is in flight                  -> Closing (5), Closed (6)
 * front 6    the same                                                    -> Closed (6)
 * front 1    the front end starts over: give up its old rings             -> InitWait (2)
 * gone       the guest is dead: stop, wait, give everything back
 * ```
 * States are handled one after the other, the newest first to be seen last: while a ring is being
 * drained others may have come and gone. Front ends may skip from 1 to 4 and events may come twice.
 *
 * Everything the front end wrote is checked (`ring-keys.ts`); what does not hold closes the disk
 * with the reason in the key `error`, and nobody else notices.
 */
import { StorageError } from '../base/errors.ts';
import { type DomainId, type Generation, u32 } from '../base/units.ts';
import { BackendExtra } from '../hypervisor/stordom-keys.ts';
import { BackendKey, watchState, XenbusState } from '../hypervisor/xenbus.ts';
import type { Unwatch, XenstoreClient } from '../hypervisor/xenstore/client.ts';
import type { Numbered } from '../parallax/vdi/write-path.ts';
import { MAX_RING_ORDER, OFFERED_INDIRECT_SEGMENTS } from '../ring/layout.ts';
import type { BlockDevice } from '../world/block-device.ts';
import type { PlantedBug } from '../world/faults.ts';
import { type OrderTap, TapKind } from '../world/history.ts';
import type { World } from '../world/world.ts';
import { type DeviceDescription, DeviceStack, openDevice } from './device-factory.ts';
import { plant } from './filters/planted-filter.ts';
import type { ImageServer } from './image-server.ts';
import { ImageTap } from './image-tap.ts';
import { DiskOrder } from './order.ts';
import type { ConnectedRings, RingAttacher } from './ring-attach.ts';
import { areStale, MAX_QUEUES, readRingKeys } from './ring-keys.ts';
import { TokenBucket } from './token-bucket.ts';
import { Vbd } from './vbd.ts';

export interface BackConnectParts {
  readonly world: World;
  readonly store: XenstoreClient;
  /** Directory of the disk in the store, below the driver domain's home. */
  readonly path: string;
  readonly attacher: RingAttacher;
  readonly tap: OrderTap | null;
  /** null: the driver VM has no store. */
  readonly images: ImageServer | null;
  readonly plantedBug: PlantedBug;
  /** The disk is closed for good. */
  readonly onClosed: (disk: BackDisk) => void;
  readonly onError: (thrown: unknown) => void;
}

interface Identity {
  readonly frontendPath: string;
  readonly guest: DomainId;
  readonly frontId: number;
  readonly disk: number;
  readonly ringEpoch: number;
  readonly weight: number;
  readonly bare: boolean;
}

export class BackDisk {
  readonly path: string;
  readonly #parts: BackConnectParts;
  #identity: Identity | null = null;
  #stack: DeviceStack | null = null;
  #vbd: Vbd | null = null;
  #rings: ConnectedRings | null = null;
  #state: XenbusState = XenbusState.initialising;
  /** The front end's state as it was last read. */
  #seen: XenbusState = XenbusState.unknown;
  #wanted: XenbusState | null = null;
  #handling = false;
  #unwatch: Unwatch | null = null;
  #closed = false;

  constructor(parts: BackConnectParts) {
    this.#parts = parts;
    this.path = parts.path;
  }

  get vbd(): Vbd | null {
    return this.#vbd;
  }

  get stack(): DeviceStack | null {
    return this.#stack;
  }

  /** Notifications sent to the guest over the rings that are connected now. */
  get notifications(): number {
    return (this.#rings?.channels ?? []).reduce((sum, { notifications }) => sum + notifications, 0);
  }

  get state(): XenbusState {
    return this.#state;
  }

  get ringEpoch(): number {
    return this.#identity?.ringEpoch ?? 0;
  }

  /** Opens the device, offers the limits and follows the front end. */
  async start(): Promise<void> {
    try {
      const identity = await this.#readIdentity();
      this.#identity = identity;
      const device = await this.#openDevice(identity);
      this.#vbd = this.#makeVbd(identity, device, await this.#readLimit());
      await this.#offer();
      this.#unwatch = await watchState(
        this.#parts.store,
        `${identity.frontendPath}/state`,
        (state) => this.#follow(state),
        (thrown) => this.#giveUp(thrown),
        () => this.#follow(this.#seen),
      );
    } catch (thrown) {
      // Half a directory is one that the toolstack is taking away.
      if (this.#identity === null && thrown instanceof StorageError) this.#parts.onClosed(this);
      else await this.#refuse(thrown);
    }
  }

  /** Tells the front end of a new size: the device has it already. */
  async announceSize(): Promise<void> {
    const sectors = this.#vbd?.info.sectors ?? 0;
    await this.#parts.store.writeMany([
      [`${this.path}/${BackendKey.sectors}`, sectors],
      [`${this.path}/${BackendKey.state}`, this.#state],
    ]);
  }

  #follow(state: XenbusState): void {
    this.#seen = state;
    this.#wanted = state;
    if (this.#handling) return;
    this.#handling = true;
    this.#handleAll().catch((thrown: unknown) => this.#giveUp(thrown));
  }

  async #handleAll(): Promise<void> {
    while (this.#wanted !== null && !this.#closed) {
      const state = this.#wanted;
      this.#wanted = null;
      await this.#handle(state);
    }
    this.#handling = false;
  }

  async #handle(state: XenbusState): Promise<void> {
    switch (state) {
      case XenbusState.initialising:
        await this.#disconnect('the front end starts over');
        if (this.#state !== XenbusState.initWait) await this.#offer();
        return;
      case XenbusState.initialised:
      case XenbusState.connected:
        if (this.#rings === null) await this.#connect();
        return;
      case XenbusState.closing:
        await this.#disconnect('the front end is closing');
        await this.#setState(XenbusState.closing);
        return;
      case XenbusState.closed:
        await this.#disconnect('the front end is closed');
        await this.#setState(XenbusState.closed);
        return;
      case XenbusState.unknown:
        await this.#remove();
        return;
      case XenbusState.initWait:
      case XenbusState.reconfiguring:
      case XenbusState.reconfigured:
        return;
    }
  }

  async #connect(): Promise<void> {
    const identity = this.#identity;
    const vbd = this.#vbd;
    if (identity === null || vbd === null) return;
    if (await areStale(this.#parts.store, identity.frontendPath, identity.ringEpoch)) return;
    try {
      const keys = await readRingKeys(this.#parts.store, identity.frontendPath);
      const { guest, ringEpoch } = identity;
      this.#rings = await this.#parts.attacher.attach(vbd, guest, ringEpoch, keys);
    } catch (thrown) {
      await this.#refuse(thrown);
      return;
    }
    const { info } = vbd.device;
    const flag = (value: boolean): number => (value ? 1 : 0);
    await this.#parts.store.writeMany([
      [`${this.path}/${BackendKey.featureFlushCache}`, flag(info.flush)],
      [`${this.path}/${BackendKey.featureBarrier}`, flag(info.flush)],
      [`${this.path}/${BackendKey.featureDiscard}`, flag(info.discard)],
      [`${this.path}/${BackendKey.discardGranularity}`, info.sectorSizeBytes],
      [`${this.path}/${BackendKey.discardAlignment}`, 0],
      [`${this.path}/${BackendKey.discardSecure}`, 0],
      [`${this.path}/${BackendKey.featurePersistent}`, 1],
      [`${this.path}/${BackendExtra.featureFua}`, flag(info.flush)],
      [`${this.path}/${BackendKey.sectors}`, info.sectors],
      [`${this.path}/${BackendKey.info}`, info.readonly ? 4 : 0],
      [`${this.path}/${BackendKey.sectorSize}`, info.sectorSizeBytes],
      [`${this.path}/${BackendKey.physicalSectorSize}`, info.sectorSizeBytes],
      [`${this.path}/${BackendKey.state}`, XenbusState.connected],
    ]);
    this.#state = XenbusState.connected;
    this.#parts.world.log.event('back.connected', identity.frontId, identity.ringEpoch);
  }

  /** Stops the rings and waits for what is in flight; the device stays open. */
  async #disconnect(reason: string): Promise<void> {
    const rings = this.#rings;
    if (rings === null) return;
    this.#rings = null;
    await this.#parts.attacher.detach(rings, reason);
  }

  /** The guest is gone, or its tree is: gives everything back. */
  async #remove(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#disconnect('the guest is gone');
    await this.#vbd?.device.close();
    await this.#unwatch?.();
    await this.#setState(XenbusState.closed);
    this.#parts.onClosed(this);
  }

  async #offer(): Promise<void> {
    await this.#parts.store.writeMany([
      [`${this.path}/${BackendKey.featureMaxIndirectSegments}`, OFFERED_INDIRECT_SEGMENTS],
      [`${this.path}/${BackendKey.multiQueueMaxQueues}`, MAX_QUEUES],
      [`${this.path}/${BackendKey.maxRingPageOrder}`, MAX_RING_ORDER],
      [`${this.path}/${BackendKey.maxRingPages}`, 2 ** MAX_RING_ORDER],
      [`${this.path}/${BackendKey.state}`, XenbusState.initWait],
    ]);
    this.#state = XenbusState.initWait;
  }

  async #setState(state: XenbusState): Promise<void> {
    await this.#parts.store.write(`${this.path}/${BackendKey.state}`, state);
    this.#state = state;
  }

  /** The front end's keys do not hold, or the device cannot be opened: closes with the reason. */
  async #refuse(thrown: unknown): Promise<void> {
    if (!(thrown instanceof StorageError)) {
      this.#parts.onError(thrown);
      return;
    }
    this.#parts.world.log.note(`${this.path}: refused: ${thrown.message}`);
    await this.#disconnect(thrown.message);
    await this.#parts.store.writeMany([
      [`${this.path}/${BackendExtra.error}`, thrown.message],
      [`${this.path}/${BackendKey.state}`, XenbusState.closed],
    ]);
    this.#state = XenbusState.closed;
  }

  #giveUp(thrown: unknown): void {
    this.#handling = false;
    this.#refuse(thrown).catch((again: unknown) => this.#parts.onError(again));
  }

  async #readIdentity(): Promise<Identity> {
    const { store } = this.#parts;
    const frontendPath = await store.read(`${this.path}/${BackendKey.frontend}`);
    const guest = await store.readNumber(`${this.path}/${BackendKey.frontendId}`);
    const frontId = await store.readNumber(`${this.path}/${BackendExtra.frontId}`);
    const disk = await store.readNumber(`${this.path}/${BackendExtra.disk}`);
    const ringEpoch = await store.readNumber(`${this.path}/${BackendExtra.ringEpoch}`);
    const numbers = [guest, frontId, disk, ringEpoch];
    if (frontendPath === null || numbers.includes(null)) {
      throw new StorageError('E_INCOMPLETE_DEVICE', `${this.path} lacks keys of the toolstack`);
    }
    const weight = (await store.readNumber(`${this.path}/${BackendExtra.weight}`)) ?? 1;
    const bare = (await store.read(`${this.path}/${BackendExtra.bare}`)) === '1';
    return {
      frontendPath,
      guest: guest as DomainId,
      frontId: frontId as number,
      disk: disk as number,
      ringEpoch: ringEpoch as number,
      weight,
      bare,
    };
  }

  async #openDevice(identity: Identity): Promise<BlockDevice> {
    const { store, world } = this.#parts;
    const description: DeviceDescription = {
      type: (await store.read(`${this.path}/${BackendKey.type}`)) ?? '',
      params: (await store.read(`${this.path}/${BackendKey.params}`)) ?? '',
      sectors: (await store.readNumber(`${this.path}/${BackendExtra.size}`)) ?? 0,
      writable: (await store.read(`${this.path}/${BackendKey.mode}`)) !== 'r',
    };
    const bottom =
      description.type === 'vdi'
        ? await this.#openImage(description.params, identity)
        : await openDevice(description, world);
    this.#stack = new DeviceStack(
      plant(bottom, this.#parts.plantedBug),
      world,
      description.writable,
      identity.bare,
    );
    return this.#stack.device;
  }

  async #openImage(name: string, identity: Identity): Promise<BlockDevice> {
    const { images, tap, world } = this.#parts;
    if (images === null) {
      throw new StorageError('E_NO_STORE', `image ${name}: this driver VM has no store`);
    }
    const { frontId, disk, ringEpoch } = identity;
    const listener = tap === null ? null : new ImageTap(tap, disk, world.recordClock);
    const numbered: Numbered = ({ lba, sectors, origin, queue }, vdiSeq, generation) => {
      if (tap !== null) {
        const { frontSeq, writeIndex } = origin;
        const nowNs = world.recordClock.nowNs();
        tap.append(disk, frontId, frontSeq, writeIndex, vdiSeq, generation, queue, nowNs);
        tap.tell(TapKind.extent, disk, lba, sectors, vdiSeq, generation, nowNs);
      }
      world.crashPoint('back.after-order-given');
    };
    return images.open(name, frontId, numbered, { isNew: ringEpoch === 1, listener });
  }

  async #readLimit(): Promise<TokenBucket> {
    const { store, world } = this.#parts;
    const requests = await store.readNumber(`${this.path}/${BackendExtra.requestsPerSecond}`);
    const bytes = await store.readNumber(`${this.path}/${BackendExtra.bytesPerSecond}`);
    const limit = { requestsPerSecond: requests ?? 0, bytesPerSecond: bytes ?? 0 };
    return new TokenBucket(limit, world.clock.nowNs());
  }

  #makeVbd(identity: Identity, device: BlockDevice, bucket: TokenBucket): Vbd {
    const { tap, plantedBug } = this.#parts;
    const generation = u32<Generation>(identity.ringEpoch);
    return new Vbd({
      name: this.path,
      device,
      order: new DiskOrder(
        tap,
        identity.disk,
        identity.frontId,
        generation,
        plantedBug === 'late-sequence',
      ),
      bucket,
      maxIndirectSegments: OFFERED_INDIRECT_SEGMENTS,
      weight: Math.max(1, identity.weight),
      ignoresOverlap: plantedBug === 'ignored-overlap',
    });
  }
}
