/**
 * Write-back policies: what an acknowledgement of a virtual disk image means.
 *
 * A policy is a set of clauses, and the code asks for clauses, never for a name. What each policy
 * promises after which crash is in docs/durability.md.
 *
 * ```
 * policy              acknowledged when                      a flush waits for
 * W0 write-through    under a published root                 nothing
 * W1 pool-flush       in the log file                        all before it under a published root
 * W2 ordered          in the log, synced                     nothing
 * W3 barrier-ordered  in the log file                        a sync of the log
 * W4 unordered        in the log, synced                     nothing; published in address order
 * W5 unsafe           in memory                              nothing
 * ```
 */
import { UsageError } from '../../base/errors.ts';

export const Policy = { w0: 0, w1: 1, w2: 2, w3: 3, w4: 4, w5: 5 } as const;
export type Policy = (typeof Policy)[keyof typeof Policy];

export interface Clauses {
  readonly policy: Policy;
  readonly name: string;
  /** Mutations go through the log before they are acknowledged. */
  readonly logged: boolean;
  /** An acknowledgement waits for the sync of its group. */
  readonly syncBeforeAck: boolean;
  /** An acknowledgement waits for a published root. */
  readonly publishBeforeAck: boolean;
  readonly flush: 'nothing' | 'sync' | 'publish';
  /** A batch ends only where a flush was: the pool sees whole epochs. */
  readonly wholeEpochs: boolean;
  /** Batches are published in the order of the disk. */
  readonly inOrder: boolean;
}

const CLAUSES: readonly Clauses[] = [
  clauses(Policy.w0, 'W0', { logged: false, publishBeforeAck: true }),
  clauses(Policy.w1, 'W1', { syncBeforeAck: false, flush: 'publish' }),
  clauses(Policy.w2, 'W2', {}),
  clauses(Policy.w3, 'W3', { syncBeforeAck: false, flush: 'sync', wholeEpochs: true }),
  clauses(Policy.w4, 'W4', { inOrder: false }),
  clauses(Policy.w5, 'W5', { logged: false, syncBeforeAck: false }),
];

/** Whether what was acknowledged is in memory alone: the death of the driver VM loses it. */
export function isVolatile({ logged, publishBeforeAck }: Clauses): boolean {
  return !logged && !publishBeforeAck;
}

export const POLICY_NAMES: readonly string[] = CLAUSES.map(({ name }) => name);

export function clausesOf(policy: Policy): Clauses {
  return CLAUSES[policy] as Clauses;
}

/** Whether a number read from a disk or a log names a policy. */
export function isPolicy(value: number): value is Policy {
  return CLAUSES[value] !== undefined;
}

/** Reads `W2` or `w2`. Throws `UsageError` for anything else. */
export function parsePolicy(text: string): Policy {
  const found = CLAUSES.find(({ name }) => name === text.toUpperCase());
  if (found !== undefined) return found.policy;
  throw new UsageError(
    'E_POLICY',
    `"${text}" is not a write-back policy: expected one of ${POLICY_NAMES.join(', ')}`,
    { fields: { policy: text } },
  );
}

function clauses(policy: Policy, name: string, differing: Partial<Clauses>): Clauses {
  return {
    policy,
    name,
    logged: true,
    syncBeforeAck: true,
    publishBeforeAck: false,
    flush: 'nothing',
    wholeEpochs: false,
    inOrder: true,
    ...differing,
  };
}
