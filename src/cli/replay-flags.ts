/**
 * The flags of `stordom replay`, and how each is read by itself. What goes together is
 * `replay-plan`.
 */
import { type Command, Option } from 'commander';
import { UsageError } from '../base/errors.ts';
import {
  parseByteRate,
  parseBytes,
  parseDuration,
  parsePercent,
  parseRate,
} from '../base/parse-units.ts';
import { MAX_QUEUES } from '../driver-vm/ring-keys.ts';
import type { LossPolicy } from '../guests/blkfront.ts';
import { ASAP_DEPTH, type Pace } from '../guests/pace.ts';
import type { DeviceKind } from '../hypervisor/toolstack.ts';
import { Policy, parsePolicy } from '../parallax/vdi/policy.ts';
import { MAX_RING_ORDER } from '../ring/layout.ts';
import { TRACE_FORMATS, type TraceFileFormat } from '../traces/trace.ts';
import { IMAGE_BUGS, PLANTED_BUGS, type PlantedBug } from '../world/faults.ts';
import { addCommonFlags, type CommonFlags, readChoice, readCount, unknownName } from './flags.ts';

/** A place in a trace. */
export type Moment =
  | { readonly kind: 'share'; readonly share: number }
  | { readonly kind: 'record'; readonly record: number }
  | { readonly kind: 'time'; readonly timeNs: number };

export type FitChoice =
  | { readonly kind: 'compact' }
  | { readonly kind: 'none' }
  | { readonly kind: 'wrap'; readonly sizeBytes: number };

/** As they are given: `--disks` alone asks for disks that are files. */
export interface GivenReplayFlags extends Omit<ReplayFlags, 'device'> {
  readonly device?: DeviceKind;
}

export function chooseDevice(given: GivenReplayFlags): ReplayFlags {
  return { ...given, device: given.device ?? (given.disks === undefined ? 'vdi' : 'file') };
}

export interface ReplayFlags extends CommonFlags {
  readonly format?: TraceFileFormat;
  readonly guests: number;
  readonly hosts: number;
  readonly pace: Pace;
  readonly speed?: number;
  readonly from?: Moment;
  readonly to?: Moment;
  readonly fit: FitChoice;
  readonly device: DeviceKind;
  readonly writeBack: Policy;
  readonly size?: number;
  readonly kill: readonly string[];
  readonly restartAfter: number;
  readonly queues: number;
  readonly ringOrder: number;
  readonly persistent: boolean;
  readonly policy: LossPolicy;
  readonly limitIops: number;
  readonly limitBps: number;
  readonly timeLimit: number;
  readonly world: 'threads' | 'sim';
  readonly disks?: string;
  readonly plant: PlantedBug;
}

/** A guest is a thread, and a host has room for 64 domains. */
const GUESTS_MAX = 24;
const HOSTS_MAX = 8;
const DEPTH_DEFAULT = 16;
const RESTART_AFTER_NS = 300e6;
const TIME_LIMIT_NS = 600e9;

export function addReplayFlags(command: Command): Command {
  addWorkloadFlags(command);
  addDiskFlags(command);
  command
    .option('--kill <victim@when>', 'kill driver-vm[:HOST] or guest:N; again for more', collect, [])
    .option(
      '--restart-after <time>',
      'from a death to the restart',
      (text) => parseDuration(text, '--restart-after'),
      RESTART_AFTER_NS,
    )
    .option(
      '--time-limit <time>',
      'a run that is not over by then has failed',
      (text) => parseDuration(text, '--time-limit'),
      TIME_LIMIT_NS,
    )
    .option(
      '--world <world>',
      'threads: real time; sim: the deterministic simulator',
      readChoice('--world', ['threads', 'sim']),
      'threads',
    )
    .addOption(
      new Option('--plant <bug>', 'switch a built-in bug on, to see the checks bite')
        .argParser(readChoice('--plant', [...PLANTED_BUGS, ...IMAGE_BUGS, 'none']))
        .default('none')
        .hideHelp(),
    );
  return addCommonFlags(command);
}

function addWorkloadFlags(command: Command): void {
  command
    .option(
      '--format <name>',
      'format of the trace; told from its first bytes otherwise',
      readChoice('--format', Object.keys(TRACE_FORMATS) as TraceFileFormat[]),
    )
    .option(
      '--guests <n>',
      'guests; each replays its own consecutive part on a disk of its own',
      readCount('--guests', { from: 1, to: GUESTS_MAX }),
      1,
    )
    .option(
      '--hosts <n>',
      'hosts, each with a driver VM of its own',
      readCount('--hosts', { from: 1, to: HOSTS_MAX }),
      1,
    )
    .option(
      '--pace <pace>',
      'timed (as recorded), asap, or closed:QD (QD requests outstanding)',
      readPace,
      { kind: 'closed', depth: DEPTH_DEFAULT },
    )
    .option('--speed <n>x', 'with --pace timed: so many times as fast', readSpeed)
    .option('--from <moment>', 'begin at a share (50%), a record (1000) or a time (10s)', (text) =>
      readMoment('--from', text),
    )
    .option('--to <moment>', 'end there (not included)', (text) => readMoment('--to', text));
}

function addDiskFlags(command: Command): void {
  command
    .option('--fit <how>', 'addresses: compact, wrap:SIZE or none', readFit, { kind: 'compact' })
    .option('--size <size>', 'size of each disk; what the trace needs otherwise', readSize)
    .option(
      '--device <kind>',
      'what the driver VM keeps blocks in: vdi (an image of a store; default), file or memory',
      readChoice('--device', ['vdi', 'memory', 'file', 'null', 'pattern']),
    )
    .option(
      '--write-back <policy>',
      'with --device vdi: what an acknowledgement means, W0 to W5',
      parsePolicy,
      Policy.w2,
    )
    .option('--disks <dir>', 'keep disks there, as files DIR/HOST/GUEST.disk')
    .option(
      '--queues <n>',
      'rings of a disk',
      readCount('--queues', { from: 1, to: MAX_QUEUES }),
      1,
    )
    .option(
      '--ring-order <n>',
      'a ring has 2^n pages of 32 requests',
      readCount('--ring-order', { from: 0, to: MAX_RING_ORDER }),
      0,
    )
    .option('--no-persistent', 'grant and map the pages of each request anew')
    .option(
      '--policy <policy>',
      'while the driver VM is gone: stall, error or fail',
      readChoice('--policy', ['stall', 'error', 'fail']),
      'stall',
    )
    .option('--limit-iops <rate>', 'requests a second of each disk', readRate, 0)
    .option('--limit-bps <rate>', 'bytes a second of each disk', readByteRate, 0);
}

function collect(text: string, before: readonly string[]): string[] {
  return [...before, text];
}

function readPace(text: string): Pace {
  if (text === 'timed') return { kind: 'timed', speed: 1, depth: ASAP_DEPTH };
  if (text === 'asap') return { kind: 'closed', depth: ASAP_DEPTH };
  const [kind, depth] = text.split(':');
  if (kind === 'closed' && depth !== undefined) {
    return { kind: 'closed', depth: readCount('--pace closed:QD', { from: 1, to: 1024 })(depth) };
  }
  throw unknownName('--pace', text, ['timed', 'asap', 'closed:QD']);
}

function readSpeed(text: string): number {
  const speed = Number(text.replace(/x$/, ''));
  if (/^\d+(\.\d+)?x?$/.test(text) && speed > 0) return speed;
  throw new UsageError(
    'E_SPEED',
    `--speed: ${JSON.stringify(text)} is not a speed; expected a number above 0, as 2x or 0.5x`,
    { fields: { given: text } },
  );
}

function readMoment(flag: string, text: string): Moment {
  if (text.endsWith('%')) return { kind: 'share', share: parsePercent(text, flag) };
  if (/^\d+$/.test(text)) return { kind: 'record', record: Number(text) };
  return { kind: 'time', timeNs: parseDuration(text, flag) };
}

function readFit(text: string): FitChoice {
  if (text === 'compact' || text === 'none') return { kind: text };
  const [kind, size] = text.split(':');
  if (kind === 'wrap' && size !== undefined) {
    return { kind: 'wrap', sizeBytes: parseBytes(size, '--fit wrap:SIZE') };
  }
  throw unknownName('--fit', text, ['compact', 'wrap:SIZE', 'none']);
}

function readSize(text: string): number {
  return parseBytes(text, '--size');
}

function readRate(text: string): number {
  return positive('--limit-iops', parseRate(text, '--limit-iops'));
}

function readByteRate(text: string): number {
  return positive('--limit-bps', parseByteRate(text, '--limit-bps'));
}

function positive(flag: string, perSecond: number): number {
  if (perSecond > 0) return perSecond;
  throw new UsageError(
    'E_LIMIT',
    `${flag}: with 0 nothing would ever move; expected a rate above 0, or leave the flag out`,
    { fields: { flag } },
  );
}
