/** Images on a Petal pool in a run: servers, disks and links fail, and every policy holds. */
import test from 'ava';
import { coverageOf } from '../../src/experiments/coverage.ts';
import { type PetalScenario, simPetal } from '../../src/experiments/petal-scenario.ts';
import type { Scenario } from '../../src/experiments/scenario.ts';
import { type SimBug, simCrashScenario } from '../../src/experiments/sim-crash.ts';
import { POLICY_NAMES, Policy } from '../../src/parallax/vdi/policy.ts';
import { SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import { EXTENT_BLOCKS } from '../../src/world/block-pool.ts';
import type { DiskTrouble, Fault, LinkTrouble } from '../../src/world/faults.ts';
import {
  allHold,
  guestWith,
  HALF_WAY,
  judgedRun,
  scenarioWith,
  toldAtNs,
} from '../helpers/fault-bench.ts';
import { isLong, longTest } from '../helpers/long-tests.ts';

const RESTART_NS = 30e6;

function onPetal(
  policy: Policy,
  faults: readonly Fault[],
  more: Partial<PetalScenario> = {},
): Scenario {
  const image = { device: 'vdi', writeBack: policy } as const;
  const petal = { ...simPetal(4, 2, RESTART_NS), ...more };
  return scenarioWith(faults, {
    hosts: ['h0', 'h1'],
    guests: [guestWith('g0', image), guestWith('g1', { ...image, host: 'h1' })],
    hostMemoryBytes: 64 * 2 ** 20,
    store: { sizes: SMALL_SIZES, poolBlocks: 32 * EXTENT_BLOCKS, petal },
  });
}

function at(share: number): Fault['when'] {
  return { kind: 'progress', share };
}

function killOf(server: string, share: number): Fault {
  return { kind: 'server-kill', server, when: at(share) };
}

for (const policy of Object.values(Policy)) {
  test(`${POLICY_NAMES[policy]}: servers die and lose their power, a host is lost: the pool comes together and the images hold`, async (t) => {
    const faults: Fault[] = [
      killOf('s1', 0.2),
      { kind: 'server-power-cut', server: 's3', when: at(0.4) },
      { kind: 'host-loss', host: 'h0', when: at(0.6) },
      killOf('s2', 0.7),
    ];
    const { run, checks } = await judgedRun(onPetal(policy, faults), 1);
    allHold(t, checks, 'seed 1');
    t.true(run.finished);
    t.is(run.petal?.deaths.length, 3);
    t.true(coverageOf(run).stakes.includes('K4 copies of the pool lost'));
    for (const name of ['fsck', 'pool-laws', 'pool-clean', 'pool-copies']) {
      t.true(
        checks.some((check) => check.name === name),
        `${name} is judged`,
      );
    }
  });
}

test('both servers of a pair are dead at a time: guests wait, and nothing is lost', async (t) => {
  const faults = [killOf('s1', 0.4), killOf('s2', 0.4)];
  const { run, checks } = await judgedRun(onPetal(Policy.w0, faults), 2);
  allHold(t, checks, 'seed 2');
  const moment = 'two servers that keep the same blocks were dead at a time';
  t.true(coverageOf(run).moments.includes(moment));
});

test('three copies: two servers of a group are gone for a while, and guests are served by the third', async (t) => {
  const faults = [killOf('s1', 0.3), killOf('s2', 0.35)];
  const { run, checks } = await judgedRun(
    onPetal(Policy.w2, faults, { copies: 3, restartNs: 150e6 }),
    3,
  );
  allHold(t, checks, 'seed 3');
  t.true(toldAtNs(t, run, 'server s1 runs again') > toldAtNs(t, run, 'server s2 is killed'));
});

/** One that is slow, one that stops, one that loses, one that lies; the others take as long. */
const ALWAYS: readonly (DiskTrouble | LinkTrouble)[] = [
  'stall',
  'torn-write',
  'bit-rot',
  'cut',
  'reorder',
];

for (const trouble of [
  'slow',
  'stall',
  'read-error',
  'write-error',
  'no-space',
  'flush-fails',
  'torn-write',
  'latent-sectors',
  'bit-rot',
] as const satisfies readonly DiskTrouble[]) {
  const run = ALWAYS.includes(trouble) ? test : longTest;
  run(
    `the disks of one server have trouble (${trouble}): the other copy of each block serves`,
    async (t) => {
      const faults: Fault[] = [
        { kind: 'server-disk', server: 's2', trouble, forNs: 80e6, when: at(0.3) },
        killOf('s2', 0.5),
      ];
      const { run: judged, checks } = await judgedRun(onPetal(Policy.w2, faults), 4);
      allHold(t, checks, 'seed 4');
      toldAtNs(t, judged, `disks of s2: ${trouble}`);
    },
  );
}

for (const trouble of [
  'cut',
  'cut-to-actor',
  'cut-from-actor',
  'clog',
  'delay',
  'duplicate',
  'reorder',
  'loss',
] as const satisfies readonly LinkTrouble[]) {
  const run = ALWAYS.includes(trouble) ? test : longTest;
  run(`links of a server and of a driver VM have trouble (${trouble}), and heal`, async (t) => {
    const measure = { trouble, forNs: 80e6, delayNs: 10e6, share: 0.3, messageKind: 0 };
    const faults: Fault[] = ['s2/petal', 'h0/driver-vm/petal'].map((link, i) => {
      return { kind: 'link', link, ...measure, when: at(0.25 + 0.3 * i) };
    });
    const { checks } = await judgedRun(onPetal(Policy.w2, faults), 5);
    allHold(t, checks, 'seed 5');
  });
}

test('a server stands still, and two that share blocks are cut apart: who was dropped comes back', async (t) => {
  const faults: Fault[] = [
    { kind: 'server-pause', server: 's1', forNs: 100e6, when: at(0.2) },
    { kind: 'partition', server: 's2', other: 's3', forNs: 100e6, when: at(0.4) },
    { kind: 'partition', server: 's4', other: 'h0/driver-vm', forNs: 60e6, when: at(0.6) },
    { kind: 'directory-majority-loss', forNs: 60e6, when: at(0.8) },
  ];
  const { checks } = await judgedRun(onPetal(Policy.w2, faults), 6);
  allHold(t, checks, 'seed 6');
});

for (const [first, second] of [
  ['s1', 's2'],
  ['s2', 's1'],
] as const) {
  test(`${first} dies, then ${second}, which was alone by then: guests wait for it, and nothing old is shown`, async (t) => {
    const faults: Fault[] = [killOf(first, 0.3), killOf(second, 0.6)];
    const { run, checks } = await judgedRun(
      onPetal(Policy.w2, faults, { restartNs: 100e6 }),
      first === 's1' ? 11 : 12,
    );
    allHold(t, checks, `${first} before ${second}`);
    t.true(
      toldAtNs(t, run, `server ${second} is killed`) < toldAtNs(t, run, `${first} runs again`),
    );
    const moment = 'two servers that keep the same blocks were dead at a time';
    t.true(coverageOf(run).moments.includes(moment));
  });
}

test('servers reach everybody but the directory: who has the lease goes on, who has not says so, and all heals', async (t) => {
  for (const trouble of ['cut', 'cut-to-actor', 'cut-from-actor', 'clog', 'delay'] as const) {
    const measure = { trouble, forNs: 120e6, delayNs: 10e6, share: 0, messageKind: 0 };
    const faults: Fault[] = ['s1', 's3'].map((server, i) => {
      return { kind: 'link', link: `${server}/directory`, ...measure, when: at(0.2 + 0.3 * i) };
    });
    const { checks } = await judgedRun(onPetal(Policy.w2, faults), 13);
    allHold(t, checks, trouble);
  }
});

test('only one of two does not hear the other; one stands still for ten leases; clocks drift', async (t) => {
  const { driftPpm } = simPetal(4, 2, RESTART_NS).options;
  const skew = { kind: 'clock', trouble: 'skew', forNs: 600e6, when: at(0.05) } as const;
  const oneWay = { kind: 'partition', oneWay: true, forNs: 100e6 } as const;
  const faults: Fault[] = [
    { ...skew, actor: 's1', driftPpm },
    { ...skew, actor: 's2', driftPpm: -driftPpm },
    { ...oneWay, server: 's1', other: 's2', when: at(0.1) },
    { ...oneWay, server: 's3', other: 's2', when: at(0.3) },
    { ...oneWay, server: 's4', other: 'h0/driver-vm', when: at(0.5) },
    { kind: 'server-pause', server: 's1', forNs: 400e6, when: at(0.7) },
  ];
  const { run, checks } = await judgedRun(onPetal(Policy.w2, faults), 14);
  allHold(t, checks, 'seed 14');
  toldAtNs(t, run, 's2 does not hear s1');
});

for (const crash of ['power-cut', 'host-loss'] as const) {
  test(`hosts of guests contribute disks: ${crash} of one takes its server with it, which comes back and is brought up to date`, async (t) => {
    const placement = { s1: 'h0', s3: 'h1' };
    for (const policy of [Policy.w0, Policy.w2]) {
      const faults: Fault[] = [
        { kind: crash, host: 'h0', when: at(0.3) },
        { kind: crash, host: 'h1', when: at(0.7) },
      ];
      const { run, checks } = await judgedRun(onPetal(policy, faults, { placement }), 15);
      allHold(t, checks, `policy ${policy}`);
      t.deepEqual(
        run.petal?.deaths.map(({ server, crash: how }) => `${server} ${how}`),
        ['s1 host-down', 's3 host-down'],
      );
    }
  });
}

test('an image moves to the other host while servers die; source and target die in it', async (t) => {
  const takeOver: Fault = { kind: 'take-over', host: 'h0', by: 'h1', forNs: 20e6, when: HALF_WAY };
  const target: Fault = {
    kind: 'kill-driver',
    host: 'h1',
    when: { kind: 'crash-point', point: 'publish.before-root', nth: 4 },
  };
  const source: Fault = { kind: 'kill-driver', host: 'h0', when: HALF_WAY };
  for (const beside of [target, source]) {
    for (const policy of isLong ? Object.values(Policy) : [Policy.w2, Policy.w5]) {
      const faults = [takeOver, beside, killOf('s1', 0.5), killOf('s3', 0.55)];
      const { run, checks } = await judgedRun(onPetal(policy, faults), 7);
      allHold(t, checks, `${beside.kind}, ${POLICY_NAMES[policy]}`);
      for (const { host } of run.guests) t.is(host, 'h1');
    }
  }
});

test('an image moves by plan between hosts while servers and source die', async (t) => {
  const move: Fault = { kind: 'move', host: 'h0', by: 'h1', when: HALF_WAY };
  const source: Fault = {
    kind: 'kill-driver',
    host: 'h0',
    when: { kind: 'crash-point', point: 'move.after-close', nth: 1 },
  };
  for (const policy of [Policy.w1, Policy.w2]) {
    const faults = [move, source, killOf('s1', 0.5), killOf('s3', 0.55)];
    const { run, checks } = await judgedRun(onPetal(policy, faults), 7);
    allHold(t, checks, `W${policy}`);
    for (const { host } of run.guests) t.is(host, 'h1');
    t.is(run.guests.filter(({ takeOver }) => takeOver?.isPlanned).length, 1);
  }
});

test('a pool that does not come together in time is told, with who is behind', async (t) => {
  const stuck: Fault = {
    kind: 'partition',
    server: 's2',
    other: 's3',
    forNs: 100e6,
    when: at(0.9),
  };
  const { checks } = await judgedRun(onPetal(Policy.w2, [stuck], { cleanWithinNs: 0 }), 8);
  const found = checks.find(({ name }) => name === 'pool-clean');
  t.false(found?.ok, found?.text);
  t.regex(found?.text ?? '', /s\d is not in sync for pair \d/);
});

/** What is wrong with a seed of the crash scenario on Petal servers. */
async function brokenBy(
  seed: number,
  images: Policy,
  petal = 4,
  plantedBug: SimBug = 'none',
): Promise<string[]> {
  const drawn = { plantedBug, calm: false, beyond: false, images, petal } as const;
  const { checks } = await judgedRun(simCrashScenario(seed, drawn), seed);
  return checks.filter(({ ok }) => !ok).map(({ name, text }) => `${name}: ${text}`);
}

/** A seed of W2 on four servers by which the laws see a bug; a sweep finds others. */
const LAW_OF_BUG = {
  'early-ack': { seed: 1, law: 'I' },
  'early-clean': { seed: 1, law: 'I4' },
  'no-origin': { seed: 1, law: 'once' },
  'primary-wins': { seed: 3, law: 'I1' },
} as const satisfies Partial<Record<SimBug, { seed: number; law: string }>>;

test('without a bug the seeds by which bugs are seen hold', async (t) => {
  for (const seed of [1, 3]) t.deepEqual(await brokenBy(seed, Policy.w2), [], `seed ${seed}`);
});

for (const [bug, { seed, law }] of Object.entries(LAW_OF_BUG)) {
  test(`the planted bug ${bug} is caught by the laws of the pool`, async (t) => {
    const broken = await brokenBy(seed, Policy.w2, 4, bug as SimBug);
    const seen = broken.find((text) => text.startsWith('pool-laws'));
    t.regex(seen ?? broken.join(), new RegExp(`: ${law}`));
  });
}

longTest(
  'what a joining member had before the store of its primary is not marked as missing for ever',
  async (t) => {
    for (const seed of [2, 15]) t.deepEqual(await brokenBy(seed, Policy.w2), [], `seed ${seed}`);
  },
);

longTest(
  'a server that is the primary again does not go by the marks of an earlier term of its own',
  async (t) => {
    t.deepEqual(await brokenBy(469, Policy.w0), []);
  },
);

longTest(
  'a server whose disks cannot be read when it starts begins as a life that nobody knows',
  async (t) => {
    t.deepEqual(await brokenBy(466, Policy.w2), []);
  },
);

test('a server that is to die while the pool is looked at, after the run, lives on', async (t) => {
  t.deepEqual(await brokenBy(4, Policy.w5, 7), [], 'seed 4, seven servers');
});

longTest(
  'what a guest wrote to a driver VM that had lost nothing is judged with the life that wrote it',
  async (t) => {
    for (const seed of [3010, 3012]) {
      t.deepEqual(await brokenBy(seed, Policy.w5), [], `seed ${seed}`);
    }
  },
);

longTest(
  'a host that was taken for dead as it started a guest again notes no loss of it any more',
  async (t) => {
    t.deepEqual(await brokenBy(8038, Policy.w5), []);
  },
);

longTest(
  'a driver VM whose predecessor had served nothing has lost nothing, and no loss is noted',
  async (t) => {
    t.deepEqual(await brokenBy(8078, Policy.w5), []);
  },
);

longTest(
  'a host that was taken for dead loses its power: its server comes back while its images are taken',
  async (t) => {
    t.deepEqual(await brokenBy(10_061, Policy.w1), []);
  },
);
