/** From a run, ended or not, to its result: every check, every guest, the outages, the story. */

import { formatDuration } from '../base/format-units.ts';
import { broken, holds, type Verdict } from './checkers/check.ts';
import { fatesOf, judgeFates } from './checkers/fate-sharing.ts';
import { judgeOrderTap } from './checkers/order-tap.ts';
import { judgePetalPool } from './checkers/petal-pool.ts';
import { judgeStore } from './checkers/store.ts';
import { accountOf } from './guest-account.ts';
import type { GuestTrack } from './guest-track.ts';
import { judgeSnapshots } from './judge-snapshots.ts';
import { judgeTakeOvers } from './judge-take-overs.ts';
import { judgeOffline } from './offline.ts';
import type { OutageTrack } from './outage-track.ts';
import type { PetalKeeper } from './petal-keeper.ts';
import { judgePolicies } from './policy-losses.ts';
import type { MachineFacts, Outage, RunResult, ServerOutage } from './result.ts';
import type { Run } from './runner.ts';

export interface RunCircumstances {
  readonly world: 'threads' | 'sim';
  readonly seed: number;
  readonly machine: MachineFacts;
  readonly startedAtIso: string;
  readonly durationNs: number;
  readonly bucketNs: number;
  readonly command: string;
  readonly limits: readonly string[];
}

export function resultOf(run: Run, circumstances: RunCircumstances): RunResult {
  const { bucketNs, ...facts } = circumstances;
  const outages = run.hosts.flatMap((host) =>
    host.outages.map((outage) => outageOf(run, outage, circumstances.durationNs)),
  );
  const checks = checksOf(run, outages);
  return {
    format: 'stordom-result',
    version: 1,
    title: run.scenario.title,
    summary: run.scenario.summary,
    ...facts,
    ok: checks.every(({ ok }) => ok),
    checks,
    guests: run.guests.map((guest) => accountOf(guest, circumstances.durationNs, bucketNs)),
    outages,
    ...(run.petal === null ? {} : { serverDeaths: serverDeathsOf(run.petal, circumstances) }),
    story: run.events,
  };
}

function serverDeathsOf(petal: PetalKeeper, { durationNs }: RunCircumstances): ServerOutage[] {
  // What did not come is after the run.
  const never = durationNs + 1;
  return petal.deaths.map(({ server, atNs, backNs, inSyncNs }) => {
    const [runningAtNs, inSyncAtNs] = [backNs ?? never, inSyncNs ?? never];
    return { server, killedAtNs: atNs, runningAtNs, inSyncAtNs };
  });
}

/** The verdicts alone: what a seed needs. */
export function checksOf(run: Run, outages: readonly Outage[]): Verdict[] {
  return [
    machinery(run),
    readsAgree(run),
    fullReadBack(run),
    ...judgeOffline(run),
    ...judgePolicies(run),
    ...judgeTakeOvers(run),
    ...judgeSnapshots(run),
    ...judgeStore(run),
    ...judgePetalPool(run),
    ...run.guests.map((guest) => orderOf(run, guest)),
    ...run.guests.filter(({ struckAtNs }) => struckAtNs !== null).map(ejection),
    ...outages.map((outage) => judgeFates(outage, fateGuests(run, outage.killedAtNs), outages)),
  ];
}

export function outagesOf(run: Run, durationNs: number): Outage[] {
  return run.hosts.flatMap((host) =>
    host.outages.map((outage) => outageOf(run, outage, durationNs)),
  );
}

function outageOf(run: Run, outage: OutageTrack, durationNs: number): Outage {
  const window = windowOf(outage, durationNs);
  const all = run.hosts.flatMap((host) => host.outages.map((one) => windowOf(one, durationNs)));
  const guests = fateGuests(run, outage.killedAtNs);
  const { stalled, idle } = fatesOf(guests, outage.host, window, all);
  const replayed = run.guests.filter((guest) => guest.wasOn(outage.host, outage.killedAtNs));
  return {
    host: outage.host,
    killedAtNs: outage.killedAtNs,
    servingAtNs: window.toNs,
    stalled,
    idle,
    guests: replayed.map(({ name }) => name),
    ...(outage.crash === 'host-loss' ? { hostLost: true } : {}),
    replayedRequests: replayed.reduce((sum, guest) => sum + guest.replayedRequests, 0),
  };
}

function windowOf({ killedAtNs, servingAtNs }: OutageTrack, durationNs: number) {
  // A driver VM that never came back: its outage ends after the run.
  return { fromNs: killedAtNs, toNs: servingAtNs ?? durationNs + 1 };
}

/** Each on the host that it was on when an outage began: it may have moved since. */
function fateGuests(run: Run, atNs: number) {
  // A guest that was ejected waits for nothing, and what it had asked for is never answered.
  const guests = run.guests.filter(({ struckAtNs }) => struckAtNs === null);
  return guests.map((guest) => {
    const { name, history, lives, troubles } = guest;
    const livingSince = lives[lives.length - 1]?.firstRecord ?? 0;
    return { name, host: guest.hostAt(atNs), history, livingSince, troubles };
  });
}

function machinery(run: Run): Verdict {
  const problems = [...run.problems, ...run.guests.flatMap(({ problems: own }) => own)];
  if (problems.length > 0) return broken('machinery', problems.join('\n'));
  return holds('machinery', 'no actor failed and both sides of every ring kept the protocol');
}

function readsAgree(run: Run): Verdict {
  const found = run.guests.flatMap(({ name, workload }) =>
    (workload?.violations ?? []).map((text) => `${name}: ${text}`),
  );
  const seen = run.guests.reduce((sum, { violations }) => sum + violations, 0);
  if (found.length > 0) return broken('reads', found.slice(0, 5).join('; '));
  if (seen > 0) return broken('reads', `${seen} sectors disagreed in a guest that did not finish`);
  const sectors = run.guests.reduce(
    (sum, { workload }) => sum + (workload?.sectorsVerified ?? 0),
    0,
  );
  return holds('reads', `${sectors} sectors were read and each held what its guest last wrote`);
}

function fullReadBack(run: Run): Verdict {
  const sectors = run.guests.reduce((sum, { stats }) => sum + stats.get('readBackSectors'), 0);
  const missing = run.guests.filter((guest) => !guest.isOver).map(({ name }) => name);
  if (missing.length > 0) {
    return broken('full-read-back', `${missing.join(', ')} did not read the whole disk back`);
  }
  const lost = run.guests.filter(({ workload }) => workload?.diskFailed === true);
  const apart = lost.map(({ name }) => `; ${name}'s disk failed for good, as its policy says`);
  const ejected = run.guests.filter(({ struckAtNs }) => struckAtNs !== null);
  for (const { name } of ejected) apart.push(`; ${name} was ejected and read nothing back`);
  const text = `${sectors} sectors: every block that was ever touched${apart.join('')}`;
  return holds('full-read-back', text);
}

/** A guest with garbage in its rings is thrown out, and everything of it is given back. */
function ejection({ name, struckAtNs, ejectedAtNs }: GuestTrack): Verdict {
  const struck = `${name} had garbage written into its rings at ${formatDuration(struckAtNs ?? 0)}`;
  if (ejectedAtNs === null) {
    return broken('ejection', `${struck}, and its driver VM never let go of its pages`);
  }
  return holds(
    'ejection',
    `${struck} and was ejected at ${formatDuration(ejectedAtNs)}: none of its pages is mapped; ` +
      'it is judged by what it did before',
  );
}

function orderOf(run: Run, guest: GuestTrack): Verdict {
  const host = run.hosts.find(({ name }) => name === guest.host);
  if (host === undefined) return broken('order-tap', `${guest.name} has no host`);
  const { name, lives } = guest;
  const history = guest.judgedHistory();
  const isImage = guest.scenario.device === 'vdi';
  return judgeOrderTap({ name, lives, history, isImage }, guest.judgedTap(host.tap));
}
