/**
 * What a connection sends: fields and data written one after the other into slabs of bytes, big
 * endian as all of NBD.
 *
 * All replies of one turn go into the same slab and leave in one system call. A slab is lent to
 * whoever sends it and comes back when the bytes have left; slabs are shared by the connections of
 * a server, so that an idle connection holds none. Long data may be sent from where they lie: to
 * copy a mebibyte out of shared memory takes as long as the system call that sends it.
 */
import { invariant, present } from '../../base/invariant.ts';

const SLAB_BYTES = 262_144;
/** Slabs that are kept for later use; more are left to the collector. */
const SPARE_SLABS = 64;
/** No field, and no header that is written field by field, is longer. */
const HEADER_BYTES_MAX = 64;
const NO_VIEW = new DataView(new ArrayBuffer(0));

/** Bytes to be sent; whose they are is told when they have left, or never will. */
export interface Outgoing {
  readonly bytes: Uint8Array;
  readonly lengthBytes: number;
  left(): void;
}

class Slab implements Outgoing {
  readonly #pool: SlabPool;
  readonly bytes: Uint8Array = new Uint8Array(SLAB_BYTES);
  readonly view: DataView = new DataView(this.bytes.buffer);
  lengthBytes = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  left(): void {
    this.#pool.give(this);
  }
}

export class SlabPool {
  readonly #spare: Slab[] = [];

  take(): Slab {
    return this.#spare.pop() ?? new Slab(this);
  }

  give(slab: Slab): void {
    slab.lengthBytes = 0;
    if (this.#spare.length < SPARE_SLABS) this.#spare.push(slab);
  }
}

export class OutStream {
  readonly #pool: SlabPool;
  readonly #filled: Outgoing[] = [];
  #open: Slab | null = null;
  #queuedBytes = 0;
  /** Over the bytes that the last `header` is in. */
  view: DataView = NO_VIEW;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** Written, and not taken yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /**
   * Room for a header, in one piece: the place of its first byte in `view`, to be filled before
   * anything else is written.
   */
  header(lengthBytes: number): number {
    const slab = this.#slab(lengthBytes);
    const at = slab.lengthBytes;
    this.#grow(slab, lengthBytes);
    this.view = slab.view;
    return at;
  }

  u16(value: number): void {
    const at = this.header(2);
    this.view.setUint16(at, value);
  }

  u32(value: number): void {
    const at = this.header(4);
    this.view.setUint32(at, value);
  }

  u64(value: number): void {
    this.u32(Math.floor(value / 2 ** 32));
    this.u32(value % 2 ** 32);
  }

  zeros(lengthBytes: number): void {
    for (let left = lengthBytes; left > 0; ) {
      const slab = this.#slab(1);
      const run = Math.min(left, SLAB_BYTES - slab.lengthBytes);
      slab.bytes.fill(0, slab.lengthBytes, slab.lengthBytes + run);
      this.#grow(slab, run);
      left -= run;
    }
  }

  bytes(source: Uint8Array, from: number = 0, to: number = source.length): void {
    for (let at = from; at < to; ) {
      const slab = this.#slab(1);
      const run = Math.min(to - at, SLAB_BYTES - slab.lengthBytes);
      slab.bytes.set(source.subarray(at, at + run), slab.lengthBytes);
      this.#grow(slab, run);
      at += run;
    }
  }

  /** The bytes from `from` to `to` are sent from where they are, which nobody changes before. */
  lend(source: Uint8Array, from: number, to: number, left: () => void): void {
    if (this.#open !== null && this.#open.lengthBytes > 0) {
      this.#filled.push(this.#open);
      this.#open = null;
    }
    this.#filled.push({ bytes: source.subarray(from, to), lengthBytes: to - from, left });
    this.#queuedBytes += to - from;
  }

  /** What is to be sent next, or null; the caller says when it has left. */
  take(): Outgoing | null {
    const next = this.#filled.shift() ?? this.#open;
    if (next === null || next.lengthBytes === 0) return null;
    if (next === this.#open) this.#open = null;
    this.#queuedBytes -= next.lengthBytes;
    return next;
  }

  /** Everything that was written is dropped. */
  clear(): void {
    for (let next = this.take(); next !== null; next = this.take()) next.left();
  }

  #grow(slab: Slab, lengthBytes: number): void {
    slab.lengthBytes += lengthBytes;
    this.#queuedBytes += lengthBytes;
  }

  /** A slab with room for at least `lengthBytes`. */
  #slab(lengthBytes: number): Slab {
    invariant(lengthBytes <= HEADER_BYTES_MAX, 'what must not be cut is short');
    if (this.#open !== null && SLAB_BYTES - this.#open.lengthBytes < lengthBytes) {
      this.#filled.push(this.#open);
      this.#open = null;
    }
    this.#open ??= this.#pool.take();
    return present(this.#open, 'a slab is open');
  }
}
