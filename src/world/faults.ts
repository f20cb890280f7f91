/** Names of faults and of the places they strike: one vocabulary for both worlds. */

/** Where the simulator may end an actor inside a step, in the order a request passes them. */
export const CRASH_POINTS = [
  'front.after-slot-copy',
  'front.before-index-publish',
  'front.after-index-publish',
  'back.after-request-copy',
  'back.after-order-given',
  'back.before-device-submit',
  'back.before-response-publish',
  'back.after-response-publish',
  'extent.before-claim',
  'extent.after-claim',
  'extent.before-map-write',
  'extent.after-map-write',
  'extent.before-give-back',
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

/** Bugs that can be switched on to see the checks bite. */
export const PLANTED_BUGS = [
  /** Restart: a successor is given the old rings as they are. */
  'naive-reattach',
  /** Restart: what is unanswered is replayed by slot, not in `frontSeq` order. */
  'unordered-replay',
  /** Restart: the newest unanswered request is not replayed. */
  'forgotten-replay',
  /** Order: numbers are given after the acknowledgement. */
  'late-sequence',
  /** Ring: overlapping requests run beside each other. */
  'ignored-overlap',
  /** Ring: the last page of a write of several pages is not copied. */
  'short-copy',
  /** Grants: now and then a mapping is not given back. */
  'leaked-mapping',
  /** File device: a write is acknowledged before the disk has it. */
  'early-write',
  /** File device: a flush is acknowledged and not done. */
  'skipped-flush',
] as const;
export type PlantedBug = (typeof PLANTED_BUGS)[number] | 'none';

/** When a fault strikes. Progress and time work in both worlds, events only in the simulator. */
export type Trigger =
  | { readonly kind: 'time'; readonly atNs: number }
  /** Share of the requests of the host's guests (or of the guest) that were issued, in [0, 1]. */
  | { readonly kind: 'progress'; readonly share: number }
  /** Instead of the actor's n-th event from the start of the run. */
  | { readonly kind: 'event'; readonly nth: number }
  /**
   * Instead of the n-th event of a driver VM, counted from the start of a successor: in recovery.
   */
  | { readonly kind: 'recovery'; readonly nth: number }
  /** Where the actor passes a crash point for the n-th time. */
  | { readonly kind: 'crash-point'; readonly point: CrashPoint; readonly nth: number };

/**
 * What goes wrong with a disk. All but the last three are within what a file device promises for.
 */
export const DISK_TROUBLES = [
  /** Every operation takes 20 times as long. */
  'slow',
  /** Nothing completes for a while. */
  'stall',
  'read-error',
  'write-error',
  'no-space',
  /** One flush fails; what was written before it may be lost. */
  'flush-fails',
  /** The first 32 KiB cannot be read for a while. */
  'latent-sectors',
  /** Beyond the contract: acknowledged, never stored. */
  'lost-write',
  /** Beyond the contract: data changes on the medium. */
  'bit-rot',
  /** Beyond the contract: a flush that flushes nothing. */
  'flush-lies',
] as const;
export type DiskTrouble = (typeof DISK_TROUBLES)[number];
export const BEYOND_CONTRACT: readonly DiskTrouble[] = ['lost-write', 'bit-rot', 'flush-lies'];

/**
 * What strikes whom. What dies is restarted by the runner, after the scenario's delay; what is said
 * to last is healed when its time is over.
 */
export type Fault = { readonly when: Trigger } & (
  | { readonly kind: 'kill-driver'; readonly host: string }
  | { readonly kind: 'pause-driver'; readonly host: string; readonly forNs: number }
  | { readonly kind: 'kill-guest'; readonly guest: string }
  | { readonly kind: 'hang-guest'; readonly guest: string; readonly forNs: number }
  /** Every actor of the host dies, its RAM is lost, its disks keep what is durable. */
  | { readonly kind: 'power-cut'; readonly host: string }
  /** Trouble with the disk of a guest. */
  | {
      readonly kind: 'disk';
      readonly guest: string;
      readonly trouble: DiskTrouble;
      readonly forNs: number;
    }
);
