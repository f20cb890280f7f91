/**
 * `bench sim`: how fast the simulator is.
 *
 * `sim.events` counts events with 64 actors whose stories are plain async functions, each asleep
 * most of the time: the pump, the heap, the log hash and a promise an event, with the traps on.
 * `sim.spine` runs the whole path, two guests and a driver VM, with 100,000 requests that are
 * stamped, verified, read back and judged by every checker; a run with a verdict that is not good
 * is an error, not a slow result.
 */
import { Prng } from '../src/base/prng.ts';
import { NEVER } from '../src/base/units.ts';
import { checksOf, outagesOf } from '../src/experiments/account.ts';
import { DEFAULT_FRONT, type GuestScenario, type Scenario } from '../src/experiments/scenario.ts';
import { runInSimulator } from '../src/experiments/sim-stage.ts';
import { fitNone } from '../src/traces/fit.ts';
import { syntheticTrace } from '../src/traces/synthetic.ts';
import type { HostedActor } from '../src/world/actor.ts';
import { Simulator } from '../src/world/sim/simulator.ts';
import type { World } from '../src/world/world.ts';
import { type BenchOptions, type BenchResult, spreadOf, target } from './bench-result.ts';
import { awaitQuiet, describeMachine } from './machine.ts';

const ACTORS = 64;
const EVENTS = 1_000_000;
const QUICK_EVENTS = 20_000;
const SPINE_REQUESTS = 100_000;
const QUICK_SPINE_REQUESTS = 2_000;
const SPINE_DISK_BLOCKS = 2048;
const BLOCK_BYTES = 4096;
const ROUNDS = 5;
const QUIET_MS = 2000;
const SLEEP_NS_MAX = 100_000;

export async function run(options: BenchOptions = {}): Promise<BenchResult> {
  const quick = options.quick === true;
  const machine = describeMachine();
  const runs = quick ? 1 : ROUNDS;
  const speeds: number[] = [];
  const seconds: number[] = [];
  let events = 0;
  for (let round = 0; round < runs; round++) {
    await awaitQuiet(quick ? 0 : QUIET_MS);
    speeds.push(await eventsPerSecond(round + 1, quick ? QUICK_EVENTS : EVENTS));
    await awaitQuiet(quick ? 0 : QUIET_MS);
    const spine = await runSpine(round + 1, quick ? QUICK_SPINE_REQUESTS : SPINE_REQUESTS);
    seconds.push(spine.seconds);
    events = spine.events;
  }
  const speed = spreadOf(speeds);
  const spine = spreadOf(seconds);
  return {
    bench: 'sim',
    machine,
    runs,
    targets: [
      target('sim.events', speed.median, 'higher', 600_000),
      target('sim.spine', spine.median, 'lower', 10),
    ],
    samples: [
      { configuration: `events/s, ${ACTORS} async actors`, eventsPerSecond: speed },
      { configuration: 'spine scenario', seconds: spine, eventsOfLastRun: events },
    ],
  };
}

/** An actor that does nothing but sleep and wake up. */
function sleeper(world: World): HostedActor {
  const story = async (): Promise<void> => {
    for (;;) await world.timers.sleep(world.random.between(1, SLEEP_NS_MAX));
  };
  return {
    start: story,
    step: () => 'idle',
    nextDeadlineNs: () => NEVER,
    checkInvariants: () => {},
    finished: () => false,
    result: () => null,
    control: {},
  };
}

async function eventsPerSecond(seed: number, events: number): Promise<number> {
  const simulator = new Simulator({ seed });
  simulator.addHost('h0', { memoryBytes: ACTORS * BLOCK_BYTES + BLOCK_BYTES });
  const spawner = simulator.spawner({ guest: sleeper, 'driver-vm': sleeper });
  for (let actor = 0; actor < ACTORS; actor++) {
    spawner.spawn({
      kind: 'guest',
      name: `a${actor}`,
      host: 'h0',
      bellAddress: (actor + 1) * BLOCK_BYTES,
      links: [],
      config: null,
    });
  }
  const startMs = performance.now();
  const outcome = await simulator.run({ maxEvents: events });
  const elapsedMs = performance.now() - startMs;
  if (outcome.failures.length > 0) throw new Error('an actor of the benchmark failed');
  return (outcome.events * 1000) / elapsedMs;
}

interface SpineRun {
  readonly seconds: number;
  readonly events: number;
}

async function runSpine(seed: number, requests: number): Promise<SpineRun> {
  const scenario = spineScenario(seed, requests);
  const startMs = performance.now();
  const { run: story, outcome } = await runInSimulator(scenario, seed);
  const broken = checksOf(story, outagesOf(story, outcome.endNs)).filter(({ ok }) => !ok);
  const elapsedMs = performance.now() - startMs;
  if (broken.length > 0 || story.problems.length > 0 || outcome.limitReached !== null) {
    const said = [...story.problems, ...broken.map(({ name, text }) => `${name}: ${text}`)];
    throw new Error(`the spine scenario with seed ${seed} is not sound: ${said.join('; ')}`);
  }
  return { seconds: elapsedMs / 1000, events: outcome.events };
}

/** No faults: one guest's disk is a file, with the disk model under it, the other's is memory. */
function spineScenario(seed: number, requests: number): Scenario {
  const random = new Prng(seed, 'bench/spine');
  return {
    title: 'the spine, undisturbed',
    summary: 'two guests and a driver VM on one host',
    hosts: ['h0'],
    hostMemoryBytes: 32 * 2 ** 20,
    driverHeapBytes: 4 * 2 ** 20,
    guests: [
      guestOf('g0', 'file', random.fork('g0'), requests / 2),
      guestOf('g1', 'memory', random.fork('g1'), requests / 2),
    ],
    faults: [],
    driverRestartNs: 0,
    guestRestartNs: 0,
    timeLimitNs: 3600e9,
    plantedBug: 'none',
    publish: 'each',
    disturbedStore: false,
  };
}

function guestOf(
  name: string,
  device: GuestScenario['device'],
  random: Prng,
  requests: number,
): GuestScenario {
  const trace = syntheticTrace(random, { requests, blocks: SPINE_DISK_BLOCKS });
  return {
    name,
    host: 'h0',
    device,
    diskSectors: SPINE_DISK_BLOCKS * 8,
    trace: fitNone(trace, SPINE_DISK_BLOCKS * BLOCK_BYTES).trace,
    pace: { kind: 'closed', depth: 32 },
    heapBytes: 4 * 2 ** 20,
    front: DEFAULT_FRONT,
    policy: 'stall',
    requestsPerSecond: 0,
    bytesPerSecond: 0,
  };
}
