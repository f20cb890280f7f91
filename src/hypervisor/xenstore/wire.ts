/**
 * Messages as bytes: a header of four little-endian u32 {type, request, transaction, length} and a
 * payload of that length, at most 4096 bytes, made of texts that each end with a NUL.
 *
 * A link carries one message a frame. A frame whose length contradicts its header, or a payload
 * over the limit, means that the sender is broken: there is no answer, its link is dropped. All
 * other mistakes are answered with an error. Source: io/xs_wire.h, docs/misc/xenstore.txt.
 *
 * Payloads are octets, held as text with one character (0..255) an octet.
 */
import { invariant } from '../../base/invariant.ts';

export const HEADER_BYTES = 16;
export const PAYLOAD_MAX_BYTES = 4096;

export const MessageType = {
  control: 0,
  directory: 1,
  read: 2,
  getPerms: 3,
  watch: 4,
  unwatch: 5,
  transactionStart: 6,
  transactionEnd: 7,
  introduce: 8,
  release: 9,
  getDomainPath: 10,
  write: 11,
  mkdir: 12,
  rm: 13,
  setPerms: 14,
  watchEvent: 15,
  error: 16,
  isDomainIntroduced: 17,
  resume: 18,
  setTarget: 19,
  restrict: 20,
  resetWatches: 21,
  directoryPart: 22,
} as const;

export interface Message {
  /** One of `MessageType`, or whatever else the peer sent. */
  readonly type: number;
  readonly requestId: number;
  /** 0: outside any transaction. */
  readonly transactionId: number;
  readonly payload: string;
}

/** Type of the message in a frame; -1 if it is too short to have one. */
export function messageTypeOf(frame: Uint8Array): number {
  if (frame.length < HEADER_BYTES) return -1;
  return new DataView(frame.buffer, frame.byteOffset).getUint32(0, true);
}

export function encodeMessage(message: Message): Uint8Array {
  const { payload } = message;
  invariant(payload.length <= PAYLOAD_MAX_BYTES, 'a payload fits a message');
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  const header = new DataView(frame.buffer);
  header.setUint32(0, message.type, true);
  header.setUint32(4, message.requestId, true);
  header.setUint32(8, message.transactionId, true);
  header.setUint32(12, payload.length, true);
  for (let i = 0; i < payload.length; i++) {
    const octet = payload.charCodeAt(i);
    invariant(octet <= 0xff, 'a payload is made of octets');
    frame[HEADER_BYTES + i] = octet;
  }
  return frame;
}

/** The message in a frame; null if the frame is not one whole message. */
export function decodeMessage(frame: Uint8Array): Message | null {
  if (frame.byteLength < HEADER_BYTES) return null;
  const header = new DataView(frame.buffer, frame.byteOffset, HEADER_BYTES);
  const lengthBytes = header.getUint32(12, true);
  if (lengthBytes > PAYLOAD_MAX_BYTES) return null;
  if (frame.byteLength !== HEADER_BYTES + lengthBytes) return null;
  return {
    type: header.getUint32(0, true),
    requestId: header.getUint32(4, true),
    transactionId: header.getUint32(8, true),
    payload: String.fromCharCode(...frame.subarray(HEADER_BYTES)),
  };
}

/** True if a text can be sent as octets. */
export function isOctets(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return false;
  return true;
}

/** Texts, each followed by a NUL. */
export function joinTexts(texts: readonly string[]): string {
  return texts.map((text) => `${text}\0`).join('');
}

/** The inverse of `joinTexts`; null if the last text has no NUL. */
export function splitTexts(payload: string): string[] | null {
  if (payload.length === 0) return [];
  if (!payload.endsWith('\0')) return null;
  return payload.slice(0, -1).split('\0');
}
