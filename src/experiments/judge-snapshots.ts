/**
 * C10 of a run, from what its images had at the end: every snapshot that was acknowledged is there
 * and unchanged, and each is the state of the disk at its place in the order, which lies between
 * the request for it and its acknowledgement.
 */
import { TapKind } from '../world/history.ts';
import { broken, holds, type Verdict } from './checkers/check.ts';
import type { ImageOrder, OrderPlace, Tenure } from './checkers/image-order.ts';
import { valueText } from './checkers/words.ts';
import type { GuestTrack } from './guest-track.ts';
import { imageOrderOf } from './policy-losses.ts';
import type { Run } from './runner.ts';
import type { SnapshotTrack } from './snapshots.ts';
import type { StoredSnapshot } from './stored-snapshots.ts';

const NAME = 'snapshots';

export function judgeSnapshots(run: Run): Verdict[] {
  const { snapshots } = run;
  if (snapshots === null || snapshots.stored.size === 0) return [];
  let judged = 0;
  for (const [guest, stored] of snapshots.stored) {
    const taken = snapshots.taken.filter((one) => one.guest === guest);
    const wrong = missing(taken, stored) ?? changed(taken, stored);
    if (wrong !== null) return [broken(NAME, `C10 is broken on ${guest.name}: ${wrong}`)];
    const order = imageOrderOf(run, guest);
    if (order === null) continue;
    for (const snapshot of stored) {
      const why = notItsCut(order, snapshot, taken);
      if (why !== null) return [broken(NAME, `C10 is broken on ${guest.name}: ${why}`)];
      judged++;
    }
  }
  const text = `C10: ${judged} snapshots each show the disk as it was at their place in its order`;
  return [holds(NAME, text)];
}

/** Snapshots of a run that were acknowledged while the guest had writes under way. */
export function snapshotsUnderLoad({ snapshots }: Run, guest: GuestTrack): number {
  const { history } = guest;
  const taken = (snapshots?.taken ?? []).filter((one) => one.guest === guest);
  return taken.filter(({ requestedNs, acknowledgedNs }) => {
    for (let at = 0; at < history.length; at++) {
      const { kind, invokeNs, ackNs } = history.record(at);
      const isOver = ackNs !== 0 && ackNs < requestedNs;
      if (kind === 1 && invokeNs <= (acknowledgedNs ?? 0) && !isOver) return true;
    }
    return false;
  }).length;
}

function missing(
  taken: readonly SnapshotTrack[],
  stored: readonly StoredSnapshot[],
): string | null {
  const lost = taken.find(({ acknowledgedNs, id, name }) => {
    return acknowledgedNs !== null && !stored.some((one) => one.id === id && one.name === name);
  });
  return lost === undefined ? null : `snapshot ${lost.name} was acknowledged, and is not there`;
}

function changed(
  taken: readonly SnapshotTrack[],
  stored: readonly StoredSnapshot[],
): string | null {
  for (const { first, id, name } of taken) {
    const last = stored.find((one) => one.id === id);
    if (first === null || last === undefined) continue;
    const sector = first.sectors.findIndex((value, at) => value !== last.sectors[at]);
    if (sector < 0) continue;
    const [was, is] = [first.sectors[sector] as number, last.sectors[sector] as number];
    const then = `sector ${sector} held ${valueText(was)}`;
    return `snapshot ${name} has changed: ${then}, and ${valueText(is)} at the end`;
  }
  return null;
}

/** Why a snapshot is not the state at its place; null: it is. */
function notItsCut(
  order: ImageOrder,
  { id, name, vdiSeq, generation, sectors }: StoredSnapshot,
  taken: readonly SnapshotTrack[],
): string | null {
  const { losses } = order.track;
  const taking = order
    .told(losses.length, TapKind.snapshot)
    .filter((one) => one.a === id && one.generation <= generation);
  const told = taking.findLast((one) => one.vdiSeq === vdiSeq);
  if (told === undefined) {
    // Its driver VM died before it could tell, and a successor published what the log had.
    if (taking.length === 0 || losses.length > 0) return null;
    const places = taking.map((one) => one.vdiSeq).join(', ');
    return `snapshot ${name} is of number ${vdiSeq}, but was taken at ${places}`;
  }
  const at = losses.findIndex(({ tapLength }) => told.tapRecord < tapLength);
  const tenure = order.tenures[at < 0 ? losses.length : at] as Tenure;
  const bounds = boundsOf(tenure, told, taken.find((one) => one.id === id) ?? null);
  const search = tenure.search(sectors);
  if (search.fits?.some((cut) => cut >= bounds.least && cut <= bounds.most)) return null;
  const fits = search.fits?.join(', ') ?? 'none';
  return (
    `snapshot ${name} was taken at number ${vdiSeq} of generation ${told.generation}, as the ` +
    `state after ${bounds.least} to ${bounds.most} mutations; states that fit it: ${fits}`
  );
}

/** Cuts that a snapshot may be: at its place, behind what it must have, before what it cannot. */
function boundsOf(
  tenure: Tenure,
  place: OrderPlace,
  track: SnapshotTrack | null,
): { readonly least: number; readonly most: number } {
  let { least, most } = tenure.around(place);
  tenure.mutations.forEach(({ doneNs, invokeNs }, at) => {
    if (track === null || track.acknowledgedNs === null) return;
    if (doneNs < track.requestedNs) least = Math.max(least, at + 1);
    if (invokeNs > track.acknowledgedNs) most = Math.min(most, at);
  });
  return { least, most };
}
