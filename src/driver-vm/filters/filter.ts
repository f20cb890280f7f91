/**
 * What every filter shares: a device over a device that changes one thing.
 *
 * A filter passes a request on in a relay of its own, so that it sees the completion; relays are
 * reused, as many exist as were ever in flight at once. The first filter of a list is the
 * outermost: it sees a request first and its completion last.
 */
import { fail } from '../../base/invariant.ts';
import {
  type BlockDevice,
  type DeviceInfo,
  DeviceOp,
  type DeviceRequest,
  type DeviceStatus,
  NO_ORIGIN,
  type Origin,
} from '../../world/block-device.ts';

export abstract class Filter implements BlockDevice {
  protected readonly inner: BlockDevice;
  readonly #free: Relay[] = [];

  constructor(inner: BlockDevice) {
    this.inner = inner;
  }

  get info(): DeviceInfo {
    return this.inner.info;
  }

  abstract submit(request: DeviceRequest): void;

  resize(sectors: number): Promise<void> {
    return this.inner.resize(sectors);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  /** Hands the request to the device below; `completed` hears of its end. */
  protected pass(request: DeviceRequest, startedNs: number): void {
    const relay = this.#free.pop() ?? new Relay(this);
    relay.carry(request, startedNs);
    this.inner.submit(relay);
  }

  /** The device below is done with `request`. The filter completes it, now or later. */
  protected completed(request: DeviceRequest, status: DeviceStatus, _startedNs: number): void {
    request.deviceDone(status);
  }

  relayDone(relay: Relay, status: DeviceStatus): void {
    const request = relay.request;
    if (request === null) return fail('a relay completes once');
    relay.request = null;
    this.#free.push(relay);
    this.completed(request, status, relay.startedNs);
  }
}

export class Relay implements DeviceRequest {
  readonly #filter: Filter;
  op: DeviceOp = DeviceOp.read;
  lba = 0;
  sectors = 0;
  address = 0;
  origin: Origin = NO_ORIGIN;
  queue = 0;
  request: DeviceRequest | null = null;
  startedNs = 0;

  constructor(filter: Filter) {
    this.#filter = filter;
  }

  carry(request: DeviceRequest, startedNs: number): void {
    this.op = request.op;
    this.lba = request.lba;
    this.sectors = request.sectors;
    this.address = request.address;
    this.origin = request.origin;
    this.queue = request.queue;
    this.request = request;
    this.startedNs = startedNs;
  }

  deviceDone(status: DeviceStatus): void {
    this.#filter.relayDone(this, status);
  }
}
