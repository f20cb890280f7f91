/**
 * The one picture of a run, as a static SVG: time goes right, hosts stand below one another.
 *
 *   host h0   driver VM  =========////=================   serving, gone (hatched), serving
 *             g0         ▁▃▅▇▇▇▇▇|    |▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇   shaded where its driver VM was gone
 *             g1         ...
 *   host h1   driver VM  ===============================
 *             g2         ▁▃▅▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇   no shade: the outage was not its own
 *
 * A lane is a guest's requests a second, to its own peak. It works without scripts, from a file,
 * in a README and in print; it follows the reader's light or dark scheme by itself. Colours are
 * from Okabe and Ito's set, and no meaning rests on colour alone: an outage is hatched and named.
 *
 * What a test or a style may rely on: `g.host[data-host]` holds a host, `g.lane[data-guest]` a
 * guest, `.outage` inside either is one outage of that host, and nothing else has that class.
 * `g.pool` holds the servers of the store that died, `.server-death` is one death.
 */
import { formatDuration, formatRate } from '../base/format-units.ts';
import { SECOND } from '../base/units.ts';
import type { GuestResult, Outage, RunResult, ServerOutage } from '../experiments/result.ts';
import { cut, displayWidth } from './columns.ts';
import { escapeMarkup } from './escape.ts';
import {
  fateOf,
  fatesIn,
  fateText,
  fateWord,
  goneText,
  hostsOf,
  outageEndNs,
  outagesOf,
  outageText,
  serverDeathText,
} from './fate.ts';
import { linearTicks, peakOf, requestRates, resample } from './series.ts';
import { verdictOf } from './verdict.ts';

export interface OverviewOptions {
  /** Width in user units, which are pixels where it is shown at its own size; 960 by default. */
  readonly width?: number;
  /** With the verdict, the title and a background of its own, for a file; true by default. */
  readonly standalone?: boolean;
  /** Makes the ids inside unique where one page holds several. */
  readonly idPrefix?: string;
}

const LANE_HEIGHT = 54;
const DRIVER_HEIGHT = 36;
const AREA_HEIGHT = 32;
const BAR_HEIGHT = 8;
const HOST_PADDING = 10;
const HOST_GAP = 12;
const AXIS_HEIGHT = 34;
const TITLE_HEIGHT = 66;
const FONT_SIZE = 13;
/** A column narrower than this shows nothing more. */
const LEAST_COLUMN = 2.5;
/** A band narrower than this would be lost. */
const LEAST_BAND = 4;
const MAX_LANES = 40;

interface Plot {
  readonly result: RunResult;
  readonly width: number;
  readonly left: number;
  readonly right: number;
  readonly id: string;
  readonly maxLabel: number;
}

/** The picture as SVG text. */
export function renderOverviewSvg(result: RunResult, options: OverviewOptions = {}): string {
  const width = Math.max(320, options.width ?? 960);
  const standalone = options.standalone ?? true;
  const narrow = width < 720;
  const plot: Plot = {
    result,
    width,
    left: narrow ? 96 : 128,
    right: width - (narrow ? 84 : 104),
    id: `${options.idPrefix ?? 'overview'}-`,
    maxLabel: narrow ? 10 : 13,
  };
  const top = standalone ? TITLE_HEIGHT : 4;
  const body: string[] = [];
  let y = top;
  for (const host of hostsShown(result)) {
    const height = hostHeight(host);
    body.push(hostGroup(plot, host, y, height));
    y += height + HOST_GAP;
  }
  const deaths = result.serverDeaths ?? [];
  if (deaths.length > 0) {
    body.push(poolGroup(plot, deaths, y));
    y += poolHeight(deaths) + HOST_GAP;
  }
  const bodyEnd = y - HOST_GAP;
  if (result.guests.length > MAX_LANES) {
    const more = result.guests.length - MAX_LANES;
    body.push(label(plot.left, y + 4, `and ${more} more guests below`, 'faint'));
    y += 18;
  }
  const height = Math.ceil(y + AXIS_HEIGHT - HOST_GAP);
  return [
    `<svg class="overview" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" `,
    `width="${width}" height="${height}" role="img" aria-labelledby="${plot.id}title">`,
    `<title id="${plot.id}title">${escapeMarkup(spoken(result))}</title>`,
    `<style>${STYLE}</style>`,
    definitions(plot),
    standalone ? `<rect class="paper" width="${width}" height="${height}" rx="10"/>` : '',
    standalone ? titleLines(plot) : '',
    grid(plot, top, bodyEnd),
    ...body,
    axis(plot, bodyEnd),
    '</svg>',
  ].join('');
}

interface HostLanes {
  readonly name: string;
  readonly guests: readonly GuestResult[];
  readonly outages: readonly Outage[];
}

function hostsShown(result: RunResult): HostLanes[] {
  const shown = result.guests.slice(0, MAX_LANES);
  return hostsOf(result)
    .map((name) => ({
      name,
      guests: shown.filter((guest) => guest.host === name),
      outages: result.outages.filter((outage) => outage.host === name),
    }))
    .filter((host) => host.guests.length > 0 || host.outages.length > 0);
}

function hostHeight(host: HostLanes): number {
  return HOST_PADDING * 2 + DRIVER_HEIGHT + host.guests.length * LANE_HEIGHT;
}

function hostGroup(plot: Plot, host: HostLanes, y: number, height: number): string {
  const driverY = y + HOST_PADDING;
  const lanes = host.guests.map((guest, i) =>
    lane(plot, guest, driverY + DRIVER_HEIGHT + i * LANE_HEIGHT),
  );
  const barY = driverY + 18;
  const gone = host.outages.map((outage) => {
    const { x, bandWidth } = band(plot, outage);
    // A lost host never serves again: others have what it had.
    const goneWidth = outage.hostLost === true ? plot.right - x : bandWidth;
    return (
      rect('bar-gone', x, barY, goneWidth, BAR_HEIGHT) +
      `<rect class="outage" x="${n(x)}" y="${n(barY)}" width="${n(bandWidth)}" ` +
      `height="${n(BAR_HEIGHT)}" fill="url(#${plot.id}hatch)">` +
      `<title>${escapeMarkup(outageText(plot.result, outage))}</title></rect>`
    );
  });
  return [
    `<g class="host" data-host="${escapeMarkup(host.name)}">`,
    `<rect class="panel" x="4" y="${n(y)}" width="${n(plot.width - 8)}" `,
    `height="${n(height)}" rx="8"/>`,
    label(16, driverY + 9, cut(host.name, plot.maxLabel), 'strong'),
    label(plot.left - 10, barY + 9, 'driver VM', 'faint', 'end'),
    rect('bar', plot.left, barY, plot.right - plot.left, BAR_HEIGHT),
    ...gone,
    ...goneLabels(plot, host.outages, driverY + 11),
    ...lanes,
    '</g>',
  ].join('');
}

function serversIn(deaths: readonly ServerOutage[]): string[] {
  return [...new Set(deaths.map(({ server }) => server))].sort();
}

function poolHeight(deaths: readonly ServerOutage[]): number {
  return HOST_PADDING * 2 + serversIn(deaths).length * DRIVER_HEIGHT;
}

/** Servers that died: hatched while they were dead, pale until they were in sync again. */
function poolGroup(plot: Plot, deaths: readonly ServerOutage[], y: number): string {
  const rows = serversIn(deaths).map((server, at) => {
    const rowY = y + HOST_PADDING + at * DRIVER_HEIGHT;
    const barY = rowY + 18;
    const own = deaths.filter((death) => death.server === server);
    return [
      label(plot.left - 10, barY + 9, server, 'strong', 'end'),
      rect('bar', plot.left, barY, plot.right - plot.left, BAR_HEIGHT),
      ...own.map((death) => serverDeath(plot, death, barY)),
      ...own.slice(0, 1).map((death) => {
        const x = Math.min(xOf(plot, death.killedAtNs), plot.right - 260);
        return label(x, rowY + 11, serverDeathText(plot.result, death), 'ink');
      }),
    ].join('');
  });
  const height = poolHeight(deaths);
  return [
    '<g class="pool">',
    `<rect class="panel" x="4" y="${n(y)}" width="${n(plot.width - 8)}" `,
    `height="${n(height)}" rx="8"/>`,
    label(16, y + HOST_PADDING + 9, 'pool', 'strong'),
    ...rows,
    '</g>',
  ].join('');
}

function serverDeath(plot: Plot, death: ServerOutage, barY: number): string {
  const fromX = xOf(plot, death.killedAtNs);
  const deadWidth = Math.max(LEAST_BAND, xOf(plot, death.runningAtNs) - fromX);
  const behindWidth = Math.max(deadWidth, xOf(plot, death.inSyncAtNs) - fromX);
  const what = escapeMarkup(serverDeathText(plot.result, death));
  return [
    rect('bar-gone', fromX, barY, behindWidth, BAR_HEIGHT),
    rect('bar-behind', fromX, barY, behindWidth, BAR_HEIGHT),
    `<rect class="server-death" x="${n(fromX)}" y="${n(barY)}" width="${n(deadWidth)}" `,
    `height="${n(BAR_HEIGHT)}" fill="url(#${plot.id}hatch)"><title>${what}</title></rect>`,
  ].join('');
}

/** When each driver VM was killed and for how long it was gone, above its bar. */
function goneLabels(plot: Plot, outages: readonly Outage[], y: number): string[] {
  return beside(
    plot,
    outages.map((outage) => {
      const gone = goneText(plot.result, outage);
      const what = outage.hostLost === true ? 'lost' : 'killed';
      const texts = [`${what} at ${formatDuration(outage.killedAtNs)}, ${gone}`, gone];
      return { outage, texts, style: 'ink' };
    }),
    y,
  );
}

function lane(plot: Plot, guest: GuestResult, y: number): string {
  const { result } = plot;
  const base = y + LANE_HEIGHT - 4;
  const columns = columnsOf(plot, guest);
  const { bucketNs } = guest.series;
  const rates = requestRates(guest.series, result.durationNs);
  const values = resample(rates, bucketNs, result.durationNs, columns, 'mean');
  const peak = peakOf(rates);
  const bands = outagesOf(result, guest).map((outage) => {
    const { x, bandWidth } = band(plot, outage);
    const height = LANE_HEIGHT - 6;
    const what = escapeMarkup(outageText(result, outage));
    return (
      `<g class="outage"><rect class="band" x="${n(x)}" y="${n(y + 2)}" ` +
      `width="${n(bandWidth)}" height="${n(height)}"><title>${what}</title></rect>` +
      `<rect x="${n(x)}" y="${n(y + 2)}" width="${n(bandWidth)}" height="${n(height)}" ` +
      `fill="url(#${plot.id}hatch)" pointer-events="none"/></g>`
    );
  });
  const name = cut(guest.name, plot.maxLabel);
  return [
    `<g class="lane" data-guest="${escapeMarkup(guest.name)}">`,
    area(plot, values, peak, base),
    ...bands,
    `<line class="base" x1="${plot.left}" x2="${plot.right}" y1="${n(base)}" y2="${n(base)}"/>`,
    label(plot.left - 10, base - 12, name, 'strong', 'end'),
    label(plot.right + 10, base - AREA_HEIGHT + 10, peak > 0 ? formatRate(peak) : '', 'ink'),
    label(plot.right + 10, base - AREA_HEIGHT + 25, peak > 0 ? 'peak' : 'no request', 'faint'),
    ...fateLabels(plot, guest, y + 13),
    '</g>',
  ].join('');
}

/** What each outage of the run did to this guest. */
function fateLabels(plot: Plot, guest: GuestResult, y: number): string[] {
  const notes = plot.result.outages.map((outage) => {
    const fate = fateOf(plot.result, outage, guest);
    const style = fate.kind === 'stalled' ? 'alarm' : 'faint';
    return { outage, texts: [fateText(fate), fateWord(fate)], style };
  });
  return beside(plot, notes, y);
}

interface Note {
  readonly outage: Outage;
  /** The first that fits is said. */
  readonly texts: readonly string[];
  readonly style: string;
}

/** Notes behind their outages, else in front of them, else left out: none covers another. */
function beside(plot: Plot, notes: readonly Note[], y: number): string[] {
  const labels: string[] = [];
  let free = plot.left;
  for (const { outage, texts, style } of notes) {
    const { x, bandWidth } = band(plot, outage);
    const after = x + bandWidth + 6;
    for (const text of texts) {
      const width = textWidth(text);
      if (after >= free && after + width <= plot.right) {
        labels.push(label(after, y, text, style));
        free = after + width + 8;
        break;
      }
      if (x - 6 - width >= free) {
        labels.push(label(x - 6, y, text, style, 'end'));
        free = after;
        break;
      }
    }
  }
  return labels;
}

function area(plot: Plot, values: readonly (number | null)[], peak: number, base: number): string {
  if (peak === 0) return '';
  const step = (plot.right - plot.left) / values.length;
  const points = values.map((value, i) => {
    const y = n(base - ((value ?? 0) / peak) * AREA_HEIGHT);
    return `V${y}H${n(plot.left + (i + 1) * step)}`;
  });
  const line = points.join('');
  return (
    `<path class="area" d="M${n(plot.left)} ${n(base)}${line}V${n(base)}Z"/>` +
    `<path class="line" d="M${n(plot.left)} ${n(base)}${line}"/>`
  );
}

function columnsOf(plot: Plot, guest: GuestResult): number {
  const buckets = Math.ceil(plot.result.durationNs / guest.series.bucketNs);
  const most = Math.floor((plot.right - plot.left) / LEAST_COLUMN);
  return Math.max(1, Math.min(buckets, most));
}

function band(plot: Plot, outage: Outage): { readonly x: number; readonly bandWidth: number } {
  const x = xOf(plot, outage.killedAtNs);
  const end = xOf(plot, outageEndNs(plot.result, outage));
  const bandWidth = Math.max(LEAST_BAND, end - x);
  return { x: Math.min(x, plot.right - LEAST_BAND), bandWidth };
}

function xOf(plot: Plot, ns: number): number {
  const { durationNs } = plot.result;
  const share = durationNs > 0 ? Math.max(0, Math.min(1, ns / durationNs)) : 0;
  return plot.left + share * (plot.right - plot.left);
}

function ticksOf(plot: Plot): number[] {
  const seconds = plot.result.durationNs / SECOND;
  return linearTicks(seconds, (plot.right - plot.left) / 90).map((tick) => tick * SECOND);
}

/** Behind the lanes: a line at each time of the axis. */
function grid(plot: Plot, top: number, end: number): string {
  return ticksOf(plot)
    .map((ns) => {
      const x = n(xOf(plot, ns));
      return `<line class="grid" x1="${x}" x2="${x}" y1="${n(top)}" y2="${n(end + 5)}"/>`;
    })
    .join('');
}

function axis(plot: Plot, end: number): string {
  const labels = ticksOf(plot).map((ns) =>
    label(xOf(plot, ns), end + 20, formatDuration(ns), 'faint', 'middle'),
  );
  return labels.join('');
}

function titleLines(plot: Plot): string {
  const verdict = verdictOf(plot.result);
  const mark = verdict.ok ? 'M17 27l5 5 9 -11' : 'M18 20l12 12M30 20l-12 12';
  const fit = Math.floor((plot.width - 60) / 9.2);
  return [
    `<circle class="${verdict.ok ? 'good' : 'bad'}" cx="24" cy="26" r="13"/>`,
    `<path class="mark" d="${mark}"/>`,
    `<text class="title" x="46" y="25">${escapeMarkup(cut(plot.result.title, fit))}</text>`,
    label(46, 45, cut(`${verdict.text}. ${KEY}`, Math.floor(fit * 1.3)), 'faint'),
  ].join('');
}

const KEY = 'Lanes: requests a second. Shaded: the driver VM was gone.';

function definitions(plot: Plot): string {
  return (
    `<defs><pattern id="${plot.id}hatch" width="6" height="6" patternUnits="userSpaceOnUse" ` +
    'patternTransform="rotate(45)"><line class="hatch" x1="1" x2="1" y1="0" y2="6"/>' +
    '</pattern></defs>'
  );
}

/** For those who hear the picture. */
function spoken(result: RunResult): string {
  const outages = result.outages.map((outage) => {
    const fates = fatesIn(result, outage).map((fate) => `${fate.guest.name} ${fateText(fate)}`);
    return `${outageText(result, outage)}: ${fates.join('; ')}`;
  });
  const deaths = (result.serverDeaths ?? []).map((death) => serverDeathText(result, death));
  return [`${result.title}: ${verdictOf(result).text}`, ...outages, ...deaths].join('. ');
}

function label(x: number, y: number, text: string, style: string, anchor = 'start'): string {
  if (text === '') return '';
  const at = anchor === 'start' ? '' : ` text-anchor="${anchor}"`;
  return `<text class="${style}" x="${n(x)}" y="${n(y)}"${at}>${escapeMarkup(text)}</text>`;
}

function rect(style: string, x: number, y: number, width: number, height: number): string {
  const size = `width="${n(width)}" height="${n(height)}"`;
  return `<rect class="${style}" x="${n(x)}" y="${n(y)}" ${size} rx="2"/>`;
}

/** A generous estimate: no font is measured here. */
function textWidth(text: string): number {
  return displayWidth(text) * FONT_SIZE * 0.54;
}

/** A coordinate to a tenth of a pixel. */
function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}

const STYLE: string = [
  '.overview{--o-ink:#1b1f24;--o-faint:#57606a;--o-panel:#f3f5f8;--o-paper:#fff;--o-grid:#d5dbe2;',
  '--o-lane:#0072b2;--o-gone:#c04b00;--o-serve:#00855f;--o-good:#00734f;--o-bad:#b42318;',
  `font:${FONT_SIZE}px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,`,
  'sans-serif}',
  '@media screen and (prefers-color-scheme:dark){.overview{--o-ink:#e8edf2;--o-faint:#a3afbb;',
  '--o-panel:#1b222b;--o-paper:#11161c;--o-grid:#37424e;--o-lane:#5cb8ec;--o-gone:#ff9a52;',
  '--o-serve:#2fbf92;--o-good:#1f9d76;--o-bad:#e5534b}}',
  '.overview text{fill:var(--o-ink)}.overview .faint{fill:var(--o-faint)}',
  '.overview .strong{font-weight:600}.overview .alarm{fill:var(--o-gone);font-weight:600}',
  '.overview .title{font-size:20px;font-weight:650}',
  '.overview .paper{fill:var(--o-paper)}.overview .panel{fill:var(--o-panel);fill-opacity:.75}',
  '.overview .grid{stroke:var(--o-grid);stroke-width:1}',
  '.overview .base{stroke:var(--o-faint);stroke-opacity:.5}',
  '.overview .area{fill:var(--o-lane);fill-opacity:.24}',
  '.overview .line{fill:none;stroke:var(--o-lane);stroke-width:1.4;stroke-linejoin:round}',
  '.overview .band{fill:var(--o-gone);fill-opacity:.2}',
  '.overview .hatch{stroke:var(--o-gone);stroke-width:1.6;stroke-opacity:.75}',
  '.overview .bar{fill:var(--o-serve)}.overview .bar-gone{fill:var(--o-panel)}',
  '.overview .bar-behind{fill:var(--o-serve);fill-opacity:.3}',
  '.overview .good{fill:var(--o-good)}.overview .bad{fill:var(--o-bad)}',
  '.overview .mark{fill:none;stroke:#fff;stroke-width:3;stroke-linecap:round;',
  'stroke-linejoin:round}',
].join('');
