/**
 * Messages between a directory's client and its server, as bytes: one message a frame.
 *
 * Offset  Size  Field (little-endian)
 *      0     4  magic, "SDIR"
 *      4     2  version of this format
 *      6     2  kind
 *      8     4  request: the number its client gave it; in a hint the number of the watch
 *     12     4  length of the body
 *     16        body, up to the end of the frame
 *
 * A text is u16 length and ASCII; a version of a key is u64 below 2^53; bytes are u32 length and
 * the bytes. Every frame carries magic and version, so that the handshake needs no state and holds
 * over a link that loses frames: a server answers a version it does not know with `failed`, in its
 * own version, and the client tells its callers.
 *
 * The peer may be anything: a frame whose lengths do not add up to its end, or that names what is
 * not allowed as a key, is no message at all.
 */
import { ByteReader, ByteWriter } from '../base/formats/byte-stream.ts';
import { invariant } from '../base/invariant.ts';
import type { Change, Comparison, DirectoryEntry } from './directory.ts';
import { DIRECTORY_TXN_KEYS, DIRECTORY_VALUE_BYTES } from './directory.ts';
import { isKey, isPrefix, isTxn } from './directory-rules.ts';

export const WIRE_VERSION = 1;
const MAGIC = 0x5249_4453;
const HEADER_BYTES = 16;
/** Far above what a list of keys takes, far below what would stop a thread. */
const FRAME_BYTES_MAX = 64 * 2 ** 20;

const Kind = {
  get: 1,
  list: 2,
  txn: 3,
  watch: 4,
  unwatch: 5,
  entries: 129,
  decided: 130,
  failed: 131,
  hint: 132,
} as const;

/** `request` numbers the answer that is waited for; that of `unwatch` and `hint` is the watch's. */
export type DirectoryMessage =
  | { readonly kind: 'get'; readonly request: number; readonly key: string }
  | { readonly kind: 'list'; readonly request: number; readonly prefix: string }
  | {
      readonly kind: 'txn';
      readonly request: number;
      readonly comparisons: readonly Comparison[];
      readonly changes: readonly Change[];
    }
  | { readonly kind: 'watch'; readonly request: number; readonly prefix: string }
  | { readonly kind: 'unwatch'; readonly request: number }
  /** Answers `get`, with one entry or none, and `list`. */
  | {
      readonly kind: 'entries';
      readonly request: number;
      readonly entries: readonly DirectoryEntry[];
    }
  | { readonly kind: 'decided'; readonly request: number; readonly made: boolean }
  | { readonly kind: 'failed'; readonly request: number; readonly why: string }
  | { readonly kind: 'hint'; readonly request: number; readonly key: string };

/** A frame of another version: all that is known of it is which request it was. */
export interface ForeignVersion {
  readonly kind: 'foreign';
  readonly request: number;
  readonly version: number;
}

/** The frame of a message; null if it would be larger than a frame may be. */
export function encodeDirectoryMessage(message: DirectoryMessage): Uint8Array | null {
  const lengthBytes = HEADER_BYTES + bodyBytes(message);
  if (lengthBytes > FRAME_BYTES_MAX) return null;
  const writer = new ByteWriter(lengthBytes);
  writer.u32(MAGIC);
  writer.u16(WIRE_VERSION);
  writer.u16(Kind[message.kind]);
  writer.u32(message.request);
  writer.u32(lengthBytes - HEADER_BYTES);
  writeBody(writer, message);
  invariant(writer.lengthBytes === lengthBytes, 'a message is as long as it was counted to be');
  return writer.done();
}

/** The message in a frame; null if the frame is not one whole, legal message. */
export function decodeDirectoryMessage(
  frame: Uint8Array,
): DirectoryMessage | ForeignVersion | null {
  if (frame.length < HEADER_BYTES || frame.length > FRAME_BYTES_MAX) return null;
  const reader = new ByteReader(frame);
  if (reader.u32() !== MAGIC) return null;
  const version = reader.u16();
  const kind = reader.u16();
  const request = reader.u32();
  if (version !== WIRE_VERSION) return { kind: 'foreign', request, version };
  if (reader.u32() !== frame.length - HEADER_BYTES) return null;
  const message = readBody(reader, kind, request);
  return message !== null && reader.isAtEnd ? message : null;
}

function bodyBytes(message: DirectoryMessage): number {
  switch (message.kind) {
    case 'get':
    case 'hint':
      return 2 + message.key.length;
    case 'list':
    case 'watch':
      return 2 + message.prefix.length;
    case 'txn':
      return (
        4 +
        message.comparisons.reduce((sum, { key }) => sum + 2 + key.length + 8, 0) +
        message.changes.reduce((sum, { key, value }) => {
          return sum + 2 + key.length + 1 + (value === null ? 0 : 4 + value.length);
        }, 0)
      );
    case 'unwatch':
      return 0;
    case 'entries':
      return message.entries.reduce((sum, { key, value }) => {
        return sum + 2 + key.length + 8 + 4 + value.length;
      }, 4);
    case 'decided':
      return 1;
    case 'failed':
      return 2 + message.why.length;
  }
}

function writeBody(writer: ByteWriter, message: DirectoryMessage): void {
  switch (message.kind) {
    case 'get':
    case 'hint':
      return writer.text(message.key);
    case 'list':
    case 'watch':
      return writer.text(message.prefix);
    case 'txn':
      return writeTxn(writer, message.comparisons, message.changes);
    case 'unwatch':
      return;
    case 'entries':
      writer.u32(message.entries.length);
      for (const { key, version, value } of message.entries) {
        writer.text(key);
        writer.u53(version);
        writer.bytes(value);
      }
      return;
    case 'decided':
      return writer.u8(message.made ? 1 : 0);
    case 'failed':
      return writer.text(message.why);
  }
}

function writeTxn(
  writer: ByteWriter,
  comparisons: readonly Comparison[],
  changes: readonly Change[],
): void {
  writer.u16(comparisons.length);
  for (const { key, version } of comparisons) {
    writer.text(key);
    writer.u53(version);
  }
  writer.u16(changes.length);
  for (const { key, value } of changes) {
    writer.text(key);
    writer.u8(value === null ? 0 : 1);
    if (value !== null) writer.bytes(value);
  }
}

function readBody(reader: ByteReader, kind: number, request: number): DirectoryMessage | null {
  switch (kind) {
    case Kind.get:
      return keyed('get', request, reader.text());
    case Kind.hint:
      return keyed('hint', request, reader.text());
    case Kind.list:
      return prefixed('list', request, reader.text());
    case Kind.watch:
      return prefixed('watch', request, reader.text());
    case Kind.txn:
      return readTxn(reader, request);
    case Kind.unwatch:
      return { kind: 'unwatch', request };
    case Kind.entries:
      return readEntries(reader, request);
    case Kind.decided: {
      const made = reader.u8();
      return made > 1 ? null : { kind: 'decided', request, made: made === 1 };
    }
    case Kind.failed:
      return { kind: 'failed', request, why: reader.text() };
    default:
      return null;
  }
}

function keyed(kind: 'get' | 'hint', request: number, key: string): DirectoryMessage | null {
  return isKey(key) ? { kind, request, key } : null;
}

function prefixed(
  kind: 'list' | 'watch',
  request: number,
  prefix: string,
): DirectoryMessage | null {
  return isPrefix(prefix) ? { kind, request, prefix } : null;
}

function readTxn(reader: ByteReader, request: number): DirectoryMessage | null {
  const comparisons: Comparison[] = [];
  const changes: Change[] = [];
  const comparisonCount = reader.u16();
  if (comparisonCount > DIRECTORY_TXN_KEYS) return null;
  for (let i = 0; i < comparisonCount && !reader.failed; i++) {
    comparisons.push({ key: reader.text(), version: reader.u53() });
  }
  const changeCount = reader.u16();
  if (changeCount > DIRECTORY_TXN_KEYS) return null;
  for (let i = 0; i < changeCount && !reader.failed; i++) {
    const key = reader.text();
    const present = reader.u8();
    if (present > 1) return null;
    changes.push({ key, value: present === 0 ? null : reader.bytes() });
  }
  if (reader.failed || !isTxn(comparisons, changes)) return null;
  return { kind: 'txn', request, comparisons, changes };
}

function readEntries(reader: ByteReader, request: number): DirectoryMessage | null {
  const entries: DirectoryEntry[] = [];
  const count = reader.u32();
  for (let i = 0; i < count && !reader.failed; i++) {
    const entry = { key: reader.text(), version: reader.u53(), value: reader.bytes() };
    if (!isKey(entry.key) || entry.value.length > DIRECTORY_VALUE_BYTES) return null;
    entries.push(entry);
  }
  return { kind: 'entries', request, entries };
}
