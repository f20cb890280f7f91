/**
 * What a guest does with its disk. The guest's actor owns the disk; a workload owns its requests.
 */
import type { Nanos } from '../base/units.ts';
import type { Blkfront } from './blkfront.ts';

export interface Workload {
  /** The disk was connected for the first time; its features are known. */
  begin(disk: Blkfront): void;
  /** Submits up to `budget` requests that may start now. Returns how many. */
  pump(budget: number, nowNs: Nanos): number;
  /** When `pump` would submit more although nothing completes; `NEVER` if only completions help. */
  nextDeadlineNs(): Nanos;
  finished(): boolean;
  /** Structured-cloneable. */
  result(): unknown;
  checkInvariants(): void;
}
