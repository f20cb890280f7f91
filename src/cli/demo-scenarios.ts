/**
 * What the demonstrations show: three guests on two hosts replay a recorded database, something
 * dies in the middle, and at the end every block that was ever touched is read back.
 *
 * ```
 * crash       the driver VM of one host        its guests stall and go on, others notice nothing
 * petal-loss  one of four servers of the pool  a dip; it comes back and is brought up to date
 * host-loss   a host with its cache            its images go on at the other host, from a prefix of
 *                                              what it had acknowledged: what was lost is said
 * ```
 */
import { formatCount } from '../base/format-units.ts';
import { SECTOR_BYTES } from '../base/units.ts';
import { hostMemoryBytes } from '../experiments/host-memory.ts';
import { threadPetal } from '../experiments/petal-scenario.ts';
import {
  DEFAULT_FRONT,
  type GuestScenario,
  REPLAY_STORE,
  type Scenario,
  type StoreScenario,
} from '../experiments/scenario.ts';
import { fitCompact } from '../traces/fit.ts';
import { sliceTrace } from '../traces/slice.ts';
import type { Trace } from '../traces/trace.ts';
import type { Fault } from '../world/faults.ts';

export interface Demo {
  readonly name: string;
  readonly title: string;
  /** Ends the sentence "... requests of a recorded database: ". */
  readonly story: string;
  readonly store: StoreScenario;
  readonly faults: readonly Fault[];
  readonly limits: readonly string[];
}

const MIB = 2 ** 20;
const HOSTS = ['h0', 'h1'];
/**
 * Who replays which share of the requests. The third guest has a driver VM to itself and is the
 * fastest: with the largest share it is still at work while the others stand still.
 */
const SHARES = [
  { name: 'g0', host: 'h0', share: 0.28 },
  { name: 'g1', host: 'h0', share: 0.28 },
  { name: 'g2', host: 'h1', share: 0.44 },
];
const WHO = 'guests g0 and g1 on host h0, g2 on h1';
const DEPTH = 16;
const RESTART_NS = 300e6;
const SERVER_RESTART_NS = 3e9;
const TIME_LIMIT_NS = 300e9;
const SERVERS = 4;
const COPIES = 2;
const ON_PETAL: StoreScenario = {
  ...REPLAY_STORE,
  petal: threadPetal(SERVERS, COPIES, SERVER_RESTART_NS),
};
const ONE_MACHINE = 'servers, hosts and guests are threads of one machine and share its cores';

/** Of every demonstration. */
export const LIMITS: readonly string[] = [
  'each guest replays as fast as requests come back, 16 outstanding; recorded pauses are left out',
  'recorded addresses are renumbered in the order of first touch, so that disks are small',
];

export const DEMOS: readonly Demo[] = [
  {
    name: 'crash',
    title: 'crash of the driver VM',
    story: `${WHO}; the driver VM of h0 is killed half-way and restarted`,
    store: REPLAY_STORE,
    faults: [{ kind: 'kill-driver', host: 'h0', when: { kind: 'progress', share: 0.5 } }],
    limits: [],
  },
  {
    name: 'petal-loss',
    title: 'loss of a server of the pool',
    story:
      `${WHO}; their images are on ${SERVERS} Petal servers, every block on ${COPIES} of them; ` +
      's2 is killed at two fifths and comes back after 3 s',
    store: ON_PETAL,
    faults: [{ kind: 'server-kill', server: 's2', when: { kind: 'progress', share: 0.4 } }],
    limits: [ONE_MACHINE],
  },
  {
    name: 'host-loss',
    title: 'loss of a host with its cache',
    story:
      `${WHO}; their images are on ${SERVERS} Petal servers; h0 is lost half-way with its disks, ` +
      'and h1 takes its images over',
    store: ON_PETAL,
    faults: [{ kind: 'host-loss', host: 'h0', by: 'h1', when: { kind: 'progress', share: 0.5 } }],
    limits: [ONE_MACHINE],
  },
];

export const DEMO_NAMES: readonly string[] = DEMOS.map(({ name }) => name);

/** The demonstration with consecutive parts of the first `requests` requests. */
export function demoScenario(
  { title, story, store }: Demo,
  trace: Trace,
  requests: number,
  faults: readonly Fault[],
): Scenario {
  let from = 0;
  const guests = SHARES.map(({ name, host, share }, at): GuestScenario => {
    const last = at === SHARES.length - 1;
    const to = last ? requests : from + Math.floor(requests * share);
    const fitted = fitCompact(sliceTrace(trace, from, to));
    from = to;
    return {
      name,
      host,
      device: 'vdi',
      diskSectors: fitted.diskBytes / SECTOR_BYTES,
      trace: fitted.trace,
      pace: { kind: 'closed', depth: DEPTH },
      heapBytes: 16 * MIB,
      front: DEFAULT_FRONT,
      policy: 'stall',
      requestsPerSecond: 0,
      bytesPerSecond: 0,
    };
  });
  const driverHeapBytes = 16 * MIB;
  return {
    title,
    summary: `${formatCount(requests)} requests of a recorded SQLite database on ext4: ${story}`,
    hosts: HOSTS,
    hostMemoryBytes: hostMemoryBytes(HOSTS, { guests, driverHeapBytes, faults, store }),
    driverHeapBytes,
    guests,
    faults,
    driverRestartNs: RESTART_NS,
    guestRestartNs: RESTART_NS,
    timeLimitNs: TIME_LIMIT_NS,
    plantedBug: 'none',
    publish: 'each',
    disturbedStore: false,
    store,
  };
}
