/**
 * Which requests of a disk may run beside each other.
 *
 * The rule (contract, "Ring and restart"): overlapping requests of one queue take effect in ring
 * order; a read that overlaps a mutation which is not yet acknowledged waits for it, so that reads
 * never go back; a barrier waits for everything before it and everything after waits for the
 * barrier.
 *
 * Requests are held in order of arrival at the disk, over all its queues. A request may run when no
 * earlier one that is still here conflicts with it; two requests conflict when their sectors
 * overlap and at least one mutates, or when one is a barrier. Both running and waiting requests
 * count, so nothing overtakes a waiting request that it conflicts with: no starvation.
 *
 * A device that numbers mutations itself, as they are submitted, is given them in the order of
 * arrival: there a mutation waits behind every mutation that waits (`inOrder`). Reads that overlap
 * nothing pass.
 *
 * The search is linear over what is in flight. A device that completes inline leaves nothing in
 * flight and pays nothing; for the others a request costs microseconds and the pool is at most a
 * few hundred entries.
 */
import { invariant } from '../base/invariant.ts';
import type { RequestRecord } from './request.ts';

export class OverlapTracker {
  /** The first `#count` are in use; as long as there were ever requests at once. */
  readonly #held: (RequestRecord | null)[] = [];
  #count = 0;
  #waiting = 0;
  #arrivals = 0;
  /** The planted bug `ignored-overlap`: nothing ever conflicts. */
  readonly #isBlind: boolean;
  readonly #inOrder: boolean;

  constructor(isBlind = false, inOrder = false) {
    this.#isBlind = isBlind;
    this.#inOrder = inOrder;
  }

  get held(): number {
    return this.#count;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Enters a request. True when it may run now; otherwise it waits until `release` names it. */
  admit(record: RequestRecord): boolean {
    record.arrival = this.#arrivals++;
    record.running = !this.#conflictsBefore(record, this.#count);
    this.#held[this.#count++] = record;
    if (!record.running) this.#waiting++;
    return record.running;
  }

  /**
   * Takes a finished request out and calls `run` for each waiting one that may run now, in order of
   * arrival. `run` may finish its request inline, and so call `release` again.
   */
  release(record: RequestRecord, run: (ready: RequestRecord) => void): void {
    const at = this.#held.indexOf(record);
    invariant(at >= 0 && at < this.#count, 'a request leaves the tracker once');
    for (let i = at; i < this.#count - 1; i++) this.#held[i] = this.#held[i + 1] ?? null;
    this.#held[--this.#count] = null;
    while (this.#waiting > 0) {
      const ready = this.#firstReady();
      if (ready === null) return;
      ready.running = true;
      this.#waiting--;
      run(ready);
    }
  }

  #firstReady(): RequestRecord | null {
    for (let i = 0; i < this.#count; i++) {
      const candidate = this.#held[i] as RequestRecord;
      if (!candidate.running && !this.#conflictsBefore(candidate, i)) return candidate;
    }
    return null;
  }

  #conflictsBefore(record: RequestRecord, end: number): boolean {
    if (this.#isBlind) return false;
    for (let i = 0; i < end; i++) {
      const earlier = this.#held[i] as RequestRecord;
      if (this.#inOrder && record.mutates && earlier.mutates && !earlier.running) return true;
      if (conflict(earlier, record)) return true;
    }
    return false;
  }
}

function conflict(a: RequestRecord, b: RequestRecord): boolean {
  if (a.barrier || b.barrier) return true;
  if (!a.mutates && !b.mutates) return false;
  return a.lba < b.lba + b.sectors && b.lba < a.lba + a.sectors;
}
