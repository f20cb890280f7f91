/**
 * A virtual disk image as a block device of one front end.
 *
 * Reads and mutations go their own ways (`read-path.ts`, `write-path.ts`); a flush is what the
 * image's policy makes of it.
 */
import { SECTOR_BYTES, SECTORS_PER_PAGE } from '../../base/units.ts';
import {
  type BlockDevice,
  type DeviceInfo,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
} from '../../world/block-device.ts';
import { MutationKind } from '../formats/log-group.ts';
import type { NodeLoader } from '../tree/node-loader.ts';
import { discardLarge, isLargeDiscard } from './large-discard.ts';
import type { ReadPath } from './read-path.ts';
import type { Vdi } from './vdi.ts';
import type { WritePath } from './write-path.ts';

export interface VdiDeviceParts {
  readonly vdi: Vdi;
  readonly frontId: number;
  readonly reads: ReadPath;
  readonly writes: WritePath;
  readonly loader: NodeLoader;
  /** A story failed: a bug. */
  readonly failed: (thrown: unknown) => void;
  /** Has everything up to here published soon. */
  readonly hurry: () => void;
  readonly resize: (sectors: number) => Promise<void>;
  /** The front end has it no more. */
  readonly closed: () => void;
}

export class VdiDevice implements BlockDevice {
  readonly #parts: VdiDeviceParts;
  readonly #info: DeviceInfo;
  #inFlight = 0;
  #onIdle: (() => void) | null = null;

  constructor(parts: VdiDeviceParts) {
    this.#parts = parts;
    this.#info = {
      kind: 'vdi',
      sectors: parts.vdi.sectors,
      sectorSizeBytes: SECTOR_BYTES,
      readonly: false,
      flush: true,
      discard: true,
      ordersItself: true,
    };
  }

  get info(): DeviceInfo {
    this.#info.sectors = this.#parts.vdi.sectors;
    return this.#info;
  }

  submit(request: DeviceRequest): void {
    const { vdi, reads, writes, frontId } = this.#parts;
    switch (request.op) {
      case DeviceOp.read:
        reads.submit(vdi, request);
        return;
      case DeviceOp.write:
        writes.submit(request, frontId);
        return;
      case DeviceOp.discard:
        if (isLargeDiscard(request)) this.#discard(request);
        else writes.submit(request, frontId);
        return;
      case DeviceOp.flush:
        this.#flush(request);
        return;
    }
  }

  async resize(sectors: number): Promise<void> {
    await this.#parts.resize(Math.ceil(sectors / SECTORS_PER_PAGE) * SECTORS_PER_PAGE);
  }

  /** The image goes on without this front end; what is in flight must have ended. */
  async close(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#parts.closed();
  }

  #discard(request: DeviceRequest): void {
    const { vdi, loader, writes, frontId, failed } = this.#parts;
    discardLarge(vdi, loader, writes, request, frontId).catch(failed);
  }

  /** Covers what was acknowledged before it was submitted. */
  #flush(request: DeviceRequest): void {
    const { vdi, writes, hurry } = this.#parts;
    const { flush } = vdi.clauses;
    if (vdi.state !== 'serving') {
      request.deviceDone(DeviceStatus.ioError);
      return;
    }
    if (flush === 'nothing' || (flush === 'publish' && vdi.watermark >= vdi.dirtySeq)) {
      request.deviceDone(DeviceStatus.ok);
      return;
    }
    this.#inFlight++;
    if (flush === 'sync') {
      writes.append(MutationKind.flush, null, 0, (vdiSeq) => this.#flushed(request, vdiSeq > 0));
      return;
    }
    const through = vdi.dirtySeq;
    vdi.whenPublished(through, (ok) => this.#flushed(request, ok));
    hurry();
  }

  #flushed(request: DeviceRequest, ok: boolean): void {
    this.#inFlight--;
    request.deviceDone(ok ? DeviceStatus.ok : DeviceStatus.ioError);
    if (this.#inFlight === 0) this.#onIdle?.();
  }
}
