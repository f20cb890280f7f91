/** What is in flight on the slots of the clean slab. */
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { DiskIo, DiskStatus } from '../../world/world.ts';

export const SlabStatus = {
  ok: 0,
  /** The slot could not be read, or holds something else. It is free now. */
  miss: -1,
  /** No more of this now: read another way, or later. */
  busy: -2,
} as const;
export type SlabStatus = (typeof SlabStatus)[keyof typeof SlabStatus];

/** Owned by the caller; borrowed from `read` until `slabDone`, which is never called inside it. */
export interface SlabRead {
  slot: number;
  /** Where the block goes: byte address in the host's RAM. */
  address: number;
  /** `ok` or `miss`. */
  slabDone(status: SlabStatus): void;
}

/** The write of a slot from a block of the slab's own RAM; used again and again. */
export class SlotWrite implements DiskIo {
  readonly buffer: Uint8Array;
  readonly bufferOffset: number;
  readonly lengthBytes: number = BLOCK_BYTES;
  position = 0;
  slot = -1;
  readonly #done: (io: SlotWrite, status: DiskStatus) => void;

  constructor(
    buffer: Uint8Array,
    address: number,
    done: (io: SlotWrite, status: DiskStatus) => void,
  ) {
    this.buffer = buffer;
    this.bufferOffset = address;
    this.#done = done;
  }

  begin(slot: number, position: number): void {
    this.slot = slot;
    this.position = position;
  }

  diskDone(status: DiskStatus): void {
    this.#done(this, status);
  }
}

/** The read of a slot into its asker's RAM; used again and again. */
export class SlotRead implements DiskIo {
  readonly buffer: Uint8Array;
  bufferOffset = 0;
  readonly lengthBytes: number = BLOCK_BYTES;
  position = 0;
  slot = -1;
  /** Of what the slot held when the read began. */
  crc = 0;
  request: SlabRead | null = null;
  readonly #done: (io: SlotRead, status: DiskStatus) => void;

  constructor(buffer: Uint8Array, done: (io: SlotRead, status: DiskStatus) => void) {
    this.buffer = buffer;
    this.#done = done;
  }

  begin(request: SlabRead, crc: number, address: number, position: number): void {
    this.request = request;
    this.slot = request.slot;
    this.crc = crc;
    this.bufferOffset = address;
    this.position = position;
  }

  diskDone(status: DiskStatus): void {
    this.#done(this, status);
  }
}
