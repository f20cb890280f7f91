import test from 'ava';
import fc from 'fast-check';
import { present } from '../../src/base/invariant.ts';
import type { RunResult } from '../../src/experiments/result.ts';
import { displayWidth } from '../../src/report/columns.ts';
import { ANSI_STYLE, renderTerminal, renderVerdictLine } from '../../src/report/terminal.ts';
import { crashRun, guest } from './fixture.ts';

const ESCAPES = /\p{Cc}\[[0-9;]*m/gu;

/** A run in which every text is `text`, with `count` guests named by it. */
function runOf(text: string, count: number, amount: number): RunResult {
  const run = crashRun();
  const one = guest('x', 'h0', 100);
  const big = { ...one.latency, p50Ns: amount, p99Ns: amount, maxNs: amount * 2 };
  return {
    ...run,
    title: text,
    summary: text,
    command: text,
    limits: [text],
    ok: false,
    machine: { ...run.machine, cpu: text },
    checks: [{ name: text, ok: false, text }],
    story: [{ atNs: amount, text }],
    guests: Array.from({ length: count }, (_, i) => ({
      ...one,
      name: text + i,
      host: i % 2 === 0 ? text : 'h0',
      bytesRead: amount,
      sectorsVerified: amount,
      latency: big,
      requests: { ...one.requests, reads: amount },
      violations: [text],
    })),
    outages: run.outages.flatMap((outage) => [outage, { ...outage, host: text }]),
  };
}

test('no line is wider than the page, whatever names, numbers and options', (t) => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 130 }),
    fc.string({ unit: 'grapheme', maxLength: 60 }),
    fc.stringMatching(/^[a-z ]{0,200}$/),
  );
  const amount = fc.nat(2 ** 53 - 1);
  const width = fc.integer({ min: 20, max: 200 });
  fc.assert(
    fc.property(text, fc.nat(8), amount, width, fc.boolean(), (name, count, n, columns, ascii) => {
      const options = { width: columns, ascii, style: ANSI_STYLE };
      const page = renderTerminal(runOf(name, count, n), options);
      const limit = Math.max(60, Math.min(100, columns));
      return page
        .replace(ESCAPES, '')
        .split('\n')
        .every((line) => displayWidth(line) <= limit);
    }),
    { numRuns: 150 },
  );
  t.pass();
});

test('plain text of plain names is at most 100 characters wide, by count', (t) => {
  for (const line of renderTerminal(crashRun()).split('\n'))
    t.true(Array.from(line).length <= 100, line);
});

test('the verdict is the first line, with a tick or a cross', (t) => {
  t.regex(renderTerminal(crashRun()), /^✔ Driver VM crash: all 5 checks hold\n/);
  const checks = [{ name: 'liveness', ok: false, text: 'g0 waits for ever' }];
  const page = renderTerminal(crashRun({ ok: false, checks }));
  t.regex(page, /^✘ Driver VM crash: 1 of 1 checks broken: liveness\n/);
  t.true(page.includes('  ✘ liveness: g0 waits for ever'));
  t.is(renderVerdictLine(crashRun(), { ascii: true }), '[ok] Driver VM crash: all 5 checks hold');
});

test('story, fates, numbers, limits and the command are all there, in this order', (t) => {
  const page = renderTerminal(crashRun());
  const parts = [
    '  8.000s  the driver VM of h0 is killed',
    'Requests a second',
    'p99 latency, log scale',
    'driver VM of h0 gone 180ms, from 8.000s to 8.180s',
    'g2 on h1     went on: about 1,800 requests meanwhile',
    '  guest  host  requests',
    '  g0     h0     232,282  472m     417m  262us  1.31ms  183ms    183ms        30       -',
    'Checks: 5 of 5 hold',
    'What limits this result',
    'stordom demo crash --seed 7',
  ];
  const at = parts.map((part) => page.indexOf(part));
  t.deepEqual(at.indexOf(-1), -1, parts[at.indexOf(-1)]);
  t.deepEqual(
    at.toSorted((a, b) => a - b),
    at,
  );
});

test('outage marks stand under the lanes of the affected host and under no other', (t) => {
  const lines = renderTerminal(crashRun()).split('\n');
  const below = (name: string): string => {
    const lane = lines.findIndex((line) => line.startsWith(`  ${name} on`));
    return present(lines[lane + 1], 'a line follows a lane');
  };
  t.regex(below('g0'), /^ +▒ driver VM of h0 gone 180ms$/);
  t.regex(below('g1'), /^ +▒ driver VM of h0 gone 180ms$/);
  t.false(below('g2').includes('▒'));
  const lane = present(
    lines.find((line) => line.startsWith('  g0 on')),
    'the lane of g0',
  );
  const mark = below('g0').indexOf('▒');
  t.true('▁▂▃▄▅'.includes(lane[mark] ?? ''), 'throughput dips above the mark');
});

test('a label never covers the mark of another outage', (t) => {
  const outages = crashRun().outages.flatMap((outage) =>
    [17e9, 19.5e9].map((ns) => ({ ...outage, killedAtNs: ns, servingAtNs: ns + 180e6 })),
  );
  const lines = renderTerminal(crashRun({ outages })).split('\n');
  const marks = lines.filter((line) => line.includes('▒'));
  t.is(marks.length, 2);
  for (const line of marks) t.is(line.split('▒').length, 3, line);
});

test('a latency from the intended start is shown where a guest fell behind', (t) => {
  const one = guest('g0', 'h0', 100);
  const late = { ...one, responseLatency: { ...one.latency, p99Ns: 5e9, maxNs: 6e9 } };
  const page = renderTerminal(crashRun({ guests: [late] }));
  t.true(page.includes('from the intended start: p50 262us, p99 5s, max 6s'));
  t.false(renderTerminal(crashRun()).includes('from the intended start'));
});

test('control characters of a name reach no terminal, and no colour comes unasked', (t) => {
  const evil = guest('g\u001b]0;owned\u0007\u202e', 'h0', 100);
  const page = renderTerminal(crashRun({ guests: [evil], title: 'a\nb\u009b2J' }));
  t.false(/(?!\n)\p{Cc}|\u202e/u.test(page));
  t.true(page.includes('g\\x1b]0;owned'));
  t.true(renderTerminal(crashRun(), { style: ANSI_STYLE }).startsWith('\u001b[1;32m✔'));
});

test('with ascii nothing but ASCII is printed', (t) => {
  t.regex(renderTerminal(crashRun(), { ascii: true }), /^[\x20-\x7e\n]+$/);
});

test('runs without guests, without requests or without time are printed', (t) => {
  t.true(renderTerminal(crashRun({ guests: [] })).includes('no guest took part'));
  const none = guest('g0', 'h0', 0);
  const bare = { ...none.series, requests: [], p50Ns: [], p99Ns: [], maxNs: [], bytes: [] };
  const empty = { ...none, series: bare };
  t.true(renderTerminal(crashRun({ guests: [none, empty] })).includes('g0'));
  const nothing = crashRun({ durationNs: 0, outages: [], story: [], checks: [], limits: [] });
  t.false(/NaN|undefined|Infinity/.test(renderTerminal(nothing)));
});

test('of very many guests the first lanes are drawn and all stand in the table', (t) => {
  const guests = Array.from({ length: 40 }, (_, i) => guest(`guest${i}`, 'h1', 100));
  const page = renderTerminal(crashRun({ guests }));
  t.true(page.includes('and 16 more guests in report.html'));
  t.true(/^ {2}guest39 /m.test(page));
});
