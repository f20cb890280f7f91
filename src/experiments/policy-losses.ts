/** From a run to what the policies of its images promised, loss by loss: see `policy-cut.ts`. */
import { POLICY_NAMES, Policy } from '../parallax/vdi/policy.ts';
import type { Fault } from '../world/faults.ts';
import type { Verdict } from './checkers/check.ts';
import { ImageOrder } from './checkers/image-order.ts';
import {
  type CutPromise,
  judgeEnd,
  judgePolicyCut,
  type LossBounds,
} from './checkers/policy-cut.ts';
import type { GuestTrack, Loss } from './guest-track.ts';
import type { Run } from './runner.ts';
import type { Crash } from './scenario.ts';

/** What a publish may take beside the write-back period, with all its retries over. */
const DRAIN_NS = 150e6;
const CRASH_TEXT: Readonly<Record<Crash, string>> = {
  'driver-death': 'driver VM killed',
  'power-cut': 'power lost',
  'host-loss': 'host lost',
  'take-over': 'taken over by another host',
};

export function judgePolicies(run: Run): Verdict[] {
  return run.guests.flatMap((guest) => {
    const order = imageOrderOf(run, guest);
    if (order === null) return [];
    const losses = guest.losses.map((loss, at) => judgeLoss(run, guest, order, loss, at));
    return [...losses, judgeEnd(order)];
  });
}

/** The order of a guest's image; null: its disk is none, or garbage was in its rings. */
export function imageOrderOf(run: Run, guest: GuestTrack): ImageOrder | null {
  const { scenario, name, disk, history, losses, struckAtNs } = guest;
  const host = run.hosts.find((one) => one.name === guest.host);
  if (scenario.device !== 'vdi' || struckAtNs !== null || host === undefined) return null;
  const tap = guest.tapOf(host.tap);
  const inOrder = promiseOf(scenario.writeBack ?? Policy.w2, 'host-loss') !== 'per-sector';
  const sectors = scenario.diskSectors;
  return new ImageOrder({ name, disk, sectors, inOrder, history, tap, losses });
}

function judgeLoss(
  run: Run,
  { scenario }: GuestTrack,
  order: ImageOrder,
  { crash, atNs }: Loss,
  loss: number,
): Verdict {
  const policy = scenario.writeBack ?? Policy.w2;
  return judgePolicyCut({
    order,
    loss,
    clause: `${POLICY_NAMES[policy]}, ${CRASH_TEXT[crash]}`,
    promise: promiseOf(policy, crash),
    bounds: boundsOf(run, policy),
    atNs,
  });
}

export function promiseOf(policy: Policy, crash: Crash): CutPromise {
  if (policy === Policy.w4 || policy === Policy.w5) return 'per-sector';
  const isOnPool = crash === 'host-loss' || crash === 'take-over';
  return policy === Policy.w3 && isOnPool ? 'whole-epochs' : 'prefix';
}

/** W2 alone says how old a loss may be, and only while the pool takes writes. */
function boundsOf({ scenario, world }: Run, policy: Policy): LossBounds {
  const { store, faults } = scenario;
  if (policy !== Policy.w2 || store === undefined) return { ageNs: null, bytes: null };
  const { periodNs, dirtyCapBytes } = store.sizes;
  // In threads a busy machine holds destage back as well.
  const isFree = world === 'sim' && faults.every((fault) => !holdsBack(fault));
  return { ageNs: isFree ? periodNs + DRAIN_NS : null, bytes: dirtyCapBytes };
}

/** Whether destage may stand still, or its clock go wrong, because of a fault. */
function holdsBack({ kind }: Fault): boolean {
  return !['kill-guest', 'hang-guest', 'host-loss', 'ring-garbage', 'link'].includes(kind);
}
