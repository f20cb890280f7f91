/** Holds completions back: a slower device below, with the same outcome. */
import type { Prng } from '../../base/prng.ts';
import type { Nanos } from '../../base/units.ts';
import {
  type BlockDevice,
  DeviceOp,
  type DeviceRequest,
  type DeviceStatus,
} from '../../world/block-device.ts';
import type { Clock, Timers } from '../../world/world.ts';
import { Filter } from './filter.ts';

export interface Delays {
  readonly readNs: number;
  readonly writeNs: number;
  readonly flushNs: number;
  /** A random part, even over [0, jitterNs], on top of each. */
  readonly jitterNs: number;
}

export class DelayFilter extends Filter {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #random: Prng;
  #delays: Delays;

  constructor(inner: BlockDevice, delays: Delays, clock: Clock, timers: Timers, random: Prng) {
    super(inner);
    this.#delays = delays;
    this.#clock = clock;
    this.#timers = timers;
    this.#random = random;
  }

  setDelays(delays: Delays): void {
    this.#delays = delays;
  }

  override submit(request: DeviceRequest): void {
    if (this.#delayOf(request.op) + this.#delays.jitterNs === 0) this.inner.submit(request);
    else this.pass(request, this.#clock.nowNs());
  }

  protected override completed(
    request: DeviceRequest,
    status: DeviceStatus,
    startedNs: number,
  ): void {
    const { jitterNs } = this.#delays;
    const jitter = jitterNs > 0 ? this.#random.below(jitterNs + 1) : 0;
    const dueNs = startedNs + this.#delayOf(request.op) + jitter;
    this.#timers.at(dueNs as Nanos, () => request.deviceDone(status));
  }

  #delayOf(op: DeviceOp): number {
    if (op === DeviceOp.read) return this.#delays.readNs;
    return op === DeviceOp.flush ? this.#delays.flushNs : this.#delays.writeNs;
  }
}
