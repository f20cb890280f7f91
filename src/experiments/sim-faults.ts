/**
 * A random fault script with a budget, for one seed.
 *
 * A seed first draws which kinds of faults it has at all (swarm: some seeds are calm in all but
 * one way), then how many and when (`random-triggers.ts`). A seed that has power cuts has one
 * wherever the power of a host can be cut: drawn like the others they are too rare to say much of
 * flushes. The budget refuses what no system could survive: the power of a host is cut only where
 * all its disks are files, one disk, one link and one clock have one trouble each, garbage strikes
 * the rings of one guest at the most, and everything is healed long before the time limit, so that
 * every other guest must finish (liveness). Links are those to the store, which are clogged or slow
 * and never lose anything. Clocks drift as crystals do or as far as the vocabulary goes, and jump
 * up to past the deadline of a request.
 */
import type { Prng } from '../base/prng.ts';
import {
  BEYOND_CONTRACT,
  CRASH_POINTS,
  DISK_TROUBLES,
  type DiskTrouble,
  DRIFT_PPM_MAX,
  DRIFT_PPM_MIN,
  driverName,
  type Fault,
  RELIABLE_LINK_TROUBLES,
  type SpineFault,
  type Trigger,
} from '../world/faults.ts';
import { storeLinkOf } from './check-faults.ts';
import { type PetalScenario, serverNames } from './petal-scenario.ts';
import { type PoolFaultKind, poolFaults } from './pool-faults.ts';
import {
  driverKillOf,
  imageKillOf,
  imageTriggerOf,
  powerCutOf,
  progressOf,
  timeOf,
  triggerOf,
} from './random-triggers.ts';
import type { GuestScenario } from './scenario.ts';

/** Who else gets the images is drawn apart, and so is what strikes servers. */
type Kind = Exclude<SpineFault['kind'], 'take-over' | 'move' | PoolFaultKind>;

const KINDS: readonly Kind[] = [
  'kill-driver',
  'kill-guest',
  'pause-driver',
  'hang-guest',
  'power-cut',
  'disk',
  'link',
  'clock',
  'ring-garbage',
];
const KIND_CHANCES: Partial<Record<Kind, number>> = { link: 0.2, clock: 0.2, 'ring-garbage': 0.15 };
/** Of a store: a seed whose disks are images has them too. */
const STORE_KINDS: readonly Kind[] = ['host-loss', 'pool-disk', 'directory-majority-loss'];
const IMAGE_CHANCES: Partial<Record<Kind, number>> = {
  ...KIND_CHANCES,
  'kill-driver': 0.6,
  'power-cut': 0.5,
  'host-loss': 0.6,
  'pool-disk': 0.15,
  'directory-majority-loss': 0.15,
};
/** Beside the power cut of a seed that has power cuts. */
const MAX_FAULTS = 4;
const LONGEST_NS = 150e6;
const TAKE_OVER_CHANCE = 0.7;
const MOVE_POINTS = CRASH_POINTS.filter((point) => point.startsWith('move.'));
/** Of a host that another one takes for dead: it may be back before that has acted. */
const LONGEST_PAUSE_NS = 10e6;
/** Garbage is in a guest's rings for this long at the most. */
const LONGEST_GARBAGE_NS = 20e6;
const LONGEST_DELAY_NS = 5e6;
const LONGEST_JUMP_NS = 40e9;

/**
 * Draws the faults of a seed. `beyond` allows troubles that no contract covers; with `moves` images
 * go to another host by plan, and not because their own is taken for dead.
 */
export function randomFaults(
  random: Prng,
  hosts: readonly string[],
  guests: readonly GuestScenario[],
  beyond: boolean,
  petal: PetalScenario | null = null,
  moves: boolean = false,
): Fault[] {
  const onImages = guests.some(({ device }) => device === 'vdi');
  const ofStore = STORE_KINDS.filter((kind) => kind !== 'pool-disk' || petal === null);
  const possible = onImages ? [...KINDS, ...ofStore] : KINDS;
  const chances = onImages ? IMAGE_CHANCES : KIND_CHANCES;
  const kinds = possible.filter((kind) => random.chance(chances[kind] ?? 0.4));
  if (kinds.length === 0) kinds.push('kill-driver');
  const faults: Fault[] = [];
  const troubled = new Set<string>();
  const count = onImages ? random.between(0, 2) : random.between(1, MAX_FAULTS);
  const cuttable = hosts.filter((host) => canLosePower(host, guests));
  if (!onImages && kinds.includes('power-cut') && cuttable.length > 0) {
    faults.push({ kind: 'power-cut', host: random.pick(cuttable), when: powerCutOf(random) });
  }
  if (onImages) faults.push(...crashesOf(kinds, random, hosts));
  for (let i = 0; i < count; i++) {
    const fault = faultOf(random.pick(kinds), random, hosts, guests, beyond);
    if (fault === null) continue;
    const part = partOf(fault);
    if (part !== null && troubled.has(part)) continue;
    if (part !== null) troubled.add(part);
    faults.push(fault);
  }
  // Drawn apart from the others, which are what they were without it.
  const apart = random.fork('take-over');
  if (onImages && hosts.length > 1 && moves) {
    faults.push(...moveOf(random.fork('move'), hosts));
  } else if (onImages && hosts.length > 1 && apart.chance(TAKE_OVER_CHANCE)) {
    faults.push(takeOverOf(apart, hosts));
  }
  if (petal !== null) {
    const lost = serversLost(petal, faults);
    faults.push(...poolFaults(random.fork('pool'), petal, hosts, lost));
  }
  return faults;
}

/** Numbers of the servers whose disks are lost with a host of guests. */
function serversLost(petal: PetalScenario, faults: readonly Fault[]): number[] {
  const lost = faults.flatMap((fault) => (fault.kind === 'host-loss' ? [fault.host] : []));
  return serverNames(petal).flatMap((server, at) => {
    return lost.includes(petal.placement[server] ?? '') ? [at + 1] : [];
  });
}

/** A host stands still for about as long as it takes another one to act, or for much longer. */
function takeOverOf(random: Prng, hosts: readonly string[]): Fault {
  const host = random.pick(hosts);
  const by = random.pick(hosts.filter((other) => other !== host));
  const forNs = random.between(1, random.chance(0.5) ? LONGEST_PAUSE_NS : LONGEST_NS);
  return { kind: 'take-over', host, by, forNs, when: imageTriggerOf(random) };
}

/** A move, and mostly the death of the one who hands over, or of the one who takes, in it. */
function moveOf(random: Prng, hosts: readonly string[]): Fault[] {
  const host = random.pick(hosts);
  const by = random.pick(hosts.filter((other) => other !== host));
  const faults: Fault[] = [{ kind: 'move', host, by, when: imageTriggerOf(random) }];
  const kind = random.chance(0.5) ? 'kill-driver' : 'power-cut';
  if (random.chance(0.6)) {
    const nth = random.between(1, 2);
    faults.push({
      kind,
      host,
      when: { kind: 'crash-point', point: random.pick(MOVE_POINTS), nth },
    });
  }
  if (random.chance(0.3)) faults.push({ kind, host: by, when: imageTriggerOf(random) });
  return faults;
}

/** Of images, a host is struck once by each kind of crash that the seed has at all. */
function crashesOf(kinds: readonly Kind[], random: Prng, hosts: readonly string[]): Fault[] {
  const crashes: Fault[] = [];
  for (const kind of ['kill-driver', 'power-cut', 'host-loss'] as const) {
    if (!kinds.includes(kind)) continue;
    crashes.push({ kind, host: random.pick(hosts), when: imageTriggerOf(random) });
  }
  return crashes;
}

/** What may have one fault only; null: anything goes. */
function partOf(fault: Fault): string | null {
  if (fault.kind === 'disk') return `disk of ${fault.guest}`;
  if (fault.kind === 'link') return fault.link;
  if (fault.kind === 'clock') return `clock of ${fault.actor}`;
  if (fault.kind === 'pool-disk') return 'pool';
  if (fault.kind === 'directory-majority-loss') return 'directory';
  return fault.kind === 'ring-garbage' ? 'rings' : null;
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
  const onImages = guest.device === 'vdi';
  const forNs = random.between(1, LONGEST_NS);
  switch (kind) {
    case 'kill-driver':
      return { kind, host, when: onImages ? imageKillOf(random) : driverKillOf(random) };
    case 'pause-driver':
      return { kind, host, forNs, when: triggerOf(random, 'back.') };
    case 'kill-guest':
      return { kind, guest: guest.name, when: triggerOf(random, 'front.') };
    case 'hang-guest':
      return { kind, guest: guest.name, forNs, when: triggerOf(random, 'front.') };
    case 'power-cut': {
      if (!canLosePower(host, guests)) return null;
      const when = onImages && random.chance(0.5) ? imageTriggerOf(random) : powerCutOf(random);
      return { kind, host, when };
    }
    case 'host-loss':
      return { kind, host, when: imageTriggerOf(random) };
    case 'pool-disk':
      return { kind, trouble: troubleOf(random, beyond), forNs, when: progressOf(random) };
    case 'directory-majority-loss':
      return { kind, forNs, when: random.chance(0.5) ? progressOf(random) : timeOf(random) };
    case 'disk': {
      if (guest.device === 'memory') return null;
      const trouble = troubleOf(random, beyond);
      return { kind, guest: guest.name, trouble, forNs, when: progressOf(random) };
    }
    case 'link': {
      const actor = random.chance(0.5) ? driverName(host) : guest.name;
      return linkFaultOf(random, storeLinkOf(actor), forNs);
    }
    case 'clock': {
      const actor = random.chance(0.5) ? driverName(host) : guest.name;
      return clockFaultOf(random, actor, forNs);
    }
    case 'ring-garbage': {
      const when = triggerOf(random, 'front.');
      const seed = random.nextU32();
      const livesNs = random.between(1, LONGEST_GARBAGE_NS);
      return { kind, guest: guest.name, seed, forNs: livesNs, when };
    }
  }
}

/** The store is talked to when somebody connects: half of the troubles of its links are early. */
function linkFaultOf(random: Prng, link: string, forNs: number): Fault {
  const trouble = random.pick(RELIABLE_LINK_TROUBLES);
  const delayNs = random.between(1, LONGEST_DELAY_NS);
  const early: Trigger = { kind: 'time', atNs: random.between(0, 60e6) };
  const when = random.chance(0.5) ? early : timeOf(random);
  return { kind: 'link', link, trouble, forNs, delayNs, share: 0, messageKind: 0, when };
}

function clockFaultOf(random: Prng, actor: string, forNs: number): Fault {
  const when = random.chance(0.5) ? progressOf(random) : timeOf(random);
  if (random.chance(0.5)) {
    const jumpNs = random.chance(0.3)
      ? random.between(1, LONGEST_JUMP_NS)
      : random.between(1, LONGEST_NS);
    return { kind: 'clock', actor, trouble: 'jump', jumpNs, when };
  }
  const driftPpm = random.chance(0.5)
    ? random.between(-500, 500)
    : random.between(DRIFT_PPM_MIN, DRIFT_PPM_MAX);
  return { kind: 'clock', actor, trouble: 'skew', driftPpm, forNs, when };
}

/** What is in RAM is gone with the power: only files can be asked for afterwards. */
function canLosePower(host: string, guests: readonly GuestScenario[]): boolean {
  return guests.every((guest) => guest.host !== host || guest.device !== 'memory');
}

function troubleOf(random: Prng, beyond: boolean): DiskTrouble {
  const possible = DISK_TROUBLES.filter((trouble) => BEYOND_CONTRACT.includes(trouble) === beyond);
  return random.pick(possible);
}
