/**
 * Reads vscsi traces: little-endian records without a header, in two layouts.
 *
 *   version 1, 32 bytes: u32 sn, u32 len, u32 nSG, u16 cmd, u16 ver, u64 lbn, u64 ts
 *   version 2, 40 bytes: u16 cmd, u16 ver, u32 sn, u32 len, u32 nSG, u64 lbn, u64 ts, u64 rt
 *
 * `len` is in bytes, `lbn` in 512-byte sectors, `ts` and the response time `rt` in microseconds,
 * and the version is `ver` shifted right by 8. The two are told apart by their first records,
 * version 2 first. Serial numbers go backwards in real traces; the time stamp is the order.
 */
import { SECTOR_BYTES } from '../base/units.ts';
import { RequestKind } from '../world/history.ts';
import { recordProblem } from './trace.ts';
import { TraceBuilder } from './trace-builder.ts';
import { inputError } from './trace-errors.ts';

interface Layout {
  readonly format: 'vscsi-v1' | 'vscsi-v2';
  readonly version: number;
  readonly recordBytes: number;
  /** Byte offsets inside a record. */
  readonly command: number;
  readonly versionField: number;
  readonly length: number;
  readonly sector: number;
  readonly time: number;
  /** -1: not recorded. */
  readonly response: number;
}

const V1: Layout = {
  format: 'vscsi-v1',
  version: 1,
  recordBytes: 32,
  command: 12,
  versionField: 14,
  length: 4,
  sector: 16,
  time: 24,
  response: -1,
};
const V2: Layout = {
  format: 'vscsi-v2',
  version: 2,
  recordBytes: 40,
  command: 0,
  versionField: 2,
  length: 8,
  sector: 16,
  time: 24,
  response: 32,
};

const US_NS = 1_000;
const UINT32_END = 2 ** 32;
const PROBED_RECORDS = 2;

/** SCSI operation codes (SBC): READ and WRITE with 6, 10 and 16 byte commands. */
const NOT_A_TRANSFER = -1;
const OP_OF_CODE: Int8Array = new Int8Array(256).fill(NOT_A_TRANSFER);
for (const code of [0x08, 0x28, 0x88]) OP_OF_CODE[code] = RequestKind.read;
for (const code of [0x0a, 0x2a, 0x8a]) OP_OF_CODE[code] = RequestKind.write;

/** Which layout the first records have, or null if neither. */
export function probeVscsi(bytes: Uint8Array): 'vscsi-v1' | 'vscsi-v2' | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const layout of [V2, V1]) {
    const records = Math.min(PROBED_RECORDS, Math.floor(bytes.length / layout.recordBytes));
    let fitting = 0;
    while (fitting < records && fits(view, fitting * layout.recordBytes, layout)) fitting++;
    if (records > 0 && fitting === records) return layout.format;
  }
  return null;
}

export function readVscsi(
  bytes: Uint8Array,
  name: string,
  format: 'vscsi-v1' | 'vscsi-v2',
): TraceBuilder {
  const layout = format === 'vscsi-v1' ? V1 : V2;
  const { recordBytes } = layout;
  const count = Math.floor(bytes.length / recordBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const builder = new TraceBuilder(
    { format, source: name, clockGranularityNs: US_NS, exportBytes: null, notes: [] },
    count,
  );
  let startUs = 0;
  for (let at = 0, record = 0; record < count; at += recordBytes, record++) {
    if (view.getUint16(at + layout.versionField, true) >>> 8 !== layout.version) {
      refuse(bytes, name, layout, record, `version ${layout.version} in the record`);
    }
    const op = OP_OF_CODE[view.getUint16(at + layout.command, true) & 0xff] as number;
    if (op === NOT_A_TRANSFER) {
      refuse(bytes, name, layout, record, 'a SCSI command 08, 28, 88 (read) or 0a, 2a, 8a (write)');
    }
    const timeUs = u64(view, at + layout.time);
    if (record === 0) startUs = timeUs;
    // A Unix time in nanoseconds is not exact in a double; the difference in microseconds is.
    const t = (timeUs - startUs) * US_NS;
    const offset = u64(view, at + layout.sector) * SECTOR_BYTES;
    const lengthBytes = view.getUint32(at + layout.length, true);
    const problem = recordProblem(t, op as RequestKind, offset, lengthBytes);
    if (problem !== null) refuse(bytes, name, layout, record, problem);
    const latency = layout.response < 0 ? Number.NaN : u64(view, at + layout.response) * US_NS;
    builder.append(t, op as RequestKind, offset, lengthBytes, latency, 0, 0);
  }
  if (count * recordBytes !== bytes.length) {
    refuse(bytes, name, layout, count, `a record of ${recordBytes} bytes`);
  }
  return builder;
}

function fits(view: DataView, at: number, layout: Layout): boolean {
  const command = view.getUint16(at + layout.command, true);
  const version = view.getUint16(at + layout.versionField, true) >>> 8;
  const transfer = command < OP_OF_CODE.length && OP_OF_CODE[command] !== NOT_A_TRANSFER;
  return transfer && version === layout.version;
}

function u64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * UINT32_END + view.getUint32(at, true);
}

function refuse(
  bytes: Uint8Array,
  name: string,
  layout: Layout,
  record: number,
  expected: string,
): never {
  const byte = record * layout.recordBytes;
  const rest = bytes.subarray(byte, byte + layout.recordBytes);
  let found = '';
  for (const value of rest) found += value.toString(16).padStart(2, '0');
  const place = {
    name,
    where: `byte ${byte} (record ${record}, counted from 0)`,
    fields: { byteOffset: byte, record },
  };
  const fault = rest.length < layout.recordBytes ? 'truncated' : 'garbled';
  throw inputError(fault, place, `${rest.length} bytes ${found}`, expected);
}
