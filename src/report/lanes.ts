/**
 * Lanes: how a guest's throughput and latency look over time, drawn with characters.
 *
 * One column is the same stretch of time in every lane. Under the lane of a guest whose host lost
 * its driver VM a second line marks the columns of each outage and says how long it was; the
 * lanes of other hosts have no such line, which is the point of the picture.
 */
import { formatDuration } from '../base/format-units.ts';
import { SECOND } from '../base/units.ts';
import type { GuestResult, RunResult } from '../experiments/result.ts';
import { displayWidth } from './columns.ts';
import { goneText, outageEndNs, outagesOf, outageText } from './fate.ts';
import { linearTicks, peakOf, requestRates, resample } from './series.ts';

/** The characters of a picture: levels from nothing to full, and the mark of an outage. */
export interface Glyphs {
  readonly levels: readonly string[];
  readonly outage: string;
  readonly tick: string;
  readonly ellipsis: string;
  readonly good: string;
  readonly bad: string;
}

export const UNICODE_GLYPHS: Glyphs = {
  levels: [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
  outage: '▒',
  tick: '│',
  ellipsis: '…',
  good: '✔',
  bad: '✘',
};

/** For terminals and logs that have nothing but ASCII. */
export const ASCII_GLYPHS: Glyphs = {
  levels: [' ', '.', ':', '-', '=', '+', '*', '#', '@'],
  outage: 'x',
  tick: '|',
  ellipsis: '~',
  good: '[ok]',
  bad: '[FAILED]',
};

/** A throughput lane, scaled to the guest's own peak: `rows` lines, the top one first. */
export function throughputLane(
  result: RunResult,
  guest: GuestResult,
  columns: number,
  rows: number,
  glyphs: Glyphs,
): string[] {
  const { series } = guest;
  const rates = requestRates(series, result.durationNs);
  const peak = peakOf(rates);
  const steps = glyphs.levels.length - 1;
  const heights = resample(rates, series.bucketNs, result.durationNs, columns, 'mean').map((rate) =>
    levelOf(rate ?? 0, peak, rows * steps),
  );
  return Array.from({ length: rows }, (_, row) => {
    const below = (rows - 1 - row) * steps;
    return heights
      .map((height) => glyphs.levels[Math.max(0, Math.min(steps, height - below))] ?? ' ')
      .join('');
  });
}

/** A latency lane on a log scale from `lowNs` to `highNs`, the same for all guests. */
export function latencyLane(
  result: RunResult,
  guest: GuestResult,
  columns: number,
  range: { readonly low: number; readonly high: number },
  glyphs: Glyphs,
): string {
  const { p99Ns, bucketNs } = guest.series;
  const steps = glyphs.levels.length - 1;
  const span = Math.log(range.high / range.low);
  return resample(p99Ns, bucketNs, result.durationNs, columns, 'max')
    .map((ns) => {
      if (ns === null || ns <= 0) return ' ';
      const share = span === 0 ? 0 : Math.log(ns / range.low) / span;
      return glyphs.levels[1 + Math.round(share * (steps - 1))] ?? ' ';
    })
    .join('');
}

/** The line under a lane: marks where the host's driver VM was gone. Empty if it never was. */
export function outageMarks(
  result: RunResult,
  guest: GuestResult,
  columns: number,
  glyphs: Glyphs,
): string {
  const outages = outagesOf(result, guest);
  const cells: string[] = Array.from({ length: columns }, () => ' ');
  const spans = outages.map((outage) => {
    const from = columnOf(outage.killedAtNs, result.durationNs, columns);
    const endNs = outageEndNs(result, outage);
    const exact = Math.ceil((endNs / result.durationNs) * columns) - 1;
    const to = Math.max(from, Math.min(columns - 1, Number.isFinite(exact) ? exact : from));
    cells.fill(glyphs.outage, from, to + 1);
    return { outage, from, to };
  });
  let room = columns;
  for (const { outage, from, to } of spans.toReversed()) {
    write(cells, [outageText(result, outage), goneText(result, outage)], from, to, room);
    room = from;
  }
  return cells.join('').trimEnd();
}

/** Marks and times of the axis under the lanes. */
export function timeAxis(result: RunResult, columns: number, glyphs: Glyphs): string {
  const cells: string[] = Array.from({ length: columns }, () => ' ');
  let free = 0;
  for (const seconds of linearTicks(result.durationNs / SECOND, Math.max(1, columns / 12))) {
    const at = columnOf(seconds * SECOND, result.durationNs, columns);
    const label = glyphs.tick + formatDuration(seconds * SECOND);
    if (at < free || at + label.length > columns) continue;
    cells.splice(at, label.length, ...Array.from(label));
    free = at + label.length + 1;
  }
  return cells.join('').trimEnd();
}

/** Puts the first label that fits behind the mark, or before it; a cell holds one column. */
function write(
  cells: string[],
  labels: readonly string[],
  from: number,
  to: number,
  room: number,
): void {
  for (const label of labels) {
    const characters = Array.from(label);
    if (displayWidth(label) !== characters.length) continue;
    const before = from - 1 - characters.length;
    if (to + 2 + characters.length <= room) {
      cells.splice(to + 2, characters.length, ...characters);
      return;
    }
    if (before >= 0 && cells.slice(before, from).every((cell) => cell === ' ')) {
      cells.splice(before, characters.length, ...characters);
      return;
    }
  }
}

/** Anything above nothing is drawn: the lowest level means "some". */
function levelOf(value: number, peak: number, steps: number): number {
  if (value <= 0 || peak <= 0) return 0;
  return Math.max(1, Math.round((value / peak) * steps));
}

function columnOf(ns: number, durationNs: number, columns: number): number {
  if (!(durationNs > 0)) return 0;
  return Math.max(0, Math.min(columns - 1, Math.floor((ns / durationNs) * columns)));
}
