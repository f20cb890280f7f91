/** The troubles of the fault vocabulary as rules of a simulated disk. */

import type { DiskTrouble } from '../world/faults.ts';
import { DiskOp } from '../world/sim/disk-timing.ts';
import type { SimDisk } from '../world/sim/sim-disk.ts';
import { DiskStatus } from '../world/world.ts';

const SLOW_FACTOR = 20;
/** One in so many sectors of the disk. */
export const LATENT_EVERY_NTH = 64;

/** Begins a trouble that is meant to last for `forNs`; the function it gives back ends it. */
export function strikeDisk(
  disk: SimDisk,
  trouble: DiskTrouble,
  nowNs: number,
  forNs: number,
): () => void {
  const error = (status: DiskStatus, ops: readonly DiskOp[]): (() => void) =>
    disk.faults.add({ fault: { kind: 'error', status }, ops });
  switch (trouble) {
    case 'slow':
      disk.timing.slowFactor = SLOW_FACTOR;
      return () => {
        disk.timing.slowFactor = 1;
      };
    case 'stall':
      disk.timing.stall(nowNs, nowNs + forNs);
      return () => {};
    case 'read-error':
      return error(DiskStatus.ioError, [DiskOp.read]);
    case 'write-error':
      return error(DiskStatus.ioError, [DiskOp.write, DiskOp.zero]);
    case 'no-space':
      return error(DiskStatus.noSpace, [DiskOp.write]);
    case 'flush-fails':
      return disk.faults.add({
        fault: { kind: 'error', status: DiskStatus.ioError },
        ops: [DiskOp.flush],
        once: true,
      });
    case 'latent-sectors':
      disk.strikeLatent(LATENT_EVERY_NTH);
      return () => disk.latent.clear();
    case 'torn-write':
      return disk.faults.add({ fault: { kind: 'torn-write', status: DiskStatus.ioError } });
    case 'lost-write':
      return disk.faults.add({ fault: { kind: 'lost-write' } });
    case 'misdirected':
      return disk.faults.add({ fault: { kind: 'misdirected' } });
    case 'bit-rot':
      return disk.faults.add({ fault: { kind: 'bit-rot' }, ops: [DiskOp.write] });
    case 'flush-lies':
      return disk.faults.add({ fault: { kind: 'flush-lie' } });
  }
}
