/**
 * Blocks that clients change by `writeIf` alone, and a judge of what they were told: the versions
 * of a block are one order, each is written once, and whoever asks after an answer sees no earlier
 * one.
 */
import { StorageError } from '../../../src/base/errors.ts';
import type { Prng } from '../../../src/base/prng.ts';
import { BLOCK_BYTES, type BlockPool } from '../../../src/world/block-pool.ts';

interface Block {
  /** By version. 0: not known who wrote it. */
  readonly values: Map<number, number>;
  /** Highest that somebody was told of. */
  known: number;
}

export class Conditionals {
  readonly #blocks: readonly Block[];
  readonly problems: string[] = [];
  written = 0;
  #lastValue = 0;

  constructor(blocks: number) {
    this.#blocks = Array.from({ length: blocks }, () => ({ values: new Map(), known: 0 }));
  }

  /** Reads a block and tries to be the next to write it. */
  async turn(pool: BlockPool, random: Prng): Promise<void> {
    const at = random.below(this.#blocks.length);
    const block = this.#blocks[at] as Block;
    try {
      const before = block.known;
      const found = await pool.readConditional(at);
      const value = new Uint32Array(found.data.slice().buffer)[0] as number;
      this.#saw(at, before, found.version, value);
      const next = ++this.#lastValue;
      const data = new Uint8Array(BLOCK_BYTES);
      new Uint32Array(data.buffer).fill(next);
      const known = block.known;
      const { written, version } = await pool.writeIf(at, found.version, data);
      if (written) this.written++;
      this.#saw(at, known, version, written ? next : null);
    } catch (thrown) {
      // Nobody could say what became of it: it may be seen later.
      if (!(thrown instanceof StorageError)) throw thrown;
    }
  }

  /** `value`: what the version has; null: it was not told. `known`: when the question was asked. */
  #saw(at: number, known: number, version: number, value: number | null): void {
    const { values } = this.#blocks[at] as Block;
    if (version < known) {
      this.problems.push(`block ${at}: version ${version} was told after version ${known}`);
    }
    const before = values.get(version);
    if (value !== null && before !== undefined && before !== value) {
      this.problems.push(`block ${at}: version ${version} has ${value}, had ${before}`);
    }
    if (value !== null) values.set(version, value);
    const block = this.#blocks[at] as Block;
    block.known = Math.max(block.known, version);
  }
}
