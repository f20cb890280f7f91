/**
 * The crash scenario for one seed of the simulator: small guests, short traces with many
 * overlapping writes, and kills of driver VMs and guests at random events and crash points.
 *
 * Everything that may change from seed to seed is drawn: number of queues, ring order, persistent
 * grants, indirect requests, device, depth, and where ring indices begin (half of them just before
 * 2^32, so that the wrap is passed).
 */
import { Prng } from '../base/prng.ts';
import type { FrontOptions } from '../guests/front-connect.ts';
import type { Pace } from '../guests/pace.ts';
import { fitNone } from '../traces/fit.ts';
import { syntheticTrace } from '../traces/synthetic.ts';
import { CRASH_POINTS, type Fault, type PlantedBug, type Trigger } from '../world/faults.ts';
import type { GuestScenario, Scenario } from './scenario.ts';

const BLOCKS = 256;
const REQUESTS_MIN = 200;
const REQUESTS_MAX = 500;
const SEEDS_WITHOUT_GUEST_KILL = 0.5;

export interface SimCrashOptions {
  readonly plantedBug: PlantedBug;
  /** No faults at all: for a check that nothing is reported then. */
  readonly calm: boolean;
}

export function simCrashScenario(seed: number, options: SimCrashOptions): Scenario {
  const random = new Prng(seed, 'scenario');
  const guests = [
    guestOf('g0', 'h0', random.fork('g0')),
    guestOf('g1', 'h0', random.fork('g1')),
    guestOf('g2', 'h1', random.fork('g2')),
  ];
  return {
    title: 'crash of the driver VM',
    summary: 'three guests on two hosts; driver VMs and guests are killed at random events',
    hosts: ['h0', 'h1'],
    hostMemoryBytes: 24 * 2 ** 20,
    driverHeapBytes: 4 * 2 ** 20,
    guests,
    faults: options.calm ? [] : faultsOf(random.fork('faults')),
    driverRestartNs: random.between(0, 20) * 1e6,
    guestRestartNs: random.between(0, 20) * 1e6,
    timeLimitNs: 20e9,
    plantedBug: options.plantedBug,
    publish: random.chance(0.8) ? 'each' : 'batch',
    disturbedStore: true,
  };
}

function guestOf(name: string, host: string, random: Prng): GuestScenario {
  const requests = random.between(REQUESTS_MIN, REQUESTS_MAX);
  const trace = syntheticTrace(random.fork('trace'), { requests, blocks: BLOCKS });
  const device = random.pick(['file', 'file', 'memory'] as const);
  const pace: Pace = random.chance(0.2)
    ? { kind: 'timed', speed: random.pick([1, 4]), depth: 64 }
    : { kind: 'closed', depth: random.pick([1, 4, 16, 48]) };
  return {
    name,
    host,
    device,
    diskSectors: BLOCKS * 8,
    trace: fitNone(trace, BLOCKS * 4096).trace,
    pace,
    heapBytes: 2 * 2 ** 20,
    front: frontOf(random),
    policy: random.pick(['stall', 'stall', 'stall', 'stall', 'stall', 'stall', 'error', 'fail']),
    requestsPerSecond: random.chance(0.1) ? 20_000 : 0,
    bytesPerSecond: 0,
  };
}

function frontOf(random: Prng): FrontOptions {
  return {
    queues: random.pick([1, 1, 2, 4]),
    ringOrder: random.pick([0, 0, 1]),
    persistent: random.chance(0.7),
    trusted: random.chance(0.8),
    indirectSegments: random.pick([0, 32, 64]),
    publish: random.chance(0.8) ? 'each' : 'batch',
    startIndex: random.chance(0.5) ? 2 ** 32 - random.between(1, 200) : 0,
  };
}

function faultsOf(random: Prng): Fault[] {
  const faults: Fault[] = [];
  const kills = random.between(1, 3);
  for (let i = 0; i < kills; i++) {
    faults.push({
      kind: 'kill-driver',
      host: random.chance(0.8) ? 'h0' : 'h1',
      when: triggerOf(random, 'back.'),
    });
  }
  if (random.chance(SEEDS_WITHOUT_GUEST_KILL)) return faults;
  const guest = random.pick(['g0', 'g1', 'g2']);
  faults.push({ kind: 'kill-guest', guest, when: triggerOf(random, 'front.') });
  return faults;
}

function triggerOf(random: Prng, side: string): Trigger {
  const draw = random.nextUnit();
  if (draw < 0.5) return { kind: 'event', nth: random.between(20, 2500) };
  if (draw < 0.6) return { kind: 'progress', share: random.nextUnit() };
  const points = CRASH_POINTS.filter((point) => point.startsWith(side));
  return { kind: 'crash-point', point: random.pick(points), nth: random.between(1, 600) };
}
