/**
 * When a fault of a seed strikes: the draws behind `sim-faults.ts`.
 *
 * Most faults strike at events, crash points and protocol events, because these fall between two
 * steps of something, where times hardly ever do. Numbers are drawn from ranges that the small
 * guests of the crash scenario reach; one that a run does not reach strikes nothing.
 */
import type { Prng } from '../base/prng.ts';
import {
  CRASH_POINTS,
  type CrashPoint,
  PROTOCOL_EVENTS,
  type ProtocolEvent,
  type ProtocolTrigger,
  type Trigger,
} from '../world/faults.ts';

/** Faults by time strike before this. */
const LAST_STRIKE_NS = 300e6;
/** The largest number drawn of an actor's events, and of passages of a crash point. */
export const EVENTS_MAX = 2500;
export const PASSAGES_MAX = 600;
/** A Petal server sees about as many events in a calm run. */
const SERVER_EVENTS_MAX = 1500;

/** The largest number drawn of each event: what two guests of a host see of it in a calm run. */
const NTH_MAX: Readonly<Record<ProtocolEvent, number>> = {
  'read-submitted': 250,
  'write-submitted': 350,
  'flush-submitted': 45,
  'discard-submitted': 10,
  'read-acknowledged': 250,
  'write-acknowledged': 350,
  'flush-acknowledged': 45,
  'discard-acknowledged': 10,
  'request-failed': 4,
  'ring-connected': 4,
  'replay-begun': 3,
  'replay-done': 2,
  'driver-lost': 3,
};
/** Where a power cut finds flushed writes with others behind them, once a few flushes are done. */
const AMONG_FLUSHES: readonly ProtocolEvent[] = [
  'flush-submitted',
  'flush-acknowledged',
  'write-submitted',
  'write-acknowledged',
];

/** Crash points that every driver VM of images passes often. */
const BUSY_POINTS: readonly CrashPoint[] = [
  'log.after-append',
  'log.before-write',
  'log.after-write',
  'log.before-sync',
  'log.after-sync',
  'destage.before-data-write',
  'destage.after-data-write',
  'tree.before-node-write',
  'tree.after-node-write',
  'publish.before-root',
  'publish.after-root',
];
/** Crash points of what a driver VM does for its images beside answering requests. */
const STORY_POINTS = /^(log|destage|tree|publish|extent)\./;

/** Any trigger that counts events counts those of the actor whose crash points begin so. */
export function triggerOf(random: Prng, side: 'front.' | 'back.'): Trigger {
  const draw = random.nextUnit();
  if (draw < 0.1) return { kind: 'event', nth: random.between(1, 80) };
  if (draw < 0.3) return { kind: 'event', nth: random.between(20, EVENTS_MAX) };
  if (draw < 0.4) return progressOf(random);
  if (draw < 0.5) return timeOf(random);
  if (draw < 0.7) return protocolOf(random, random.pick(PROTOCOL_EVENTS), 1);
  const points = CRASH_POINTS.filter((point) => point.startsWith(side));
  return { kind: 'crash-point', point: random.pick(points), nth: random.between(1, PASSAGES_MAX) };
}

/** A driver VM is also killed while its predecessor's work is being recovered. */
export function driverKillOf(random: Prng): Trigger {
  if (random.chance(0.2)) return { kind: 'recovery', nth: random.between(1, 400) };
  return triggerOf(random, 'back.');
}

/**
 * Two power cuts of three fall among writes and flushes, where flush durability can be broken: a
 * cut says nothing of it before the first flush, nor when nothing was written behind the last.
 */
export function powerCutOf(random: Prng): Trigger {
  if (random.chance(1 / 3)) return triggerOf(random, 'back.');
  const event = random.pick(AMONG_FLUSHES);
  return protocolOf(random, event, Math.ceil(NTH_MAX[event] / 15));
}

/** The death of a driver VM of images: also where a predecessor's log is being recovered. */
export function imageKillOf(random: Prng): Trigger {
  if (random.chance(0.25)) return { kind: 'recovery', nth: random.between(1, 400) };
  return imageTriggerOf(random);
}

/**
 * Where the host of images is struck: among writes and flushes, which finds some of them
 * acknowledged and not published, or in the middle of what brings them there.
 */
export function imageTriggerOf(random: Prng): Trigger {
  const draw = random.nextUnit();
  if (draw < 0.05) return { kind: 'event', nth: random.between(20, EVENTS_MAX) };
  if (draw < 0.1) return progressOf(random);
  if (draw < 0.65) {
    const event = random.pick(AMONG_FLUSHES);
    return protocolOf(random, event, Math.ceil(NTH_MAX[event] / 15));
  }
  if (draw < 0.9) {
    return { kind: 'crash-point', point: random.pick(BUSY_POINTS), nth: random.between(1, 25) };
  }
  const rare = CRASH_POINTS.filter((point) => STORY_POINTS.test(point));
  return { kind: 'crash-point', point: random.pick(rare), nth: random.between(1, 3) };
}

/**
 * Where a Petal server is struck: in the middle of a mutation, or of what its store does with it
 * later, or while guests write and flush.
 */
export function serverTriggerOf(random: Prng): Trigger {
  const draw = random.nextUnit();
  if (draw < 0.2) return { kind: 'event', nth: random.between(20, SERVER_EVENTS_MAX) };
  if (draw < 0.3) return timeOf(random);
  if (draw < 0.5) return protocolOf(random, random.pick(AMONG_FLUSHES), 1);
  const side = draw < 0.75 ? 'petal.' : 'store.';
  const points = CRASH_POINTS.filter((point) => point.startsWith(side));
  return { kind: 'crash-point', point: random.pick(points), nth: random.between(1, 40) };
}

/** Snapshots are taken among writes: between the submission of one and the answers of others. */
export function snapshotTriggerOf(random: Prng): Trigger & { kind: 'progress' | 'protocol' } {
  if (random.chance(0.2)) return { kind: 'progress', share: 0.05 + 0.9 * random.nextUnit() };
  return protocolOf(random, random.pick(AMONG_FLUSHES), 3);
}

export function progressOf(random: Prng): Trigger {
  return { kind: 'progress', share: 0.05 + 0.9 * random.nextUnit() };
}

function protocolOf(random: Prng, event: ProtocolEvent, fromNth: number): ProtocolTrigger {
  return { kind: 'protocol', event, nth: random.between(fromNth, NTH_MAX[event]) };
}

export function timeOf(random: Prng): Trigger & { kind: 'time' } {
  return { kind: 'time', atNs: random.between(40e6, LAST_STRIKE_NS) };
}
