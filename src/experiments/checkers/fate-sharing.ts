/**
 * Fate sharing: a dead driver VM stalls its own guests, and nobody else.
 *
 * Judged so: a guest with a request outstanding for longer than 100 ms during an outage is a guest
 * of that driver VM, or of another one that was out at the same time; anybody else is a violation.
 * Guests of the dead driver VM that had nothing outstanding, and asked for nothing, are listed
 * apart.
 *
 * Real disks take longer than 100 ms now and then by themselves, for a slow flush. Whoever shares
 * the fate of a driver VM waits until it serves again; so a guest of another host counts only by
 * requests that were still outstanding at that moment, and only if they took longer than any
 * request of it did while every driver VM served. A fault of the script that holds a guest up, for
 * instance by hanging it or its own driver VM, is a reason of its own: requests that met one count
 * for nothing.
 */
import { formatDuration } from '../../base/format-units.ts';
import type { History } from '../../world/history.ts';
import type { Outage, StalledGuest } from '../result.ts';
import { broken, holds, type Verdict } from './check.ts';

export const STALL_NS = 100e6;
const NAME = 'fate-sharing';

export interface FateGuest {
  readonly name: string;
  readonly host: string;
  readonly history: History;
  /**
   * First record of its incarnation of now. What an earlier one never heard of was outstanding
   * until that one died, which nobody noted: it is not counted.
   */
  readonly livingSince: number;
  /** While faults of the script held up the guest itself, its disk or its driver VM. */
  readonly troubles: readonly Window[];
}

export interface Window {
  readonly fromNs: number;
  readonly toNs: number;
}

/**
 * Who stalled in an outage, and for how long at most; and who had nothing outstanding. `allOutages`
 * are those of every host.
 */
export function fatesOf(
  guests: readonly FateGuest[],
  host: string,
  window: Window,
  allOutages: readonly Window[],
): { stalled: StalledGuest[]; idle: string[] } {
  const stalled: StalledGuest[] = [];
  const idle: string[] = [];
  for (const guest of guests) {
    const { longestNs, lastingNs, requests } = outstandingIn(guest, window);
    const stalledNs = guest.host === host ? longestNs : lastingNs;
    const isStalled =
      stalledNs > STALL_NS &&
      (guest.host === host || stalledNs > slowestOutside(guest, allOutages));
    if (isStalled) stalled.push({ guest: guest.name, longestNs: stalledNs });
    else if (requests === 0 && guest.host === host) idle.push(guest.name);
  }
  return { stalled, idle };
}

export function judgeFates(
  outage: Outage,
  guests: readonly FateGuest[],
  allOutages: readonly Outage[],
): Verdict {
  const sharing = new Set(
    allOutages.filter((other) => overlap(other, outage)).map(({ host }) => host),
  );
  const hostOf = new Map(guests.map(({ name, host }) => [name, host]));
  const strangers = outage.stalled.filter(({ guest }) => !sharing.has(hostOf.get(guest) ?? ''));
  if (strangers.length > 0) {
    const names = strangers.map(
      ({ guest, longestNs }) => `${guest} (${formatDuration(longestNs)})`,
    );
    return broken(
      NAME,
      `outage of ${outage.host}: stalled without sharing it: ${names.join(', ')}`,
    );
  }
  const others = guests.filter(({ host }) => host !== outage.host).map(({ name }) => name);
  const list = (names: readonly string[]): string => (names.length > 0 ? names.join(', ') : 'none');
  const lasted = formatDuration(outage.servingAtNs - outage.killedAtNs);
  return holds(
    NAME,
    `outage of ${outage.host} (${lasted}): stalled ` +
      `${list(outage.stalled.map(({ guest }) => guest))}; idle ${list(outage.idle)}; ` +
      `of other hosts ${list(others)}`,
  );
}

function overlap(a: Outage, b: Outage): boolean {
  return a.killedAtNs < b.servingAtNs && b.killedAtNs < a.servingAtNs;
}

interface Outstanding {
  /** The longest time one was outstanding, inside the window. */
  readonly longestNs: number;
  /** The same of those that were outstanding when the window ended and met no trouble. */
  readonly lastingNs: number;
  readonly requests: number;
}

/** Requests outstanding in a window. */
function outstandingIn(guest: FateGuest, window: Window): Outstanding {
  const { history, livingSince, troubles } = guest;
  let longestNs = 0;
  let lastingNs = 0;
  let requests = 0;
  for (let at = 0; at < history.length; at++) {
    const { invokeNs, ackNs } = history.record(at);
    if (ackNs === 0 && at < livingSince) continue;
    const endNs = ackNs === 0 ? window.toNs : ackNs;
    if (invokeNs >= window.toNs || endNs <= window.fromNs) continue;
    requests++;
    const insideNs = Math.min(endNs, window.toNs) - Math.max(invokeNs, window.fromNs);
    longestNs = Math.max(longestNs, insideNs);
    if (endNs < window.toNs || meets({ fromNs: invokeNs, toNs: endNs }, troubles)) continue;
    lastingNs = Math.max(lastingNs, insideNs);
  }
  return { longestNs, lastingNs, requests };
}

/** The longest time a request took that was answered and met no outage. */
function slowestOutside({ history }: FateGuest, outages: readonly Window[]): number {
  let slowestNs = 0;
  for (let at = 0; at < history.length; at++) {
    const { invokeNs, ackNs } = history.record(at);
    if (ackNs - invokeNs <= slowestNs) continue;
    if (!meets({ fromNs: invokeNs, toNs: ackNs }, outages)) slowestNs = ackNs - invokeNs;
  }
  return slowestNs;
}

function meets(span: Window, windows: readonly Window[]): boolean {
  return windows.some(({ fromNs, toNs }) => span.fromNs < toNs && span.toNs > fromNs);
}
