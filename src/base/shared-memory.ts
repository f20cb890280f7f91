/**
 * Memory that several actors see: a host's RAM.
 *
 * `address` is a byte offset from its start. All copies inside it go through `copy`, so that a
 * world can use the fastest one it has (`world/real` uses WebAssembly's `memory.copy`, 1.6 to 2.3
 * times the whole ring's speed), and so that a reader of the code has one place to look for who
 * moves bytes. Values of any width are little-endian, as on x86.
 */
export interface SharedMemory {
  readonly sizeBytes: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  /** Moves bytes; ranges may overlap. */
  copy(target: number, source: number, lengthBytes: number): void;
  /** Zeroes bytes. */
  clear(target: number, lengthBytes: number): void;
}

/** Plain binding over any buffer: what the simulator and the unit tests use. */
export class BufferMemory implements SharedMemory {
  readonly sizeBytes: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;

  constructor(buffer: ArrayBufferLike) {
    this.sizeBytes = buffer.byteLength;
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.f64 = new Float64Array(buffer);
  }

  static ofBytes(sizeBytes: number): BufferMemory {
    return new BufferMemory(new SharedArrayBuffer(sizeBytes));
  }

  copy(target: number, source: number, lengthBytes: number): void {
    this.u8.copyWithin(target, source, source + lengthBytes);
  }

  clear(target: number, lengthBytes: number): void {
    this.u8.fill(0, target, target + lengthBytes);
  }
}
