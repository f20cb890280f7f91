/** One fault at a time in the simulator: what comes back, and what is reported. */
import test from 'ava';
import { BEYOND_CONTRACT, DISK_TROUBLES, type Fault } from '../../src/world/faults.ts';
import {
  allHold,
  countBetween,
  guestWith,
  HALF_WAY,
  judgedRun,
  scenarioWith,
  toldAtNs,
} from '../helpers/fault-bench.ts';

const POWER_CUT: Fault = { kind: 'power-cut', host: 'h0', when: HALF_WAY };
const STAND_STILL_NS = 100e6;

test('a host that loses its power brings its guests back, no check breaks', async (t) => {
  for (const seed of [1, 2, 3]) {
    const { run, checks } = await judgedRun(scenarioWith([POWER_CUT]), seed);
    allHold(t, checks, `seed ${seed}`);
    toldAtNs(t, run, 'h0 loses its power');
    for (const { lives, kills, finished } of run.guests) {
      t.deepEqual([lives.length, kills, finished], [2, 1, true], `seed ${seed}`);
    }
    const outages = run.hosts.flatMap((host) => host.outages);
    t.deepEqual(
      outages.map(({ crash, servingAtNs }) => [crash === 'power-cut', servingAtNs !== null]),
      [[true, true]],
      `seed ${seed}`,
    );
  }
});

test('a host whose power is cut while its driver VM is out comes back too', async (t) => {
  const faults: Fault[] = [
    { kind: 'kill-driver', host: 'h0', when: HALF_WAY },
    { kind: 'power-cut', host: 'h0', when: { kind: 'recovery', nth: 5 } },
  ];
  const { run, checks } = await judgedRun(scenarioWith(faults), 1);
  allHold(t, checks, 'seed 1');
  t.is(run.struck.get('power-cut/outage'), 1);
  t.is(run.hosts.flatMap((host) => host.outages).length, 1, 'both belong to one outage');
});

test('a power cut in a recovery: what is left of it leaves the RAM of the next life alone', async (t) => {
  for (const driverRestartNs of [0, 1e6, 10e6]) {
    const faults: Fault[] = [
      { kind: 'kill-driver', host: 'h0', when: { kind: 'progress', share: 0.3 } },
      { kind: 'power-cut', host: 'h0', when: { kind: 'recovery', nth: 20 } },
      { kind: 'kill-driver', host: 'h0', when: { kind: 'progress', share: 0.8 } },
    ];
    const { run, checks } = await judgedRun(scenarioWith(faults, { driverRestartNs }), 1);
    allHold(t, checks, `restarted after ${driverRestartNs} ns`);
    t.is(run.hosts.flatMap((host) => host.outages).length, 2);
  }
});

test('a power cut of one host leaves the guests of another alone', async (t) => {
  const guests = [guestWith('g0'), guestWith('g1', { host: 'h1' })];
  const scenario = scenarioWith([POWER_CUT], { hosts: ['h0', 'h1'], guests });
  const { run, checks } = await judgedRun(scenario, 1);
  allHold(t, checks, 'seed 1');
  t.deepEqual(
    run.guests.map(({ lives }) => lives.length),
    [2, 1],
  );
});

test('a driver VM killed in its recovery is replaced again, in the same outage', async (t) => {
  const faults: Fault[] = [
    { kind: 'kill-driver', host: 'h0', when: HALF_WAY },
    { kind: 'kill-driver', host: 'h0', when: { kind: 'recovery', nth: 5 } },
  ];
  const { run, checks } = await judgedRun(scenarioWith(faults), 1);
  allHold(t, checks, 'seed 1');
  toldAtNs(t, run, 'gone again, before it served');
  t.is(run.hosts.flatMap((host) => host.outages).length, 1);
  t.deepEqual(
    run.guests.map(({ lives }) => lives.length),
    [1, 1],
  );
});

test('a kill that waits for a recovery never strikes where nothing is recovered', async (t) => {
  const when = { kind: 'recovery', nth: 5 } as const;
  const { run, checks } = await judgedRun(
    scenarioWith([{ kind: 'kill-driver', host: 'h0', when }]),
    1,
  );
  allHold(t, checks, 'seed 1');
  t.is(run.hosts.flatMap((host) => host.outages).length, 0);
});

test('a driver VM that stands still answers nothing for that time, and then goes on', async (t) => {
  const fault: Fault = {
    kind: 'pause-driver',
    host: 'h0',
    forNs: STAND_STILL_NS,
    when: HALF_WAY,
  };
  const { run, checks } = await judgedRun(scenarioWith([fault]), 1);
  allHold(t, checks, 'seed 1');
  const fromNs = toldAtNs(t, run, 'driver VM of h0 stands still for 100ms');
  for (const guest of run.guests) {
    // What was answered before it stood still may reach the guest a moment later.
    const stillNs = fromNs + STAND_STILL_NS;
    t.is(countBetween(guest, 'ackNs', fromNs + 1e6, stillNs), 0, guest.name);
    t.true(countBetween(guest, 'ackNs', stillNs, Number.POSITIVE_INFINITY) > 0, guest.name);
  }
  t.is(run.hosts.flatMap((host) => host.outages).length, 0, 'that is no outage');
});

test('a guest that hangs submits nothing for that time, its neighbour goes on', async (t) => {
  const fault: Fault = {
    kind: 'hang-guest',
    guest: 'g0',
    forNs: STAND_STILL_NS,
    when: HALF_WAY,
  };
  const { run, checks } = await judgedRun(scenarioWith([fault]), 1);
  allHold(t, checks, 'seed 1');
  const fromNs = toldAtNs(t, run, 'g0 hangs for 100ms');
  const submitted = run.guests.map((guest) =>
    countBetween(guest, 'invokeNs', fromNs, fromNs + STAND_STILL_NS),
  );
  t.is(submitted[0], 0);
  t.true((submitted[1] ?? 0) > 0);
});

test('who is held up by a fault of its own while another host is out shares no fate', async (t) => {
  const guests = [guestWith('g0'), guestWith('g1', { host: 'h1' })];
  const kill: Fault = { kind: 'kill-driver', host: 'h0', when: HALF_WAY };
  const lasts = { forNs: 200e6, when: { kind: 'time', atNs: 150e6 } } as const;
  const busy = { kind: 'crash-point', point: 'front.after-index-publish', nth: 140 } as const;
  const own: readonly Fault[] = [
    { kind: 'hang-guest', guest: 'g1', forNs: 200e6, when: busy },
    { kind: 'pause-driver', host: 'h1', ...lasts },
    { kind: 'disk', guest: 'g1', trouble: 'stall', ...lasts },
  ];
  const changes = { hosts: ['h0', 'h1'], guests, driverRestartNs: 100e6 };
  for (const fault of own) {
    const { run, checks } = await judgedRun(scenarioWith([kill, fault], changes), 1);
    allHold(t, checks, fault.kind);
    const { killedAtNs = 0, servingAtNs = 0 } = run.hosts[0]?.outages[0] ?? {};
    t.true(killedAtNs < 200e6 && (servingAtNs ?? 0) < 350e6, 'the trouble outlasts the outage');
    t.true((servingAtNs ?? 0) > killedAtNs + 120e6, 'the outage is long enough to be judged');
  }
});

for (const trouble of DISK_TROUBLES.filter((one) => !BEYOND_CONTRACT.includes(one))) {
  test(`disk trouble "${trouble}" passes and no check breaks`, async (t) => {
    const fault: Fault = {
      kind: 'disk',
      guest: 'g0',
      trouble,
      forNs: 50e6,
      when: HALF_WAY,
    };
    const { run, checks } = await judgedRun(scenarioWith([fault]), 1);
    allHold(t, checks, 'seed 1');
    toldAtNs(t, run, `disk of g0: ${trouble} for 50ms`);
    t.is([...run.struck.keys()].filter((cell) => cell.startsWith(`disk ${trouble}/`)).length, 1);
    t.true(run.finished);
    const errors = run.guests.map(({ stats }) => stats.get('errors'));
    const fails = !['slow', 'stall'].includes(trouble);
    t.is((errors[0] ?? 0) > 0, fails, `errors: ${errors.join(', ')}`);
    t.is(errors[1], 0, 'the neighbour has a disk of its own');
  });
}

function lie(trouble: 'lost-write' | 'misdirected' | 'flush-lies', share: number): Fault {
  const when = { kind: 'progress', share } as const;
  return { kind: 'disk', guest: 'g0', trouble, forNs: 10e9, when };
}

test('beyond the contract: acknowledged writes that are never stored are found', async (t) => {
  const fault = lie('lost-write', 0.5);
  const { checks } = await judgedRun(scenarioWith([fault]), 1);
  const broken = checks.filter(({ ok }) => !ok).map(({ name }) => name);
  t.true(broken.includes('reads'), broken.join(', '));
  t.true(broken.includes('linearizability'), broken.join(', '));
});

test('beyond the contract: writes that land elsewhere are found where they land', async (t) => {
  const fault = lie('misdirected', 0.5);
  const { checks } = await judgedRun(scenarioWith([fault]), 1);
  const broken = checks.filter(({ ok }) => !ok);
  const found = broken.find(({ name }) => name === 'no-invention');
  t.regex(found?.text ?? 'C4 holds', /C4 is broken on g0: .*a stamp of another place/);
  t.true(broken.some(({ name }) => name === 'reads'));
  t.false(
    broken.some(({ text }) => text.includes(' on g1')),
    'the neighbour has a disk of its own',
  );
});

test('beyond the contract: a lie about flushes is found after a power cut', async (t) => {
  const early = lie('flush-lies', 0.01);
  const { checks } = await judgedRun(scenarioWith([early, POWER_CUT]), 1);
  const broken = checks.filter(({ ok }) => !ok).map(({ name }) => name);
  t.true(broken.includes('reads'), broken.join(', '));
  t.true(broken.includes('flush-durability'), broken.join(', '));
});

test('a disk that lies about flushes harms nobody while the power stays on', async (t) => {
  const early = lie('flush-lies', 0.01);
  const kill: Fault = { kind: 'kill-driver', host: 'h0', when: HALF_WAY };
  const { checks } = await judgedRun(scenarioWith([early, kill]), 1);
  allHold(t, checks, 'seed 1');
});
