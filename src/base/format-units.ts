/**
 * How numbers with a unit are printed: one way, everywhere.
 *
 *   sizes      512b 4k 128m 1.5g 2t     powers of 1024
 *   times      350us 2ms 20s 2.5min     nanoseconds to hours
 *   rates      50k/s 1.2m/s             powers of 1000: a count is not a size
 *   shares     0.25% 12.5%
 *   counts     1,234,567                where every digit matters
 *
 * Three digits that mean something are printed (four where a size has 1000 to 1023 of its unit)
 * and no trailing zeros. `parse-units.ts` reads all of it back. The `exact` forms lose nothing:
 * they are for commands and manifests that must give the same run again.
 */

interface Unit {
  readonly suffix: string;
  readonly factor: number;
  /** So many of this unit are said in the next one. */
  readonly limit: number;
}

/** Units of a size, the smallest first. */
export const SIZE_UNITS: readonly Unit[] = [
  { suffix: 'b', factor: 1, limit: 1024 },
  { suffix: 'k', factor: 2 ** 10, limit: 1024 },
  { suffix: 'm', factor: 2 ** 20, limit: 1024 },
  { suffix: 'g', factor: 2 ** 30, limit: 1024 },
  { suffix: 't', factor: 2 ** 40, limit: 1024 },
];

/** Units of a time in nanoseconds, the smallest first. */
export const TIME_UNITS: readonly Unit[] = [
  { suffix: 'ns', factor: 1, limit: 1000 },
  { suffix: 'us', factor: 1e3, limit: 1000 },
  { suffix: 'ms', factor: 1e6, limit: 1000 },
  { suffix: 's', factor: 1e9, limit: 120 },
  { suffix: 'min', factor: 60e9, limit: 120 },
  { suffix: 'h', factor: 3600e9, limit: Number.POSITIVE_INFINITY },
];

/** Units of a count in a rate, the smallest first. */
export const RATE_UNITS: readonly Unit[] = [
  { suffix: '', factor: 1, limit: 1000 },
  { suffix: 'k', factor: 1e3, limit: 1000 },
  { suffix: 'm', factor: 1e6, limit: 1000 },
  { suffix: 'g', factor: 1e9, limit: 1000 },
];

/** Less than a millionth of the smallest unit is not told from nothing. */
const MAX_DECIMALS = 6;

/** A size in bytes, as `4k`. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, SIZE_UNITS);
}

/** A size in bytes to the last byte: in the largest unit of which it is a whole number. */
export function formatBytesExact(bytes: number): string {
  return whole(bytes, SIZE_UNITS);
}

/** A time in nanoseconds, as `2ms`; a fraction of a nanosecond is not printed. */
export function formatDuration(ns: number): string {
  const wholeNs = Math.round(ns);
  return wholeNs === 0 ? '0s' : scaled(wholeNs, TIME_UNITS);
}

/** A time in whole nanoseconds, without loss: in the largest unit of which it is a whole number. */
export function formatDurationExact(ns: number): string {
  return ns === 0 ? '0s' : whole(ns, TIME_UNITS);
}

/** A count a second, as `50k/s`. */
export function formatRate(perSecond: number): string {
  return `${scaled(perSecond, RATE_UNITS)}/s`;
}

/** Bytes a second, as `120m/s`. */
export function formatByteRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** A share of one, as `12.5%`. */
export function formatPercent(share: number): string {
  return `${decimal(share * 100)}%`;
}

/** A whole number with every digit, in groups of three. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/**
 * The largest unit of which there is at least one once the value is rounded: 1023.9k is 1m, and
 * 999.9us is 1ms.
 */
function scaled(value: number, units: readonly Unit[]): string {
  if (!Number.isFinite(value)) return String(value);
  let size = Math.abs(value);
  const sign = value < 0 ? '-' : '';
  const last = units.length - 1;
  for (let i = 0; i < last; i++) {
    const { suffix, factor, limit } = units[i] as Unit;
    const inUnit = round(size / factor);
    if (inUnit < limit) return `${sign}${decimal(inUnit)}${suffix}`;
    size = Math.max(size, limit * factor);
  }
  const { suffix, factor } = units[last] as Unit;
  return `${sign}${decimal(size / factor)}${suffix}`;
}

function whole(value: number, units: readonly Unit[]): string {
  const unit = units.findLast((one) => value % one.factor === 0) ?? (units[0] as Unit);
  return `${value === 0 ? 0 : value / unit.factor}${unit.suffix}`;
}

/** To three digits; numbers of more digits before the point keep those. */
function round(value: number): number {
  return Number(value.toFixed(decimalsOf(value)));
}

function decimal(value: number): string {
  return String(round(value));
}

function decimalsOf(value: number): number {
  const size = Math.abs(value);
  if (size >= 99.95) return 0;
  if (size >= 9.995) return 1;
  if (size >= 0.9995 || size === 0) return 2;
  return Math.min(MAX_DECIMALS, 2 - Math.floor(Math.log10(size)));
}
