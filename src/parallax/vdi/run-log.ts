/**
 * What the log has of a run of batches, read in large pieces before the run is composed.
 *
 * A run is contiguous in the order of its disk, so its payloads lie close together in the log,
 * though not in the order of the blocks. A system call for each block costs the driver VM's thread
 * more than all else that composing does; a few large reads are done beside it.
 *
 * This is an aid and nothing more. What is not here (it was not durable yet, was moved meanwhile,
 * is spread too thinly among the writes of other disks, or there was no room) is read where it
 * lies, and bytes from here are checked like bytes from there.
 */
import { SECTOR_BYTES } from '../../base/units.ts';
import type { World } from '../../world/world.ts';
import type { Arena } from '../arena.ts';
import type { DirtyLog } from '../log/dirty-log.ts';
import { type DirtyMap, WHOLE } from './dirty-map.ts';

const READ_BYTES_MAX = 2 ** 20;
/** A span is read if at least this part of it is wanted. */
const WANTED_SHARE_MIN = 0.25;
/** Blocks looked up between two turns of the actor. */
const STEP_BLOCKS = 256;

/** A stretch of a segment of the log. */
interface Span {
  readonly segment: number;
  from: number;
  end: number;
  wantedBytes: number;
  /** Where it is in RAM; 0: it was not read. */
  address: number;
}

export class RunLog {
  readonly #world: World;
  readonly #log: DirtyLog;
  readonly #arena: Arena;
  #spans: Span[] = [];

  constructor(world: World, log: DirtyLog, arena: Arena) {
    this.#world = world;
    this.#log = log;
    this.#arena = arena;
  }

  /** Reads what the log has of these blocks as of `lastBatch`. */
  async load(dirty: DirtyMap, blocks: Uint32Array, lastBatch: number): Promise<void> {
    this.clear();
    const spans: Span[] = [];
    try {
      for (let i = 0; i < blocks.length; i++) {
        dirty.cover(blocks[i] as number, WHOLE, lastBatch);
        this.#widen(spans, dirty);
        if (i % STEP_BLOCKS === STEP_BLOCKS - 1) await this.#world.timers.sleep(0);
      }
      await this.#readAll(spans);
    } finally {
      for (const { segment } of spans) this.#log.unpin(segment);
    }
    this.#spans = spans;
  }

  /** Byte address of what the log has there; 0: it is not here. */
  addressOf(segment: number, offset: number, lengthBytes: number): number {
    for (const span of this.#spans) {
      if (span.segment !== segment || span.address === 0) continue;
      if (offset >= span.from && offset + lengthBytes <= span.end) {
        return span.address + offset - span.from;
      }
    }
    return 0;
  }

  clear(): void {
    this.#spans = [];
  }

  /** Makes the spans hold what `dirty.cover` has found. Each span pins its segment. */
  #widen(spans: Span[], dirty: DirtyMap): void {
    for (let at = 0; at < dirty.found; at++) {
      const segment = dirty.foundSegment[at] as number;
      if (segment < 0) continue;
      const from = dirty.foundOffset[at] as number;
      const wantedBytes = (dirty.foundSectors[at] as number) * SECTOR_BYTES;
      const end = from + wantedBytes;
      const span = spans.find((one) => one.segment === segment);
      if (span === undefined) {
        this.#log.pin(segment);
        spans.push({ segment, from, end, wantedBytes, address: 0 });
        continue;
      }
      span.from = Math.min(span.from, from);
      span.end = Math.max(span.end, end);
      span.wantedBytes += wantedBytes;
    }
  }

  async #readAll(spans: readonly Span[]): Promise<void> {
    let address = this.#arena.address;
    for (const span of spans) {
      const bytes = span.end - span.from;
      const left = this.#arena.address + this.#arena.bytes - address;
      if (bytes > left || span.wantedBytes < bytes * WANTED_SHARE_MIN) continue;
      if (!(await this.#read(span, address))) continue;
      span.address = address;
      address += bytes;
    }
  }

  async #read({ segment, from, end }: Span, address: number): Promise<boolean> {
    for (let at = from; at < end; at += READ_BYTES_MAX) {
      const bytes = Math.min(READ_BYTES_MAX, end - at);
      if (!(await this.#log.readSpan(segment, at, bytes, address + at - from))) return false;
    }
    return true;
  }
}
