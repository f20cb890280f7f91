/**
 * A virtual block device: one disk of one guest, as the driver VM serves it. Its queues share the
 * device, the order of mutations, the rule of overlaps and the limit.
 */
import type { BlockDevice, DeviceInfo } from '../world/block-device.ts';
import type { BackQueue } from './back-queue.ts';
import type { DiskOrder } from './order.ts';
import { OverlapTracker } from './overlap.ts';
import type { TokenBucket } from './token-bucket.ts';

export interface VbdParts {
  readonly name: string;
  readonly device: BlockDevice;
  readonly order: DiskOrder;
  readonly bucket: TokenBucket;
  /** Largest number of segments an indirect request may have; 0 when indirect is not offered. */
  readonly maxIndirectSegments: number;
  /** Share of a round that each of its rings gets, relative to other disks. At least 1. */
  readonly weight: number;
  /** The planted bug `ignored-overlap`. */
  readonly ignoresOverlap?: boolean;
}

export class Vbd {
  readonly name: string;
  readonly device: BlockDevice;
  readonly order: DiskOrder;
  readonly bucket: TokenBucket;
  readonly maxIndirectSegments: number;
  readonly tracker: OverlapTracker;
  readonly queues: BackQueue[] = [];
  weight: number;

  constructor(parts: VbdParts) {
    this.name = parts.name;
    this.device = parts.device;
    this.order = parts.order;
    this.bucket = parts.bucket;
    this.maxIndirectSegments = parts.maxIndirectSegments;
    this.weight = parts.weight;
    this.tracker = new OverlapTracker(
      parts.ignoresOverlap ?? false,
      parts.device.info.ordersItself,
    );
  }

  get info(): DeviceInfo {
    return this.device.info;
  }

  get inFlight(): number {
    return this.queues.reduce((sum, queue) => sum + queue.inFlight, 0);
  }

  /** Settles when nothing of its rings runs any more; the device stays open. */
  async stopQueues(reason: string): Promise<void> {
    for (const queue of this.queues) queue.halt(reason);
    for (const queue of this.queues) await queue.drained();
    for (const queue of this.queues) queue.close();
    this.queues.length = 0;
  }
}
