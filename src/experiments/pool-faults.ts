/**
 * What goes wrong in the Petal pool of a seed: its servers, their hosts, disks and clocks, the
 * network, and the way to the directory.
 *
 * Which kinds a seed has at all is drawn first, as for everything else (`sim-faults.ts`). The
 * budget is that of K4: any server may die, lose its power, stand still or be cut off, and several
 * at a time, for what is on a disk comes back with it, and until then guests wait. But a disk that
 * fails may take a copy away for good, and so may a host of guests that is lost with the server on
 * it. So the disks of one server have trouble at the most, or those servers are lost that share
 * no block, and then nothing strikes who keeps the other copies of what is on them: at any moment
 * one copy of each block is in sync and whole.
 */
import type { Prng } from '../base/prng.ts';
import { type GlobalMap, groupsOf, membersOf } from '../petal-backend/placement.ts';
import { serverName } from '../petal-backend/server/ports.ts';
import {
  BEYOND_CONTRACT,
  DISK_TROUBLES,
  driverName,
  type Fault,
  LINK_TROUBLES,
} from '../world/faults.ts';
import { DIRECTORY_LINK_TROUBLES, directoryLinkOf, poolLinkOf } from './check-faults.ts';
import type { PetalScenario } from './petal-scenario.ts';
import { imageTriggerOf, serverTriggerOf, timeOf } from './random-triggers.ts';

const KINDS = [
  'server-kill',
  'server-power-cut',
  'server-pause',
  'server-disk',
  'partition',
  'pool-link',
] as const;
type Kind = (typeof KINDS)[number];
/** Those that name a server. */
export type PoolFaultKind = Exclude<Kind, 'pool-link'>;

const KIND_CHANCE = 0.4;
/** Beside one of each kind that the seed has. */
const MORE_MAX = 2;
const BOTH_CHANCE = 0.3;
const LONGEST_NS = 150e6;
/** Of a server that stands still: ten leases. */
const LONGEST_PAUSE_NS = 400e6;
const LONGEST_DELAY_NS = 20e6;
const CLOCK_CHANCE = 0.4;
const DIRECTORY_CHANCE = 0.4;
const IN_ORDER_CHANCE = 0.3;
const CLIENT_CHANCE = 0.4;
/** Between two looks at what is due. */
const MOMENT_NS = 5e6;
/** Between the deaths of two servers that share blocks: until the first is dropped, and beyond. */
const LONGEST_GAP_LEASES = 3;
/**
 * Data that change on the medium have sums, and another copy: a pool promises that they are found.
 */
const TROUBLES = DISK_TROUBLES.filter(
  (trouble) => trouble === 'bit-rot' || !BEYOND_CONTRACT.includes(trouble),
);
const LINK_TROUBLES_OF_POOL = LINK_TROUBLES.filter((trouble) => trouble !== 'cut-kind');

/** `lost`: servers whose hosts are lost with their disks. No two of them share a block. */
export function poolFaults(
  random: Prng,
  petal: PetalScenario,
  hosts: readonly string[],
  lost: readonly number[] = [],
): Fault[] {
  const kinds: Kind[] = KINDS.filter(() => random.chance(KIND_CHANCE));
  if (kinds.length === 0) kinds.push('server-kill');
  const more = random.between(0, MORE_MAX);
  const drawn = [...kinds, ...Array.from({ length: more }, () => random.pick(kinds))];
  const weak = kinds.includes('server-disk') ? random.between(1, petal.servers) : null;
  const frail = lost[0] ?? weak;
  const spared = lost.length > 0 ? lost : weak === null ? [] : [weak];
  const others = victimsOf(petal, spared).map(serverName);
  const faults: Fault[] = [];
  const troubled = new Set<string>();
  for (const kind of drawn) {
    const isDeath = kind === 'server-kill' || kind === 'server-power-cut';
    const mayBeFrail = frail !== null && isDeath && !troubled.has('death');
    const victims = mayBeFrail ? [...others, serverName(frail)] : others;
    if (kind !== 'server-disk' && victims.length === 0) continue;
    const server = kind === 'server-disk' ? serverName(frail ?? 1) : random.pick(victims);
    const fault = onItsHost(faultOf(kind, random, server, others, hosts), petal);
    const part = isDeath && server === serverName(frail ?? 0) ? 'death' : partOf(fault);
    if (part !== null && troubled.has(part)) continue;
    if (part !== null) troubled.add(part);
    faults.push(fault);
  }
  if (frail === null && random.chance(BOTH_CHANCE)) faults.push(...bothDie(random, petal));
  faults.push(...clocksOf(random.fork('clocks'), petal));
  if (others.length > 0) faults.push(...directoryCuts(random.fork('directory'), others));
  if (others.length > 0) faults.push(...withClient(random.fork('client'), others, hosts));
  const inOrder = random.fork('in order');
  if (frail === null && inOrder.chance(IN_ORDER_CHANCE)) faults.push(...dieInOrder(inOrder, petal));
  return faults.map((fault) => onItsHost(fault, petal));
}

/** The power of a host of guests is theirs to lose: a server that is on it is killed. */
function onItsHost(fault: Fault, { placement }: PetalScenario): Fault {
  if (fault.kind !== 'server-power-cut' || placement[fault.server] === undefined) return fault;
  return { ...fault, kind: 'server-kill' };
}

/** Clocks of servers go as wrong as leases allow for, some of them fast and some slow. */
function clocksOf(random: Prng, { servers, options }: PetalScenario): Fault[] {
  if (!random.chance(CLOCK_CHANCE)) return [];
  const { driftPpm: bound } = options;
  return Array.from({ length: servers }, (_, at): Fault => {
    const driftPpm = random.chance(0.5)
      ? random.pick([-bound, bound])
      : random.between(-bound, bound);
    const forNs = random.between(LONGEST_NS, 4 * LONGEST_NS);
    const when = { kind: 'time', atNs: random.between(0, LONGEST_NS) } as const;
    const actor = serverName(at + 1);
    return { kind: 'clock', actor, trouble: 'skew', driftPpm, forNs, when };
  });
}

/**
 * A server dies, stands still or is heard late, and a driver VM dies in the same moment: nobody
 * asks again for a write that one copy has, and the other one has not or gets after all.
 */
function withClient(random: Prng, servers: readonly string[], hosts: readonly string[]): Fault[] {
  if (!random.chance(CLIENT_CHANCE)) return [];
  const { atNs } = timeOf(random);
  const server = random.pick(servers);
  const kind = random.pick(['server-kill', 'server-pause', 'pool-link'] as const);
  const when = { kind: 'time', atNs } as const;
  const later = { kind: 'time', atNs: atNs + random.pick([0, 0, MOMENT_NS]) } as const;
  const forNs = random.between(LONGEST_NS / 3, LONGEST_NS);
  const measure = { delayNs: 0, share: 0, messageKind: 0, forNs };
  const fault: Fault =
    kind === 'pool-link'
      ? { kind: 'link', link: poolLinkOf(server), trouble: 'clog', ...measure, when }
      : kind === 'server-pause'
        ? { kind, server, forNs, when }
        : { kind, server, when };
  const host = random.pick(hosts);
  return [fault, { kind: 'kill-driver', host, when: later }];
}

/** A server reaches everybody but the directory. */
function directoryCuts(random: Prng, servers: readonly string[]): Fault[] {
  if (!random.chance(DIRECTORY_CHANCE)) return [];
  const cut = servers.filter(() => random.chance(0.5));
  return (cut.length === 0 ? servers.slice(0, 1) : cut).map((server): Fault => {
    const trouble = random.pick(DIRECTORY_LINK_TROUBLES);
    const delayNs = random.between(1, LONGEST_DELAY_NS);
    const forNs = random.between(1, LONGEST_NS);
    const measure = { trouble, delayNs, forNs, share: 0, messageKind: 0 };
    return { kind: 'link', link: directoryLinkOf(server), ...measure, when: timeOf(random) };
  });
}

/** Two servers that share blocks die at the same moment: drawn apart, for else it is too rare. */
function bothDie(random: Prng, { servers }: PetalScenario): Fault[] {
  const one = random.between(1, servers);
  const other = (one % servers) + 1;
  const when = imageTriggerOf(random);
  // They have no events in common but those of guests.
  const moment = when.kind === 'protocol' || when.kind === 'progress' ? when : timeOf(random);
  return [one, other].map((server) => {
    const kind = random.chance(0.5) ? 'server-kill' : 'server-power-cut';
    return { kind, server: serverName(server), when: moment };
  });
}

/**
 * Two servers that share blocks die one after the other, in either order: often the second one is
 * alone in sync by then, and what the first one has when it is back is old.
 */
function dieInOrder(random: Prng, { servers, options }: PetalScenario): Fault[] {
  const one = random.between(1, servers);
  const pair = [one, (one % servers) + 1];
  if (random.chance(0.5)) pair.reverse();
  const first = timeOf(random);
  const gapNs = random.between(1, LONGEST_GAP_LEASES * options.leaseNs);
  return pair.map((server, at): Fault => {
    const kind = random.chance(0.5) ? 'server-kill' : 'server-power-cut';
    const when = { kind: 'time', atNs: first.atNs + at * gapNs } as const;
    return { kind, server: serverName(server), when };
  });
}

/**
 * Whom anything may strike. If disks may fail or be lost: whoever shares no block with those. One
 * of these may die itself, once: what it has lost then it is given by the others, who are in sync.
 */
function victimsOf({ servers, copies }: PetalScenario, frail: readonly number[]): number[] {
  const numbers = Array.from({ length: servers }, (_, at) => at + 1);
  const map: GlobalMap = { gmap: 1, servers: numbers, copies };
  const beside = new Set(frail.flatMap((server) => sharersOf(map, server)));
  return numbers.filter((server) => !beside.has(server));
}

/** Who has a copy of anything that this server has, itself included. */
function sharersOf(map: GlobalMap, server: number): number[] {
  return groupsOf(map, server).flatMap((group) => membersOf(map, group));
}

/** What may have one fault only: of two troubles of one kind the first that ends heals both. */
function partOf(fault: Fault): string | null {
  if (fault.kind === 'link') return fault.link;
  if (fault.kind === 'partition') return `${fault.server} and ${fault.other}`;
  return fault.kind === 'server-disk' ? 'disks' : null;
}

function faultOf(
  kind: Kind,
  random: Prng,
  server: string,
  servers: readonly string[],
  hosts: readonly string[],
): Fault {
  const when = serverTriggerOf(random);
  const forNs = random.between(1, LONGEST_NS);
  switch (kind) {
    case 'server-kill':
    case 'server-power-cut':
      return { kind, server, when };
    case 'server-pause': {
      const isLong = random.chance(0.3);
      const pauseNs = isLong ? random.between(LONGEST_NS, LONGEST_PAUSE_NS) : forNs;
      return { kind, server, forNs: pauseNs, when };
    }
    case 'server-disk':
      return { kind, server, trouble: random.pick(TROUBLES), forNs, when };
    case 'partition': {
      const others = servers.filter((one) => one !== server);
      const other = random.pick([...others, ...hosts.map(driverName)]);
      const oneWay = random.chance(0.4);
      return { kind, server, other, oneWay, forNs, when };
    }
    case 'pool-link': {
      const actor = random.chance(0.5) ? server : driverName(random.pick(hosts));
      const link = poolLinkOf(actor);
      const trouble = random.pick(LINK_TROUBLES_OF_POOL);
      const delayNs = random.between(1, LONGEST_DELAY_NS);
      const share = 0.05 + 0.4 * random.nextUnit();
      // A crash point of a server is none of a driver VM.
      const own = actor === server ? when : imageTriggerOf(random);
      return { kind: 'link', link, trouble, delayNs, share, forNs, messageKind: 0, when: own };
    }
  }
}
