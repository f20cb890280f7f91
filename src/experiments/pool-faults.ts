/**
 * What goes wrong in the Petal pool of a seed: its servers, their hosts and disks, and the network.
 *
 * Which kinds a seed has at all is drawn first, as for everything else (`sim-faults.ts`). The
 * budget is that of K4: any server may die, lose its power, stand still or be cut off, and several
 * at a time, for what is on a disk comes back with it, and until then guests wait. But a disk that
 * fails may take a copy away for good. So the disks of one server have trouble at the most, and
 * then nothing strikes those that keep the other copies of what is on them: at any moment one copy
 * of each block is in sync and whole.
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
import { poolLinkOf } from './check-faults.ts';
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
const LONGEST_DELAY_NS = 20e6;
/**
 * Data that change on the medium have sums, and another copy: a pool promises that they are found.
 */
const TROUBLES = DISK_TROUBLES.filter(
  (trouble) => trouble === 'bit-rot' || !BEYOND_CONTRACT.includes(trouble),
);
const LINK_TROUBLES_OF_POOL = LINK_TROUBLES.filter((trouble) => trouble !== 'cut-kind');

export function poolFaults(random: Prng, petal: PetalScenario, hosts: readonly string[]): Fault[] {
  const kinds: Kind[] = KINDS.filter(() => random.chance(KIND_CHANCE));
  if (kinds.length === 0) kinds.push('server-kill');
  const more = random.between(0, MORE_MAX);
  const drawn = [...kinds, ...Array.from({ length: more }, () => random.pick(kinds))];
  const frail = kinds.includes('server-disk') ? random.between(1, petal.servers) : null;
  const others = victimsOf(petal, frail).map(serverName);
  const faults: Fault[] = [];
  const troubled = new Set<string>();
  for (const kind of drawn) {
    const isDeath = kind === 'server-kill' || kind === 'server-power-cut';
    const mayBeFrail = frail !== null && isDeath && !troubled.has('death');
    const victims = mayBeFrail ? [...others, serverName(frail)] : others;
    if (kind !== 'server-disk' && victims.length === 0) continue;
    const server = kind === 'server-disk' ? serverName(frail ?? 1) : random.pick(victims);
    const fault = faultOf(kind, random, server, others, hosts);
    const part = isDeath && server === serverName(frail ?? 0) ? 'death' : partOf(fault);
    if (part !== null && troubled.has(part)) continue;
    if (part !== null) troubled.add(part);
    faults.push(fault);
  }
  if (frail === null && random.chance(BOTH_CHANCE)) faults.push(...bothDie(random, petal));
  return faults;
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
 * Whom anything may strike. If the disks of a server may fail: whoever shares no block with it. It
 * may die itself, once: what it has lost then it is given by the others, who are in sync.
 */
function victimsOf({ servers, copies }: PetalScenario, frail: number | null): number[] {
  const numbers = Array.from({ length: servers }, (_, at) => at + 1);
  if (frail === null) return numbers;
  const map: GlobalMap = { gmap: 1, servers: numbers, copies };
  const beside = new Set(groupsOf(map, frail).flatMap((group) => membersOf(map, group)));
  return numbers.filter((server) => !beside.has(server));
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
    case 'server-pause':
      return { kind, server, forNs, when };
    case 'server-disk':
      return { kind, server, trouble: random.pick(TROUBLES), forNs, when };
    case 'partition': {
      const others = servers.filter((one) => one !== server);
      const other = random.pick([...others, ...hosts.map(driverName)]);
      return { kind, server, other, forNs, when };
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
