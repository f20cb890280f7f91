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
