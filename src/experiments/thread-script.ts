/**
 * What becomes of a script that was drawn for the simulator when threads play it.
 *
 * Threads have no events to count, and at a crash point they can only kill. What waits for such a
 * moment strikes at a share of the requests instead: the share that its number is of the largest
 * number drawn, so that early stays early. A kill in a recovery strikes when the front ends begin
 * to replay, which is what a recovery is for. What needs a simulated disk is left out. Each change
 * is reported: a script that is played otherwise than drawn says so.
 */
import { UsageError } from '../base/errors.ts';
import { type Fault, faultName, type Trigger, victimOf } from '../world/faults.ts';
import { EVENTS_MAX, PASSAGES_MAX } from './random-triggers.ts';
import { checkTrouble } from './thread-disk-trouble.ts';

/** A fault that threads play otherwise, or not at all. */
export interface ScriptChange {
  readonly drawn: Fault;
  /** null: it is left out. */
  readonly played: Fault | null;
  readonly why: string;
}

export interface ThreadScript {
  readonly faults: readonly Fault[];
  readonly changes: readonly ScriptChange[];
}

/** Nothing strikes before the first guests are connected, nor when they are nearly done. */
const SHARE_MIN = 0.05;
const SHARE_MAX = 0.95;

/** Throws `UsageError` for a fault that needs the simulator, or strikes when only it can. */
export function checkForThreads(fault: Fault): void {
  if (fault.kind === 'disk') checkTrouble(fault.trouble);
  if (fault.kind === 'pool-disk' || fault.kind === 'directory-majority-loss') {
    throw new UsageError(
      'E_FAULT_WORLD',
      `fault "${faultName(fault)}" needs the simulator: threads keep the store in files of this ` +
        'machine, which cannot be made to fail',
      { fields: { fault: fault.kind } },
    );
  }
  if (fault.kind === 'server-disk') {
    throw new UsageError(
      'E_FAULT_WORLD',
      `fault "${faultName(fault)}" of ${fault.server} needs the simulator: threads keep the ` +
        'disks of servers in files of this machine, which cannot be made to fail',
      { fields: { fault: fault.kind } },
    );
  }
  if (canStrikeWhen(fault)) return;
  const { when } = fault;
  const why =
    when.kind === 'crash-point'
      ? 'at a crash point threads can only kill'
      : 'threads have no events to count';
  throw new UsageError(
    'E_TRIGGER_WORLD',
    `fault "${faultName(fault)}" of ${victimOf(fault)} strikes by "${when.kind}", but ${why}; ` +
      'give it a time, a share of the progress or a protocol event, or run it with --world sim',
    { fields: { fault: fault.kind, when: when.kind } },
  );
}

function canStrikeWhen({ kind, when }: Fault): boolean {
  const kills = kind === 'kill-driver' || kind === 'kill-guest' || kind === 'server-kill';
  if (when.kind === 'crash-point') return kills;
  return when.kind !== 'event' && when.kind !== 'recovery';
}

export function scriptForThreads(drawn: readonly Fault[]): ThreadScript {
  const faults: Fault[] = [];
  const changes: ScriptChange[] = [];
  for (const fault of drawn) {
    const refusal = refusalOf(fault);
    if (refusal !== null) {
      changes.push({ drawn: fault, played: null, why: refusal });
      continue;
    }
    const when = triggerFor(fault);
    const played = when === fault.when ? fault : { ...fault, when };
    faults.push(played);
    if (played !== fault) changes.push({ drawn: fault, played, why: 'threads count no events' });
  }
  return { faults, changes };
}

function refusalOf(fault: Fault): string | null {
  try {
    if (fault.kind === 'disk') checkTrouble(fault.trouble);
    return null;
  } catch (thrown) {
    if (thrown instanceof UsageError) return thrown.message;
    throw thrown;
  }
}

function triggerFor(fault: Fault): Trigger {
  const { when } = fault;
  if (canStrikeWhen(fault)) return when;
  if (when.kind === 'event') return shareOf(when.nth, EVENTS_MAX);
  if (when.kind === 'crash-point') return shareOf(when.nth, PASSAGES_MAX);
  return { kind: 'protocol', event: 'replay-begun', nth: 1 };
}

function shareOf(nth: number, max: number): Trigger {
  return { kind: 'progress', share: Math.min(SHARE_MAX, Math.max(SHARE_MIN, nth / max)) };
}
