/**
 * How numbers with a unit are read: what `format-units.ts` prints, and nothing that could mean two
 * things.
 *
 * A number is digits with an optional decimal point: no sign, no exponent, no space, no group
 * marks. Units are lower case and written without a space: `4k 128m 1.5g`, `350us 2ms 20s`,
 * `50k/s`, `12.5%`. A size without a unit is in bytes and a rate may leave out `/s`; a time must
 * have a unit, because a bare number of unknown unit has cost people days. The result must be a
 * whole number of bytes or nanoseconds; it is computed exactly, so `1.1g` is refused and `1.5g`
 * is not. Each refusal is a `UsageError` that names the place, what was given, what is accepted
 * and, where the meaning is plain, the spelling that would have been accepted.
 */
import { UsageError } from './errors.ts';
import { RATE_UNITS, SIZE_UNITS, TIME_UNITS } from './format-units.ts';

interface Grammar {
  readonly code: string;
  /** `a size`, for `"x" is not a size`. */
  readonly noun: string;
  readonly accepted: string;
  /** Factor of each accepted suffix, in the smallest unit. */
  readonly factors: ReadonlyMap<string, number>;
  /** What the result counts, in the plural; null if it may have a fraction. */
  readonly wholeOf: string | null;
}

const NUMBER = /^(\d+)(?:\.(\d+))?([^\d.].*)?$/;
const MAX_EXACT = BigInt(Number.MAX_SAFE_INTEGER);

const SIZE: Grammar = {
  code: 'E_SIZE',
  noun: 'a size',
  accepted: 'a number with one of the units b, k, m, g, t (powers of 1024), as 4k, 128m or 1.5g',
  factors: new Map([['', 1], ...SIZE_UNITS.map(pair)]),
  wholeOf: 'bytes',
};

const DURATION: Grammar = {
  code: 'E_DURATION',
  noun: 'a time',
  accepted: 'a number with one of the units ns, us, ms, s, min, h, as 350us, 2ms or 20s',
  factors: new Map(TIME_UNITS.map(pair)),
  wholeOf: 'nanoseconds',
};

const RATE: Grammar = {
  code: 'E_RATE',
  noun: 'a rate',
  accepted: 'a number a second, with k, m or g for powers of 1000, as 800/s, 50k/s or 1.5m/s',
  factors: new Map(RATE_UNITS.flatMap((unit) => bothWays(unit.suffix, unit.factor))),
  wholeOf: null,
};

const BYTE_RATE: Grammar = {
  code: 'E_BYTE_RATE',
  noun: 'a rate of bytes',
  accepted: 'a size a second, as 512k/s, 100m/s or 1.5g/s (powers of 1024)',
  factors: new Map([
    ...bothWays('', 1),
    ...SIZE_UNITS.flatMap((u) => bothWays(u.suffix, u.factor)),
  ]),
  wholeOf: null,
};

const PERCENT: Grammar = {
  code: 'E_PERCENT',
  noun: 'a percentage',
  accepted: 'a number from 0 to 100 and a percent sign, as 12.5%',
  factors: new Map([['%', 1]]),
  wholeOf: null,
};

/** Bytes of a size as `4k`. `place` names the flag or key in the error, as `--cache`. */
export function parseBytes(text: string, place: string): number {
  return read(text, place, SIZE);
}

/** Nanoseconds of a time as `2ms`. */
export function parseDuration(text: string, place: string): number {
  return read(text, place, DURATION);
}

/** Count a second of a rate as `50k/s`. */
export function parseRate(text: string, place: string): number {
  return read(text, place, RATE);
}

/** Bytes a second of a rate as `100m/s`. */
export function parseByteRate(text: string, place: string): number {
  return read(text, place, BYTE_RATE);
}

/** The share of one of a percentage as `12.5%`: 0.125. */
export function parsePercent(text: string, place: string): number {
  const percent = read(text, place, PERCENT);
  if (percent > 100) refuse(text, place, PERCENT, 'it is more than 100%');
  return percent / 100;
}

function read(text: string, place: string, grammar: Grammar): number {
  const match = NUMBER.exec(text);
  const factor = match === null ? undefined : grammar.factors.get(match[3] ?? '');
  if (match === null || factor === undefined) {
    return refuse(text, place, grammar, suggestionFor(text, grammar));
  }
  const integer = match[1] ?? '';
  const fraction = match[2] ?? '';
  const scale = 10n ** BigInt(fraction.length);
  const scaledUp = BigInt(integer + fraction) * BigInt(factor);
  if (scaledUp > MAX_EXACT * scale) {
    return refuse(text, place, grammar, 'it is too large to be counted exactly');
  }
  if (grammar.wholeOf === null) return Number(`${integer}.${fraction}`) * factor;
  if (scaledUp % scale !== 0n) {
    return refuse(text, place, grammar, `it is not a whole number of ${grammar.wholeOf}`);
  }
  return Number(scaledUp / scale);
}

/** What the user most likely meant, if that spelling is accepted. */
function suggestionFor(text: string, grammar: Grammar): string {
  if (text.startsWith('-')) return 'it is negative';
  const plain = text
    .toLowerCase()
    .replace(/[\s_,]/g, '')
    .replace(/[µμ]s/, 'us')
    .replace(/(sec|seconds?)$/, 's')
    .replace(/(\d)m(inutes?)?$/, grammar === DURATION ? '$1min' : '$&')
    .replace(/([kmgt])i?b(\/s)?$/, '$1$2');
  const match = NUMBER.exec(plain);
  if (match !== null && grammar.factors.has(match[3] ?? '')) return `did you mean ${plain}?`;
  if (/^\d+(\.\d+)?$/.test(plain)) return 'the unit is missing';
  return '';
}

function refuse(text: string, place: string, grammar: Grammar, why: string): never {
  const reason = why === '' ? '' : ` (${why})`;
  throw new UsageError(
    grammar.code,
    `${place}: ${JSON.stringify(text)} is not ${grammar.noun}${reason}; ` +
      `expected ${grammar.accepted}`,
    { fields: { place, given: text, expected: grammar.accepted } },
  );
}

function pair(unit: { readonly suffix: string; readonly factor: number }): [string, number] {
  return [unit.suffix, unit.factor];
}

function bothWays(suffix: string, factor: number): [string, number][] {
  return [
    [suffix, factor],
    [`${suffix}/s`, factor],
  ];
}
