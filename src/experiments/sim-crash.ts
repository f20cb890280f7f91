/**
 * The crash scenario for one seed: small guests, short traces with many overlapping writes, and
 * faults of every kind that hosts, guests, disks, links and clocks have (`sim-faults.ts`).
 *
 * Everything that may change from seed to seed is drawn: number of queues, ring order, persistent
 * grants, indirect requests, device, depth, and where ring indices begin (half of them just before
 * 2^32, so that the wrap is passed).
 */
import { Prng } from '../base/prng.ts';
import type { FrontOptions } from '../guests/front-connect.ts';
import type { Pace } from '../guests/pace.ts';
import type { Policy } from '../parallax/vdi/policy.ts';
import { SMALL_SIZES } from '../parallax/vdi/sizes.ts';
import { PETAL_BUGS, type PetalBug, serverName } from '../petal-backend/server/ports.ts';
import { STORE_BUGS, type StoreBug } from '../petal-backend/store/store-options.ts';
import { fitNone } from '../traces/fit.ts';
import { syntheticTrace } from '../traces/synthetic.ts';
import { EXTENT_BLOCKS } from '../world/block-pool.ts';
import type { PlantedBug } from '../world/faults.ts';
import { type PetalScenario, simPetal } from './petal-scenario.ts';
import { snapshotTriggerOf } from './random-triggers.ts';
import type { GuestScenario, Scenario } from './scenario.ts';
import { randomFaults } from './sim-faults.ts';

const BLOCKS = 256;
const REQUESTS_MIN = 200;
const REQUESTS_MAX = 500;
const SNAPSHOTS_MAX = 3;
const HOSTS = ['h0', 'h1'];
const PLACED_CHANCE = 0.35;
/** 6 GiB: crashes and failed writes leave extents of 64 MiB behind, and a seed has many. */
const POOL_BLOCKS = 96 * EXTENT_BLOCKS;

/** Bugs of Petal servers, and of their stores. */
export const POOL_BUGS: readonly (PetalBug | StoreBug)[] = [...PETAL_BUGS, ...STORE_BUGS];
/** A bug of driver VMs, guests or images, or one of Petal servers. */
export type SimBug = PlantedBug | PetalBug | StoreBug;

export interface SimCrashOptions {
  readonly plantedBug: SimBug;
  /** No faults at all: for a check that nothing is reported then. */
  readonly calm: boolean;
  /** Disks may lie: violations are to be expected, and must be reported. */
  readonly beyond: boolean;
  /** Disks are images of a store, by this policy; null: files and memory. */
  readonly images: Policy | null;
  /** The store is on so many Petal servers; in a file unless said, or if there are none. */
  readonly petal?: number;
  /** Images go to the other host by plan; a host is never taken for dead. */
  readonly moves?: boolean;
}

export function simCrashScenario(seed: number, options: SimCrashOptions): Scenario {
  const random = new Prng(seed, 'scenario');
  // Only a host whose disks are all files can lose its power: often enough that all are.
  const [h0OnFiles, h1OnFiles] = [random.chance(0.6), random.chance(0.6)];
  const onFile = [
    guestOf('g0', 'h0', random.fork('g0'), h0OnFiles),
    guestOf('g1', 'h0', random.fork('g1'), h0OnFiles),
    guestOf('g2', 'h1', random.fork('g2'), h1OnFiles),
  ];
  const { images } = options;
  const { plantedBug } = options;
  const moves = options.moves === true || plantedBug === 'early-hand-over';
  const petal = petalOf(random.fork('petal'), options.petal ?? 0, plantedBug);
  const guests =
    images === null
      ? onFile
      : onFile.map((guest) => ({ ...guest, device: 'vdi' as const, writeBack: images }));
  return {
    title: 'crash of the driver VM',
    summary: 'three guests on two hosts; what a seed draws goes wrong with them',
    hosts: HOSTS,
    // Room for a driver VM for each kill in a row: frames of a dead one are kept until one serves.
    hostMemoryBytes: (images === null ? 40 : 64) * 2 ** 20,
    // By a take-over a host may get the third guest, whose rings find half of what is left.
    driverHeapBytes: (images === null ? 4 : 5) * 2 ** 20,
    guests,
    faults: options.calm
      ? []
      : randomFaults(random.fork('faults'), HOSTS, guests, options.beyond, petal, moves),
    driverRestartNs: random.between(0, 20) * 1e6,
    guestRestartNs: random.between(0, 20) * 1e6,
    timeLimitNs: 20e9,
    plantedBug: isPoolBug(plantedBug) ? 'none' : plantedBug,
    publish: random.chance(0.8) ? 'each' : 'batch',
    disturbedStore: true,
    ...(images === null ? {} : storeOf(random.fork('snapshots'), guests, petal)),
  };
}

/** The store of a run, and up to three snapshots under load. */
function storeOf(
  random: Prng,
  guests: readonly GuestScenario[],
  petal: PetalScenario | null,
): Pick<Scenario, 'store' | 'snapshots'> {
  const count = random.between(0, SNAPSHOTS_MAX);
  const snapshots = Array.from({ length: count }, (_, at) => {
    return { guest: random.pick(guests).name, name: `s${at + 1}`, when: snapshotTriggerOf(random) };
  });
  const onPetal = petal === null ? {} : { petal };
  return { store: { sizes: SMALL_SIZES, poolBlocks: POOL_BLOCKS, ...onPetal }, snapshots };
}

/** Every fourth seed keeps three copies of each block, if there are servers for them. */
function petalOf(random: Prng, servers: number, bug: SimBug): PetalScenario | null {
  if (servers === 0) return null;
  const copies = servers > 2 && random.chance(0.25) ? 3 : 2;
  const plain = simPetal(servers, copies, random.between(0, 60) * 1e6);
  const petal = { ...plain, placement: placementOf(random, servers, copies) };
  if (!isPoolBug(bug)) return petal;
  if (isStoreBug(bug)) return { ...petal, store: { ...petal.store, plantedBug: bug } };
  return { ...petal, options: { ...petal.options, plantedBug: bug } };
}

/** In some seeds hosts of guests contribute disks: servers that share no block are on them. */
function placementOf(random: Prng, servers: number, copies: number): PetalScenario['placement'] {
  if (!random.chance(PLACED_CHANCE)) return {};
  const [host, otherHost] = random.chance(0.5) ? HOSTS : HOSTS.toReversed();
  const first = random.between(1, servers);
  const second = ((first + copies - 1) % servers) + 1;
  const placed = { [serverName(first)]: host ?? '' };
  if (servers < 2 * copies || random.chance(0.5)) return placed;
  return { ...placed, [serverName(second)]: otherHost ?? '' };
}

function isPoolBug(bug: SimBug): bug is PetalBug | StoreBug {
  return (POOL_BUGS as readonly string[]).includes(bug);
}

function isStoreBug(bug: PetalBug | StoreBug): bug is StoreBug {
  return (STORE_BUGS as readonly string[]).includes(bug);
}

function guestOf(name: string, host: string, random: Prng, onFile: boolean): GuestScenario {
  const requests = random.between(REQUESTS_MIN, REQUESTS_MAX);
  const trace = syntheticTrace(random.fork('trace'), { requests, blocks: BLOCKS, fuaShare: 0.05 });
  const device = onFile ? 'file' : random.pick(['file', 'file', 'memory'] as const);
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
