/**
 * The few names of WebAssembly this project uses. The compiler's library has them only together
 * with a browser's whole DOM, so they are declared here, once.
 */
export interface WasmSharedMemory {
  readonly buffer: SharedArrayBuffer;
}

interface WasmInstance {
  readonly exports: Readonly<Record<string, (...args: number[]) => void>>;
}

interface WasmMemoryLimits {
  readonly initial: number;
  readonly maximum: number;
  readonly shared: true;
}

interface WasmNamespace {
  readonly Memory: new (limits: WasmMemoryLimits) => WasmSharedMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => WasmInstance;
}

export const wasm: WasmNamespace = (globalThis as unknown as { WebAssembly: WasmNamespace })
  .WebAssembly;
