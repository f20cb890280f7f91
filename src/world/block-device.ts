/**
 * The contract of a block device as the driver VM sees it; filters are devices over a device.
 *
 * A device completes each request exactly once, inside `submit` or later. It never throws for an
 * expected failure: that is a status. Requests in flight at the same time have no order among
 * themselves: whoever needs one (the back end keeps overlapping requests in ring order) submits
 * the later one after the earlier is done.
 *
 * Durability: a write is *volatile* when it completes and *durable* once a flush that was submitted
 * after its completion has completed with `ok`. (Wording after virtio 1.2, 5.2.6.2.)
 */
export const DeviceOp = { read: 0, write: 1, flush: 2, discard: 3 } as const;
export type DeviceOp = (typeof DeviceOp)[keyof typeof DeviceOp];

export const DeviceStatus = {
  ok: 0,
  /** The data could not be read or kept. */
  ioError: -1,
  /** The device does not do this operation. */
  notSupported: -2,
} as const;
export type DeviceStatus = (typeof DeviceStatus)[keyof typeof DeviceStatus];

export interface DeviceInfo {
  readonly kind: string;
  /** Size in 512-byte sectors. */
  sectors: number;
  /** Smallest unit of a request, bytes: 512 or 4096. */
  readonly sectorSizeBytes: number;
  readonly readonly: boolean;
  /** Whether `flush` means something. */
  readonly flush: boolean;
  readonly discard: boolean;
  /**
   * The device numbers mutations itself, in the order in which they are submitted: its user submits
   * them in the order of their rings, and does not number them.
   */
  readonly ordersItself: boolean;
}

/** Where a request comes from: a device with a log keeps it, to know it when it is sent again. */
export interface Origin {
  /** Number of the guest's request; 0: it has none, and is never known again. */
  readonly frontSeq: number;
  /** Where in the guest's request this part of it begins, and its whole size, sectors. */
  readonly partOffset: number;
  readonly unitSectors: number;
  /** Of a write, as its stamps carry it; 0: none. */
  readonly writeIndex: number;
}

export const NO_ORIGIN: Origin = { frontSeq: 0, partOffset: 0, unitSectors: 0, writeIndex: 0 };

/** Owned by the caller, borrowed by the device until `deviceDone`. */
export interface DeviceRequest {
  op: DeviceOp;
  /** First 512-byte sector. The range is inside the device: the caller has checked. */
  lba: number;
  sectors: number;
  /** Byte address of the data in the host's RAM, contiguous, private to the driver VM. */
  address: number;
  readonly origin: Origin;
  /** Which ring of the disk it came from. */
  readonly queue: number;
  deviceDone(status: DeviceStatus): void;
}

export interface BlockDevice {
  readonly info: DeviceInfo;
  submit(request: DeviceRequest): void;
  /** Changes the size while requests may be in flight. Throws `StorageError` if it cannot. */
  resize(sectors: number): Promise<void>;
  /** Settles when nothing is in flight and resources are given back. */
  close(): Promise<void>;
}
