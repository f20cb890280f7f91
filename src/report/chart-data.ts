/**
 * The numbers behind the interactive charts, as the script in the page reads them.
 *
 * Times are in seconds. Charts draw steps: point `i` holds from its time to the next one's, so
 * the last value is repeated at the end of its bucket; maxima are points at their bucket's start.
 * The first and last times are those of the
 * run, so that all charts have one axis even if a guest's series is shorter.
 */
import { SECOND } from '../base/units.ts';
import type { GuestResult, RunResult } from '../experiments/result.ts';
import { outageEndNs, outagesOf, outageText, serverDeathText } from './fate.ts';
import { peakOf, positiveRange, requestRates } from './series.ts';

export interface ChartData {
  /** From and to, in nanoseconds, of every latency axis: whole powers of ten. */
  readonly latencyRange: readonly [number, number];
  readonly guests: readonly GuestChart[];
}

type Values = readonly (number | null)[];

interface GuestChart {
  readonly name: string;
  readonly at: readonly number[];
  readonly rate: Values;
  readonly ratePeak: number;
  readonly p50: Values;
  readonly p99: Values;
  readonly max: Values;
  readonly outages: readonly ChartOutage[];
}

/** A stretch of time that is shaded in a guest's charts, and why. */
interface ChartOutage {
  readonly from: number;
  readonly to: number;
  readonly text: string;
  /** What was gone: the driver VM or the host of the guest, or a server of the pool. */
  readonly of: 'host' | 'server';
}

const DEFAULT_RANGE: readonly [number, number] = [1e3, 1e9];

export function chartDataOf(result: RunResult): ChartData {
  const range = positiveRange(result.guests.flatMap(({ series }) => [series.p50Ns, series.maxNs]));
  const latencyRange: readonly [number, number] =
    range === null
      ? DEFAULT_RANGE
      : [
          10 ** Math.floor(Math.log10(range.low)),
          10 ** (Math.floor(Math.log10(range.high * 1.0001)) + 1),
        ];
  return { latencyRange, guests: result.guests.map((guest) => guestChart(result, guest)) };
}

/** Nothing to draw: no bucket of the guest holds a request. */
export function hasSeries(guest: GuestResult): boolean {
  return guest.series.requests.some((requests) => requests > 0);
}

function guestChart(result: RunResult, guest: GuestResult): GuestChart {
  const { series } = guest;
  const buckets = series.requests.length;
  const bucketSeconds = series.bucketNs / SECOND;
  const runSeconds = result.durationNs / SECOND;
  const at = Array.from({ length: buckets + 1 }, (_, i) =>
    toMicro(Math.min(i * bucketSeconds, Math.max(runSeconds, (buckets - 1) * bucketSeconds))),
  );
  const short = buckets * bucketSeconds < runSeconds;
  if (short) at.push(toMicro(runSeconds));
  const onAxis = (values: Values, digits: number, last: 'hold' | 'end'): Values => {
    const drawn = Array.from({ length: buckets }, (_, i) => rounded(values[i] ?? null, digits));
    drawn.push(last === 'hold' ? (drawn.at(-1) ?? null) : null);
    return short ? [...drawn, null] : drawn;
  };
  const rate = onAxis(requestRates(series, result.durationNs), 1, 'hold');
  return {
    name: guest.name,
    at,
    rate,
    ratePeak: peakOf(rate),
    p50: onAxis(series.p50Ns.map(positive), 0, 'hold'),
    p99: onAxis(series.p99Ns.map(positive), 0, 'hold'),
    max: onAxis(series.maxNs.map(positive), 0, 'end'),
    outages: [...hostOutages(result, guest), ...serverOutages(result)],
  };
}

function hostOutages(result: RunResult, guest: GuestResult): ChartOutage[] {
  return outagesOf(result, guest).map((outage) => ({
    from: outage.killedAtNs / SECOND,
    to: outageEndNs(result, outage) / SECOND,
    text: outageText(result, outage),
    of: 'host',
  }));
}

/** Servers of the pool were dead for every guest. */
function serverOutages(result: RunResult): ChartOutage[] {
  return (result.serverDeaths ?? []).map((death) => ({
    from: death.killedAtNs / SECOND,
    to: Math.max(death.killedAtNs, Math.min(death.runningAtNs, result.durationNs)) / SECOND,
    text: serverDeathText(result, death),
    of: 'server',
  }));
}

/** A log axis has no place for zero. */
function positive(value: number | null): number | null {
  return value !== null && value > 0 ? value : null;
}

function toMicro(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}

function rounded(value: number | null, digits: number): number | null {
  return value === null ? null : Number(value.toFixed(digits));
}
