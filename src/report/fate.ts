/**
 * Who shared the fate of a driver VM, and who did not.
 *
 * The law of the storage domain: a dead driver VM stalls its own guests and nobody else. For each
 * outage every guest of the run has one of six fates, and a report names all of them, because
 * the guests that noticed nothing are half of the message:
 *
 *   stalled    its host's driver VM was gone and a request was outstanding longer than 100 ms
 *   brief      its host's driver VM was gone; it had requests, none outstanding that long
 *   idle       its host's driver VM was gone and it had nothing outstanding
 *   went-on    another host's guest: requests of it completed meanwhile
 *   quiet      another host's guest that completed nothing meanwhile
 *   ejected    it had been thrown out for garbage in its rings before the outage ended
 *
 * A guest of another host that is in the list of the stalled is shown as stalled, marked foreign:
 * a report must not hide the very thing it is for.
 */
import { formatCount, formatDuration } from '../base/format-units.ts';
import type { GuestResult, Outage, RunResult, ServerOutage } from '../experiments/result.ts';
import { requestsBetween } from './series.ts';

type FateKind = 'stalled' | 'brief' | 'idle' | 'went-on' | 'quiet' | 'ejected';

export interface Fate {
  readonly guest: GuestResult;
  readonly kind: FateKind;
  /** Of another host than the one whose driver VM was gone. */
  readonly foreign: boolean;
  /** Longest time a request of it was outstanding in the outage; 0 unless stalled. */
  readonly longestNs: number;
  /** Requests completed during the outage, as near as the buckets tell. */
  readonly requestsMeanwhile: number;
}

/** The fate of every guest in one outage, in the order of the result. */
export function fatesIn(result: RunResult, outage: Outage): Fate[] {
  return result.guests.map((guest) => fateOf(result, outage, guest));
}

/** The fate of one guest in one outage. */
export function fateOf(result: RunResult, outage: Outage, guest: GuestResult): Fate {
  const { killedAtNs, idle } = outage;
  const endNs = outageEndNs(result, outage);
  const stalled = outage.stalled.find((one) => one.guest === guest.name);
  const foreign = !isOf(outage, guest);
  const requestsMeanwhile = requestsBetween(guest.series, killedAtNs, endNs);
  const kind = kindOf({
    isEjected: guest.ejectedAtNs !== undefined && guest.ejectedAtNs <= endNs,
    isStalled: stalled !== undefined,
    isIdle: idle.includes(guest.name),
    foreign,
    requestsMeanwhile,
  });
  return { guest, kind, foreign, longestNs: stalled?.longestNs ?? 0, requestsMeanwhile };
}

/** What happened to the guest, in a few words. */
export function fateText(fate: Fate): string {
  switch (fate.kind) {
    case 'stalled':
      return `stalled ${formatDuration(fate.longestNs)}${fate.foreign ? ', on another host' : ''}`;
    case 'brief':
      return 'no request waited longer than 100ms';
    case 'idle':
      return 'idle: nothing outstanding';
    case 'went-on':
      return `went on: ${about(fate.requestsMeanwhile)} requests meanwhile`;
    case 'quiet':
      return 'quiet: no request meanwhile';
    case 'ejected':
      return `ejected at ${formatDuration(fate.guest.ejectedAtNs ?? 0)}, for garbage in its rings`;
  }
}

/** The same in a word or two, for a picture that has no room for more. */
export function fateWord(fate: Fate): string {
  switch (fate.kind) {
    case 'stalled':
      return formatDuration(fate.longestNs);
    case 'brief':
      return 'served soon';
    case 'idle':
      return 'idle';
    case 'went-on':
      return 'went on';
    case 'quiet':
      return 'quiet';
    case 'ejected':
      return 'ejected';
  }
}

/** Outages of the guest's own host, in order. */
export function outagesOf(result: RunResult, guest: GuestResult): Outage[] {
  return result.outages.filter((outage) => isOf(outage, guest));
}

/** Whether it was a guest of the host that the outage is of. */
function isOf({ guests, host }: Outage, guest: GuestResult): boolean {
  return guests === undefined ? guest.host === host : guests.includes(guest.name);
}

/** Longest time a request of the guest was outstanding in any outage; 0 if it never stalled. */
export function stalledNs(result: RunResult, guest: GuestResult): number {
  const all = result.outages.flatMap((outage) => outage.stalled);
  return all.reduce((ns, one) => (one.guest === guest.name ? Math.max(ns, one.longestNs) : ns), 0);
}

/** When the outage ended, or the end of the run if it did not end in it. */
export function outageEndNs(result: RunResult, outage: Outage): number {
  return Math.max(outage.killedAtNs, Math.min(outage.servingAtNs, result.durationNs));
}

/** `driver VM of h0 gone 180ms`, or that it never came back; `host h0 lost: ...`. */
export function outageText(result: RunResult, outage: Outage): string {
  const what =
    outage.hostLost === true ? `host ${outage.host} lost:` : `driver VM of ${outage.host}`;
  return `${what} ${goneText(result, outage)}`;
}

/** `gone 180ms`, or `never came back`; of a lost host who has what it had, and since when. */
export function goneText(result: RunResult, outage: Outage): string {
  const { hostLost, killedAtNs, servingAtNs } = outage;
  if (hostLost === true && servingAtNs <= result.durationNs) {
    return `served elsewhere after ${formatDuration(servingAtNs - killedAtNs)}`;
  }
  if (outage.servingAtNs > result.durationNs) return 'never came back';
  return `gone ${formatDuration(outage.servingAtNs - outage.killedAtNs)}`;
}

/** `server s2 dead for 3s, in sync again after 5.2s`. */
export function serverDeathText(result: RunResult, death: ServerOutage): string {
  const { server, killedAtNs, runningAtNs, inSyncAtNs } = death;
  if (runningAtNs > result.durationNs) return `server ${server} never came back`;
  const dead = `server ${server} dead for ${formatDuration(runningAtNs - killedAtNs)}`;
  if (inSyncAtNs > result.durationNs) return `${dead}, never in sync again`;
  return `${dead}, in sync again after ${formatDuration(inSyncAtNs - killedAtNs)}`;
}

/** Hosts in the order of their first guest, then those that only an outage names. */
export function hostsOf(result: RunResult): string[] {
  const named = [...result.guests, ...result.outages].map((one) => one.host);
  return [...new Set(named)];
}

interface Observed {
  readonly isEjected: boolean;
  readonly isStalled: boolean;
  readonly isIdle: boolean;
  readonly foreign: boolean;
  readonly requestsMeanwhile: number;
}

function kindOf(observed: Observed): FateKind {
  if (observed.isEjected) return 'ejected';
  if (observed.isStalled) return 'stalled';
  if (!observed.foreign) return observed.isIdle ? 'idle' : 'brief';
  return observed.requestsMeanwhile >= 0.5 ? 'went-on' : 'quiet';
}

/** Two digits: buckets that the outage covers in part make more of them a lie. */
function about(count: number): string {
  if (count < 100) return `about ${Math.round(count)}`;
  const unit = 10 ** (Math.floor(Math.log10(count)) - 1);
  return `about ${formatCount(Math.round(count / unit) * unit)}`;
}
