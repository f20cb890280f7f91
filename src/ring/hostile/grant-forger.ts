/**
 * Writes grant entries without any of the rules of `GrantTable`: not in order, not by
 * compare-and-swap, without asking whether somebody has the page mapped.
 */
import { FIRST_FREE_REF, type GrantEntries, GrantFlag } from '../grant-table.ts';

export class GrantForger {
  readonly entries: GrantEntries;
  /** A domain that is not the back end's. */
  readonly stranger: number;

  constructor(entries: GrantEntries, stranger: number) {
    this.entries = entries;
    this.stranger = stranger;
  }

  /** A reference that grants nothing now; the table's last, where all are taken. */
  freeRef(): number {
    const { entries } = this;
    for (let ref = entries.count - 1; ref >= FIRST_FREE_REF; ref--) {
      if ((entries.head(ref) & GrantFlag.typeMask) === 0) return ref;
    }
    return entries.count - 1;
  }

  /** Clears an entry, mapped or not. */
  wipe(ref: number): void {
    this.entries.setHead(ref, 0);
  }

  /** Writes an entry in one go and returns what was there. */
  forge(ref: number, head: number, frame: number): { head: number; frame: number } {
    const before = { head: this.entries.head(ref), frame: this.entries.frame(ref) };
    this.entries.setFrame(ref, frame);
    this.entries.setHead(ref, head);
    return before;
  }
}
