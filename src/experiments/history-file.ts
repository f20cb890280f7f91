/**
 * `history.bin`: everything a run's guests did and its driver VMs ordered, for whoever wants to
 * judge the run again.
 *
 * ```
 *  0   "stordomH"               magic
 *  8   u32 version = 1
 * 12   u32 length of the directory, bytes: a multiple of 8
 * 16   directory, JSON in UTF-8, filled up with spaces:
 *        {"records": [{"kind": "history", "guest", "host", "lives", "first", "count"} |
 *                     {"kind": "order-tap", "host", "first", "count"}, ...]}
 *      all records, 48 bytes each; `first` counts them from 0 here
 * ```
 * A record is six doubles; `world/history.ts` says what they mean. Everything is little-endian.
 */
import type { Run } from './runner.ts';

const MAGIC = 'stordomH';
const VERSION = 1;
const HEAD_BYTES = 16;
const ALIGNMENT = 8;

interface Part {
  readonly facts: object;
  readonly records: { readonly length: number; bytes(): Uint8Array };
}

/** The file, in pieces to be written one after the other; records are not copied. */
export function encodeHistory(run: Run): Uint8Array[] {
  const parts: Part[] = [
    ...run.guests.map(({ name, scenario, lives, history }) => ({
      facts: { kind: 'history', guest: name, host: scenario.host, lives },
      records: history,
    })),
    ...run.hosts.map(({ name, tap }) => ({
      facts: { kind: 'order-tap', host: name },
      records: tap,
    })),
  ];
  let first = 0;
  const entries = parts.map(({ facts, records }) => {
    const entry = { ...facts, first, count: records.length };
    first += records.length;
    return entry;
  });
  return [
    headOf(JSON.stringify({ records: entries })),
    ...parts.map(({ records }) => records.bytes()),
  ];
}

function headOf(directory: string): Uint8Array {
  // Names of guests and hosts are ASCII, so a character is a byte.
  const padded = directory.padEnd(Math.ceil(directory.length / ALIGNMENT) * ALIGNMENT, ' ');
  const head = new Uint8Array(HEAD_BYTES + padded.length);
  const view = new DataView(head.buffer);
  put(head, 0, MAGIC);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, padded.length, true);
  put(head, HEAD_BYTES, padded);
  return head;
}

function put(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}
