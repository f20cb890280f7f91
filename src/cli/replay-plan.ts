/**
 * From the flags of `stordom replay` and its trace to a scenario, or to the reason why they do not
 * go together. Nothing is written before this is done.
 *
 * Why `null` and `pattern` are refused: a replay is checked by reading back what was written.
 * `null` keeps nothing, and what `pattern` returns is made from the address, so neither can hold
 * the stamps by which a sector is recognised. They measure the path: `stordom bench ring` does
 * that.
 */
import { UsageError } from '../base/errors.ts';
import { formatBytes, formatBytesExact, formatCount } from '../base/format-units.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../base/units.ts';
import { hostMemoryBytes } from '../experiments/host-memory.ts';
import {
  DEFAULT_FRONT,
  type GuestScenario,
  REPLAY_STORE,
  type Scenario,
} from '../experiments/scenario.ts';
import type { Pace } from '../guests/pace.ts';
import type { DeviceKind } from '../hypervisor/toolstack.ts';
import { type FitResult, fitCompact, fitNone, fitWrap } from '../traces/fit.ts';
import { indexAtTime, sliceTrace, splitForGuests } from '../traces/slice.ts';
import type { Trace } from '../traces/trace.ts';
import type { Fault } from '../world/faults.ts';
import { contradiction } from './flags.ts';
import { parseKill } from './kill-flag.ts';
import type { Moment, ReplayFlags } from './replay-flags.ts';

export interface ReplayPlan {
  readonly scenario: Scenario;
  /** What limits the result, one sentence each. */
  readonly limits: readonly string[];
}

export const GUEST_HEAP_BYTES: number = 16 * 2 ** 20;
export const DRIVER_HEAP_BYTES: number = 16 * 2 ** 20;
const HOST_MEMORY_MAX = 4 * 2 ** 30;
/** A guest remembers four bytes for each sector of its disk. */
const DISK_BYTES_MAX = 64 * 2 ** 30;
/** Domains of a host: 64, of which some are driver VMs that come and go. */
const GUEST_DOMAINS_MAX = 56;

/** Refuses flags that contradict each other, whatever the trace holds. */
export function checkFlags(flags: ReplayFlags): void {
  const { device, kill, pace, speed, fit, size, world, disks, hosts, guests } = flags;
  if (device === 'null' || device === 'pattern') throw refusedDevice(device, kill.length > 0);
  if (speed !== undefined && pace.kind !== 'timed') {
    throw contradiction(
      '--speed',
      'only a timed replay has a speed',
      'add --pace timed, or leave --speed out',
    );
  }
  if (fit.kind === 'wrap' && size !== undefined && size !== fit.sizeBytes) {
    throw contradiction(
      '--fit wrap:SIZE with --size',
      `the disk is what the addresses wrap to, ${formatBytesExact(fit.sizeBytes)}, not ` +
        formatBytesExact(size),
      'leave --size out',
    );
  }
  if (disks !== undefined && (world === 'sim' || device !== 'file')) {
    throw contradiction(
      '--disks',
      world === 'sim' ? 'disks of the simulator are no files' : `a ${device} disk is no file`,
      'use --world threads with --device file, or leave --disks out',
    );
  }
  if (guests < hosts) {
    throw contradiction(
      '--hosts with --guests',
      `${guests} guests leave ${hosts - guests} of ${hosts} hosts empty`,
      `use --guests ${hosts} or more, or fewer hosts`,
    );
  }
}

function refusedDevice(device: 'null' | 'pattern', kills: boolean): UsageError {
  const why =
    device === 'null'
      ? 'the null device keeps nothing, so what a guest wrote cannot be checked'
      : 'the pattern device makes its data from the address and cannot hold the stamps of a replay';
  const crash =
    kills && device === 'null' ? '; for that reason it takes no part in crash checks' : '';
  const flags = kills ? `--device ${device} with --kill` : `--device ${device}`;
  return contradiction(
    flags,
    `${why}${crash}`,
    'use --device file or memory; to measure the path by itself run stordom bench ring',
  );
}

/** Makes the scenario. Throws `UsageError` where the trace and the flags do not go together. */
export function planReplay(trace: Trace, flags: ReplayFlags): ReplayPlan {
  const part = cutOut(trace, flags);
  const hosts = Array.from({ length: flags.hosts }, (_, at) => `h${at}`);
  const fits = splitForGuests(part, flags.guests).map((slice) => fitTo(slice, flags));
  const guests = fits.map((fitted, at): GuestScenario => {
    const host = hosts[Math.floor((at * flags.hosts) / flags.guests)] as string;
    return guestOf(`g${at}`, host, fitted, flags);
  });
  const victims = { hosts, guests: guests.map(({ name }) => name) };
  const faults = flags.kill.map((text) => parseKill(text, victims));
  checkTriggers(faults, flags);
  const stored = flags.device === 'vdi' ? { store: REPLAY_STORE } : {};
  const load = { guests, driverHeapBytes: DRIVER_HEAP_BYTES, faults, ...stored };
  const memoryBytes = hostMemoryBytes(hosts, load);
  checkRoom(memoryBytes, flags);
  const spanNs = flags.pace.kind === 'timed' ? part.facts.spanNs / (flags.speed ?? 1) : 0;
  const scenario: Scenario = {
    title: titleOf(faults),
    summary: summaryOf(part, flags),
    hosts,
    hostMemoryBytes: memoryBytes,
    driverHeapBytes: DRIVER_HEAP_BYTES,
    guests,
    faults,
    driverRestartNs: flags.restartAfter,
    guestRestartNs: flags.restartAfter,
    timeLimitNs: flags.timeLimit + spanNs,
    plantedBug: flags.plant,
    publish: 'each',
    disturbedStore: false,
    ...stored,
  };
  return { scenario, limits: [...part.facts.notes, ...fitLimits(fits, flags)] };
}

/** The part of the trace between `--from` and `--to`. */
function cutOut(trace: Trace, { from, to }: ReplayFlags): Trace {
  const first = from === undefined ? 0 : recordAt(trace, from);
  const end = to === undefined ? trace.requests : recordAt(trace, to);
  if (first < end && end <= trace.requests) return sliceTrace(trace, first, end);
  throw new UsageError(
    'E_FROM_TO',
    `--from with --to: no record of ${trace.facts.source} is in [${first}, ${end}); expected a ` +
      `start before the end, and both in 0 to ${trace.requests}; choose an earlier --from or a ` +
      'later --to',
    { fields: { first, end, requests: trace.requests } },
  );
}

function recordAt(trace: Trace, moment: Moment): number {
  switch (moment.kind) {
    case 'share':
      return Math.floor(trace.requests * moment.share);
    case 'record':
      return moment.record;
    case 'time':
      return indexAtTime(trace, moment.timeNs);
  }
}

function fitTo(slice: Trace, { fit, size }: ReplayFlags): FitResult {
  if (size !== undefined) checkSize(size);
  const fitted = fitBy(slice, fit, size);
  const diskBytes = Math.max(size ?? 0, fitted.diskBytes);
  if (size !== undefined && fitted.diskBytes > size) {
    throw new UsageError(
      'E_DISK_SIZE',
      `--size: ${formatBytesExact(size)} is too small; the trace needs at least ` +
        `${formatBytesExact(fitted.diskBytes)} a guest; give more, or use --fit wrap:SIZE`,
      { fields: { size, neededBytes: fitted.diskBytes } },
    );
  }
  if (diskBytes > DISK_BYTES_MAX) {
    throw new UsageError(
      'E_DISK_SIZE',
      `--fit ${fit.kind}: the disk would have ${formatBytes(diskBytes)}; expected at most ` +
        `${formatBytes(DISK_BYTES_MAX)}; use --fit compact`,
      { fields: { diskBytes } },
    );
  }
  return { ...fitted, diskBytes };
}

function fitBy(slice: Trace, fit: ReplayFlags['fit'], size: number | undefined): FitResult {
  if (fit.kind === 'compact') return fitCompact(slice);
  if (fit.kind === 'wrap') return fitWrap(slice, fit.sizeBytes);
  const { exportBytes, addressEndBytes } = slice.facts;
  const neededBytes = Math.ceil((exportBytes ?? addressEndBytes) / PAGE_BYTES) * PAGE_BYTES;
  return fitNone(slice, size ?? neededBytes);
}

/** What fitting did to the addresses, over all guests. */
function fitLimits(fits: readonly FitResult[], { fit }: ReplayFlags): string[] {
  if (fit.kind === 'none') return [];
  const sum = (of: (fitted: FitResult) => number): string =>
    formatCount(fits.reduce((total, fitted) => total + of(fitted), 0));
  const split = sum(({ splitRequests }) => splitRequests);
  const dropped = sum(({ droppedRequests }) => droppedRequests);
  const how =
    fit.kind === 'wrap'
      ? `Addresses were folded into ${formatBytes(fit.sizeBytes)}.`
      : 'Blocks were renumbered in the order of first touch: seek distances are lost.';
  return [
    `${how} ${split} requests were split; ${dropped} discards and zeroes of blocks that nothing ` +
      'had touched were dropped.',
  ];
}

function checkSize(sizeBytes: number): void {
  if (sizeBytes > 0 && sizeBytes % PAGE_BYTES === 0) return;
  throw new UsageError(
    'E_DISK_SIZE',
    `--size: ${formatBytesExact(sizeBytes)} is no size of a disk; expected whole blocks of 4k ` +
      'above 0, as 64m',
    { fields: { sizeBytes } },
  );
}

function guestOf(name: string, host: string, fitted: FitResult, flags: ReplayFlags): GuestScenario {
  return {
    name,
    host,
    device: flags.device,
    writeBack: flags.writeBack,
    diskSectors: fitted.diskBytes / SECTOR_BYTES,
    trace: fitted.trace,
    pace: paceOf(flags),
    heapBytes: GUEST_HEAP_BYTES,
    front: {
      ...DEFAULT_FRONT,
      queues: flags.queues,
      ringOrder: flags.ringOrder,
      persistent: flags.persistent,
    },
    policy: flags.policy,
    requestsPerSecond: flags.limitIops,
    bytesPerSecond: flags.limitBps,
  };
}

function paceOf({ pace, speed }: ReplayFlags): Pace {
  return pace.kind === 'timed' ? { ...pace, speed: speed ?? 1 } : pace;
}

function checkTriggers(faults: readonly Fault[], { world }: ReplayFlags): void {
  if (world === 'sim' || faults.every(({ when }) => when.kind !== 'event')) return;
  throw contradiction(
    '--kill ...@event:N',
    'threads have no events to count',
    'add --world sim, or kill at a share (50%), a time (2s) or a crash point',
  );
}

function checkRoom(memoryBytes: number, flags: ReplayFlags): void {
  if (memoryBytes > HOST_MEMORY_MAX) {
    throw new UsageError(
      'E_HOST_MEMORY',
      `--device ${flags.device}: a host would need ${formatBytes(memoryBytes)} of RAM; expected ` +
        `at most ${formatBytes(HOST_MEMORY_MAX)}; use --device file, fewer guests or more hosts`,
      { fields: { memoryBytes } },
    );
  }
  const perGuest = flags.device === 'memory' ? 2 : 1;
  if (Math.ceil(flags.guests / flags.hosts) * perGuest <= GUEST_DOMAINS_MAX) return;
  throw contradiction(
    `--guests with --device ${flags.device}`,
    `${flags.guests} guests are more than ${flags.hosts} hosts have room for`,
    'use more hosts or --device file',
  );
}

function titleOf(faults: readonly Fault[]): string {
  if (faults.length === 0) return 'replay';
  return faults.some(({ kind }) => kind === 'kill-driver')
    ? 'replay through a crash of the driver VM'
    : 'replay through a crash of a guest';
}

const DISKS_ARE: Readonly<Record<DeviceKind, string>> = {
  vdi: 'as images of a store',
  file: 'in files',
  memory: 'in memory',
  null: 'that keep nothing',
  pattern: 'of a pattern',
};

function summaryOf(part: Trace, flags: ReplayFlags): string {
  const guests = flags.guests === 1 ? 'one guest' : `${flags.guests} guests`;
  const hosts = flags.hosts === 1 ? 'one host' : `${flags.hosts} hosts`;
  return (
    `${part.requests} requests of ${part.facts.source}, replayed by ${guests} on ${hosts} with ` +
    `disks ${DISKS_ARE[flags.device]}`
  );
}
