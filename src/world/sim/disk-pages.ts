/**
 * The bytes of a simulated disk, kept sparsely: a page exists once something was written to it, so
 * that a disk of 1 GiB costs what was written and no more.
 *
 * Pages are never changed in place. Writing a whole page stores a view of the writer's (private,
 * immutable) bytes; writing a part of one makes a new page. So the volatile and the durable image
 * of a disk, and the record of a write that is not yet durable, share the same bytes.
 *
 * An image may lie over another one: what it does not hold is read from below.
 */
import { PAGE_BYTES } from '../../base/units.ts';

const ZERO_PAGE = new Uint8Array(PAGE_BYTES);

export class DiskPages {
  readonly #pages = new Map<number, Uint8Array>();
  readonly #below: DiskPages | null;

  constructor(below: DiskPages | null) {
    this.#below = below;
  }

  /** The page, `null` if nothing but zeroes was ever there. */
  page(number: number): Uint8Array | null {
    const own = this.#pages.get(number);
    if (own !== undefined) return own === ZERO_PAGE ? null : own;
    return this.#below === null ? null : this.#below.page(number);
  }

  /** Numbers of the pages this image itself holds data for. */
  *numbers(): Iterable<number> {
    for (const [number, page] of this.#pages) if (page !== ZERO_PAGE) yield number;
  }

  read(target: Uint8Array, targetOffset: number, lengthBytes: number, position: number): void {
    let done = 0;
    while (done < lengthBytes) {
      const at = position + done;
      const start = at % PAGE_BYTES;
      const part = Math.min(PAGE_BYTES - start, lengthBytes - done);
      const page = this.page(Math.floor(at / PAGE_BYTES)) ?? ZERO_PAGE;
      target.set(page.subarray(start, start + part), targetOffset + done);
      done += part;
    }
  }

  /** Stores `bytes`, which must never change after this. Null: `lengthBytes` zeroes. */
  write(
    bytes: Uint8Array | null,
    bytesOffset: number,
    lengthBytes: number,
    position: number,
  ): void {
    let done = 0;
    while (done < lengthBytes) {
      const at = position + done;
      const start = at % PAGE_BYTES;
      const part = Math.min(PAGE_BYTES - start, lengthBytes - done);
      const from = bytesOffset + done;
      const piece = bytes === null ? null : bytes.subarray(from, from + part);
      this.#writePiece(Math.floor(at / PAGE_BYTES), start, part, piece);
      done += part;
    }
  }

  /** Cuts this image off: nothing of it is left from `sizeBytes` on. */
  truncate(sizeBytes: number): void {
    const last = Math.floor(sizeBytes / PAGE_BYTES);
    const start = sizeBytes % PAGE_BYTES;
    for (const number of this.#pages.keys()) {
      if (number > last || (number === last && start === 0)) this.#pages.delete(number);
    }
    if (start > 0 && this.#pages.has(last)) this.#writePiece(last, start, PAGE_BYTES - start, null);
  }

  /** Forgets everything this image holds: it shows what is below, or zeroes. */
  clear(): void {
    this.#pages.clear();
  }

  #writePiece(number: number, start: number, part: number, piece: Uint8Array | null): void {
    if (part === PAGE_BYTES) {
      this.#put(number, piece ?? ZERO_PAGE);
      return;
    }
    const before = this.page(number);
    if (before === null && piece === null) return;
    const page = new Uint8Array(PAGE_BYTES);
    if (before !== null) page.set(before);
    if (piece === null) page.fill(0, start, start + part);
    else page.set(piece, start);
    this.#put(number, page);
  }

  #put(number: number, page: Uint8Array): void {
    if (page === ZERO_PAGE && this.#below === null) this.#pages.delete(number);
    else this.#pages.set(number, page);
  }
}
