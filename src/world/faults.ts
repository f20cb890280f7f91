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
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

/** Bugs that can be switched on to see the checks bite. */
export const PLANTED_BUGS = ['naive-reattach', 'unordered-replay', 'late-sequence'] as const;
export type PlantedBug = (typeof PLANTED_BUGS)[number] | 'none';

/** When a fault strikes. Progress and time work in both worlds, events only in the simulator. */
export type Trigger =
  | { readonly kind: 'time'; readonly atNs: number }
  /** Share of the requests of the host's guests (or of the guest) that were issued, in [0, 1]. */
  | { readonly kind: 'progress'; readonly share: number }
  /** Instead of the actor's n-th event from the start of the run. */
  | { readonly kind: 'event'; readonly nth: number }
  /** Where the actor passes a crash point for the n-th time. */
  | { readonly kind: 'crash-point'; readonly point: CrashPoint; readonly nth: number };

/** What strikes whom. The victim is restarted by the runner, after the scenario's delay. */
export type Fault =
  | { readonly kind: 'kill-driver'; readonly host: string; readonly when: Trigger }
  | { readonly kind: 'kill-guest'; readonly guest: string; readonly when: Trigger };
