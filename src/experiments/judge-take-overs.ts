/**
 * K5 of a run, beside what the policy promises of the image itself (`policy-losses.ts`): nothing
 * that the old host was given after the new one had answered is seen there; and what the old host
 * had acknowledged and not published is in the orphan, when its log has come back.
 */
import { POLICY_NAMES, Policy } from '../parallax/vdi/policy.ts';
import { broken, holds, type Verdict } from './checkers/check.ts';
import { judgeFencing, type Tenure } from './checkers/fencing.ts';
import { ImageOrder, type Tenure as OrderTenure } from './checkers/image-order.ts';
import type { JudgedDisk } from './checkers/operations.ts';
import type { GuestTrack, TakeOver } from './guest-track.ts';
import { imageOrderOf } from './policy-losses.ts';
import type { Run } from './runner.ts';

const NAME = 'orphan';
/** Policies whose log has everything that was acknowledged, in its order. */
const LOGGED: readonly Policy[] = [Policy.w1, Policy.w2, Policy.w3, Policy.w4];
/** Of these nothing acknowledged is lost with the power, which ends every zombie. */
const SYNCED: readonly Policy[] = [Policy.w2, Policy.w4];

export function judgeTakeOvers(run: Run): Verdict[] {
  return run.guests.flatMap((guest) => {
    const { takeOver } = guest;
    if (takeOver === null || guest.struckAtNs !== null) return [];
    const fencing = judgeFencing(tenuresOf(guest, takeOver));
    if (takeOver.isPlanned) return [fencing, judgeMove(guest, takeOver)];
    const orphan = judgeOrphan(run, guest, takeOver);
    return orphan === null ? [fencing] : [fencing, orphan];
  });
}

/** That nothing is lost by it the guest sees for itself: it goes on with all it was told. */
function judgeMove({ name }: GuestTrack, { from, orphan }: TakeOver): Verdict {
  if (orphan === null) return holds('move', `${name} has left nothing behind on ${from}`);
  return broken('move', `its move is broken: ${name} left an orphan behind on ${from}`);
}

/** Those of both hosts: records of the old one go on after the take-over. */
function tenuresOf(guest: GuestTrack, { history, firstRecord, from, to }: TakeOver): Tenure[] {
  const { name, scenario, lives } = guest;
  const sectors = scenario.diskSectors;
  const old: JudgedDisk = { name, sectors, history, lives: [] };
  const own: JudgedDisk = { name, sectors, history: guest.history, lives };
  const endRecord = guest.history.length;
  return [
    { owner: `${name} on ${from}`, disk: old, firstRecord: 0, endRecord: history.length },
    { owner: `${name} on ${to}`, disk: own, firstRecord, endRecord },
  ];
}

function judgeOrphan(run: Run, guest: GuestTrack, takeOver: TakeOver): Verdict | null {
  const { name, disk, scenario, losses } = guest;
  const { history, tap, orphan, firstRecord } = takeOver;
  const policy = scenario.writeBack ?? Policy.w2;
  if (!LOGGED.includes(policy)) return null;
  // A disk that fails may keep some of its log back, and one that is lost has nothing any more.
  const { faults } = run.scenario;
  const isSound = faults.every(({ kind }) => kind !== 'disk' && kind !== 'host-loss');
  if (orphan === null) return policy === Policy.w2 && isSound ? judgeNothing(run, guest) : null;
  if (policy === Policy.w4 && !isSound) return null;
  const before = losses.filter(({ record }) => record < firstRecord);
  const sectors = scenario.diskSectors;
  const inOrder = policy !== Policy.w4;
  const order = new ImageOrder({ name, disk, sectors, inOrder, history, tap, losses: before });
  const tenure = order.tenures[order.tenures.length - 1] as OrderTenure;
  const clause = `${name} (${POLICY_NAMES[policy]}, the log of ${takeOver.from} came back)`;
  const { fits } = tenure.search(orphan);
  const cut = fits?.[fits.length - 1];
  if (cut === undefined) {
    return broken(
      NAME,
      `its orphan is broken: ${clause}: it shows no state that the disk once had`,
    );
  }
  const acknowledged = acknowledgedIn(tenure);
  if (SYNCED.includes(policy) && isSound && cut < acknowledged) {
    const text = `${cut} mutations are there, and ${acknowledged} had been acknowledged`;
    return broken(NAME, `its orphan is broken: ${clause}: ${text}`);
  }
  return holds(NAME, `the orphan of ${clause}: ${cut} of ${tenure.mutations.length} mutations`);
}

/** No orphan came back: then the new host had found all that the old one had acknowledged. */
function judgeNothing(run: Run, guest: GuestTrack): Verdict | null {
  const order = imageOrderOf(run, guest);
  const loss = guest.losses.findIndex(({ crash }) => crash === 'take-over');
  const search = order?.searches[loss];
  const tenure = order?.tenures[loss];
  if (tenure === undefined || search === undefined || search.fits === null) return null;
  // Of several states that look the same the newest is taken for found.
  const found = search.fits[search.fits.length - 1] ?? 0;
  const acknowledged = acknowledgedIn(tenure);
  if (found >= acknowledged) return null;
  const text = `${found} mutations were found, and ${acknowledged} had been acknowledged`;
  return broken(NAME, `its orphan is missing: ${guest.name} (W2): ${text}`);
}

function acknowledgedIn({ mutations }: OrderTenure): number {
  return mutations.findLastIndex(({ doneNs }) => Number.isFinite(doneNs)) + 1;
}
