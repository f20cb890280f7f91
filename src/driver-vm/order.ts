/**
 * The order of a disk: every accepted mutation gets a `vdiSeq` when its payload has been copied, in
 * ring order, and the order tap hears of it before the device does and before the guest does.
 *
 * The tap is a shared buffer of the runner, outside the worker that can be killed; a successor goes
 * on counting where the tap ends, so that no number is used twice. Several disks of one driver VM
 * share its tap and each has its own count.
 */
import type { Generation, VdiSeq } from '../base/units.ts';
import type { SideEntry } from '../ring/side-page.ts';
import { type OrderTap, TapKind } from '../world/history.ts';

export class DiskOrder {
  readonly #tap: OrderTap | null;
  readonly #disk: number;
  readonly #frontId: number;
  readonly #generation: Generation;
  #next = 1;
  /**
   * The planted bug `late-sequence`: numbers are given after the acknowledgement, to whoever comes
   * last first. null in a sound driver VM.
   */
  readonly #postponed: { side: SideEntry; queue: number }[] | null;

  constructor(
    tap: OrderTap | null,
    disk: number,
    frontId: number,
    generation: Generation,
    givenLate: boolean,
  ) {
    this.#tap = tap;
    this.#disk = disk;
    this.#frontId = frontId;
    this.#generation = generation;
    this.#postponed = givenLate ? [] : null;
    for (let at = (tap?.length ?? 0) - 1; at >= 0 && tap !== null; at--) {
      const record = tap.record(at);
      if (record.disk !== disk || record.kind !== TapKind.mutation) continue;
      this.#next = record.vdiSeq + 1;
      break;
    }
  }

  /** Whether anybody asks for the order, and when each number was given. */
  get isTapped(): boolean {
    return this.#tap !== null;
  }

  get givenLate(): boolean {
    return this.#postponed !== null;
  }

  /** Gives a validated mutation its place in the disk's order, at a time of the run. */
  give(side: SideEntry, queue: number, runNs: number): VdiSeq {
    const vdiSeq = this.#next++;
    this.#tap?.append(
      this.#disk,
      this.#frontId,
      side.frontSeq,
      side.writeIndex,
      vdiSeq,
      this.#generation,
      queue,
      runNs,
    );
    return vdiSeq as VdiSeq;
  }

  postpone(side: SideEntry, queue: number): void {
    this.#postponed?.push({ side: { ...side }, queue });
  }

  givePostponed(runNs: number): void {
    for (let last = this.#postponed?.pop(); last !== undefined; last = this.#postponed?.pop()) {
      this.give(last.side, last.queue, runNs);
    }
  }
}
