/**
 * `history.bin`: everything a run's guests did and its driver VMs ordered, for whoever wants to
 * judge the run again.
 *
 * ```
 *  0   "stordomH"               magic
 *  8   u32 version = 2
 * 12   u32 length of the directory, bytes: a multiple of 8
 * 16   directory, JSON in UTF-8, filled up with spaces:
 *        {"parts": [{"kind": "history", "guest", "host", "lives", "offset", "count"} |
 *                   {"kind": "findings", "guest", "offset", "count"} |
 *                   {"kind": "order-tap", "host", "offset", "count"}, ...]}
 *      the parts one after the other; `offset` counts bytes from here
 * ```
 * A record of a history or of an order tap is six doubles (`world/history.ts`), a run of findings
 * two (`world/findings.ts`). Everything is little-endian. Version 1 had no findings: a read told
 * of its first sector only.
 */
import type { Run } from './runner.ts';

const MAGIC = 'stordomH';
const VERSION = 2;
const HEAD_BYTES = 16;
const ALIGNMENT = 8;

interface Part {
  readonly facts: object;
  readonly items: { readonly length: number; bytes(): Uint8Array };
}

/** The file, in pieces to be written one after the other; records are not copied. */
export function encodeHistory(run: Run): Uint8Array[] {
  const parts: Part[] = run.guests.flatMap(({ name, host, lives, history }) => {
    const own = { kind: 'history', guest: name, host, lives };
    const { findings } = history;
    const runs = { kind: 'findings', guest: name };
    const records: Part = { facts: own, items: history };
    return findings === null ? [records] : [records, { facts: runs, items: findings }];
  });
  for (const { name, tap } of run.hosts) {
    parts.push({ facts: { kind: 'order-tap', host: name }, items: tap });
  }
  let offset = 0;
  const entries = parts.map(({ facts, items }) => {
    const entry = { ...facts, offset, count: items.length };
    offset += items.bytes().length;
    return entry;
  });
  return [headOf(JSON.stringify({ parts: entries })), ...parts.map(({ items }) => items.bytes())];
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
