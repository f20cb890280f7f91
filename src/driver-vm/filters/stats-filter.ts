/** Counts what passes: requests, bytes, errors and time in the device below, by operation. */
import { SECTOR_BYTES } from '../../base/units.ts';
import {
  type BlockDevice,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
} from '../../world/block-device.ts';
import type { Clock } from '../../world/world.ts';
import { Filter } from './filter.ts';

export interface OpStats {
  requests: number;
  bytes: number;
  errors: number;
  totalNs: number;
  maxNs: number;
}

export type DeviceStats = Record<keyof typeof DeviceOp, OpStats>;

export class StatsFilter extends Filter {
  readonly #clock: Clock;
  readonly #byOp: OpStats[] = [newStats(), newStats(), newStats(), newStats()];

  constructor(inner: BlockDevice, clock: Clock) {
    super(inner);
    this.#clock = clock;
  }

  override submit(request: DeviceRequest): void {
    this.pass(request, this.#clock.nowNs());
  }

  /** A copy of the counts so far. */
  snapshot(): DeviceStats {
    const of = (op: DeviceOp): OpStats => ({ ...(this.#byOp[op] as OpStats) });
    return {
      read: of(DeviceOp.read),
      write: of(DeviceOp.write),
      flush: of(DeviceOp.flush),
      discard: of(DeviceOp.discard),
    };
  }

  protected override completed(
    request: DeviceRequest,
    status: DeviceStatus,
    startedNs: number,
  ): void {
    const stats = this.#byOp[request.op] as OpStats;
    const tookNs = this.#clock.nowNs() - startedNs;
    stats.requests++;
    if (request.op !== DeviceOp.flush) stats.bytes += request.sectors * SECTOR_BYTES;
    if (status !== DeviceStatus.ok) stats.errors++;
    stats.totalNs += tookNs;
    if (tookNs > stats.maxNs) stats.maxNs = tookNs;
    request.deviceDone(status);
  }
}

function newStats(): OpStats {
  return { requests: 0, bytes: 0, errors: 0, totalNs: 0, maxNs: 0 };
}
