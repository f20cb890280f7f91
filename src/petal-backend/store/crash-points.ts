/** Where a store may be ended inside a step: in the order of a mutation, then of a start. */
export const STORE_CRASH_POINTS = [
  'store.before-write',
  'store.after-write',
  'store.before-flush',
  'store.after-flush',
  'store.before-relocate',
  'store.before-data',
  'store.before-data-flush',
  'store.after-data',
  'store.before-pages',
  'store.between-copies',
  'store.after-pages',
  'store.after-replay',
  'store.after-broken',
  'store.after-data-superblocks',
  'store.after-incarnation',
] as const;
