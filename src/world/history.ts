/**
 * What a guest did, recorded where a kill cannot take it away.
 *
 * A history is a fixed array of 48-byte records in a shared buffer that the runner owns. The guest
 * writes a record's invoke half before the doorbell and its acknowledgement half after it saw the
 * answer; a record whose acknowledgement half is empty has an unknown outcome. One guest writes a
 * history at a time; a successor (a guest restarted after a kill) goes on behind the last record.
 *
 * The order tap is the same idea on the other side of the ring: the driver VM writes one record a
 * mutation, before the device sees it, saying which number in the disk's order it got. Of a disk
 * that is an image it also says which sectors the mutation changes, and what was reported: each
 * published watermark, the place of each snapshot, change of policy and end of an epoch.
 *
 * Layout of a history: a 64-byte header {u32 capacity, u32 used}, then records of 6 doubles:
 * `[kind | flags << 8 | status << 16, lba, sectors, invokeNs, ackNs, index]`. `ackNs` is 0 until
 * the answer came. `index` is the write index of a write, what a read found (`findings.ts`), or
 * the count of writes acknowledged when a flush was submitted. A request that is answered again
 * keeps its first answer and is marked. Layout of a tap: the same header, then records of 6
 * doubles: `[frontId | disk << 32, frontSeq, writeIndex, vdiSeq, generation | queue << 32 | kind <<
 * 48, timeNs]`; kinds that are not of a mutation have two numbers of their own in place of
 * `frontSeq` and `writeIndex` (`TapKind`).
 */
import { invariant } from '../base/invariant.ts';
import type { FindingRun, Findings } from './findings.ts';

/** What a guest asks of its disk; traces use the same numbers. */
export const RequestKind = { read: 0, write: 1, flush: 2, discard: 3, zero: 4 } as const;
export type RequestKind = (typeof RequestKind)[keyof typeof RequestKind];

export const HistoryKind = {
  read: 0,
  write: 1,
  flush: 2,
  discard: 3,
  zero: 4,
  /** By the runner: the host lost its power here. */
  powerCut: 5,
  /** By the runner: from here on any of what was acknowledged may be gone, flushed or not. */
  loss: 6,
} as const;
export type HistoryKind = (typeof HistoryKind)[keyof typeof HistoryKind];

/** Whether a record says that what was acknowledged before it may be gone. */
export function isLossRecord(kind: HistoryKind): boolean {
  return kind === HistoryKind.powerCut || kind === HistoryKind.loss;
}

export const HistoryStatus = { unknown: 0, ok: 1, error: 2 } as const;
export type HistoryStatus = (typeof HistoryStatus)[keyof typeof HistoryStatus];

/** Bits of a record's flags. */
export const HistoryFlag = { fua: 1, answeredTwice: 2 } as const;

const HEADER_BYTES = 64;
export const RECORD_DOUBLES = 6;
/** A second number stands above the 32 bits of the first, a third above its 16 bits. */
const UPPER = 2 ** 32;
const TOP = 2 ** 48;
export const RECORD_BYTES: number = RECORD_DOUBLES * 8;

export interface HistoryRecord {
  readonly kind: HistoryKind;
  readonly flags: number;
  readonly status: HistoryStatus;
  readonly lba: number;
  readonly sectors: number;
  readonly invokeNs: number;
  /** 0: no answer was seen. */
  readonly ackNs: number;
  readonly index: number;
}

/** Records of six doubles behind a header with their count; the count is published last. */
class SharedRecords {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  /** `RECORD_DOUBLES` numbers a record: for those who go over millions of them. */
  readonly doubles: Float64Array;
  readonly #used: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.capacity = Math.floor((buffer.byteLength - HEADER_BYTES) / RECORD_BYTES);
    invariant(this.capacity > 0, 'a record buffer holds at least one record');
    this.doubles = new Float64Array(buffer, HEADER_BYTES);
    this.#used = new Int32Array(buffer, 0, HEADER_BYTES / 4);
  }

  get length(): number {
    return Atomics.load(this.#used, 1);
  }

  /** The records so far as they stand, `RECORD_BYTES` each: a view, not a copy. */
  bytes(): Uint8Array {
    return new Uint8Array(this.buffer, HEADER_BYTES, this.length * RECORD_BYTES);
  }

  /** Publishes the record at `length`, already written. */
  protected publish(next: number): void {
    Atomics.store(this.#used, 1, next);
  }
}

export function recordBufferFor(records: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_BYTES + records * RECORD_BYTES);
}

export class History extends SharedRecords {
  /** Where reads that found more than one value say what they found; null: nowhere. */
  readonly findings: Findings | null;

  constructor(buffer: SharedArrayBuffer, findings: Findings | null = null) {
    super(buffer);
    this.findings = findings;
  }

  /** Writes the invoke half; returns the record's number. The history must have room. */
  invoke(
    kind: HistoryKind,
    flags: number,
    lba: number,
    sectors: number,
    invokeNs: number,
    index: number,
  ): number {
    const at = this.length;
    invariant(at < this.capacity, 'a history has room for every request of its guest');
    const base = at * RECORD_DOUBLES;
    this.doubles[base] = kind | (flags << 8);
    this.doubles[base + 1] = lba;
    this.doubles[base + 2] = sectors;
    this.doubles[base + 3] = invokeNs;
    this.doubles[base + 4] = 0;
    this.doubles[base + 5] = index;
    this.publish(at + 1);
    return at;
  }

  /** Writes the acknowledgement half of a record. `index` replaces the one given at invoke. */
  acknowledge(record: number, status: HistoryStatus, ackNs: number, index: number): void {
    const base = record * RECORD_DOUBLES;
    if (this.doubles[base + 4] !== 0) {
      this.doubles[base] = (this.doubles[base] as number) | (HistoryFlag.answeredTwice << 8);
      return;
    }
    this.doubles[base + 5] = index;
    this.doubles[base + 4] = ackNs;
    this.doubles[base] = (this.doubles[base] as number) | (status << 16);
  }

  /** What a read that succeeded found, in order; nothing where that was not kept. */
  found({ index, sectors }: Pick<HistoryRecord, 'index' | 'sectors'>): FindingRun[] {
    if (this.findings !== null) return this.findings.runs(index, sectors);
    return index >= 0 ? [{ sectors, value: index }] : [];
  }

  record(at: number): HistoryRecord {
    const base = at * RECORD_DOUBLES;
    const head = this.doubles[base] as number;
    return {
      kind: (head & 0xff) as HistoryKind,
      flags: (head >>> 8) & 0xff,
      status: ((head >>> 16) & 0xff) as HistoryStatus,
      lba: this.doubles[base + 1] as number,
      sectors: this.doubles[base + 2] as number,
      invokeNs: this.doubles[base + 3] as number,
      ackNs: this.doubles[base + 4] as number,
      index: this.doubles[base + 5] as number,
    };
  }
}

/** What a record of a tap tells of, and its own numbers `a` and `b`. */
export const TapKind = {
  /** A mutation got its number: its frontSeq, and the write index of its stamps (0: none). */
  mutation: 0,
  /** Everything up to this number is under a published root; `a` is 1 where order is none. */
  published: 1,
  /** A snapshot is of everything up to this number: its id. */
  snapshot: 2,
  /** Acknowledgements mean something else from this number on: the policy. */
  policy: 3,
  /** What the mutation of this number changes: the first sector and how many. */
  extent: 4,
  /** An epoch ends with this number; `a` is 1 where no flush asked for it. */
  epoch: 5,
} as const;
export type TapKind = (typeof TapKind)[keyof typeof TapKind];

export interface TapRecord {
  readonly kind: TapKind;
  /** Number of the disk, kept over all its front ends. */
  readonly disk: number;
  readonly frontId: number;
  readonly frontSeq: number;
  readonly writeIndex: number;
  readonly vdiSeq: number;
  readonly generation: number;
  /** Which ring of the disk it came from. */
  readonly queue: number;
  readonly timeNs: number;
}

export class OrderTap extends SharedRecords {
  append(
    disk: number,
    frontId: number,
    frontSeq: number,
    writeIndex: number,
    vdiSeq: number,
    generation: number,
    queue: number,
    timeNs: number,
  ): void {
    const at = this.length;
    invariant(at < this.capacity, 'an order tap has room for every mutation of its run');
    const base = at * RECORD_DOUBLES;
    this.doubles[base] = frontId + disk * UPPER;
    this.doubles[base + 1] = frontSeq;
    this.doubles[base + 2] = writeIndex;
    this.doubles[base + 3] = vdiSeq;
    this.doubles[base + 4] = generation + queue * UPPER;
    this.doubles[base + 5] = timeNs;
    this.publish(at + 1);
  }

  /** A record that is not of a mutation, with its own two numbers. */
  tell(
    kind: TapKind,
    disk: number,
    a: number,
    b: number,
    vdiSeq: number,
    generation: number,
    timeNs: number,
  ): void {
    const at = this.length;
    invariant(at < this.capacity, 'an order tap has room for every record of its run');
    const base = at * RECORD_DOUBLES;
    this.doubles[base] = disk * UPPER;
    this.doubles[base + 1] = a;
    this.doubles[base + 2] = b;
    this.doubles[base + 3] = vdiSeq;
    this.doubles[base + 4] = generation + kind * TOP;
    this.doubles[base + 5] = timeNs;
    this.publish(at + 1);
  }

  /** Copies a record of another tap. */
  copy(from: OrderTap, record: number): void {
    const at = this.length;
    invariant(at < this.capacity, 'an order tap has room for what is copied to it');
    const base = record * RECORD_DOUBLES;
    this.doubles.set(from.doubles.subarray(base, base + RECORD_DOUBLES), at * RECORD_DOUBLES);
    this.publish(at + 1);
  }

  record(at: number): TapRecord {
    const base = at * RECORD_DOUBLES;
    const last = this.doubles[base + 4] as number;
    return {
      kind: Math.floor(last / TOP) as TapKind,
      disk: Math.floor((this.doubles[base] as number) / UPPER),
      frontId: (this.doubles[base] as number) % UPPER,
      frontSeq: this.doubles[base + 1] as number,
      writeIndex: this.doubles[base + 2] as number,
      vdiSeq: this.doubles[base + 3] as number,
      generation: last % UPPER,
      queue: Math.floor(last / UPPER) % 2 ** 16,
      timeNs: this.doubles[base + 5] as number,
    };
  }
}
