/**
 * The planned move of what a host serves: its guests are stopped, their images handed over, and the
 * guests started again on the other host. Whoever dies in it is waited for, and asked again.
 */
import type { DriverDomain } from '../hypervisor/toolstack.ts';
import type { OrderTap } from '../world/history.ts';
import { acceptLoss, handOverImage } from './driver-calls.ts';
import type { GuestTrack } from './guest-track.ts';
import { type Crash, imageName } from './scenario.ts';
import type { Stage } from './stage.ts';

export interface MoveParts {
  readonly stage: Stage;
  readonly tell: (text: string) => void;
  readonly from: MovingHost;
  readonly to: MovingHost;
}

/** What a move needs of a host. */
export interface MovingHost {
  readonly name: string;
  readonly tap: OrderTap;
  readonly isEnding: boolean;
  /** null: no driver VM is there to be asked. */
  readonly living: DriverDomain | null;
  /** Ends a guest's domain, if it is there; settles when nothing of it is left. */
  stopGuest(guest: GuestTrack): Promise<void>;
  /** Some of what the guest had been told may be gone. */
  noteLoss(guest: GuestTrack, crash: Crash): void;
  /** Takes the image of a guest and starts the guest. */
  adopt(guest: GuestTrack, tap: OrderTap, isPlanned: boolean): Promise<void>;
}

/** Between two tries. */
const AGAIN_NS = 5e6;

export async function moveGuests(parts: MoveParts, guests: readonly GuestTrack[]): Promise<void> {
  const { stage, tell, from, to } = parts;
  for (const guest of guests) {
    if (guest.isOver || guest.struckAtNs !== null) continue;
    guest.moveBeganNs = stage.clock.nowNs();
    tell(`${guest.name} is stopped: its image moves from ${from.name} to ${to.name}`);
    await from.stopGuest(guest);
    if (guest.isOver) {
      // It was done as it was told to stop.
      guest.moveBeganNs = null;
      continue;
    }
    if (!(await handOver(parts, guest))) return;
    guest.isHandedOver = true;
    tell(`${from.name} has handed the image of ${guest.name} over`);
    await to.adopt(guest, from.tap, true);
  }
}

/** False: the run ends. */
async function handOver({ stage, from, to }: MoveParts, guest: GuestTrack): Promise<boolean> {
  const image = imageName(guest.name);
  for (;;) {
    const came = await handOverImage(from.living, image, to.name);
    if (from.isEnding) return false;
    if (came === 'done') return true;
    if (came === 'lost' && (await acceptLoss(from.living, image)))
      from.noteLoss(guest, 'driver-death');
    else await stage.timers.sleep(AGAIN_NS);
  }
}
