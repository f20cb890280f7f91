/**
 * What each write-back policy keeps after each kind of loss, at the image itself: a client writes
 * numbered writes to shuffled places, is cut off at a drawn moment, and what is read afterwards is
 * held against what it had been told.
 */
import test, { type ExecutionContext } from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { POLICY_NAMES, Policy } from '../../src/parallax/vdi/policy.ts';
import { SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import { DeviceStatus } from '../../src/world/block-device.ts';
import { EngineBench, type EngineLife, type ImageClient } from '../helpers/engine-bench.ts';

type Loss = 'the driver VM is killed' | 'the power is cut' | 'the host is lost';

const WRITES = 160;
/** Sectors from one write's place to the next one's; a write has the middle two, of two blocks. */
const STRIDE = 16;
const SECTORS = 2;
const EPOCH_WRITES = 8;
const MS = 1e6;
/** The latest strike: about when the last write has been acknowledged. */
const STRIKE_NS = 130 * MS;
const SEEDS = 30;
/** What a publish may take beside the write-back period. */
const DRAIN_NS = 100 * MS;

/** What the client was told, write by write, in the order in which it submitted. */
interface Told {
  /** When write i was acknowledged; Infinity: it was not. */
  readonly ackedNs: number[];
  submitted: number;
  /** Writes acknowledged before the last flush was submitted that was acknowledged too. */
  flushed: number;
  /** Writes before each flush that was submitted. */
  readonly epochEnds: number[];
}

/** Where write i lies: neighbours in the order are far apart on the disk. */
function lbaOf(write: number): number {
  return ((write * 67) % WRITES) * STRIDE + STRIDE / 2 - 1;
}

/** Goes on until the driver VM dies: then no promise of its world settles any more. */
async function writeOn({ world }: EngineLife, disk: ImageClient, told: Told): Promise<void> {
  const { clock, timers } = world;
  while (told.submitted < WRITES) {
    const epoch = Array.from({ length: EPOCH_WRITES }, () => {
      const write = told.submitted++;
      return disk.write(lbaOf(write), SECTORS, 1 + write).then((status) => {
        if (status === DeviceStatus.ok) told.ackedNs[write] = clock.nowNs();
      });
    });
    await Promise.all(epoch);
    await timers.sleep(5 * MS);
    if ((told.submitted / EPOCH_WRITES) % 3 !== 0) continue;
    const { submitted } = told;
    told.epochEnds.push(submitted);
    if ((await disk.flush()) === DeviceStatus.ok) told.flushed = submitted;
  }
}

async function strike(bench: EngineBench, life: EngineLife, loss: Loss): Promise<EngineLife> {
  if (loss === 'the driver VM is killed') await bench.kill(life);
  else await bench.powerCut(life);
  if (loss !== 'the host is lost') return bench.start();
  const { images, pool } = await bench.look();
  const { vdi } = await images.registry.byName('a');
  await images.registry.moveTo(vdi, 'h0', 'h1');
  await pool.close();
  return bench.start('h1');
}

interface Outcome extends Told {
  /** Whether write i is there, whole. */
  readonly present: readonly boolean[];
  /** Writes of which one block is there and the other is not. */
  readonly torn: number;
  readonly watermark: number;
  readonly struckNs: number;
}

async function outcomeOf(seed: number, policy: Policy, loss: Loss): Promise<Outcome> {
  const bench = new EngineBench({ seed });
  bench.addHost('h1');
  const told: Told = { ackedNs: [], submitted: 0, flushed: 0, epochEnds: [] };
  told.ackedNs.length = WRITES;
  told.ackedNs.fill(Number.POSITIVE_INFINITY);
  let outcome: Outcome | null = null;
  await bench.run(async () => {
    await bench.create(['a'], (WRITES * STRIDE) / 8, policy);
    const life = await bench.start();
    const disk = await life.image('a');
    const { clock, timers } = bench.world;
    writeOn(life, disk, told).catch(() => undefined);
    await timers.sleep(new Prng(seed).below(STRIKE_NS));
    const { watermark } = disk.served.status();
    const struckNs = clock.nowNs();
    const after = await (await strike(bench, life, loss)).image('a');
    const present: boolean[] = [];
    let torn = 0;
    for (let write = 0; write < WRITES; write++) {
      const found = await after.read(lbaOf(write), SECTORS);
      if (typeof found === 'number') throw new Error(`write ${write}: status ${found}`);
      const [first] = found;
      if (found.some((byte) => byte !== 0 && byte !== 1 + write)) throw new Error('invented');
      if (found.some((byte) => byte !== first)) torn++;
      present.push(first === 1 + write);
    }
    outcome = { ...told, present, torn, watermark, struckNs };
  });
  if (outcome === null) throw new Error('the story ended without an outcome');
  return outcome;
}

/** How many writes are there from the first one on without a gap. */
function prefixOf({ present }: Outcome): number {
  const end = present.indexOf(false);
  return end < 0 ? present.length : end;
}

function isPrefix(outcome: Outcome): boolean {
  return !outcome.present.slice(prefixOf(outcome)).includes(true);
}

function ackedLost({ ackedNs, present }: Outcome): number {
  return present.filter((there, write) => !there && ackedNs[write] !== Infinity).length;
}

/** Runs the seeds; each outcome must satisfy `holds`. */
async function seedsHold(
  t: ExecutionContext,
  policy: Policy,
  loss: Loss,
  holds: (outcome: Outcome) => boolean,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = await outcomeOf(seed, policy, loss);
    outcomes.push(outcome);
    t.true(holds(outcome), `seed ${seed} of ${POLICY_NAMES[policy]}, ${loss}`);
  }
  t.true(
    outcomes.filter(({ submitted }) => submitted > 0).length > SEEDS / 2,
    'writes were at stake',
  );
  return outcomes;
}

const whole = ({ torn }: Outcome): boolean => torn === 0;
const allAcked = (outcome: Outcome): boolean => ackedLost(outcome) === 0 && whole(outcome);
const prefix = (outcome: Outcome): boolean => isPrefix(outcome) && whole(outcome);
const flushedThere = (outcome: Outcome): boolean =>
  outcome.present.slice(0, outcome.flushed).every(Boolean) && whole(outcome);
const SURVIVED = ['the driver VM is killed', 'the power is cut'] as const;

for (const loss of [...SURVIVED, 'the host is lost'] as const) {
  test(`W0: ${loss}, and every acknowledged write is there`, async (t) => {
    await seedsHold(t, Policy.w0, loss, (outcome) => allAcked(outcome) && isPrefix(outcome));
  });
}

for (const policy of [Policy.w2, Policy.w4]) {
  for (const loss of SURVIVED) {
    test(`${POLICY_NAMES[policy]}: ${loss}, and every acknowledged write is there`, async (t) => {
      await seedsHold(t, policy, loss, (outcome) => allAcked(outcome) && isPrefix(outcome));
    });
  }
}

for (const policy of [Policy.w1, Policy.w3]) {
  const name = POLICY_NAMES[policy];
  test(`${name}: the driver VM is killed, and every acknowledged write is there`, async (t) => {
    await seedsHold(t, policy, SURVIVED[0], (outcome) => allAcked(outcome) && isPrefix(outcome));
  });

  test(`${name}: the power is cut, and what a flush covered is there, and a prefix`, async (t) => {
    const holds = (outcome: Outcome): boolean => flushedThere(outcome) && prefix(outcome);
    const outcomes = await seedsHold(t, policy, 'the power is cut', holds);
    t.true(
      outcomes.some((one) => ackedLost(one) > 0),
      'no seed had anything to lose',
    );
  });
}

test('W1: the host is lost, and a prefix is there that holds the last acknowledged flush', async (t) => {
  const holds = (outcome: Outcome): boolean => flushedThere(outcome) && prefix(outcome);
  const outcomes = await seedsHold(t, Policy.w1, 'the host is lost', holds);
  t.true(outcomes.some((one) => ackedLost(one) > 0));
});

test('W2: the host is lost, and a prefix is there, no shorter than the watermark and no older than its bound', async (t) => {
  const bound = SMALL_SIZES.periodNs + DRAIN_NS;
  const outcomes = await seedsHold(t, Policy.w2, 'the host is lost', (outcome) => {
    const { ackedNs, present, struckNs, watermark } = outcome;
    const isYoung = (write: number): boolean => (ackedNs[write] as number) > struckNs - bound;
    const fresh = present.every((there, write) => there || isYoung(write));
    return prefix(outcome) && prefixOf(outcome) >= watermark && fresh;
  });
  t.true(
    outcomes.some((one) => ackedLost(one) > 0),
    'no seed had anything to lose',
  );
  t.true(outcomes.some(({ watermark }) => watermark > 0));
});

test('W3: the host is lost, and whole flush epochs are there, nothing of the next one', async (t) => {
  const outcomes = await seedsHold(t, Policy.w3, 'the host is lost', (outcome) => {
    const length = prefixOf(outcome);
    return prefix(outcome) && (length === 0 || outcome.epochEnds.includes(length));
  });
  t.true(outcomes.some((one) => ackedLost(one) > 0 && prefixOf(one) > 0));
});

test('W4: the host is lost, and what is there is no prefix in a fifth of the seeds: the control', async (t) => {
  const outcomes = await seedsHold(t, Policy.w4, 'the host is lost', () => true);
  const broken = outcomes.filter((one) => !isPrefix(one)).length;
  const atStake = outcomes.filter((one) => ackedLost(one) > EPOCH_WRITES).length;
  t.true(atStake > 0 && 5 * broken >= atStake, `${broken} of ${atStake}`);
});

test('W2: a host whose image was taken over publishes nothing more, and is told so', async (t) => {
  const bench = new EngineBench({ seed: 4 });
  bench.addHost('h1');
  await bench.run(async () => {
    await bench.create(['a'], 64);
    const zombie = await bench.start();
    const old = await zombie.image('a');
    await old.write(0, 8, 1);
    await old.served.drain();
    const { images, pool } = await bench.look();
    await images.registry.moveTo(old.served.vdi.id, 'h0', 'h1');
    const life = await bench.start('h1');
    const disk = await life.image('a');
    t.is(await disk.write(8, 8, 2), DeviceStatus.ok);
    // The old one does not know yet, and acknowledges; nothing of it appears.
    await old.write(0, 8, 9);
    await t.throwsAsync(old.served.drain(), { code: 'E_IMAGE_GONE' });
    t.is(old.served.status().state, 'fenced');
    t.is(await old.write(0, 8, 9), DeviceStatus.ioError);
    await disk.served.drain();
    t.deepEqual(await disk.read(0, 16), [...Array(8).fill(1), ...Array(8).fill(2)]);
    t.is((await images.read(old.served.vdi.id)).image.generation, 2);
    await pool.close();
  });
});
