/** The entries that a voter keeps: those after `base`, whose effects are in a stored state. */
import { invariant } from '../../base/invariant.ts';
import type { LogEntry } from './messages.ts';

export class SlotLog {
  #baseSlot: number;
  #baseBallot: number;
  #entries: LogEntry[];

  constructor(baseSlot: number, baseBallot: number, entries: readonly LogEntry[]) {
    this.#baseSlot = baseSlot;
    this.#baseBallot = baseBallot;
    this.#entries = [...entries];
    entries.forEach(({ slot }, at) => {
      invariant(slot === baseSlot + 1 + at, 'entries of a log follow each other');
    });
  }

  get baseSlot(): number {
    return this.#baseSlot;
  }

  get baseBallot(): number {
    return this.#baseBallot;
  }

  get lastSlot(): number {
    return this.#baseSlot + this.#entries.length;
  }

  get lastBallot(): number {
    return this.#entries.at(-1)?.ballot ?? this.#baseBallot;
  }

  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  /** Ballot of a slot that is kept, or of the base; -1 for any other. */
  ballotAt(slot: number): number {
    if (slot === this.#baseSlot) return this.#baseBallot;
    return this.#entries[slot - this.#baseSlot - 1]?.ballot ?? -1;
  }

  at(slot: number): LogEntry | undefined {
    return this.#entries[slot - this.#baseSlot - 1];
  }

  /** Entries from `slot` on: at most `countMax`, and about `bytesMax` of commands. */
  from(slot: number, countMax: number, bytesMax: number): readonly LogEntry[] {
    const some: LogEntry[] = [];
    let lengthBytes = 0;
    for (let next = slot; some.length < countMax && lengthBytes < bytesMax; next++) {
      const entry = this.at(next);
      if (entry === undefined) break;
      some.push(entry);
      lengthBytes += entry.command.length;
    }
    return some;
  }

  /** Puts an entry into its slot; what was there and behind it is gone. */
  put(entry: LogEntry): void {
    invariant(entry.slot > this.#baseSlot && entry.slot <= this.lastSlot + 1, 'a log has no holes');
    this.#entries.length = entry.slot - this.#baseSlot - 1;
    this.#entries.push(entry);
  }

  /** Forgets the entries up to `slot`. */
  forget(slot: number): void {
    if (slot <= this.#baseSlot) return;
    this.#baseBallot = this.ballotAt(slot);
    this.#entries = this.#entries.slice(slot - this.#baseSlot);
    this.#baseSlot = slot;
  }

  /** Forgets everything: the state holds all up to `slot`. */
  restart(slot: number, ballot: number): void {
    this.#baseSlot = slot;
    this.#baseBallot = ballot;
    this.#entries = [];
  }
}
