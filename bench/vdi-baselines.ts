/** What the image's reads and writes are compared with: bare loops over a file, nothing else. */
import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Prng } from '../src/base/prng.ts';

const BLOCK_BYTES = 4096;
const GROUP_BLOCKS_MAX = 32;
const LOG_BYTES = 64 * 2 ** 20;
const FILL_BYTES = 2 ** 20;
/** Reads between two looks at the clock. */
const READS_A_LOOK = 64;

/**
 * A file that is appended to: some blocks, then fdatasync. Like the log's segments it is allocated
 * beforehand, which makes it faster: no sync writes metadata.
 */
export class RawLog {
  readonly #path: string;
  readonly #fd: number;
  readonly #group = new Uint8Array(GROUP_BLOCKS_MAX * BLOCK_BYTES);
  #position = 0;

  constructor(folder: string) {
    this.#path = join(folder, 'raw-log');
    this.#fd = openSync(this.#path, 'w');
    const zeros = new Uint8Array(FILL_BYTES);
    for (let at = 0; at < LOG_BYTES; at += FILL_BYTES)
      writeSync(this.#fd, zeros, 0, FILL_BYTES, at);
    fdatasyncSync(this.#fd);
    const random = new Prng(1, 'raw-log');
    const words = new Uint32Array(this.#group.buffer);
    for (let i = 0; i < words.length; i++) words[i] = random.nextU32();
  }

  /** Blocks a second, so many before each fdatasync: 32 at the most. */
  speed(durationMs: number, groupBlocks: number): number {
    const groupBytes = groupBlocks * BLOCK_BYTES;
    const startMs = performance.now();
    let blocks = 0;
    let nowMs = startMs;
    while (nowMs - startMs < durationMs) {
      writeSync(this.#fd, this.#group, 0, groupBytes, this.#position);
      fdatasyncSync(this.#fd);
      this.#position = (this.#position + groupBytes) % LOG_BYTES;
      blocks += groupBlocks;
      nowMs = performance.now();
    }
    return (blocks * 1000) / (nowMs - startMs);
  }

  close(): void {
    ftruncateSync(this.#fd, 0);
    closeSync(this.#fd);
    rmSync(this.#path);
  }
}

/** `count` blocks of a file from `first` on, at random, by positional reads; blocks a second. */
export function readSpeed(path: string, first: number, count: number, durationMs: number): number {
  const fd = openSync(path, 'r');
  const random = new Prng(1, 'reads');
  const page = new Uint8Array(BLOCK_BYTES);
  const startMs = performance.now();
  let blocks = 0;
  let nowMs = startMs;
  while (nowMs - startMs < durationMs) {
    for (let i = 0; i < READS_A_LOOK; i++) {
      const block = first + random.below(count);
      readSync(fd, page, 0, BLOCK_BYTES, block * BLOCK_BYTES);
    }
    blocks += READS_A_LOOK;
    nowMs = performance.now();
  }
  closeSync(fd);
  return (blocks * 1000) / (nowMs - startMs);
}
