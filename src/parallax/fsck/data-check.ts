/**
 * Reads data blocks and compares each with the CRC that its leaf names.
 *
 * Blocks are gathered, sorted by their place in the pool, and read in runs: a tree in the order of
 * its image is often in order in the pool too. Bound: `WORKERS` reads of `RUN_BLOCKS` in flight,
 * and `GATHERED` blocks waiting.
 */
import { BLOCK_BYTES, type BlockPool, PoolStatus } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';
import { poolCall } from '../story-io.ts';
import type { Findings } from './findings.ts';

const GATHERED = 8192;
const RUN_BLOCKS = 64;
const WORKERS = 8;

export class DataCheck {
  checkedBlocks = 0;
  readonly #pool: BlockPool;
  readonly #digest: Digest;
  readonly #findings: Findings;
  readonly #blocks = new Float64Array(GATHERED);
  readonly #indices = new Float64Array(GATHERED);
  readonly #crcs = new Uint32Array(GATHERED);
  readonly #trees: string[] = [];
  #count = 0;
  #order: Uint32Array = new Uint32Array(0);
  #next = 0;

  constructor(pool: BlockPool, digest: Digest, findings: Findings) {
    this.#pool = pool;
    this.#digest = digest;
    this.#findings = findings;
  }

  get isFull(): boolean {
    return this.#count === GATHERED;
  }

  /** Block `index` of an image, which `tree` names. Not when it is full. */
  add(block: number, crc: number, index: number, tree: string): void {
    this.#blocks[this.#count] = block;
    this.#crcs[this.#count] = crc;
    this.#indices[this.#count] = index;
    this.#trees[this.#count] = tree;
    this.#count++;
  }

  /** Reads all that was gathered. */
  async run(): Promise<void> {
    const blocks = this.#blocks;
    this.#order = Uint32Array.from({ length: this.#count }, (_, i) => i);
    this.#order.sort((one, other) => (blocks[one] as number) - (blocks[other] as number));
    this.#next = 0;
    await Promise.all(Array.from({ length: WORKERS }, () => this.#work()));
    this.checkedBlocks += this.#count;
    this.#count = 0;
  }

  async #work(): Promise<void> {
    const buffer = new Uint8Array(RUN_BLOCKS * BLOCK_BYTES);
    while (this.#next < this.#order.length) {
      const from = this.#next;
      this.#next = this.#endOfRun(from);
      await this.#readRun(from, this.#next, buffer);
    }
  }

  #endOfRun(from: number): number {
    let to = from + 1;
    while (to < this.#order.length && to - from < RUN_BLOCKS) {
      if (this.#block(to) !== this.#block(to - 1) + 1) break;
      to++;
    }
    return to;
  }

  async #readRun(from: number, to: number, buffer: Uint8Array): Promise<void> {
    const whole = await poolCall(this.#pool, 'read', this.#block(from), buffer, 0, to - from);
    for (let i = from; i < to; i++) {
      const at = (i - from) * BLOCK_BYTES;
      // One bad sector must not cost the whole run.
      const alone = whole === PoolStatus.ok || to - from === 1;
      const status = alone
        ? whole
        : await poolCall(this.#pool, 'read', this.#block(i), buffer, at, 1);
      this.#judge(i, status, buffer, at);
    }
  }

  #judge(i: number, status: PoolStatus, buffer: Uint8Array, at: number): void {
    const place = this.#order[i] as number;
    const where = `${this.#trees[place]}, block ${this.#indices[place]}`;
    const block = this.#block(i);
    if (status !== PoolStatus.ok) {
      this.#findings.add('data-unreadable', where, `pool block ${block} cannot be read`);
    } else if (this.#digest.crc32(buffer, at, BLOCK_BYTES) !== this.#crcs[place]) {
      const what = `pool block ${block} is not what its leaf names: its CRC does not hold`;
      this.#findings.add('data-damaged', where, what);
    }
  }

  /** Pool block of the i-th in order. */
  #block(i: number): number {
    return this.#blocks[this.#order[i] as number] as number;
  }
}
