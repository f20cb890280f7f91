/** Which slots of the data disks are free. A slot holds the 64 KiB of a chunk. */
import { invariant } from '../../base/invariant.ts';

interface DiskSlots {
  /** Row of the chunk that has the slot, plus one; 0: it is free. */
  readonly owners: Int32Array;
  free: number;
  next: number;
}

export class Slots {
  readonly #disks: readonly DiskSlots[];
  /** Results of `take`; `slot` is the number of the slot plus one, as rows have it. */
  disk = 0;
  slot = 0;

  /** `counts`: of each disk; 0 for one that is not to be used. */
  constructor(counts: readonly number[]) {
    this.#disks = counts.map((count) => ({ owners: new Int32Array(count), free: count, next: 0 }));
  }

  get free(): number {
    return this.#disks.reduce((sum, { free }) => sum + free, 0);
  }

  get used(): number {
    return this.#disks.reduce((sum, { owners, free }) => sum + owners.length - free, 0);
  }

  /** Row of the chunk that has it, or -1. */
  ownerOf(disk: number, slot: number): number {
    return (this.#disks[disk]?.owners[slot - 1] ?? 0) - 1;
  }

  /** Takes a slot of the emptiest disk; it is in `disk` and `slot`. False: there is none. */
  take(row: number): boolean {
    let best: DiskSlots | null = null;
    for (let i = 0; i < this.#disks.length; i++) {
      const disk = this.#disks[i] as DiskSlots;
      if (disk.free <= (best?.free ?? 0)) continue;
      best = disk;
      this.disk = i;
    }
    if (best === null) return false;
    while (best.owners[best.next] !== 0) best.next = (best.next + 1) % best.owners.length;
    best.owners[best.next] = row + 1;
    best.free--;
    this.slot = best.next + 1;
    return true;
  }

  /** A chunk has it already. False: another one has it too, or there is no such slot. */
  claim(disk: number, slot: number, row: number): boolean {
    const of = this.#disks[disk];
    if (of === undefined || of.owners[slot - 1] !== 0) return false;
    of.owners[slot - 1] = row + 1;
    of.free--;
    return true;
  }

  release(disk: number, slot: number): void {
    const of = this.#disks[disk];
    invariant(of !== undefined && of.owners[slot - 1] !== 0, 'a slot is given back once');
    of.owners[slot - 1] = 0;
    of.free++;
  }
}
