/**
 * Where the promises of write-back policies were at stake in a run: a crash counts for an image if
 * it found writes that were acknowledged and not published beside writes that were not answered.
 * There acknowledged ones can be lost, and a wrong order can show. (Where nothing is acknowledged
 * before it is published, acknowledged ones beside unanswered ones are all there is.)
 */
import { SECTOR_BYTES } from '../base/units.ts';
import { Policy } from '../parallax/vdi/policy.ts';
import { HistoryKind, HistoryStatus, TapKind } from '../world/history.ts';
import type { ImageOrder, OrderPlace } from './checkers/image-order.ts';
import type { GuestTrack } from './guest-track.ts';
import { snapshotsUnderLoad } from './judge-snapshots.ts';
import type { OutageTrack } from './outage-track.ts';
import { imageOrderOf } from './policy-losses.ts';
import type { Run } from './runner.ts';
import type { Crash } from './scenario.ts';

export const POLICY_CLAUSES = [
  'K1 driver VM killed, image',
  'K2 power of a host lost, image',
  'K3 host lost, image',
  'K5 image taken over, image',
  'planned move, image',
  'K6 guest killed, image',
  'C10 snapshot under load',
  'K3 without order, several batches unpublished',
] as const;
export type PolicyClause = (typeof POLICY_CLAUSES)[number];

export const POLICY_MOMENTS = [
  'acknowledged writes of an image were gone, as its policy says',
  'an image without order was in no state that the disk once had',
  "a zombie's guest was told that its requests had failed",
  'what a lost host had not published was an image when it came back',
  'a driver VM died while an image of it moved by plan',
] as const;
export type PolicyMoment = (typeof POLICY_MOMENTS)[number];

export interface PolicyStakes {
  readonly clauses: ReadonlySet<PolicyClause>;
  readonly moments: ReadonlySet<PolicyMoment>;
}

const CLAUSE_OF: Readonly<Record<Crash, PolicyClause>> = {
  'driver-death': 'K1 driver VM killed, image',
  'power-cut': 'K2 power of a host lost, image',
  'host-loss': 'K3 host lost, image',
  'take-over': 'K5 image taken over, image',
};

export function policyStakes(run: Run): PolicyStakes {
  const clauses = new Set<PolicyClause>();
  const moments = new Set<PolicyMoment>();
  for (const guest of run.guests) {
    const order = imageOrderOf(run, guest);
    if (order === null) continue;
    for (const outage of outagesOf(run, guest)) {
      if (isAtStake(guest, order, outage.killedAtNs)) clauses.add(CLAUSE_OF[outage.crash]);
    }
    if (isZombieAtStake(guest, order)) clauses.add('K5 image taken over, image');
    if (isMoveAtStake(guest, order)) clauses.add('planned move, image');
    takeOverMoments(guest, moments);
    if (diedInMove(run, guest)) moments.add('a driver VM died while an image of it moved by plan');
    if (guest.kills > 0 && diedWithWrites(guest)) clauses.add('K6 guest killed, image');
    if (snapshotsUnderLoad(run, guest) > 0) clauses.add('C10 snapshot under load');
    lossMoments(run, guest, order, clauses, moments);
  }
  return { clauses, moments };
}

function outagesOf(run: Run, guest: GuestTrack): readonly OutageTrack[] {
  const all = run.hosts.flatMap(({ outages }) => outages);
  return all.filter(({ host, killedAtNs }) => guest.wasOn(host, killedAtNs));
}

function isAtStake(guest: GuestTrack, order: ImageOrder, atNs: number): boolean {
  const { history, scenario } = guest;
  const published = lastPublished(order, atNs);
  let acknowledged = false;
  for (const { doneNs, generation, vdiSeq } of order.tenures.flatMap((one) => one.mutations)) {
    if (doneNs > atNs) continue;
    acknowledged ||= scenario.writeBack === Policy.w0;
    acknowledged ||= generation > published.generation || vdiSeq > published.vdiSeq;
  }
  if (!acknowledged) return false;
  for (let at = 0; at < history.length; at++) {
    const { kind, invokeNs, ackNs } = history.record(at);
    const isOpen = invokeNs <= atNs && (ackNs === 0 || ackNs > atNs);
    if (kind === HistoryKind.write && isOpen) return true;
  }
  return false;
}

function takeOverMoments({ takeOver }: GuestTrack, moments: Set<PolicyMoment>): void {
  if (takeOver === null) return;
  const { history, orphan, atNs } = takeOver;
  for (let at = 0; at < history.length; at++) {
    const { status, ackNs } = history.record(at);
    if (status !== HistoryStatus.error || ackNs <= atNs) continue;
    moments.add("a zombie's guest was told that its requests had failed");
  }
  if (orphan === null) return;
  moments.add('what a lost host had not published was an image when it came back');
}

/**
 * The old host had something that it could have published later, or that was under way, and it went
 * on: it has numbered another write, or was told at a publish that it may not.
 */
function isZombieAtStake({ takeOver, disk }: GuestTrack, order: ImageOrder): boolean {
  if (takeOver === null || takeOver.isPlanned) return false;
  const { atNs, history, firstRecord, tap, tapLength, fenced } = takeOver;
  const hadMore = hadUnpublished(order, atNs);
  let wasUnderWay = false;
  for (let at = 0; at < firstRecord; at++) {
    const { kind, invokeNs, ackNs } = history.record(at);
    const isOpen = invokeNs <= atNs && (ackNs === 0 || ackNs > atNs);
    wasUnderWay ||= kind === HistoryKind.write && isOpen;
  }
  let wroteOn = false;
  for (let at = tapLength; at < tap.length; at++) {
    const record = tap.record(at);
    wroteOn ||= record.disk === disk && record.kind === TapKind.mutation;
  }
  return (hadMore || wasUnderWay) && (wroteOn || fenced);
}

/** When the move began, some of what the guest had been told was not published; W0 has none. */
function isMoveAtStake(guest: GuestTrack, order: ImageOrder): boolean {
  const { takeOver, moveBeganNs } = guest;
  if (takeOver?.isPlanned !== true || moveBeganNs === null) return false;
  return guest.scenario.writeBack === Policy.w0 || hadUnpublished(order, moveBeganNs);
}

function diedInMove(run: Run, { moveBeganNs, takeOver }: GuestTrack): boolean {
  if (moveBeganNs === null) return false;
  const endedNs = takeOver?.atNs ?? Number.POSITIVE_INFINITY;
  return run.hosts
    .flatMap(({ outages }) => outages)
    .some(({ killedAtNs }) => killedAtNs >= moveBeganNs && killedAtNs <= endedNs);
}

function hadUnpublished(order: ImageOrder, atNs: number): boolean {
  const published = lastPublished(order, atNs);
  return order.tenures
    .flatMap((one) => one.mutations)
    .some(({ doneNs, vdiSeq }) => doneNs <= atNs && vdiSeq > published.vdiSeq);
}

function lastPublished(order: ImageOrder, atNs: number): OrderPlace {
  const told = order.told(order.track.losses.length, TapKind.published);
  return told.findLast(({ timeNs }) => timeNs <= atNs) ?? { generation: 0, vdiSeq: 0 };
}

/** A guest was killed, by itself or with its host, before a write of it was answered. */
function diedWithWrites({ history, lives }: GuestTrack): boolean {
  const end = lives[lives.length - 1]?.firstRecord ?? 0;
  for (let at = 0; at < end; at++) {
    const { kind, status, ackNs } = history.record(at);
    if (kind === HistoryKind.write && ackNs === 0 && status === HistoryStatus.unknown) return true;
  }
  return false;
}

function lossMoments(
  { scenario }: Run,
  guest: GuestTrack,
  order: ImageOrder,
  clauses: Set<PolicyClause>,
  moments: Set<PolicyMoment>,
): void {
  const batchBytes = scenario.store?.sizes.batchBytes ?? 0;
  guest.losses.forEach(({ crash, atNs }, loss) => {
    const { mutations } = order.tenures[loss] as ImageOrder['tenures'][number];
    const search = order.searches[loss] as ImageOrder['searches'][number];
    const cut = search.fits?.[search.fits.length - 1] ?? mutations.length;
    if (mutations.slice(cut).some(({ doneNs }) => doneNs <= atNs)) {
      moments.add('acknowledged writes of an image were gone, as its policy says');
    }
    if ((crash !== 'host-loss' && crash !== 'take-over') || guest.scenario.writeBack !== Policy.w4)
      return;
    const published = lastPublished(order, atNs);
    const bytes = mutations
      .filter(({ doneNs, vdiSeq }) => doneNs <= atNs && vdiSeq > published.vdiSeq)
      .reduce((sum, { sectors }) => sum + sectors * SECTOR_BYTES, 0);
    if (bytes <= batchBytes) return;
    clauses.add('K3 without order, several batches unpublished');
    if (search.fits === null) {
      moments.add('an image without order was in no state that the disk once had');
    }
  });
}
