import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { runInNewContext, Script } from 'node:vm';
import test from 'ava';
import fc from 'fast-check';
import { formatDuration, formatRate } from '../../src/base/format-units.ts';
import { SECOND } from '../../src/base/units.ts';
import type { RunResult } from '../../src/experiments/result.ts';
import { type ChartData, chartDataOf } from '../../src/report/chart-data.ts';
import { CHART_SCRIPT, UNITS_SCRIPT } from '../../src/report/chart-script.ts';
import { escapeMarkup, jsonForScript } from '../../src/report/escape.ts';
import { type ReportAssets, renderHtml } from '../../src/report/html.ts';
import { crashRun, guest } from './fixture.ts';

const HOSTILE = '</script><img src=x onerror=alert(1)>"\'&<!--\u2028\u0000';

const uplot = createRequire(import.meta.url).resolve('uplot/dist/uPlot.iife.min.js');
const assets: ReportAssets = {
  script: readFileSync(uplot, 'utf8'),
  style: readFileSync(uplot.replace('uPlot.iife.min.js', 'uPlot.min.css'), 'utf8'),
};

/** Every text that a stranger may choose is hostile. */
function hostileRun(): RunResult {
  const one = { ...guest(HOSTILE, HOSTILE, 100), violations: [HOSTILE] };
  return crashRun({
    title: HOSTILE,
    summary: HOSTILE,
    command: HOSTILE,
    startedAtIso: HOSTILE,
    ok: false,
    guests: [one],
    checks: [{ name: HOSTILE, ok: false, text: HOSTILE }],
    limits: [HOSTILE],
    story: [{ atNs: 0, text: HOSTILE }],
    machine: { node: HOSTILE, cpu: HOSTILE, cores: 2, os: HOSTILE },
    outages: [
      {
        host: HOSTILE,
        killedAtNs: 1e9,
        servingAtNs: 2e9,
        stalled: [{ guest: HOSTILE, longestNs: 1e9 }],
        idle: [],
        replayedRequests: 1,
      },
    ],
  });
}

function dataIn(page: string): ChartData {
  const match = /<script type="application\/json" id="series">(.*?)<\/script>/s.exec(page);
  return JSON.parse(match?.[1] ?? '') as ChartData;
}

function figureOf(page: string, name: string): string {
  const from = page.indexOf(`<figure class="chart" data-guest="${name}"`);
  return page.slice(from, page.indexOf('</figure>', from));
}

test('hostile texts stay texts: no element, attribute or script of theirs comes to be', (t) => {
  const page = renderHtml(hostileRun(), assets);
  t.is(page.match(/<script/g)?.length, 3);
  t.is(page.match(/<\/script>/g)?.length, 3);
  t.false(page.includes('<img'));
  t.false(page.slice(page.indexOf('id="series"')).includes('\u2028'));
  t.false(page.includes('\u0000'));
  t.true(page.includes('&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;'));
  t.is(dataIn(page).guests[0]?.name, HOSTILE);
});

test('an asset that would close its element cannot', (t) => {
  const page = renderHtml(crashRun(), {
    script: 'var a="</script><b>";var c="<!-- <script>"',
    style: 'a{content:"</style><i>"}',
  });
  t.is(page.match(/<\/script>/g)?.length, 3);
  t.is(page.match(/<\/style>/gi)?.length, 4, 'two sheets and one in each picture');
  t.false(page.includes('<!--'));
});

test('any text escaped for markup or a script has no character that means something there', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const json = jsonForScript({ text });
      t.is((JSON.parse(json) as { text: string }).text, text);
      return !/[<>"']/.test(escapeMarkup(text)) && !/[<>&\u2028\u2029]/.test(json);
    }),
  );
});

test('the page loads nothing: no address, a policy that forbids it', (t) => {
  const page = renderHtml(crashRun(), { script: '', style: '' });
  t.true(page.includes(`content="default-src 'none';`));
  const addresses = page.replaceAll('xmlns="http://www.w3.org/2000/svg"', '').match(/https?:\/\//g);
  t.is(addresses, null);
  t.false(/\b(src|href)=|@import|url\((?!#)/.test(page));
});

test('verdict, story, fates, checks, numbers, limits, machine and command are on the page', (t) => {
  const page = renderHtml(crashRun(), assets);
  for (const part of [
    '<header id="verdict">',
    '✔ all 5 checks hold',
    '<li class="in-outage"><time>8.011s</time>',
    '<li class="stalled" data-guest="g0">',
    '<li class="went-on" data-guest="g2">',
    'From 8.000s to 8.180s; 60 requests were replayed',
    '<tr data-check="order-tap"><td class="mark">✔ holds</td>',
    '<td class="number">232,282</td>',
    '<section id="limits">',
    'AMD EPYC 7B13, 2 cores',
    '<code id="command">stordom demo crash --seed 7</code>',
  ]) {
    t.true(page.includes(part), part);
  }
  t.false(page.includes('id="violations"'));
});

test('a broken run says so in the banner and lists its violations', (t) => {
  const guests = [{ ...guest('g0', 'h0', 10), violations: ['sector 7 is older than write 9'] }];
  const checks = [{ name: 'order-tap', ok: false, text: 'write 3 came before write 2' }];
  const page = renderHtml(crashRun({ ok: false, guests, checks }), assets);
  t.true(page.includes('<header id="verdict" class="broken">'));
  t.true(page.includes('✘ 1 of 1 checks broken: order-tap; 1 violation'));
  t.true(page.includes('<b>g0</b>: sector 7 is older than write 9'));
  t.true(page.includes('<td class="mark broken">✘ broken</td>'));
});

test('charts have the outages of their own host and no others', (t) => {
  const { guests } = dataIn(renderHtml(crashRun(), assets));
  const outage = { from: 8, to: 8.18, text: 'driver VM of h0 gone 180ms', of: 'host' };
  t.deepEqual(
    guests.map((one) => one.outages),
    [[outage], [outage], []],
  );
});

test('charts of all guests have the time in which a server of the pool was dead', (t) => {
  const run = crashRun({
    outages: [],
    serverDeaths: [
      { server: 's2', killedAtNs: 3 * SECOND, runningAtNs: 5 * SECOND, inSyncAtNs: 6 * SECOND },
      { server: 's3', killedAtNs: 7 * SECOND, runningAtNs: Infinity, inSyncAtNs: Infinity },
    ],
  });
  const { guests } = chartDataOf(run);
  t.is(guests.length, 3);
  for (const { outages } of guests) {
    t.deepEqual(outages, [
      {
        from: 3,
        to: 5,
        text: 'server s2 dead for 2s, in sync again after 3s',
        of: 'server',
      },
      { from: 7, to: 20, text: 'server s3 never came back', of: 'server' },
    ]);
  }
  t.true(renderHtml(run, assets).includes('A server of the pool is hatched while it was dead'));
  t.false(renderHtml(crashRun(), assets).includes('A server of the pool'));
});

test('every chart spans the run, and its lists are as long as its times', (t) => {
  const short = guest('short', 'h1', 50);
  const { series } = short;
  const cutOff = { ...series, requests: series.requests.slice(0, 3), maxNs: [], p50Ns: [1e5] };
  const run = crashRun({ guests: [guest('g0', 'h0', 10), { ...short, series: cutOff }] });
  for (const chart of chartDataOf(run).guests) {
    t.is(chart.at[0], 0);
    t.is(chart.at.at(-1), 20);
    for (const list of [chart.rate, chart.p50, chart.p99, chart.max]) {
      t.is(list.length, chart.at.length);
    }
  }
  t.deepEqual(chartDataOf(crashRun()).latencyRange, [1e5, 1e9]);
});

test('a guest without requests gets a sentence and no chart, a run without guests as well', (t) => {
  const idle = guest('idle', 'h0', 0);
  const page = renderHtml(crashRun({ guests: [idle, guest('busy', 'h0', 10)] }), assets);
  t.true(figureOf(page, 'idle').includes('No request completed.'));
  t.false(figureOf(page, 'idle').includes('class="panel"'));
  t.true(figureOf(page, 'busy').includes('class="panel"'));
  const none = renderHtml(crashRun({ guests: [], outages: [], checks: [], story: [] }), assets);
  t.true(none.includes('No guest took part.'));
  t.false(
    /NaN|undefined|Infinity/.test(none.slice(none.indexOf('<main>'), none.indexOf('</main>'))),
  );
});

test('the script in the page is valid, and prints units as everything else does', (t) => {
  t.notThrows(() => new Script(CHART_SCRIPT));
  const page: unknown = runInNewContext(`${UNITS_SCRIPT};[duration,rate]`);
  const [duration, rate] = page as [(ns: number) => string, (n: number) => string];
  const amount = fc.oneof(fc.nat(1e15), fc.nat(1e6), fc.double({ min: 0, max: 1e12, noNaN: true }));
  fc.assert(
    fc.property(amount, (n) => duration(n) === formatDuration(n) && rate(n) === formatRate(n)),
    { numRuns: 1000 },
  );
});
