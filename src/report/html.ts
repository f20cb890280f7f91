/**
 * A run as one HTML file that needs nothing else: no network, no server, no second file.
 *
 * It opens from `file://`, prints, follows the reader's light or dark scheme, and reads without
 * scripts (the overview picture is SVG, the numbers are tables); with scripts each guest gets
 * charts whose cursors and zoom move together. A policy in the head forbids every fetch, so that
 * a report from a stranger cannot call home. All texts of the result are escaped here.
 *
 * The caller hands over the chart library as text, so that this file stays free of Node.
 *
 * What a test or a script may rely on:
 *   #verdict                    the banner; `.broken` if the run did not hold what it checked
 *   #limits, #violations        present only if there are any
 *   #overview svg               the static picture, see `svg.ts` for what is inside
 *   #fate .fate[data-host]      one outage; `li[data-guest]` with the class of its fate, `.foreign`
 *   #story li                   one line of the story; `.in-outage` while a driver VM is gone
 *   #charts .chart[data-guest][data-host]
 *                               one guest; holds two `.uplot` once the script has run
 *   .chart .outage              in each plot: `.of-host`, an outage of that guest's host, or
 *                               `.of-server`, the time in which a server of the pool was dead
 *   html[data-charts]           how many plots the script has drawn; absent if it failed
 *   #checks tr[data-check], #guests tr[data-guest], #machine, #command
 */
import { formatBytes, formatCount, formatDuration } from '../base/format-units.ts';
import type { GuestResult, Outage, RunResult } from '../experiments/result.ts';
import { chartDataOf, hasSeries } from './chart-data.ts';
import { CHART_SCRIPT } from './chart-script.ts';
import { escapeMarkup, jsonForScript, scriptForMarkup, styleForMarkup } from './escape.ts';
import { type Fate, fatesIn, fateText, outageEndNs, outageText, stalledNs } from './fate.ts';
import { REPORT_STYLE } from './html-style.ts';
import { requestCount } from './series.ts';
import { renderOverviewSvg } from './svg.ts';
import { verdictOf } from './verdict.ts';

/** uPlot as text: `dist/uPlot.iife.min.js` and `dist/uPlot.min.css`. */
export interface ReportAssets {
  readonly script: string;
  readonly style: string;
}

const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; " +
  "base-uri 'none'; form-action 'none'";

/** The whole file. */
export function renderHtml(result: RunResult, assets: ReportAssets): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${verdictOf(result).ok ? '✔' : '✘'} ${escapeMarkup(result.title)}</title>
<style>${styleForMarkup(assets.style)}</style>
<style>${styleForMarkup(REPORT_STYLE)}</style>
</head>
<body>
<main>
${verdictBanner(result)}
${violationsPanel(result)}
${limitsPanel(result)}
${overview(result)}
${fatePanel(result)}
${storyPanel(result)}
${chartsPanel(result)}
${checksTable(result)}
${guestsTable(result)}
${machinePanel(result)}
</main>
<script type="application/json" id="series">${jsonForScript(chartDataOf(result))}</script>
<script>${scriptForMarkup(assets.script)}</script>
<script>${scriptForMarkup(CHART_SCRIPT)}</script>
</body>
</html>
`;
}

function verdictBanner(result: RunResult): string {
  const verdict = verdictOf(result);
  return `<header id="verdict"${verdict.ok ? '' : ' class="broken"'}>
<h1>${escapeMarkup(result.title)}</h1>
<p class="result">${verdict.ok ? '✔' : '✘'} ${escapeMarkup(verdict.text)}</p>
<p>${escapeMarkup(result.summary)}</p>
<p class="faint">Again: <code>${escapeMarkup(result.command)}</code></p>
</header>`;
}

function violationsPanel(result: RunResult): string {
  const items = result.guests.flatMap((guest) =>
    guest.violations.map(
      (text) => `<li><b>${escapeMarkup(guest.name)}</b>: ${escapeMarkup(text)}</li>`,
    ),
  );
  if (items.length === 0) return '';
  return `<section id="violations"><h2>Violations</h2><ul>${items.join('')}</ul></section>`;
}

function limitsPanel(result: RunResult): string {
  if (result.limits.length === 0) return '';
  const items = result.limits.map((limit) => `<li>${escapeMarkup(limit)}</li>`);
  return `<section id="limits"><h2>What limits this result</h2>
<ul>${items.join('')}</ul></section>`;
}

/** Two pictures, one for narrow pages: text in a picture that is scaled down cannot be read. */
function overview(result: RunResult): string {
  const wide = renderOverviewSvg(result, { width: 1040, standalone: false, idPrefix: 'wide' });
  const narrow = renderOverviewSvg(result, { width: 560, standalone: false, idPrefix: 'narrow' });
  const servers =
    (result.serverDeaths ?? []).length > 0
      ? ' A server of the pool is hatched while it was dead, and pale until it was in sync.'
      : '';
  return `<figure id="overview">
<div class="wide">${wide}</div>
<div class="narrow">${narrow}</div>
<figcaption>Requests a second, each guest to its own peak. Hatched: the driver VM was gone; only
lanes of its own host are shaded.${servers}</figcaption>
</figure>`;
}

function fatePanel(result: RunResult): string {
  if (result.outages.length === 0) return '';
  const panels = result.outages.map((outage) => outagePanel(result, outage));
  return `<section id="fate"><h2>Fate sharing</h2>
<p class="faint">A dead driver VM stalls its own guests, without an error, and nobody else.</p>
${panels.join('\n')}</section>`;
}

function outagePanel(result: RunResult, outage: Outage): string {
  const from = clock(outage.killedAtNs);
  const to = clock(outageEndNs(result, outage));
  const replayed = formatCount(outage.replayedRequests);
  const items = fatesIn(result, outage).map(fateItem);
  return `<div class="fate" data-host="${escapeMarkup(outage.host)}">
<h3>${escapeMarkup(outageText(result, outage))}</h3>
<div class="faint">From ${from} to ${to}; ${replayed} requests were replayed by their guests.</div>
<ul class="fates">${items.join('')}</ul></div>`;
}

function fateItem(fate: Fate): string {
  const classes = fate.kind + (fate.foreign && fate.kind === 'stalled' ? ' foreign' : '');
  const name = escapeMarkup(fate.guest.name);
  return (
    `<li class="${classes}" data-guest="${name}"><b>${name} ` +
    `<span class="faint">on ${escapeMarkup(fate.guest.host)}</span></b>` +
    `<span>${escapeMarkup(fateText(fate))}</span></li>`
  );
}

function storyPanel(result: RunResult): string {
  if (result.story.length === 0) return '';
  const gone = (ns: number): boolean =>
    result.outages.some((one) => ns >= one.killedAtNs && ns < outageEndNs(result, one));
  const items = result.story.map(
    (line) =>
      `<li${gone(line.atNs) ? ' class="in-outage"' : ''}><time>${clock(line.atNs)}</time>` +
      `<span>${escapeMarkup(line.text)}</span></li>`,
  );
  return `<section id="story"><h2>Story</h2><ol class="story">${items.join('')}</ol></section>`;
}

function chartsPanel(result: RunResult): string {
  if (result.guests.length === 0) {
    return '<section id="charts"><h2>Guests over time</h2><p>No guest took part.</p></section>';
  }
  return `<section id="charts"><h2>Guests over time</h2>
<p class="faint">Cursors move together. Drag to zoom all charts, double-click to see the whole run.
Latency is on a log scale, the same for all guests.</p>
<noscript><p>These charts need scripts; the picture above and the tables below do not.</p>
</noscript>
${result.guests.map(chartFigure).join('\n')}</section>`;
}

function chartFigure(guest: GuestResult): string {
  const name = escapeMarkup(guest.name);
  const host = escapeMarkup(guest.host);
  const panels = hasSeries(guest)
    ? '<div class="panel"></div><div class="panel"></div>'
    : '<p>No request completed.</p>';
  return `<figure class="chart" data-guest="${name}" data-host="${host}">
<figcaption><b>${name}</b> <span class="faint">on ${host}</span></figcaption>
${panels}</figure>`;
}

function checksTable(result: RunResult): string {
  if (result.checks.length === 0) return '';
  const rows = result.checks.map(
    (check) =>
      `<tr data-check="${escapeMarkup(check.name)}">` +
      `<td class="mark${check.ok ? '' : ' broken'}">${check.ok ? '✔ holds' : '✘ broken'}</td>` +
      `<td><code>${escapeMarkup(check.name)}</code></td><td>${escapeMarkup(check.text)}</td></tr>`,
  );
  return `<section id="checks"><h2>Checks</h2><div class="table"><table>
<tbody>${rows.join('')}</tbody></table></div></section>`;
}

interface Column {
  readonly title: string;
  cell(guest: GuestResult): string;
}

function guestsTable(result: RunResult): string {
  if (result.guests.length === 0) return '';
  const columns = guestColumns(result);
  const head = columns.map((column) => `<th class="number">${column.title}</th>`).join('');
  const rows = result.guests.map((guest) => {
    const cells = columns.map((column) => `<td class="number">${column.cell(guest)}</td>`);
    const name = escapeMarkup(guest.name);
    return (
      `<tr data-guest="${name}"><td class="name"><b>${name}</b></td>` +
      `<td>${escapeMarkup(guest.host)}</td>${cells.join('')}</tr>`
    );
  });
  return `<section id="guests"><h2>Guests in numbers</h2><div class="table"><table>
<thead><tr><th>guest</th><th>host</th>${head}</tr></thead>
<tbody>${rows.join('')}</tbody></table></div>
<p class="faint">Verified: 512-byte sectors found as last written, the final read-back
included.</p></section>`;
}

function guestColumns(result: RunResult): Column[] {
  const orDash = (value: number, text: string): string => (value === 0 ? '–' : text);
  const columns: Column[] = [
    { title: 'requests', cell: (guest) => formatCount(requestCount(guest)) },
    { title: 'read', cell: (guest) => formatBytes(guest.bytesRead) },
    { title: 'written', cell: (guest) => formatBytes(guest.bytesWritten) },
    { title: 'p50', cell: (guest) => formatDuration(guest.latency.p50Ns) },
    { title: 'p99', cell: (guest) => formatDuration(guest.latency.p99Ns) },
    { title: 'p99.9', cell: (guest) => formatDuration(guest.latency.p999Ns) },
    { title: 'max', cell: (guest) => formatDuration(guest.latency.maxNs) },
    {
      title: 'stalled',
      cell: (guest) => orDash(stalledNs(result, guest), formatDuration(stalledNs(result, guest))),
    },
    {
      title: 'replayed',
      cell: (guest) => orDash(guest.replayedRequests, formatCount(guest.replayedRequests)),
    },
    {
      title: 'errors',
      cell: (guest) => orDash(guest.requests.errors, formatCount(guest.requests.errors)),
    },
    {
      title: 'verified',
      cell: (guest) => formatCount(guest.sectorsVerified + guest.readBackSectors),
    },
  ];
  if (!result.guests.some(isPaced)) return columns;
  const fromIntended: Column = {
    title: 'p99 from intended start',
    cell: (guest) => formatDuration(guest.responseLatency.p99Ns),
  };
  return columns.toSpliced(7, 0, fromIntended);
}

/** Its requests had intended starts, and some began later. */
function isPaced(guest: GuestResult): boolean {
  const { latency, responseLatency } = guest;
  return latency.p99Ns !== responseLatency.p99Ns || latency.maxNs !== responseLatency.maxNs;
}

function machinePanel(result: RunResult): string {
  const { node, cpu, cores, os } = result.machine;
  const facts: readonly (readonly [string, string])[] = [
    ['world', result.world],
    ['seed', String(result.seed)],
    ['lasted', formatDuration(result.durationNs)],
    ['started', result.startedAtIso],
    ['machine', `${cpu}, ${cores} ${cores === 1 ? 'core' : 'cores'}`],
    ['system', `${os}, node ${node}`],
  ];
  const items = facts.map(([name, text]) => `<dt>${name}</dt><dd>${escapeMarkup(text)}</dd>`);
  return `<section id="machine"><h2>How it was run</h2><dl class="facts">${items.join('')}
<dt>again</dt><dd><code id="command">${escapeMarkup(result.command)}</code></dd></dl></section>`;
}

/** A moment of the run, in seconds to the millisecond, so that moments line up. */
function clock(ns: number): string {
  return `${(ns / 1e9).toFixed(3)}s`;
}
