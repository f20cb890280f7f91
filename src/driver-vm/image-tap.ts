/**
 * What an image reports, written to the order tap as it is reported: so that a run can ask later
 * whether what was said to be safe was there after a loss.
 */
import type { VdiListener } from '../parallax/vdi/vdi.ts';
import { type OrderTap, TapKind } from '../world/history.ts';
import type { Clock } from '../world/world.ts';

export class ImageTap implements VdiListener {
  readonly #tap: OrderTap;
  readonly #disk: number;
  readonly #clock: Clock;

  /** `clock`: time of the run. */
  constructor(tap: OrderTap, disk: number, clock: Clock) {
    this.#tap = tap;
    this.#disk = disk;
    this.#clock = clock;
  }

  published(vdiSeq: number, generation: number, inOrder: boolean): void {
    this.#tell(TapKind.published, inOrder ? 0 : 1, vdiSeq, generation);
  }

  epochEnded(vdiSeq: number, generation: number, asked: boolean): void {
    this.#tell(TapKind.epoch, asked ? 0 : 1, vdiSeq, generation);
  }

  snapshotTaken(id: number, vdiSeq: number, generation: number): void {
    this.#tell(TapKind.snapshot, id, vdiSeq, generation);
  }

  policyChanged(policy: number, vdiSeq: number, generation: number): void {
    this.#tell(TapKind.policy, policy, vdiSeq, generation);
  }

  #tell(kind: TapKind, a: number, vdiSeq: number, generation: number): void {
    this.#tap.tell(kind, this.#disk, a, 0, vdiSeq, generation, this.#clock.nowNs());
  }
}
