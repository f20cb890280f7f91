/**
 * A host's RAM in the threads world: one shared WebAssembly.Memory.
 *
 * Why not a plain SharedArrayBuffer: V8 copies and fills shared buffers with relaxed-atomic word
 * moves, and WebAssembly's `memory.copy` is a memmove. On 4 KiB pages it is 1.1 to 2 times as fast
 * as `TypedArray.set`, by machine and load, and `memory.fill` is 5 to 20 times as fast as
 * `TypedArray.fill`. The memory is also page-aligned, which direct I/O wants.
 *
 * The memory is made with `initial` equal to `maximum`: it never grows, so the views below stay
 * valid for ever. The `WebAssembly.Memory` object itself travels to workers by structured clone
 * (`workerData`, `postMessage`, a piscina task); each thread makes its own copier over it, since an
 * instance cannot travel. A range outside the memory traps before a byte has moved.
 */
import { UsageError } from '../../base/errors.ts';
import type { SharedMemory } from '../../base/shared-memory.ts';
import { type WasmSharedMemory, wasm } from './webassembly.ts';

/** Granularity of WebAssembly memory. */
export const WASM_PAGE_BYTES = 65_536;
const WASM_PAGES_MAX = 65_536;
const HOST_MEMORY_BYTES_MAX = WASM_PAGE_BYTES * WASM_PAGES_MAX;

/**
 * The whole copier, in the binary format of the WebAssembly core specification 2.0, section 5.
 * Each section is: id, size of the rest in bytes, number of items, items.
 */
// biome-ignore format: one section, one group of lines
const COPIER_MODULE: Uint8Array = Uint8Array.of(
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic "\0asm", version 1
  // Types: 0 is (i32, i32, i32) -> (), 1 is (i32, i32) -> ().
  0x01, 0x0c, 0x02, 0x60, 0x03, 0x7f, 0x7f, 0x7f, 0x00, 0x60, 0x02, 0x7f, 0x7f, 0x00,
  // Imports: "h" "m", a memory (2), shared with a maximum (flags 3), from 1 to 65536 pages.
  0x02, 0x0b, 0x01, 0x01, 0x68, 0x01, 0x6d, 0x02, 0x03, 0x01, 0x80, 0x80, 0x04,
  // Functions: function 0 has type 0, function 1 has type 1.
  0x03, 0x03, 0x02, 0x00, 0x01,
  // Exports: "copy" is function 0, "clear" is function 1.
  0x07, 0x10, 0x02, 0x04, 0x63, 0x6f, 0x70, 0x79, 0x00, 0x00,
  0x05, 0x63, 0x6c, 0x65, 0x61, 0x72, 0x00, 0x01,
  // Code: two bodies without locals.
  0x0a, 0x1a, 0x02,
  // copy: local.get 0, 1, 2 (target, source, length); memory.copy in memory 0; end.
  0x0c, 0x00, 0x20, 0x00, 0x20, 0x01, 0x20, 0x02, 0xfc, 0x0a, 0x00, 0x00, 0x0b,
  // clear: local.get 0 (target); i32.const 0; local.get 1 (length); memory.fill; end.
  0x0b, 0x00, 0x20, 0x00, 0x41, 0x00, 0x20, 0x01, 0xfc, 0x0b, 0x00, 0x0b,
);

/** What travels to another thread: structured-cloneable, shared by reference. */
export interface HostMemoryTransfer {
  readonly memory: WasmSharedMemory;
  readonly sizeBytes: number;
}

export class WasmMemory implements SharedMemory {
  readonly sizeBytes: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  readonly transfer: HostMemoryTransfer;
  readonly #copy: (target: number, source: number, lengthBytes: number) => void;
  readonly #clear: (target: number, lengthBytes: number) => void;

  constructor(memory: WasmSharedMemory) {
    const { buffer } = memory;
    this.sizeBytes = buffer.byteLength;
    this.transfer = { memory, sizeBytes: this.sizeBytes };
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.f64 = new Float64Array(buffer);
    const copier = new wasm.Instance(new wasm.Module(COPIER_MODULE), { h: { m: memory } });
    this.#copy = copier.exports['copy'] as typeof this.copy;
    this.#clear = copier.exports['clear'] as typeof this.clear;
  }

  copy(target: number, source: number, lengthBytes: number): void {
    this.#copy(target, source, lengthBytes);
  }

  clear(target: number, lengthBytes: number): void {
    this.#clear(target, lengthBytes);
  }
}

/** Makes the RAM of a host, zeroed. `sizeBytes` is a multiple of 64 KiB, up to 4 GiB. */
export function createHostMemory(sizeBytes: number): WasmMemory {
  const pages = sizeBytes / WASM_PAGE_BYTES;
  if (!Number.isInteger(pages) || pages < 1 || pages > WASM_PAGES_MAX) {
    throw new UsageError(
      'E_HOST_MEMORY_SIZE',
      `a host cannot have ${sizeBytes} bytes of RAM: expected a multiple of 65536 from 65536 to ` +
        `${HOST_MEMORY_BYTES_MAX} (4 GiB); give it a size such as 64m`,
      { fields: { sizeBytes } },
    );
  }
  try {
    return new WasmMemory(new wasm.Memory({ initial: pages, maximum: pages, shared: true }));
  } catch (cause) {
    throw new UsageError(
      'E_HOST_MEMORY_UNAVAILABLE',
      `this machine refused ${sizeBytes} bytes for the RAM of a host: give it less, or raise the ` +
        'limit of address space (ulimit -v)',
      { fields: { sizeBytes }, cause },
    );
  }
}

/** Opens, in this thread, the RAM that another thread made. */
export function openHostMemory(transfer: HostMemoryTransfer): WasmMemory {
  const buffer: unknown = transfer.memory?.buffer;
  if (!(buffer instanceof SharedArrayBuffer)) {
    throw new UsageError(
      'E_HOST_MEMORY_NOT_SHARED',
      'the RAM of a host is not shared memory: expected what createHostMemory(...).transfer gave',
    );
  }
  if (buffer.byteLength < transfer.sizeBytes) {
    throw new UsageError(
      'E_HOST_MEMORY_TOO_SMALL',
      `the RAM of a host has ${buffer.byteLength} bytes, expected at least ` +
        `${transfer.sizeBytes}: make it with createHostMemory(${transfer.sizeBytes})`,
      { fields: { actualBytes: buffer.byteLength, sizeBytes: transfer.sizeBytes } },
    );
  }
  return new WasmMemory(transfer.memory);
}
