/**
 * Replies as the client has asked for them.
 *
 * ```
 * simple       magic u32, error u32, cookie u64, data of a read
 * structured   magic u32, flags u16, type u16, cookie u64, length u32, payload
 * extended     magic u32, flags u16, type u16, cookie u64, offset u64, length u64, payload
 * ```
 * In mode `structured` whatever has neither data nor an error is answered simply, which is allowed
 * and shorter; in mode `extended` everything is a chunk.
 */
import { encodeUtf8 } from '../../base/formats/utf8.ts';
import type { OutStream } from './out-stream.ts';
import {
  EXTENDED_REPLY_MAGIC,
  NbdError,
  REPLY_FLAG_DONE,
  type ReplyMode,
  ReplyType,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from './protocol.ts';

/** What of a request its replies carry. */
export interface Answered {
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly offsetHigh: number;
  readonly offsetLow: number;
}

/** Consecutive bytes of the export that have the same status. */
export interface Extent {
  readonly lengthBytes: number;
  readonly flags: number;
}

const SIMPLE_BYTES = 16;
const CHUNK_BYTES = 20;
const EXTENDED_CHUNK_BYTES = 32;
/** Longest extent that a field of 32 bits can say, in whole pages. */
const EXTENT_BYTES_MAX: number = 2 ** 32 - 4096;
const NO_TEXT = new Uint8Array(0);

/** Header of a simple reply; the data of a read follows. */
export function putSimple(out: OutStream, request: Answered, error: NbdError): void {
  const at = out.header(SIMPLE_BYTES);
  const { view } = out;
  view.setUint32(at, SIMPLE_REPLY_MAGIC);
  view.setUint32(at + 4, error);
  view.setUint32(at + 8, request.cookieHigh);
  view.setUint32(at + 12, request.cookieLow);
}

/** The whole answer to a request that gives no data. */
export function putDone(out: OutStream, mode: ReplyMode, request: Answered): void {
  if (mode === 'extended') putChunk(out, mode, request, ReplyType.none, 0, true);
  else putSimple(out, request, NbdError.ok);
}

/** The end of a structured reply whose other chunks went before, or of one without any. */
export function putEnd(out: OutStream, mode: ReplyMode, request: Answered): void {
  putChunk(out, mode, request, ReplyType.none, 0, true);
}

/** The answer to a request that failed, or the last chunk of it. */
export function putError(
  out: OutStream,
  mode: ReplyMode,
  request: Answered,
  error: NbdError,
  why: string,
): void {
  if (mode === 'simple') return putSimple(out, request, error);
  const text = encodeUtf8(why) ?? NO_TEXT;
  putChunk(out, mode, request, ReplyType.error, 6 + text.length, true);
  out.u32(error);
  out.u16(text.length);
  out.bytes(text);
}

/** The header of a chunk of data; the data follows. */
export function putDataChunk(
  out: OutStream,
  mode: ReplyMode,
  request: Answered,
  offset: number,
  lengthBytes: number,
  isLast: boolean,
): void {
  putChunk(out, mode, request, ReplyType.offsetData, 8 + lengthBytes, isLast);
  out.u64(offset);
}

/** The status of one context. */
export function putBlockStatus(
  out: OutStream,
  mode: ReplyMode,
  request: Answered,
  contextId: number,
  extents: readonly Extent[],
  isLast: boolean,
): void {
  if (mode === 'extended') {
    const bytes = 8 + 16 * extents.length;
    putChunk(out, mode, request, ReplyType.blockStatusExtended, bytes, isLast);
    out.u32(contextId);
    out.u32(extents.length);
    for (const { lengthBytes, flags } of extents) {
      out.u64(lengthBytes);
      out.u64(flags);
    }
    return;
  }
  putChunk(out, mode, request, ReplyType.blockStatus, 4 + 8 * extents.length, isLast);
  out.u32(contextId);
  for (const { lengthBytes, flags } of extents) {
    out.u32(lengthBytes);
    out.u32(flags);
  }
}

/**
 * The extents that a reply can carry, from the first on: joined where they have the same status,
 * no longer than their fields, no more than `count`, and `lengthBytes` in all at most.
 */
export function fitExtents(
  extents: readonly Extent[],
  mode: ReplyMode,
  count: number,
  lengthBytes: number,
): Extent[] {
  const longest = mode === 'extended' ? Number.MAX_SAFE_INTEGER : EXTENT_BYTES_MAX;
  const fitting: { lengthBytes: number; flags: number }[] = [];
  let leftBytes = lengthBytes;
  for (const extent of extents) {
    const bytes = Math.min(extent.lengthBytes, leftBytes);
    const last = fitting[fitting.length - 1];
    if (bytes === 0) break;
    if (last !== undefined && last.flags === extent.flags) last.lengthBytes += bytes;
    else if (fitting.length === count) break;
    else fitting.push({ lengthBytes: bytes, flags: extent.flags });
    leftBytes -= bytes;
  }
  const cutAt = fitting.findIndex((extent) => extent.lengthBytes > longest);
  if (cutAt < 0) return fitting;
  const flags = fitting[cutAt]?.flags ?? 0;
  return [...fitting.slice(0, cutAt), { lengthBytes: longest, flags }];
}

function putChunk(
  out: OutStream,
  mode: ReplyMode,
  request: Answered,
  type: number,
  lengthBytes: number,
  isLast: boolean,
): void {
  const isExtended = mode === 'extended';
  const at = out.header(isExtended ? EXTENDED_CHUNK_BYTES : CHUNK_BYTES);
  const { view } = out;
  view.setUint32(at, isExtended ? EXTENDED_REPLY_MAGIC : STRUCTURED_REPLY_MAGIC);
  view.setUint16(at + 4, isLast ? REPLY_FLAG_DONE : 0);
  view.setUint16(at + 6, type);
  view.setUint32(at + 8, request.cookieHigh);
  view.setUint32(at + 12, request.cookieLow);
  if (!isExtended) {
    view.setUint32(at + 16, lengthBytes);
    return;
  }
  view.setUint32(at + 16, request.offsetHigh);
  view.setUint32(at + 20, request.offsetLow);
  view.setUint32(at + 24, 0);
  view.setUint32(at + 28, lengthBytes);
}
