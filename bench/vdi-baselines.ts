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
const GROUP_BLOCKS = 32;
const LOG_BYTES = 64 * 2 ** 20;
const FILL_BYTES = 2 ** 20;
/** Reads between two looks at the clock. */
const READS_A_LOOK = 64;

/**
 * A file that is appended to: 32 blocks, then fdatasync. Like the log's segments it is allocated
 * beforehand, which makes it faster: no sync writes metadata.
 */
export class RawLog {
  readonly #path: string;
  readonly #fd: number;
  readonly #group = new Uint8Array(GROUP_BLOCKS * BLOCK_BYTES);
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

  /** Blocks a second. */
  speed(durationMs: number): number {
    const startMs = performance.now();
    let blocks = 0;
    let nowMs = startMs;
    while (nowMs - startMs < durationMs) {
      writeSync(this.#fd, this.#group, 0, this.#group.length, this.#position);
      fdatasyncSync(this.#fd);
      this.#position = (this.#position + this.#group.length) % LOG_BYTES;
      blocks += GROUP_BLOCKS;
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
