/** Links and clocks that go wrong in the simulator: what strikes, what ends, and what holds. */
import test from 'ava';
import { present } from '../../src/base/invariant.ts';
import type { Fault, LinkTrouble } from '../../src/world/faults.ts';
import { allHold, HALF_WAY, judgedRun, scenarioWith, toldAtNs } from '../helpers/fault-bench.ts';

/** While guests and driver VM meet. */
const EARLY = { kind: 'time', atNs: 0 } as const;

function link(name: string, trouble: LinkTrouble, forNs: number): Fault {
  const measure = { trouble, forNs, delayNs: 3e6, share: 0, messageKind: 0 };
  return { kind: 'link', link: name, ...measure, when: EARLY };
}

for (const trouble of ['clog', 'delay'] as const) {
  for (const name of ['g0/xenstore', 'h0/driver-vm/xenstore']) {
    test(`link ${name}: "${trouble}" makes connecting late, and nothing else`, async (t) => {
      const fault = link(name, trouble, 100e6);
      const { run, checks } = await judgedRun(scenarioWith([fault]), 1);
      const calm = await judgedRun(scenarioWith([]), 1);
      allHold(t, checks, 'seed 1');
      const atNs = toldAtNs(t, run, `link ${name}: ${trouble} for 100ms`);
      t.is(run.struck.get(`link ${trouble}/connecting`), 1);
      const first = present(run.guests[0], 'g0').history.record(0).invokeNs;
      const calmFirst = present(calm.run.guests[0], 'g0').history.record(0).invokeNs;
      t.true(first > calmFirst + 3e6, `${first} is not later than ${calmFirst}`);
      if (trouble === 'clog') t.true(first >= atNs + 100e6);
      t.true(run.finished);
    });
  }
}

test('a driver VM that comes back over a clogged link serves when it is unclogged', async (t) => {
  const kill: Fault = { kind: 'kill-driver', host: 'h0', when: HALF_WAY };
  const clog = { ...link('h0/driver-vm/xenstore', 'clog', 200e6), when: HALF_WAY };
  const { run, checks } = await judgedRun(scenarioWith([kill, clog]), 1);
  allHold(t, checks, 'seed 1');
  const atNs = toldAtNs(t, run, 'clog for 200ms');
  const outage = run.hosts[0]?.outages[0];
  t.true((outage?.servingAtNs ?? 0) >= atNs + 200e6);
});

const CLOCKS = [
  { trouble: 'jump', jumpNs: 500e6 },
  { trouble: 'jump', jumpNs: 40e9 },
  { trouble: 'skew', driftPpm: 300, forNs: 100e6 },
  { trouble: 'skew', driftPpm: -500_000, forNs: 100e6 },
  { trouble: 'skew', driftPpm: 9_000_000, forNs: 100e6 },
] as const;

for (const actor of ['g0', 'h0/driver-vm']) {
  for (const clock of CLOCKS) {
    const by = clock.trouble === 'jump' ? `${clock.jumpNs / 1e6} ms` : `${clock.driftPpm} ppm`;
    test(`clock of ${actor}: ${clock.trouble} by ${by} breaks no check`, async (t) => {
      const fault: Fault = { kind: 'clock', actor, ...clock, when: HALF_WAY };
      for (const seed of [1, 2, 3]) {
        const { run, checks } = await judgedRun(scenarioWith([fault]), seed);
        allHold(t, checks, `seed ${seed}`);
        toldAtNs(t, run, `clock of ${actor}`);
        t.is(run.struck.get(`clock ${clock.trouble}/replay`), 1);
        t.true(run.finished);
      }
    });
  }
}

test('a guest whose clock jumps has its history on the time of the run', async (t) => {
  const jump = { trouble: 'jump', jumpNs: 40e9 } as const;
  const fault: Fault = { kind: 'clock', actor: 'g0', ...jump, when: HALF_WAY };
  const { run } = await judgedRun(scenarioWith([fault]), 1);
  const { history } = present(run.guests[0], 'g0');
  const endNs = present(run.events.at(-1), 'the story has an end').atNs;
  t.true(endNs < 5e9);
  for (let at = 0; at < history.length; at++) t.true(history.record(at).ackNs <= endNs);
});

test('a guest whose clock is fast runs through a timed trace early', async (t) => {
  const skew = { trouble: 'skew', driftPpm: 1_000_000, forNs: 10e9 } as const;
  const fault: Fault = { kind: 'clock', actor: 'g0', ...skew, when: EARLY };
  const { run, checks } = await judgedRun(scenarioWith([fault]), 1);
  allHold(t, checks, 'seed 1');
  const tookNs = run.guests.map(({ history }) => {
    const last = history.record(history.length - 1);
    return last.ackNs - history.record(0).invokeNs;
  });
  const [fast = 0, right = 0] = tookNs;
  t.true(fast < right * 0.65, `${fast} and ${right}`);
});
