/**
 * A request of the replay workload with its buffer: reused, one for each that may be outstanding.
 */
import { type FrameNo, type Nanos, SECTORS_PER_PAGE } from '../base/units.ts';
import { HistoryKind } from '../world/history.ts';
import type { DiskModel } from './disk-model.ts';
import type { GuestFrames } from './frames.ts';
import { FrontRequest, type FrontStatus } from './front-request.ts';

export class ReplaySlot extends FrontRequest {
  readonly #onDone: (slot: ReplaySlot, status: FrontStatus) => void;
  kind: HistoryKind = HistoryKind.read;
  /** Number of its record in the history. */
  record = 0;
  /** When it was meant to start. */
  dueNs: Nanos = 0 as Nanos;
  busy = false;
  readBack = false;
  retries = 0;
  /** Writes that were acknowledged when it was submitted; for a flush. */
  flushesBefore = 0;
  /** Write index each sector of a read must have. */
  expected: Uint32Array = new Uint32Array(SECTORS_PER_PAGE);
  #frame: FrameNo | null = null;

  constructor(onDone: (slot: ReplaySlot, status: FrontStatus) => void) {
    super();
    this.#onDone = onDone;
  }

  override frontDone(status: FrontStatus): void {
    this.#onDone(this, status);
  }

  /** Pages for the data. False when the guest has none free now. */
  takeBuffer(frames: GuestFrames): boolean {
    const needsData = this.kind !== HistoryKind.flush && this.kind !== HistoryKind.discard;
    if (!needsData) return true;
    const frame = frames.take(Math.ceil(this.sectors / SECTORS_PER_PAGE));
    if (frame === null) return false;
    this.#frame = frame;
    this.address = frames.address(frame);
    return true;
  }

  giveBuffer(frames: GuestFrames): void {
    if (this.#frame !== null) frames.give(this.#frame);
    this.#frame = null;
  }

  /** Notes what a read submitted now must find. */
  expect(model: DiskModel): void {
    if (this.expected.length < this.sectors) this.expected = new Uint32Array(this.sectors);
    model.expect(this.lba, this.sectors, this.expected);
  }
}
