/**
 * What of a fault script can be played, before anything of it runs: whom a fault names is there,
 * its measures are in range, it can strike when it says, and the parts of the system that it needs
 * exist.
 *
 * The links of a scenario carry messages of the store between a domain and its host. In Xen that is
 * a ring in shared memory: it loses, doubles and reorders nothing, and its two ends have no message
 * for a cut. Whoever does not come through any more is late; whoever is gone is gone because its
 * domain is, and a kill says that. So these links can be clogged and slow, and no more. Links to
 * the servers of a Petal pool are a network, which does everything.
 */
import { UsageError } from '../base/errors.ts';
import {
  DRIFT_PPM_MAX,
  DRIFT_PPM_MIN,
  driverName,
  type Fault,
  type FutureFault,
  faultName,
  JUMP_NS_MAX,
  LINK_TROUBLES,
  type LinkTrouble,
  RELIABLE_LINK_TROUBLES,
  type SpineFault,
  victimOf,
} from '../world/faults.ts';
import { type PetalScenario, serverNames } from './petal-scenario.ts';
import type { Scenario } from './scenario.ts';

type Cast = Pick<Scenario, 'hosts' | 'guests' | 'faults' | 'store'>;

/** What each fault that cannot be played needs. */
const NEEDS: Readonly<Record<FutureFault['kind'], string>> = {
  'server-old-disk': 'disks of Petal servers that can be set back',
};
/** Links of an actor to the switch of the pool, and of a server to the directory. */
const POOL_LINK = 'petal';
const DIRECTORY_LINK = 'directory';
/** What a link to the directory may do: its calls have numbers, and are not sent again. */
export const DIRECTORY_LINK_TROUBLES: readonly LinkTrouble[] = [
  'cut',
  'cut-to-actor',
  'cut-from-actor',
  'clog',
  'delay',
];

/** Throws `UsageError` for a fault that cannot be played in either world. */
export function checkFaults(cast: Cast): void {
  for (const fault of cast.faults) checkFault(fault, cast);
}

/** A fault of the parts that every stage has. */
export function isSpineFault(fault: Fault): fault is SpineFault {
  return !(fault.kind in NEEDS);
}

function checkFault(fault: Fault, cast: Cast): void {
  if (!isSpineFault(fault)) {
    const needs = NEEDS[fault.kind];
    throw new UsageError(
      'E_FAULT_NEEDS',
      `fault "${fault.kind}" needs ${needs}, which this scenario does not have; leave it out, or ` +
        'use power-cut, kill-driver, kill-guest or a trouble of a disk',
      { fields: { fault: fault.kind, needs } },
    );
  }
  if ('server' in fault) checkPool(fault, cast);
  checkVictim(fault, cast);
  const movesImages = fault.kind === 'take-over' || fault.kind === 'move';
  if (fault.kind === 'host-loss' || movesImages) checkHostLoss(fault, cast);
  if (movesImages) checkWhoTakes(fault, fault.by, cast);
  if (fault.kind === 'host-loss' && fault.by !== undefined) {
    checkWhoTakes(fault, fault.by, cast);
  }
  if (fault.kind === 'pool-disk' || fault.kind === 'directory-majority-loss') {
    checkStoreFault(fault, cast);
  }
  checkTrigger(fault, cast);
  if (fault.kind === 'link') checkLinkTrouble(fault);
  if (fault.kind === 'clock') checkClockTrouble(fault);
  if ('forNs' in fault && !(fault.forNs > 0 && Number.isFinite(fault.forNs))) {
    throw outOfRange(fault, 'forNs', fault.forNs, 'a time above 0');
  }
}

function checkVictim(fault: SpineFault, { hosts, guests, store }: Cast): void {
  const names = guests.map(({ name }) => name);
  const actors = [...names, ...hosts.map(driverName)];
  if ('host' in fault) checkName(fault, 'host', fault.host, hosts);
  else if ('guest' in fault) checkName(fault, 'guest', fault.guest, names);
  else if (fault.kind === 'clock') {
    const servers = store?.petal === undefined ? [] : serverNames(store.petal);
    checkName(fault, 'actor', fault.actor, [...actors, ...servers]);
    if (store?.petal !== undefined && servers.includes(fault.actor)) {
      checkServerClock(fault, store.petal);
    }
  } else if (fault.kind === 'link') {
    const ofPool = store?.petal === undefined ? [] : poolLinks(store.petal, hosts);
    checkName(fault, 'link', fault.link, [...actors.map(storeLinkOf), ...ofPool]);
  } else if ('server' in fault && store?.petal !== undefined) {
    const servers = serverNames(store.petal);
    checkName(fault, 'server', fault.server, servers);
    if (fault.kind !== 'partition') return;
    const others = servers.filter((name) => name !== fault.server);
    checkName(fault, 'other', fault.other, [...others, ...hosts.map(driverName)]);
  }
}

function checkPool(fault: SpineFault & { server: string }, { store }: Cast): void {
  if (store?.petal !== undefined) {
    const host = store.petal.placement[fault.server];
    if (host === undefined || fault.kind !== 'server-power-cut') return;
    throw new UsageError(
      'E_FAULT_VICTIM',
      `fault "${fault.kind}" of ${fault.server} would cut the power of host ${host} under its ` +
        'guests; use power-cut of the host, or server-kill',
      { fields: { fault: fault.kind, server: fault.server, host } },
    );
  }
  throw new UsageError(
    'E_FAULT_NEEDS',
    `fault "${faultName(fault)}" needs a pool of Petal servers, which is not there; ` +
      'leave it out, or use pool-disk',
    { fields: { fault: fault.kind } },
  );
}

/** Only an image outlives its host. */
function checkHostLoss(
  fault: SpineFault & { kind: 'host-loss' | 'take-over' | 'move' },
  { guests, store }: Cast,
): void {
  checkServersOfHost(fault, store);
  const own = guests.filter(({ host }) => host === fault.host);
  const lost = own.find(({ device }) => device !== 'vdi');
  if (store !== undefined && lost === undefined) return;
  const disk = lost === undefined ? 'the disks' : `the disk of ${lost.name} (${lost.device})`;
  throw new UsageError(
    'E_FAULT_NEEDS',
    `fault "${fault.kind}" takes ${disk} of host ${fault.host} away: it needs guests whose ` +
      'disks are images of a store; use power-cut, or make them images',
    { fields: { fault: fault.kind, host: fault.host } },
  );
}

/** A server needs a host to come back to: where another one takes over, none takes its place. */
function checkServersOfHost(
  fault: SpineFault & { kind: 'host-loss' | 'take-over' | 'move' },
  store: Cast['store'],
): void {
  if (fault.kind !== 'host-loss' || fault.by === undefined) return;
  const { placement = {} } = store?.petal ?? {};
  const server = Object.keys(placement).find((name) => placement[name] === fault.host);
  if (server === undefined) return;
  throw new UsageError(
    'E_FAULT_NEEDS',
    `fault "${fault.kind}" takes server ${server} of the pool away for ever, for it is on host ` +
      `${fault.host}; leave "by" out, so that another host takes its place`,
    { fields: { fault: fault.kind, host: fault.host, server } },
  );
}

/** Another host of the scenario takes over. */
function checkWhoTakes(
  fault: SpineFault & { kind: 'host-loss' | 'take-over' | 'move' },
  by: string,
  { hosts }: Cast,
): void {
  const { kind, host } = fault;
  const others = hosts.filter((other) => other !== host);
  if (others.includes(by)) return;
  throw new UsageError(
    'E_FAULT_VICTIM',
    `fault "${kind}" of host ${host} names host ${JSON.stringify(by)} as the one ` +
      'that takes over; expected another host of the scenario: ' +
      (others.join(', ') || 'it has none'),
    { fields: { fault: kind, host, by } },
  );
}

/** Whom nobody runs as an actor has no events and no crash points. */
function checkStoreFault(fault: SpineFault, { store }: Cast): void {
  const { when } = fault;
  if (store === undefined) {
    throw new UsageError(
      'E_FAULT_NEEDS',
      `fault "${faultName(fault)}" needs a store, which this scenario does not have; leave it out`,
      { fields: { fault: fault.kind } },
    );
  }
  if (when.kind === 'time' || when.kind === 'progress' || when.kind === 'protocol') return;
  throw new UsageError(
    'E_FAULT_TRIGGER',
    `fault "${faultName(fault)}" cannot strike at ${when.kind}: the store is no actor; expected ` +
      'time, progress or protocol',
    { fields: { fault: fault.kind, when: when.kind } },
  );
}

/** Links to the switch of the pool, of its servers and of those who use it; to the directory. */
function poolLinks(petal: PetalScenario, hosts: readonly string[]): string[] {
  const servers = serverNames(petal);
  return [
    ...[...servers, ...hosts.map(driverName)].map(poolLinkOf),
    ...servers.map(directoryLinkOf),
  ];
}

export function directoryLinkOf(server: string): string {
  return `${server}/${DIRECTORY_LINK}`;
}

export function poolLinkOf(actor: string): string {
  return `${actor}/${POOL_LINK}`;
}

/** Name of the link between an actor and the store of its host. */
export function storeLinkOf(actor: string): string {
  return `${actor}/xenstore`;
}

function checkName(fault: Fault, what: string, name: string, names: readonly string[]): void {
  if (names.includes(name)) return;
  throw new UsageError(
    'E_FAULT_VICTIM',
    `fault "${faultName(fault)}" names ${what} ${JSON.stringify(name)}, which is not there; ` +
      `expected ${names.join(', ')}`,
    { fields: { fault: fault.kind, name } },
  );
}

/** What waits for something that cannot come would never strike, and nobody would notice. */
function checkTrigger(fault: SpineFault, { store }: Cast): void {
  const { when } = fault;
  if ('nth' in when && !(Number.isSafeInteger(when.nth) && when.nth >= 1)) {
    throw outOfRange(fault, 'nth', when.nth, 'a whole number above 0');
  }
  if (when.kind === 'time' && !(when.atNs >= 0 && Number.isFinite(when.atNs))) {
    throw outOfRange(fault, 'atNs', when.atNs, 'a time of the run');
  }
  if (when.kind === 'progress' && !(when.share >= 0 && when.share <= 1)) {
    throw outOfRange(fault, 'share', when.share, 'a share from 0 to 1');
  }
  const ofDriver = victimOf(fault).endsWith('/driver-vm');
  if (when.kind === 'recovery' && !('host' in fault)) {
    throw neverStrikes(fault, 'recovery', 'a fault of a host, as kill-driver or power-cut');
  }
  if (when.kind !== 'crash-point') return;
  const servers = store?.petal === undefined ? [] : serverNames(store.petal);
  if (servers.includes(victimOf(fault))) {
    if (/^(petal|store)\./.test(when.point)) return;
    throw neverStrikes(fault, when.point, 'a crash point that begins with petal. or store.');
  }
  const side = ofDriver ? 'back.' : 'front.';
  // A driver VM that serves images passes all those that are of no guest.
  const isOfImages = ofDriver && store !== undefined && !/^(front|petal|store)\./.test(when.point);
  if (isOfImages || when.point.startsWith(side)) return;
  throw neverStrikes(fault, when.point, `a crash point that begins with ${side}`);
}

function neverStrikes(fault: SpineFault, at: string, expected: string): UsageError {
  return new UsageError(
    'E_FAULT_TRIGGER',
    `fault "${faultName(fault)}" of ${victimOf(fault)} would never strike at ${at}; ` +
      `expected ${expected}`,
    { fields: { fault: fault.kind, at } },
  );
}

function checkLinkTrouble(fault: SpineFault & { kind: 'link' }): void {
  const { link, trouble, delayNs, share } = fault;
  if (link.endsWith(`/${POOL_LINK}`)) checkPoolLink(fault);
  else if (link.endsWith(`/${DIRECTORY_LINK}`)) checkDirectoryLink(fault);
  else if (!RELIABLE_LINK_TROUBLES.includes(trouble)) {
    throw new UsageError(
      'E_LINK_TROUBLE',
      `link trouble "${trouble}" is not for ${link}: a link to the store is a ring in shared ` +
        'memory, which loses, doubles and reorders nothing; expected ' +
        `${RELIABLE_LINK_TROUBLES.join(' or ')} (to take its domain away, use kill-guest or ` +
        'kill-driver)',
      { fields: { link, trouble } },
    );
  }
  const needsDelay = trouble === 'delay' || trouble === 'reorder';
  if (needsDelay && !(delayNs > 0 && Number.isFinite(delayNs))) {
    throw outOfRange(fault, 'delayNs', delayNs, 'a time above 0');
  }
  const needsShare = trouble === 'loss' || trouble === 'duplicate' || trouble === 'reorder';
  if (needsShare && !(share > 0 && share <= 1)) {
    throw outOfRange(fault, 'share', share, 'a share above 0, 1 at most');
  }
}

function checkPoolLink({ link, trouble }: SpineFault & { kind: 'link' }): void {
  if (trouble !== 'cut-kind') return;
  const expected = LINK_TROUBLES.filter((one) => one !== 'cut-kind').join(', ');
  throw new UsageError(
    'E_LINK_TROUBLE',
    `link trouble "${trouble}" is not for ${link}: kinds of messages have numbers on links to ` +
      `the store only; expected ${expected}`,
    { fields: { link, trouble } },
  );
}

function checkDirectoryLink({ link, trouble }: SpineFault & { kind: 'link' }): void {
  if (DIRECTORY_LINK_TROUBLES.includes(trouble)) return;
  throw new UsageError(
    'E_LINK_TROUBLE',
    `link trouble "${trouble}" is not for ${link}: a connection to the directory keeps the order ` +
      `of what it carries; expected ${DIRECTORY_LINK_TROUBLES.join(', ')}`,
    { fields: { link, trouble } },
  );
}

/** Leases are counted with clocks that keep within a bound: beyond it nothing is promised. */
function checkServerClock(fault: SpineFault & { kind: 'clock' }, { options }: PetalScenario): void {
  const { driftPpm: bound } = options;
  if (fault.trouble === 'jump') {
    const expected = 'a skew: clocks of servers do not jump, by their contract';
    throw outOfRange(fault, 'jumpNs', fault.jumpNs, expected);
  }
  if (Math.abs(fault.driftPpm) <= bound) return;
  const expected = `from -${bound} to ${bound}, which leases allow for`;
  throw outOfRange(fault, 'driftPpm', fault.driftPpm, expected);
}

function checkClockTrouble(fault: SpineFault & { kind: 'clock' }): void {
  if (fault.trouble === 'jump') {
    const { jumpNs } = fault;
    if (jumpNs > 0 && jumpNs <= JUMP_NS_MAX) return;
    throw outOfRange(
      fault,
      'jumpNs',
      jumpNs,
      'a time above 0, ten minutes at most: clocks never go back',
    );
  }
  const { driftPpm } = fault;
  const inRange = driftPpm >= DRIFT_PPM_MIN && driftPpm <= DRIFT_PPM_MAX;
  if (inRange && Number.isInteger(driftPpm)) return;
  const range = `a whole number from ${DRIFT_PPM_MIN} to ${DRIFT_PPM_MAX}`;
  throw outOfRange(fault, 'driftPpm', driftPpm, range);
}

function outOfRange(fault: Fault, field: string, given: number, expected: string): UsageError {
  return new UsageError(
    'E_FAULT_MEASURE',
    `fault "${faultName(fault)}": ${field} is ${given}; expected ${expected}`,
    { fields: { fault: fault.kind, field, given } },
  );
}
