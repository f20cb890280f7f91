/**
 * A request inside the driver VM: the private, validated copy of one ring entry and what became of
 * it.
 *
 * Records are pooled, one pool a queue, as many as the ring has slots, so that a guest can never
 * make the driver VM allocate. A record is also the `DeviceRequest` that the device sees.
 *
 * Life of a record:
 * ```
 * free -> taken -> [waiting: overlaps an earlier one, or no staging memory] -> running -> free
 *                                                                    |  ^
 *                                        flush, write, flush phases  +--+
 * ```
 */

import type { GrantHandle } from '../ring/ports.ts';
import { newSideEntry, type SideEntry } from '../ring/side-page.ts';
import {
  DeviceOp,
  type DeviceRequest,
  type DeviceStatus,
  type Origin,
} from '../world/block-device.ts';

/** What is still to be done with the device, in this order; bits of `todo`. */
export const Phase = { flushBefore: 1, transfer: 2, flushAfter: 4 } as const;

export interface RequestOwner {
  /** Lets the device go on with the record: it waits for nothing any more. */
  run(record: RequestRecord): void;
  /** One device operation of the record is complete. */
  deviceDone(record: RequestRecord, status: DeviceStatus): void;
}

export class RequestRecord implements DeviceRequest {
  readonly owner: RequestOwner;
  /** Position in the pool. */
  readonly slot: number;

  /** As the device sees it. */
  op: DeviceOp = DeviceOp.read;
  lba = 0;
  sectors = 0;
  /** Where the data is, in the driver VM's own pages. */
  address = 0;

  idLow = 0;
  idHigh = 0;
  /** Operation to echo in the response. */
  echoOp = 0;
  readonly side: SideEntry = newSideEntry();
  /** Number of its ring among the disk's. */
  readonly queue: number;
  /** The transfer itself: read, write or discard; meaningless while only flushing. */
  transferOp: DeviceOp = DeviceOp.read;
  todo = 0;
  /** Nothing may run beside it, in the whole disk. */
  barrier = false;
  segmentCount = 0;
  readonly segmentRefs: Uint32Array;
  /** First sector of each segment in its page, and how many. */
  readonly segmentFirst: Uint8Array;
  readonly segmentSectors: Uint8Array;
  readonly handles: Int32Array;
  /** First page of a run in the staging memory, or -1: the record's own page is used. */
  stagingRun = -1;
  mapped = 0;
  vdiSeq = 0;
  running = false;
  /** Order of arrival at the disk: which of two overlapping requests is the earlier. */
  arrival = 0;

  constructor(owner: RequestOwner, queue: number, slot: number, maxSegments: number) {
    this.owner = owner;
    this.queue = queue;
    this.slot = slot;
    this.segmentRefs = new Uint32Array(maxSegments);
    this.segmentFirst = new Uint8Array(maxSegments);
    this.segmentSectors = new Uint8Array(maxSegments);
    this.handles = new Int32Array(maxSegments);
  }

  get origin(): Origin {
    return this.side;
  }

  get mutates(): boolean {
    return this.transferOp !== DeviceOp.read;
  }

  handle(segment: number): GrantHandle {
    return this.handles[segment] as number;
  }

  deviceDone(status: DeviceStatus): void {
    this.owner.deviceDone(this, status);
  }
}
