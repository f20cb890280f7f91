import test from 'ava';
import { renderOverviewSvg } from '../../src/report/svg.ts';
import { crashRun, guest } from './fixture.ts';

function laneOf(svg: string, name: string): string {
  const from = svg.indexOf(`<g class="lane" data-guest="${name}">`);
  const next = svg.indexOf('<g class="lane"', from + 1);
  const host = svg.indexOf('<g class="host"', from);
  const ends = [next, host, svg.length].filter((at) => at >= 0);
  return from < 0 ? '' : svg.slice(from, Math.min(...ends));
}

/** Tags that are opened are closed, in order. */
function isWellFormed(markup: string): boolean {
  const open: string[] = [];
  for (const [, close, name, attributes] of markup.matchAll(/<(\/?)([a-z]+)([^>]*)>/g)) {
    if (attributes?.endsWith('/')) continue;
    if (close === '') open.push(name ?? '');
    else if (open.pop() !== name) return false;
  }
  return open.length === 0;
}

test('lanes of the affected host are shaded and labelled, those of other hosts are not', (t) => {
  const svg = renderOverviewSvg(crashRun());
  for (const name of ['g0', 'g1']) {
    t.is(laneOf(svg, name).match(/class="outage"/g)?.length, 1);
    t.regex(laneOf(svg, name), /stalled 18[23]ms/);
  }
  t.not(laneOf(svg, 'g2'), '');
  t.false(laneOf(svg, 'g2').includes('outage'));
  t.true(laneOf(svg, 'g2').includes('went on: about 1,800 requests meanwhile'));
  t.true(svg.includes('killed at 8s, gone 180ms'));
});

test('the band begins where the driver VM was killed and is as wide as it was gone', (t) => {
  const lane = laneOf(renderOverviewSvg(crashRun(), { width: 960 }), 'g0');
  const match = /class="band" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"/.exec(lane);
  const [left, right] = [128, 960 - 104];
  t.is(Number(match?.[1]), Math.round((left + (8 / 20) * (right - left)) * 10) / 10);
  t.is(Number(match?.[2]), Math.round((0.18 / 20) * (right - left) * 10) / 10);
});

test('the picture is well formed in every form, and says in words what it shows', (t) => {
  for (const options of [{}, { width: 560 }, { standalone: false, idPrefix: 'x' }]) {
    const svg = renderOverviewSvg(crashRun(), options);
    t.true(isWellFormed(svg));
    t.false(/NaN|undefined|Infinity/.test(svg));
    t.regex(svg, /<title id="[a-z-]+">Driver VM crash: all 5 checks hold\. driver VM of h0 gone/);
  }
});

test('hostile names stay text', (t) => {
  const name = '</svg><script>alert(1)</script>" onload="x';
  const svg = renderOverviewSvg(crashRun({ title: name, guests: [guest(name, name, 10)] }));
  t.false(svg.includes('<script'));
  t.is(svg.match(/<\/svg>/g)?.length, 1);
  t.false(svg.includes('" onload="'));
  t.true(isWellFormed(svg));
});

test('runs without guests, requests, outages or time make a picture', (t) => {
  const idle = guest('g0', 'h0', 0);
  const bare = { ...idle, series: { ...idle.series, requests: [], p50Ns: [], p99Ns: [] } };
  const runs = [
    crashRun({ guests: [] }),
    crashRun({ guests: [], outages: [] }),
    crashRun({ guests: [idle, bare] }),
    crashRun({ durationNs: 0 }),
  ];
  for (const run of runs) {
    const svg = renderOverviewSvg(run);
    t.true(isWellFormed(svg));
    t.false(/NaN|undefined|Infinity/.test(svg));
  }
});

test('labels of many outages in a row do not cover each other', (t) => {
  const [outage] = crashRun().outages;
  const outages = Array.from({ length: 30 }, (_, i) => {
    return { ...outage, host: 'h0', killedAtNs: i * 600e6, servingAtNs: i * 600e6 + 100e6 };
  }) as ReturnType<typeof crashRun>['outages'];
  const lane = laneOf(renderOverviewSvg(crashRun({ outages })), 'g0');
  t.is(lane.match(/class="outage"/g)?.length, 30);
  const spans = [...lane.matchAll(/class="alarm" x="([\d.]+)"[^>]*>([^<]*)</g)]
    .filter((match) => !match[0].includes('text-anchor'))
    .map((match) => ({
      from: Number(match[1]),
      end: Number(match[1]) + (match[2] ?? '').length * 6,
    }));
  t.true(spans.length > 3);
  spans.forEach((span, i) => t.true(i === 0 || span.from >= (spans[i - 1]?.end ?? 0)));
});
