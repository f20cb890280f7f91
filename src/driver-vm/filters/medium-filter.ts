/**
 * A medium that goes wrong, where no simulated disk can: some of its sectors cannot be read until
 * they are written again, a write fails and stores some of its sectors, or a write lands at another
 * place. Without a trouble it is not in the path.
 */
import type { Prng } from '../../base/prng.ts';
import { SECTOR_BYTES } from '../../base/units.ts';
import {
  type BlockDevice,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
  type Origin,
} from '../../world/block-device.ts';
import { LatentSectors } from '../../world/latent-sectors.ts';
import { misplaced } from '../../world/misplaced.ts';
import { Filter } from './filter.ts';

export type MediumTrouble =
  | { readonly kind: 'latent-sectors'; readonly everyNth: number }
  | { readonly kind: 'torn-write' }
  | { readonly kind: 'misdirected' };

export class MediumFilter extends Filter {
  readonly #random: Prng;
  readonly #latent = new LatentSectors();
  #trouble: MediumTrouble | null = null;

  constructor(inner: BlockDevice, random: Prng) {
    super(inner);
    this.#random = random;
  }

  /** Begins a trouble, or ends it: null is a sound medium, all of which can be read. */
  setTrouble(trouble: MediumTrouble | null): void {
    this.#trouble = trouble;
    this.#latent.clear();
    if (trouble?.kind !== 'latent-sectors') return;
    const { sectors } = this.info;
    this.#latent.strike(Math.ceil(sectors / trouble.everyNth), sectors, this.#random);
  }

  override submit(request: DeviceRequest): void {
    switch (this.#trouble?.kind) {
      case undefined:
        this.inner.submit(request);
        return;
      case 'latent-sectors':
        this.#submitLatent(request);
        return;
      case 'torn-write':
        if (request.op !== DeviceOp.write) this.inner.submit(request);
        else new TornWrite(this.inner, request, this.#random).goOn();
        return;
      case 'misdirected':
        if (request.op !== DeviceOp.write) this.inner.submit(request);
        else this.#misdirect(request);
        return;
    }
  }

  protected override completed(request: DeviceRequest, status: DeviceStatus): void {
    if (status === DeviceStatus.ok) {
      this.#latent.rewritten(request.lba * SECTOR_BYTES, request.sectors * SECTOR_BYTES);
    }
    request.deviceDone(status);
  }

  #submitLatent(request: DeviceRequest): void {
    const { op, lba, sectors } = request;
    if (op === DeviceOp.write || op === DeviceOp.discard) {
      this.pass(request, 0);
    } else if (
      op === DeviceOp.read &&
      this.#latent.touches(lba * SECTOR_BYTES, sectors * SECTOR_BYTES)
    ) {
      request.deviceDone(DeviceStatus.ioError);
    } else {
      this.inner.submit(request);
    }
  }

  #misdirect(request: DeviceRequest): void {
    const write = {
      position: request.lba * SECTOR_BYTES,
      lengthBytes: request.sectors * SECTOR_BYTES,
    };
    const position = misplaced(write, this.info.sectors * SECTOR_BYTES, this.#random);
    const { op, sectors, address, origin, queue } = request;
    const deviceDone = (status: DeviceStatus): void => request.deviceDone(status);
    const lba = position / SECTOR_BYTES;
    this.inner.submit({ op, lba, sectors, address, origin, queue, deviceDone });
  }
}

/** A write of which each sector is stored or not by a fair draw, and which then fails. */
class TornWrite implements DeviceRequest {
  readonly op = DeviceOp.write;
  lba: number;
  sectors = 0;
  address: number;
  readonly origin: Origin;
  readonly queue: number;
  readonly #inner: BlockDevice;
  readonly #request: DeviceRequest;
  readonly #random: Prng;
  readonly #endLba: number;

  constructor(inner: BlockDevice, request: DeviceRequest, random: Prng) {
    this.#inner = inner;
    this.#request = request;
    this.#random = random;
    this.lba = request.lba;
    this.address = request.address;
    this.origin = request.origin;
    this.queue = request.queue;
    this.#endLba = request.lba + request.sectors;
  }

  deviceDone(): void {
    this.goOn();
  }

  /** Stores the next run of sectors that is kept; fails the write when there is none. */
  goOn(): void {
    // The sector behind a run was drawn not to be kept: that is why the run ended there.
    this.#moveTo(this.lba + this.sectors + (this.sectors > 0 ? 1 : 0));
    while (this.lba < this.#endLba && this.#random.chance(1 / 2)) this.#moveTo(this.lba + 1);
    if (this.lba >= this.#endLba) {
      this.#request.deviceDone(DeviceStatus.ioError);
      return;
    }
    do this.sectors++;
    while (this.lba + this.sectors < this.#endLba && this.#random.chance(1 / 2));
    this.#inner.submit(this);
  }

  #moveTo(lba: number): void {
    this.address += (lba - this.lba) * SECTOR_BYTES;
    this.lba = lba;
    this.sectors = 0;
  }
}
