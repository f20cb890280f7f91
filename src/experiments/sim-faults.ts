/**
 * A random fault script with a budget, for one seed.
 *
 * A seed first draws which kinds of faults it has at all (swarm: some seeds are calm in all but one
 * way), then how many and when (`random-triggers.ts`). A seed that has power cuts has one wherever
 * the power of a host can be cut: drawn like the others they are too rare to say much of flushes.
 * The budget refuses what no system could survive: the power of a host is cut only where all its
 * disks are files, troubles with one disk do not overlap, and everything is healed long before the
 * time limit, so that every guest must finish (liveness).
 */
import type { Prng } from '../base/prng.ts';
import { BEYOND_CONTRACT, DISK_TROUBLES, type DiskTrouble, type Fault } from '../world/faults.ts';
import { driverKillOf, powerCutOf, progressOf, triggerOf } from './random-triggers.ts';
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
/** Beside the power cut of a seed that has power cuts. */
const MAX_FAULTS = 4;
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
  const cuttable = hosts.filter((host) => canLosePower(host, guests));
  if (kinds.includes('power-cut') && cuttable.length > 0) {
    faults.push({ kind: 'power-cut', host: random.pick(cuttable), when: powerCutOf(random) });
  }
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
      return { kind, host, when: driverKillOf(random) };
    case 'pause-driver':
      return { kind, host, forNs, when: triggerOf(random, 'back.') };
    case 'kill-guest':
      return { kind, guest: guest.name, when: triggerOf(random, 'front.') };
    case 'hang-guest':
      return { kind, guest: guest.name, forNs, when: triggerOf(random, 'front.') };
    case 'power-cut': {
      if (!canLosePower(host, guests)) return null;
      return { kind, host, when: powerCutOf(random) };
    }
    case 'disk': {
      if (guest.device !== 'file') return null;
      const trouble = troubleOf(random, beyond);
      return { kind, guest: guest.name, trouble, forNs, when: progressOf(random) };
    }
  }
}

/** What is in RAM is gone with the power: only files can be asked for afterwards. */
function canLosePower(host: string, guests: readonly GuestScenario[]): boolean {
  return guests.every((guest) => guest.host !== host || guest.device === 'file');
}

function troubleOf(random: Prng, beyond: boolean): DiskTrouble {
  const possible = DISK_TROUBLES.filter((trouble) => BEYOND_CONTRACT.includes(trouble) === beyond);
  return random.pick(possible);
}
