/**
 * A trace: block requests in the order of their issue, in one canonical form.
 *
 * The form is a structure of arrays, one array a column, so that a replay of ten million requests
 * touches no objects, and so that worker threads can share it: all columns of a trace are views of
 * one buffer (32 bytes a request), which may be a SharedArrayBuffer. Structured clone of a `Trace`
 * over a SharedArrayBuffer shares the columns and copies only the facts.
 *
 * Laws of a sealed trace, which every reader and every transformation keeps:
 * - `t` is in nanoseconds from the first record, never decreases, and `t[0]` is 0;
 * - a flush has offset 0 and length 0; any other request has a length above 0, and its offset and
 *   length are whole 512-byte sectors that end inside the address space;
 * - `latency` is NaN where the source does not tell it;
 * - nobody changes a sealed trace: slices and fits make new ones.
 *
 * What the source could not say, and what was made up, stands in the facts beside the columns.
 */
import { PAGE_BYTES, SECTOR_BYTES } from '../base/units.ts';
import { RequestKind } from '../world/history.ts';

/** Bits of the `flags` column. */
export const TraceFlag = { fua: 1, preflush: 2, meta: 4, readahead: 8 } as const;

/** The formats that are read, with what they are called in messages. */
export const TRACE_FORMATS = {
  'nbdkit-log': "nbdkit's log filter",
  blkreplay: 'blkreplay .load',
  'vscsi-v1': 'vscsi version 1 (32-byte records)',
  'vscsi-v2': 'vscsi version 2 (40-byte records)',
  'canonical-csv': 'canonical CSV (t_ns,op,offset,size,latency_ns)',
  'fio-iolog': 'fio iolog version 3',
} as const;
export type TraceFileFormat = keyof typeof TRACE_FORMATS;
export type TraceFormat = TraceFileFormat | 'synthetic';

/** End of the address space of one device, in bytes: 256 TiB, which keeps block keys exact. */
export const ADDRESS_SPACE_BYTES: number = 2 ** 48;
export const ADDRESS_SPACE_BLOCKS: number = ADDRESS_SPACE_BYTES / PAGE_BYTES;
/** The most devices a trace can tell apart: what fits the `device` column. */
export const DEVICE_COUNT_MAX: number = 2 ** 16;
/** The longest request: the largest number of whole sectors that fits the `length` column. */
export const REQUEST_BYTES_MAX: number = 2 ** 32 - SECTOR_BYTES;

export interface TraceColumns {
  /** Records in each column. */
  readonly requests: number;
  /** Issue time, ns from the first record. */
  readonly t: Float64Array;
  /** A `RequestKind`. */
  readonly op: Uint8Array;
  /** Bytes from the start of the device. */
  readonly offset: Float64Array;
  /** Bytes. */
  readonly length: Uint32Array;
  /** Time from issue to return, ns, or NaN. */
  readonly latency: Float64Array;
  /** Which device of the source, from 0. */
  readonly device: Uint16Array;
  /** Bits of `TraceFlag`. */
  readonly flags: Uint8Array;
}

export interface Trace extends TraceColumns {
  readonly facts: TraceFacts;
}

/** What is known of a trace before its records are counted. */
export interface TraceOrigin {
  readonly format: TraceFormat;
  /** Name of the file, or what else the trace was made from. */
  readonly source: string;
  /** The step of the source's clock, ns. */
  readonly clockGranularityNs: number;
  /** Size of the recorded device, where the source states it. */
  readonly exportBytes: number | null;
  /** What was lost, clipped or made up on the way here, one plain sentence each. */
  readonly notes: readonly string[];
}

export type PerOp = Readonly<Record<keyof typeof RequestKind, number>>;

export interface TraceFacts extends TraceOrigin {
  readonly requests: number;
  readonly counts: PerOp;
  readonly bytes: PerOp;
  /** Issue time of the last record, ns. */
  readonly spanNs: number;
  /** Different 4 KiB blocks that reads and writes touch, on all devices. */
  readonly distinctBlocks: number;
  /** The highest end of a request, in bytes. */
  readonly addressEndBytes: number;
  readonly devices: number;
  /** Records whose latency is NaN. */
  readonly missingLatencies: number;
}

const RECORD_BYTES = 32;

/** Zeroed columns over one new buffer, widest column first so that each is aligned. */
export function allocateColumns(requests: number, shared: boolean): TraceColumns {
  const bytes = requests * RECORD_BYTES;
  const buffer = shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
  return {
    requests,
    t: new Float64Array(buffer, 0, requests),
    offset: new Float64Array(buffer, requests * 8, requests),
    latency: new Float64Array(buffer, requests * 16, requests),
    length: new Uint32Array(buffer, requests * 24, requests),
    device: new Uint16Array(buffer, requests * 28, requests),
    op: new Uint8Array(buffer, requests * 30, requests),
    flags: new Uint8Array(buffer, requests * 31, requests),
  };
}

/** Copies records `from` to `to` of `source` to the start of `target`. */
export function copyColumns(
  target: TraceColumns,
  source: TraceColumns,
  from: number,
  to: number,
): void {
  target.t.set(source.t.subarray(from, to));
  target.offset.set(source.offset.subarray(from, to));
  target.latency.set(source.latency.subarray(from, to));
  target.length.set(source.length.subarray(from, to));
  target.device.set(source.device.subarray(from, to));
  target.op.set(source.op.subarray(from, to));
  target.flags.set(source.flags.subarray(from, to));
}

export function isShared(trace: TraceColumns): boolean {
  return trace.t.buffer instanceof SharedArrayBuffer;
}

/**
 * What is wrong with a record, said as what was expected; null if nothing. `t` is in ns from a
 * moment near the first record; a time farther away than 2^53 ns would not be exact.
 */
export function recordProblem(
  t: number,
  op: RequestKind,
  offset: number,
  lengthBytes: number,
): string | null {
  if (!(Math.abs(t) <= Number.MAX_SAFE_INTEGER))
    return 'a time within 104 days of the first record';
  if (op === RequestKind.flush) return null;
  if (lengthBytes === 0) return 'a length above 0 (only a flush has none)';
  if (lengthBytes > REQUEST_BYTES_MAX) return `a length of at most ${REQUEST_BYTES_MAX} bytes`;
  if (lengthBytes % SECTOR_BYTES !== 0) return `a length of whole ${SECTOR_BYTES}-byte sectors`;
  if (offset % SECTOR_BYTES !== 0) return `an offset at a ${SECTOR_BYTES}-byte sector`;
  if (offset + lengthBytes > ADDRESS_SPACE_BYTES) {
    return `an address below ${ADDRESS_SPACE_BYTES} (256 TiB)`;
  }
  return null;
}
