/** An entry of the log that writes no block, and whoever waits for it. */
import type { DirtyBlock } from '../wire/messages.ts';
import { type PairNote, StoreStatus } from './chunk-store.ts';
import { type IntentEntry, IntentOp } from './formats/intent-group.ts';
import type { EntryOwner } from './intent-arena.ts';

export class ControlEntry implements EntryOwner {
  readonly op: IntentOp;
  readonly gmap: number;
  readonly group: number;
  readonly #member: number;
  readonly #note: PairNote | null;
  readonly #block: DirtyBlock | null;
  readonly done: Promise<StoreStatus>;
  #settle: (status: StoreStatus) => void = () => {};

  /** `member`: of markAll and mark. `note`: of setPair. `block`: of mark. */
  constructor(
    op: IntentOp,
    gmap: number,
    group: number,
    member: number,
    note: PairNote | null = null,
    block: DirtyBlock | null = null,
  ) {
    this.op = op;
    this.gmap = gmap;
    this.group = group;
    this.#member = member;
    this.#note = note;
    this.#block = block;
    this.done = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  storeDone(status: StoreStatus): void {
    this.#settle(status);
  }

  fill(entry: IntentEntry): void {
    Object.assign(entry, NOTHING);
    entry.op = this.op;
    entry.gmap = this.gmap;
    entry.group = this.group;
    entry.missing = this.#member;
    if (this.#block !== null) Object.assign(entry, this.#block, { blocks: 1 });
    entry.term = this.#note?.lastTerm ?? 0;
    entry.words.fill(0);
    for (const [member, term] of (this.#note?.markedSince ?? []).entries()) {
      entry.words[member] = term;
    }
  }
}

const NOTHING = {
  blocks: 0,
  dirty: false,
  vdisk: 0,
  epoch: 0,
  block: 0,
  rowDisk: 0,
  row: 0,
  slotDisk: 0,
  slot: 0,
  n: 0,
  session: 0,
  seq: 0,
  conditional: 0,
};
