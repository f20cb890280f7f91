/**
 * Frames between clients and servers of a Petal pool: a header in protobuf, and behind it the data
 * as it is. Our own records go in and come out; nothing else knows the generated code.
 *
 * Offset  Size  Field (little-endian)
 *      0     4  magic, "SDPW"
 *      4     4  CRC-32, as zlib computes it, of bytes 8 to the end of the header
 *      8     2  version of the protocol, `PETAL_PROTOCOL`
 *     10     2  0
 *     12     4  length of the header, at most 512 KiB
 *     16     4  length of the data, at most 64 KiB
 *     20        header: one `Envelope` of petal.proto
 *     20 + length of the header: data, up to the end of the frame; whole blocks of 4096 bytes
 *
 * Data is not in the header because a `bytes` field would be copied on both sides, and because its
 * sums are in the header, one a block, and are checked by whoever stores or returns the block: the
 * sum of the frame covers the header alone. It catches what would otherwise be obeyed, a block
 * number with a flipped bit.
 *
 * The order of the checks is magic, lengths, sum, version, protobuf, rules (`message-rules.ts`). So
 * a version that a flipped bit has made is damage, and "newer" is said only of what a newer program
 * has sent. A later version keeps the first 20 bytes as they are.
 *
 * The peer may be anything. Whatever the bytes are, `decodeFrame` gives a frame that keeps every
 * rule, or a refusal that says what was wrong; it never throws, and makes no more than some tens of
 * bytes a byte of header. What it does not judge: unknown fields are passed over, of a field that
 * comes twice the last one counts, and a varint that is too long for its field is cut to it: all as
 * protobuf has it.
 */
import protobuf from 'protobufjs/minimal.js';
import { invariant } from '../../base/invariant.ts';
import type { Digest } from '../../world/world.ts';
import { messageProblem, PAYLOAD_BYTES_MAX } from './message-rules.ts';
import { type Frame, PETAL_PROTOCOL, type PetalMessage } from './messages.ts';
import { decodeEnvelope, encodeEnvelope } from './wire-records.ts';

export const PREFIX_BYTES = 20;
/** Above what `DIRTY_BLOCKS_MAX` take at their largest. Every other message has below 2 KiB. */
export const HEADER_BYTES_MAX: number = 512 * 1024;
export const FRAME_BYTES_MAX: number = PREFIX_BYTES + HEADER_BYTES_MAX + PAYLOAD_BYTES_MAX;

/** "SDPW", read as a little-endian word. */
const MAGIC = 0x5750_4453;
/** Where the bytes that are summed begin. */
const SUMMED_FROM = 8;

/**
 * `damage`: these are not the bytes of a frame, or not all of them. `version`: they are one of
 * another version of the protocol. `illegal`: a frame, whose message is none.
 */
export type RefusalReason = 'damage' | 'version' | 'illegal';

/** Why some bytes were not taken for a frame. */
export class WireRefusal {
  readonly reason: RefusalReason;
  /** For people, without the sender, whom the codec does not know. */
  readonly why: string;

  constructor(reason: RefusalReason, why: string) {
    this.reason = reason;
    this.why = why;
  }
}

// 64-bit fields become numbers instead of objects with two halves. None of ours has more than 48
// bits; what a peer sends beyond is rounded to something that is still too large.
protobuf.util.Long = null as unknown as typeof protobuf.util.Long;
protobuf.configure();

/** One for all headers of the thread: it keeps its bytes, and is done when the call is. */
const headerWriter = new protobuf.Writer();

/**
 * The frame of a message, with `payload` copied behind its header. The message must keep the rules
 * of `message-rules.ts`: to send another one is a bug.
 *
 * `into`: where the frame is made, at its beginning, if it is large enough (`FRAME_BYTES_MAX`
 * always is); the caller owns it, and may write to it again when the link has let go of the frame.
 * Otherwise the frame has bytes of its own, the caller's.
 */
export function encodeFrame(
  message: PetalMessage,
  payload: Uint8Array,
  digest: Digest,
  into?: Uint8Array,
): Uint8Array {
  const problem = messageProblem(message, payload.length);
  invariant(problem === null, `a message keeps the rules of the wire: ${message.kind}: ${problem}`);
  headerWriter.reset();
  encodeEnvelope(message, headerWriter);
  const headerBytes = headerWriter.pos;
  invariant(headerBytes <= HEADER_BYTES_MAX, 'a header that keeps the rules is short enough');
  const dataAt = PREFIX_BYTES + headerBytes;
  const frameBytes = dataAt + payload.length;
  const frame =
    into !== undefined && into.length >= frameBytes
      ? into.subarray(0, frameBytes)
      : new Uint8Array(frameBytes);
  headerWriter.finishInto(frame, PREFIX_BYTES);
  frame.set(payload, dataAt);
  putU32(frame, 0, MAGIC);
  putU32(frame, 8, PETAL_PROTOCOL);
  putU32(frame, 12, headerBytes);
  putU32(frame, 16, payload.length);
  putU32(frame, 4, digest.crc32(frame, SUMMED_FROM, dataAt - SUMMED_FROM));
  return frame;
}

/**
 * The frame in `bytes`, which are all of it and nothing else, or why there is none. The payload is
 * a view of `bytes`, which must not change as long as somebody has it.
 */
export function decodeFrame(bytes: Uint8Array, digest: Digest): Frame | WireRefusal {
  if (bytes.length < PREFIX_BYTES) {
    return damage(`${bytes.length} bytes; expected at least ${PREFIX_BYTES}`);
  }
  if (u32At(bytes, 0) !== MAGIC) return damage('does not begin with SDPW');
  const headerBytes = u32At(bytes, 12);
  const payloadBytes = u32At(bytes, 16);
  if (headerBytes > HEADER_BYTES_MAX) {
    return damage(`the header has ${headerBytes} bytes; expected at most ${HEADER_BYTES_MAX}`);
  }
  if (payloadBytes > PAYLOAD_BYTES_MAX) {
    return damage(`${payloadBytes} bytes of data; expected at most ${PAYLOAD_BYTES_MAX}`);
  }
  const dataAt = PREFIX_BYTES + headerBytes;
  if (dataAt + payloadBytes !== bytes.length) {
    return damage(`${bytes.length} bytes; expected ${dataAt + payloadBytes} by its lengths`);
  }
  const sum = digest.crc32(bytes, SUMMED_FROM, dataAt - SUMMED_FROM);
  if (u32At(bytes, 4) !== sum) return damage('the CRC of the header is wrong');
  const version = u16At(bytes, 8);
  if (version !== PETAL_PROTOCOL) {
    return new WireRefusal('version', versionProblem('a frame', version));
  }
  if (u16At(bytes, 10) !== 0) return illegal('bytes 10 and 11 are not zero');
  return decodeHeader(bytes, dataAt);
}

/**
 * What to say of a peer that speaks another version; `what` has it: a frame, `s3`. Names both.
 */
export function versionProblem(what: string, version: number): string {
  const [newer, older] = [version > PETAL_PROTOCOL, version < PETAL_PROTOCOL];
  invariant(newer || older, 'the version is another one');
  return (
    `${what} has version ${version} of the Petal protocol, this program version ` +
    `${PETAL_PROTOCOL}: update ${newer ? 'this program' : 'the other one'}`
  );
}

function decodeHeader(bytes: Uint8Array, dataAt: number): Frame | WireRefusal {
  const reader = new protobuf.Reader(bytes);
  reader.pos = PREFIX_BYTES;
  reader.len = dataAt;
  reader.discardUnknown = true;
  let message: PetalMessage | null;
  try {
    message = decodeEnvelope(reader);
  } catch (thrown) {
    // All that the generated code says of bad input it throws.
    return illegal(`the header: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  if (message === null) return illegal('a message of a kind that is not known');
  const payload = bytes.subarray(dataAt);
  const problem = messageProblem(message, payload.length);
  if (problem !== null) return illegal(`${message.kind}: ${problem}`);
  return { message, payload };
}

function damage(why: string): WireRefusal {
  return new WireRefusal('damage', why);
}

function illegal(why: string): WireRefusal {
  return new WireRefusal('illegal', why);
}

function u16At(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

function u32At(bytes: Uint8Array, at: number): number {
  return (u16At(bytes, at) | (u16At(bytes, at + 2) << 16)) >>> 0;
}

function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
