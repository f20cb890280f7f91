/**
 * What is wrong with a simulated disk: rules that are matched against each operation.
 *
 * `error` answers with a status and does nothing. `torn-write` stores some 512-byte sectors, leaves
 * the others as they were and answers with a status, which need not be an error. The others lie:
 * they answer `ok`. `lost-write` stores nothing, `misdirected` stores at another place and leaves
 * the old data where the new belongs, `bit-rot` flips one bit (of the data returned by a read, or
 * of what a write stores), `flush-lie` makes nothing durable. What must survive which of them is a
 * matter of contracts; a rule that lies is outside of most of them.
 */
import { invariant } from '../../base/invariant.ts';
import type { DiskStatus } from '../world.ts';
import { DiskOp } from './disk-timing.ts';

export type DiskFault =
  | { readonly kind: 'error'; readonly status: DiskStatus }
  | { readonly kind: 'lost-write' }
  | { readonly kind: 'torn-write'; readonly status: DiskStatus }
  | { readonly kind: 'misdirected' }
  | { readonly kind: 'bit-rot' }
  | { readonly kind: 'flush-lie' };

export interface DiskRule {
  readonly fault: DiskFault;
  /** Operations it applies to; all that the fault can strike unless said otherwise. */
  readonly ops?: readonly DiskOp[];
  /** Byte range that an operation must touch: `[from, to)`. A flush touches every range. */
  readonly range?: { readonly from: number; readonly to: number };
  /** Strikes the n-th operation that matches, from 1, and those after it. */
  readonly nth?: number;
  /** Strikes once and is gone. */
  readonly once?: boolean;
}

interface Active {
  readonly rule: DiskRule;
  readonly ops: readonly DiskOp[];
  matches: number;
}

const FAULT_OPS: Readonly<Record<DiskFault['kind'], readonly DiskOp[]>> = {
  error: [DiskOp.read, DiskOp.write, DiskOp.flush, DiskOp.zero],
  'lost-write': [DiskOp.write, DiskOp.zero],
  'torn-write': [DiskOp.write, DiskOp.zero],
  misdirected: [DiskOp.write],
  'bit-rot': [DiskOp.read, DiskOp.write],
  'flush-lie': [DiskOp.flush],
};

export class DiskFaults {
  #active: Active[] = [];
  #struckCount = 0;

  /** Adds a rule; returns what takes it away again. */
  add(rule: DiskRule): () => void {
    const possible = FAULT_OPS[rule.fault.kind];
    const ops = rule.ops ?? possible;
    invariant(
      ops.every((op) => possible.includes(op)),
      'a disk fault strikes only operations that it means something for',
    );
    const active: Active = { rule, ops, matches: 0 };
    this.#active.push(active);
    return () => {
      this.#active = this.#active.filter((other) => other !== active);
    };
  }

  clear(): void {
    this.#active = [];
  }

  /** How many operations were struck so far. */
  get struckCount(): number {
    return this.#struckCount;
  }

  /** The fault that strikes this operation: that of the first rule that does; null if none. */
  strike(op: DiskOp, position: number, lengthBytes: number): DiskFault | null {
    if (this.#active.length === 0) return null;
    for (const active of this.#active) {
      const { rule } = active;
      if (!active.ops.includes(op) || !touches(rule, op, position, lengthBytes)) continue;
      active.matches++;
      if (active.matches < (rule.nth ?? 1)) continue;
      if (rule.once === true) this.#active = this.#active.filter((other) => other !== active);
      this.#struckCount++;
      return rule.fault;
    }
    return null;
  }
}

function touches(rule: DiskRule, op: DiskOp, position: number, lengthBytes: number): boolean {
  if (rule.range === undefined || op === DiskOp.flush) return true;
  return position < rule.range.to && position + lengthBytes > rule.range.from;
}
