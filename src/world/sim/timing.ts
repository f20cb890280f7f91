/**
 * How long things take in the simulator, apart from disks and links.
 *
 * The defaults are what the threads world was measured to take on a two-core virtual machine: a
 * worker's first message comes 40 ms after its start, `terminate` takes 2.5 ms, a thread sleeping
 * on a word wakes after some microseconds, a control call takes about 40 us there and back.
 */
export interface SimTiming {
  /** From `spawn` to the actor's start. */
  readonly spawnNs: number;
  /** From `kill` (or the end of its work) to `exited`. */
  readonly teardownNs: number;
  /** From ringing a bell to the step, on the average; drawn from half of it to one and a half. */
  readonly wakeNs: number;
  /** One way of a control call. */
  readonly callNs: number;
  /** Least time between two steps of an actor that says `again`; up to twice that by draw. */
  readonly againNs: number;
  /** Units of work a step may do. */
  readonly stepBudget: number;
}

export const DEFAULT_TIMING: SimTiming = {
  spawnNs: 40_000_000,
  teardownNs: 2_500_000,
  wakeNs: 5_000,
  callNs: 20_000,
  againNs: 50,
  stepBudget: 64,
};
