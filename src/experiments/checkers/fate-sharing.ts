/**
 * Fate sharing: a dead driver VM stalls its own guests, and nobody else.
 *
 * Judged so: the guests with a request outstanding for longer than 100 ms during an outage must be
 * guests of that driver VM; each of its guests that had a request outstanding, or issued one, during an
 * outage of more than 100 ms is expected among them; those that had nothing to ask for are listed apart.
 * A guest of another host with a request outstanding that long is a violation.
 */
import type { History } from '../../world/history.ts';
import type { Outage, StalledGuest } from '../result.ts';
import { broken, holds, type Verdict } from './check.ts';

export const STALL_NS = 100e6;
const NAME = 'fate-sharing';

export interface FateGuest {
  readonly name: string;
  readonly host: string;
  readonly history: History;
}

interface Window {
  readonly fromNs: number;
  readonly toNs: number;
}

/** Who stalled in an outage, and for how long at most; and who had nothing outstanding. */
export function fatesOf(
  guests: readonly FateGuest[],
  host: string,
  window: Window,
): { stalled: StalledGuest[]; idle: string[] } {
  const stalled: StalledGuest[] = [];
  const idle: string[] = [];
  for (const guest of guests) {
    const { longestNs, requests } = outstandingIn(guest.history, window);
    if (longestNs > STALL_NS) stalled.push({ guest: guest.name, longestNs });
    else if (requests === 0 && guest.host === host) idle.push(guest.name);
  }
  return { stalled, idle };
}

export function judgeFates(outage: Outage, guests: readonly FateGuest[]): Verdict {
  const own = new Set(guests.filter(({ host }) => host === outage.host).map(({ name }) => name));
  const strangers = outage.stalled.filter(({ guest }) => !own.has(guest));
  if (strangers.length > 0) {
    const names = strangers.map(({ guest, longestNs }) => `${guest} (${ms(longestNs)} ms)`);
    return broken(
      NAME,
      `outage of ${outage.host}: stalled without sharing it: ${names.join(', ')}`,
    );
  }
  const lengthNs = outage.servingAtNs - outage.killedAtNs;
  const stalled = new Set(outage.stalled.map(({ guest }) => guest));
  const untouched = [...own].filter((name) => !stalled.has(name) && !outage.idle.includes(name));
  if (lengthNs > 2 * STALL_NS && untouched.length > 0 && stalled.size === 0 && own.size > 0) {
    return broken(NAME, `outage of ${outage.host}: ${untouched.join(', ')} went on without it`);
  }
  const others = guests.filter(({ name }) => !own.has(name)).map(({ name }) => name);
  const list = (names: readonly string[]): string => (names.length > 0 ? names.join(', ') : 'none');
  return holds(
    NAME,
    `outage of ${outage.host} (${ms(lengthNs)} ms): stalled ${list([...stalled])}; ` +
      `idle ${list(outage.idle)}; not touched ${list(others)}`,
  );
}

/** Requests outstanding in a window: how many, and the longest time one was, inside the window. */
function outstandingIn(history: History, window: Window): { longestNs: number; requests: number } {
  let longestNs = 0;
  let requests = 0;
  for (let at = 0; at < history.length; at++) {
    const { invokeNs, ackNs } = history.record(at);
    const endNs = ackNs === 0 ? window.toNs : ackNs;
    if (invokeNs >= window.toNs || endNs <= window.fromNs) continue;
    requests++;
    const insideNs = Math.min(endNs, window.toNs) - Math.max(invokeNs, window.fromNs);
    longestNs = Math.max(longestNs, insideNs);
  }
  return { longestNs, requests };
}

function ms(durationNs: number): string {
  return (durationNs / 1e6).toFixed(0);
}
