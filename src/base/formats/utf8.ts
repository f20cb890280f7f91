/** Text as UTF-8 (RFC 3629), strictly: core code has no encoder of the platform to call. */
const CONTINUATION = 0x80;
const SIX_BITS = 0x3f;
/** Smallest code point that needs 2, 3, 4 bytes, by the number of bytes that follow the first. */
const SMALLEST: readonly number[] = [0, 0x80, 0x800, 0x1_0000];

/** Null if the text has half of a surrogate pair: it is not Unicode. */
export function encodeUtf8(text: string): Uint8Array | null {
  const bytes: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0) as number;
    if (isSurrogate(point)) return null;
    if (point < 0x80) bytes.push(point);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), tail(point, 0));
    else if (point < 0x1_0000) bytes.push(0xe0 | (point >> 12), tail(point, 6), tail(point, 0));
    else bytes.push(0xf0 | (point >> 18), tail(point, 12), tail(point, 6), tail(point, 0));
  }
  return Uint8Array.from(bytes);
}

/** Null if the bytes are not UTF-8: cut short, overlong, a surrogate or beyond Unicode. */
export function decodeUtf8(bytes: Uint8Array, from: number, to: number): string | null {
  let text = '';
  let at = from;
  while (at < to) {
    const first = bytes[at] as number;
    const following = followingBytes(first);
    if (following < 0 || at + following >= to) return null;
    let point = following === 0 ? first : first & (SIX_BITS >> following);
    for (let i = 1; i <= following; i++) {
      const byte = bytes[at + i] as number;
      if ((byte & 0xc0) !== CONTINUATION) return null;
      point = (point << 6) | (byte & SIX_BITS);
    }
    if (point < (SMALLEST[following] as number) || point > 0x10_ffff || isSurrogate(point)) {
      return null;
    }
    text += String.fromCodePoint(point);
    at += 1 + following;
  }
  return text;
}

function tail(point: number, shift: number): number {
  return CONTINUATION | ((point >> shift) & SIX_BITS);
}

function followingBytes(first: number): number {
  if (first < 0x80) return 0;
  if (first >= 0xc0 && first < 0xe0) return 1;
  if (first >= 0xe0 && first < 0xf0) return 2;
  return first >= 0xf0 && first < 0xf8 ? 3 : -1;
}

function isSurrogate(point: number): boolean {
  return point >= 0xd800 && point < 0xe000;
}
