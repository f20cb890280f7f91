/**
 * A random fault script with a budget, for one seed.
 *
 * A seed first draws which kinds of faults it has at all (swarm: some seeds are calm in all but one
 * way), then how many and when. The budget refuses what no system could survive: the power of a
 * host is cut only where all its disks are files, troubles with one disk do not overlap, and
 * everything is healed long before the time limit, so that every guest must finish (liveness).
 */
import type { Prng } from '../base/prng.ts';
import {
  BEYOND_CONTRACT,
  CRASH_POINTS,
  DISK_TROUBLES,
  type DiskTrouble,
  type Fault,
  type Trigger,
} from '../world/faults.ts';
import type { GuestScenario } from './scenario.ts';

type Kind = Fault['kind'];

const KINDS: readonly Kind[] = [
  'kill-driver',
  'kill-guest',
  'pause-driver',
  'hang-guest',
  'power-cut',
  'disk',
];
const MAX_FAULTS = 4;
/** Faults by time strike before this. */
const LAST_STRIKE_NS = 300e6;
const LONGEST_NS = 150e6;

/** Draws the faults of a seed. `beyond` allows troubles that no contract covers. */
export function randomFaults(
  random: Prng,
  hosts: readonly string[],
  guests: readonly GuestScenario[],
  beyond: boolean,
): Fault[] {
  const kinds = KINDS.filter(() => random.chance(0.4));
  if (kinds.length === 0) kinds.push('kill-driver');
  const faults: Fault[] = [];
  const troubled = new Set<string>();
  const count = random.between(1, MAX_FAULTS);
  for (let i = 0; i < count; i++) {
    const fault = faultOf(random.pick(kinds), random, hosts, guests, beyond);
    if (fault === null) continue;
    if (fault.kind === 'disk') {
      if (troubled.has(fault.guest)) continue;
      troubled.add(fault.guest);
    }
    faults.push(fault);
  }
  return faults;
}

function faultOf(
  kind: Kind,
  random: Prng,
  hosts: readonly string[],
  guests: readonly GuestScenario[],
  beyond: boolean,
): Fault | null {
  const host = random.chance(0.8) ? (hosts[0] ?? '') : random.pick(hosts);
  const guest = random.pick(guests);
  const forNs = random.between(1, LONGEST_NS);
  switch (kind) {
    case 'kill-driver':
      return { kind, host, when: killTimeOf(random) };
    case 'pause-driver':
      return { kind, host, forNs, when: triggerOf(random, 'back.') };
    case 'kill-guest':
      return { kind, guest: guest.name, when: triggerOf(random, 'front.') };
    case 'hang-guest':
      return { kind, guest: guest.name, forNs, when: triggerOf(random, 'front.') };
    case 'power-cut': {
      const all = guests.filter((other) => other.host === host);
      if (all.some(({ device }) => device !== 'file')) return null;
      return { kind, host, when: triggerOf(random, 'back.') };
    }
    case 'disk': {
      if (guest.device !== 'file') return null;
      const trouble = troubleOf(random, beyond);
      return { kind, guest: guest.name, trouble, forNs, when: progressOf(random) };
    }
  }
}

function troubleOf(random: Prng, beyond: boolean): DiskTrouble {
  const possible = DISK_TROUBLES.filter((trouble) => BEYOND_CONTRACT.includes(trouble) === beyond);
  return random.pick(possible);
}

/** A driver VM is also killed while its predecessor's work is being recovered. */
function killTimeOf(random: Prng): Trigger {
  if (random.chance(0.2)) return { kind: 'recovery', nth: random.between(1, 400) };
  return triggerOf(random, 'back.');
}

function progressOf(random: Prng): Trigger {
  return { kind: 'progress', share: 0.05 + 0.9 * random.nextUnit() };
}

function timeOf(random: Prng): Trigger {
  return { kind: 'time', atNs: random.between(40e6, LAST_STRIKE_NS) };
}

function triggerOf(random: Prng, side: string): Trigger {
  const draw = random.nextUnit();
  if (draw < 0.1) return { kind: 'event', nth: random.between(1, 80) };
  if (draw < 0.4) return { kind: 'event', nth: random.between(20, 2500) };
  if (draw < 0.5) return progressOf(random);
  if (draw < 0.6) return timeOf(random);
  const points = CRASH_POINTS.filter((point) => point.startsWith(side));
  return { kind: 'crash-point', point: random.pick(points), nth: random.between(1, 600) };
}
