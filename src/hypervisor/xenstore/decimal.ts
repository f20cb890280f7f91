/**
 * Decimal numbers as texts, read strictly.
 *
 * Any key may be written by a hostile peer, so a text counts as a number only if writing the
 * number again gives the same text: digits alone, no sign, no spaces, no leading zero (`0` itself
 * excepted), not empty and not above the limit. The peers we follow print with `%u` and `%llu`,
 * which never gives another form.
 */
export const U16_MAX = 0xffff;
export const U32_MAX = 0xffff_ffff;

/** The number, or null if `text` is not one in [0, max]. `max` is at most 2^53 - 1. */
export function parseDecimal(text: string, max: number = Number.MAX_SAFE_INTEGER): number | null {
  if (text.length === 0 || text.length > 16) return null;
  if (text.length > 1 && text.startsWith('0')) return null;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
  }
  return value <= max ? value : null;
}
