/**
 * What a chunk store was told, in plain maps, and what it may have after a crash.
 *
 * `Ledger` has all steps that change anything durable, in the order in which they were begun, and
 * what their owners were told. A recovery must find the state after some prefix of that order which
 * ends not before the last step that was done; `judge` finds that prefix, and strikes the rest from
 * the ledger for ever. Dirty and missing blocks are judged by the safe direction.
 */
import type { Term } from '../../../src/base/units.ts';
import type { PairNote } from '../../../src/petal-backend/store/chunk-store.ts';
import { MutationOp } from '../../../src/petal-backend/wire/messages.ts';

export const BLOCKS_OF_DISK = 64;
export const EPOCHS = 3;
export const VDISKS = 2;
export const GMAP = 7;

export interface Facts {
  readonly term: number;
  readonly n: number;
  readonly session: number;
  readonly seq: number;
  readonly conditional: number;
  /** 0: no data. Else what its data were made from. */
  readonly stamp: number;
  readonly dirty: boolean;
  readonly missing: number;
  /** Number of the last step that marked it without writing it; 0: none since it was written. */
  readonly markedBy: number;
}

export interface Step {
  readonly number: number;
  readonly kind: 'mutate' | 'markAll' | 'setPair';
  readonly group: number;
  readonly op: MutationOp;
  readonly vdisk: number;
  readonly epoch: number;
  readonly block: number;
  readonly blocks: number;
  readonly term: number;
  readonly n: number;
  readonly session: number;
  readonly seq: number;
  readonly conditional: number;
  readonly missing: number;
  readonly dirty: boolean;
  readonly stamp: number;
  readonly member: number;
  readonly note: PairNote | null;
  status: 'waits' | 'done' | 'failed';
}

/** The state after some steps. Blocks by `group/vdisk/epoch/block`. */
export class Model {
  readonly blocks: Map<string, Facts> = new Map();
  readonly notes: Map<number, PairNote> = new Map();
  readonly lastN: Map<string, number> = new Map();

  static key(group: number, vdisk: number, epoch: number, block: number): string {
    return `${group}/${vdisk}/${epoch}/${block}`;
  }

  apply(step: Step): void {
    if (step.kind === 'setPair') this.notes.set(step.group, step.note as PairNote);
    if (step.kind === 'markAll') {
      for (const [key, facts] of this.blocks) {
        if (!key.startsWith(`${step.group}/`)) continue;
        this.blocks.set(key, {
          ...facts,
          missing: facts.missing | (1 << step.member),
          markedBy: step.number,
        });
      }
    }
    if (step.kind !== 'mutate') return;
    for (let i = 0; i < step.blocks; i++) {
      const block = step.block + i;
      const before = this.seen(step.group, step.vdisk, step.epoch, block);
      this.blocks.set(Model.key(step.group, step.vdisk, step.epoch, block), {
        term: step.term,
        n: step.n,
        session: step.session,
        seq: step.seq,
        conditional: step.op === MutationOp.writeIf ? step.conditional : (before?.conditional ?? 0),
        stamp: step.op === MutationOp.trim ? 0 : step.stamp + i,
        dirty: step.dirty,
        missing: step.missing,
        markedBy: 0,
      });
    }
    const key = `${step.group}/${step.term}`;
    this.lastN.set(key, Math.max(this.lastN.get(key) ?? 0, step.n));
  }

  /** As a read of the epoch sees it. */
  seen(group: number, vdisk: number, epoch: number, block: number): Facts | undefined {
    for (let at = epoch; at >= 0; at--) {
      const found = this.blocks.get(Model.key(group, vdisk, at, block));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** Everything that a store says of itself. Keys as `Model.key` makes them. */
export interface Found {
  /** As a read of each epoch sees each block; what was never written is not in it. */
  readonly seen: ReadonlyMap<string, Omit<Facts, 'dirty' | 'missing' | 'markedBy'>>;
  readonly dirty: ReadonlySet<string>;
  readonly missing: ReadonlyMap<string, number>;
  note(group: number): PairNote;
  lastN(group: number, term: number): number;
}

interface Version {
  readonly term: number;
  readonly n: number;
}

interface Arrival extends Version {
  /** Number of the step before it. */
  readonly after: number;
}

function isUpTo(version: Version, limit: Version | undefined): boolean {
  if (limit === undefined || version.term > limit.term) return false;
  return version.term < limit.term || version.n <= limit.n;
}

export class Ledger {
  steps: Step[] = [];
  n = 0;
  seq = 0;
  stamp = 0;
  term = 1;
  incarnation = 0;
  /**
   * Up to which version a group's blocks were told to be clean: after a crash they may be or not.
   */
  readonly committed: Map<number, Version> = new Map();
  /** The same for blocks that have arrived at member 1, by key. */
  readonly arrived: Map<string, Arrival> = new Map();
  number = 0;

  /** The model after the first `count` steps. */
  model(count: number = this.steps.length): Model {
    const model = new Model();
    for (const step of this.steps.slice(0, count)) if (step.status !== 'failed') model.apply(step);
    return model;
  }

  /**
   * The store, after a crash, has `found`. Strikes what it does not have. What is wrong, or null.
   */
  judge(found: Found): string | null {
    const live = this.steps.filter(({ status }) => status !== 'failed');
    const lastDone = live.findLastIndex(({ status }) => status === 'done') + 1;
    let problem = '';
    for (let count = live.length; count >= lastDone; count--) {
      this.steps = live.slice(0, count);
      const one = this.difference(this.model(), found);
      if (one === null) {
        for (const step of this.steps) step.status = 'done';
        return null;
      }
      problem = one;
    }
    this.steps = live;
    return `no prefix from ${lastDone} to ${live.length} fits; for the shortest: ${problem}`;
  }

  /** What of `found` is not as `wanted` has it; what was cleaned may be clean or not. */
  difference(wanted: Model, found: Found): string | null {
    const fields = ['term', 'n', 'session', 'seq', 'conditional', 'stamp'] as const;
    for (const [key, have] of found.seen) {
      const [group, vdisk, epoch, block] = key.split('/').map(Number) as [
        number,
        number,
        number,
        number,
      ];
      const want = wanted.seen(group, vdisk, epoch, block);
      if (want === undefined) return `${key} was never written`;
      for (const field of fields) {
        if (want[field] !== have[field]) {
          return `${key}: ${field} is ${have[field]}, not ${want[field]}`;
        }
      }
    }
    for (const [key, want] of wanted.blocks) {
      if (!found.seen.has(key)) return `${key} is not there`;
      const [group] = key.split('/').map(Number) as [number];
      const isDirty = found.dirty.has(key);
      const mayBeClean = isUpTo(want, this.committed.get(group));
      if (want.dirty !== isDirty && !(want.dirty && mayBeClean)) return `${key}: dirty ${isDirty}`;
      const missing = found.missing.get(key) ?? 0;
      const arrival = this.arrived.get(key);
      const isLater = arrival !== undefined && arrival.after >= want.markedBy;
      const mayDiffer = isLater && isUpTo(want, arrival) ? 2 : 0;
      if (((want.missing ^ missing) & ~mayDiffer) !== 0) return `${key}: missing ${missing}`;
      if ((missing & ~want.missing) !== 0) return `${key}: missing too much, ${missing}`;
    }
    for (const [group, note] of wanted.notes) {
      const have = JSON.stringify(found.note(group));
      if (have !== JSON.stringify(note)) return `note of ${group}: ${have}`;
    }
    for (const [key, n] of wanted.lastN) {
      const [group, term] = key.split('/').map(Number) as [number, number];
      if (found.lastN(group, term) < n) return `last n of ${key} is too low`;
    }
    return null;
  }
}

export function noteOf(lastTerm: number, marked: number): PairNote {
  return { lastTerm: lastTerm as Term, markedSince: [0, marked, 0] as Term[] };
}
