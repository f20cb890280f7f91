/**
 * A time in which the driver VM of a host was gone or not yet serving, as it is kept while a run
 * goes on.
 */
import type { Crash } from './scenario.ts';

export interface OutageTrack {
  readonly host: string;
  readonly killedAtNs: number;
  /** What began it: the host went down in it, or else its driver VM alone. */
  crash: Crash;
  /** A successor died before it served. */
  diedAgain: boolean;
  /** null: not serving again yet. */
  servingAtNs: number | null;
}
