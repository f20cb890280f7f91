import test from 'ava';
import { present } from '../../src/base/invariant.ts';
import type { RunResult } from '../../src/experiments/result.ts';
import { fatesIn, fateText, hostsOf, outageText, stalledNs } from '../../src/report/fate.ts';
import { verdictOf } from '../../src/report/verdict.ts';
import { crashRun, guest } from './fixture.ts';

function fateTexts(result: RunResult): string[] {
  const outage = present(result.outages[0], 'the run has an outage');
  return fatesIn(result, outage).map((fate) => `${fate.guest.name} ${fateText(fate)}`);
}

function withOutage(changes: Partial<RunResult['outages'][number]>): RunResult {
  const run = crashRun();
  const outage = present(run.outages[0], 'the run has an outage');
  return { ...run, outages: [{ ...outage, ...changes }] };
}

test('guests of the dead driver VM stalled, the one of the other host went on', (t) => {
  t.deepEqual(fateTexts(crashRun()), [
    'g0 stalled 183ms',
    'g1 stalled 182ms',
    'g2 went on: about 1,800 requests meanwhile',
  ]);
});

test('idle guests and guests that were served in time are told from the stalled', (t) => {
  const run = withOutage({ stalled: [], idle: ['g1'] });
  t.deepEqual(fateTexts(run).slice(0, 2), [
    'g0 no request waited longer than 100ms',
    'g1 idle: nothing outstanding',
  ]);
});

test('a guest of another host that stalled is named as the breach it is', (t) => {
  const run = withOutage({ stalled: [{ guest: 'g2', longestNs: 120e6 }] });
  t.is(fateTexts(run)[2], 'g2 stalled 120ms, on another host');
});

test('a guest of another host without requests is quiet, not said to have gone on', (t) => {
  const silent = guest('g3', 'h1', 0);
  t.is(fateTexts(crashRun({ guests: [silent] }))[0], 'g3 quiet: no request meanwhile');
});

test('an outage that outlasts the run is said never to have ended', (t) => {
  const run = withOutage({ servingAtNs: 60e9 });
  t.is(outageText(run, present(run.outages[0], 'outage')), 'driver VM of h0 never came back');
});

test('a guest stalled twice is reported with the longer time', (t) => {
  const run = crashRun();
  const outage = present(run.outages[0], 'outage');
  const second = { ...outage, stalled: [{ guest: 'g0', longestNs: 900e6 }] };
  const g0 = present(run.guests[0], 'g0');
  t.is(stalledNs({ ...run, outages: [outage, second] }, g0), 900e6);
  t.is(stalledNs({ ...run, outages: [] }, g0), 0);
});

test('hosts are listed once, those without guests too', (t) => {
  t.deepEqual(hostsOf(crashRun({ guests: [guest('g2', 'h1', 10)] })), ['h1', 'h0']);
});

test('the verdict names what is broken and counts violations', (t) => {
  t.deepEqual(verdictOf(crashRun()), { ok: true, text: 'all 5 checks hold' });
  t.is(verdictOf(crashRun({ checks: [] })).text, 'finished; nothing was checked');
  const broken = { name: 'order-tap', ok: false, text: 'x' };
  const held = { name: 'liveness', ok: true, text: 'y' };
  const guests = [{ ...guest('g0', 'h0', 5), violations: ['a', 'b'] }];
  const run = crashRun({ ok: false, checks: [broken, held], guests });
  t.is(verdictOf(run).text, '1 of 2 checks broken: order-tap; 2 violations');
  t.is(verdictOf(crashRun({ ok: false })).text, 'the run did not succeed');
});

test('a guest that was ejected is said to be, by the verdict and by every outage after it', (t) => {
  const run = crashRun();
  const guests = run.guests.map((one) => (one.name === 'g1' ? { ...one, ejectedAtNs: 8e9 } : one));
  const ejected = { ...run, guests };
  t.deepEqual(verdictOf(ejected), { ok: true, text: 'all 5 checks hold; g1 was ejected' });
  t.is(fateTexts(ejected)[1], 'g1 ejected at 8s, for garbage in its rings');
  const later = guests.map((one) => (one.name === 'g1' ? { ...one, ejectedAtNs: 9e9 } : one));
  t.is(fateTexts({ ...run, guests: later })[1], 'g1 stalled 182ms');
  const broken = { ...ejected, ok: false, checks: [{ name: 'reads', ok: false, text: 'no' }] };
  t.regex(verdictOf(broken).text, /reads; g1 was ejected$/);
});
