/** Errors of trace input: each names the file, the place, what was found and what was expected. */
import { UsageError } from '../base/errors.ts';

/** `garbled`: not what the format says. `truncated`: the same, at the end of the input. */
type InputFault = 'garbled' | 'truncated';

const EXCERPT_BYTES_MAX = 60;

interface InputPlace {
  readonly name: string;
  /** For people: `line 12, column 7` or `byte 4096 (record 128)`. */
  readonly where: string;
  /** For programs: the line from 1, or the byte from 0. */
  readonly fields: Readonly<Record<string, number>>;
}

export function inputError(
  fault: InputFault,
  place: InputPlace,
  found: string,
  expected: string,
): UsageError {
  const remedy =
    fault === 'truncated'
      ? 'The input ends here: it seems cut. Fetch it again, or remove the incomplete last record.'
      : 'Nothing was imported. Mend or remove this record, or name the right format (--format).';
  return new UsageError(
    fault === 'truncated' ? 'E_TRACE_TRUNCATED' : 'E_TRACE_GARBLED',
    `${place.name}: ${place.where}: found ${found}, expected ${expected}. ${remedy}`,
    { fields: { file: place.name, ...place.fields, found, expected } },
  );
}

/** Bytes `from` to `to` as quoted printable text, cut to what fits a message. */
export function excerpt(bytes: Uint8Array, from: number, to: number): string {
  if (from >= to) return 'nothing';
  const stop = Math.min(to, from + EXCERPT_BYTES_MAX);
  let text = '';
  for (let at = from; at < stop; at++) {
    const byte = bytes[at] as number;
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
  }
  return `"${text}${stop < to ? '...' : ''}"`;
}
