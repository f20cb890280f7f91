/**
 * Traps: while the simulator runs, what would make two runs of a seed differ throws.
 *
 * They are in force while the pump is active, not around each event: between two events there is
 * nothing but promise jobs, most of them the actors' own continuations, and these must be trapped
 * too. No timer, socket or worker message of anybody else (a test runner, a progress line) can run
 * in that time, because the pump never returns to the event loop; when it does (at its end, or to
 * let the process breathe) the traps are gone. Installing them costs some microseconds, so around
 * each event would also be too slow.
 *
 * Only what can be reached from the global object is replaced, never a method of the real `Date` or
 * `performance`: code that took its own reference before (Node itself, a test runner) goes on
 * undisturbed. What is deterministic stays: promises, `queueMicrotask`, `structuredClone`, and
 * `process.nextTick`, which is the pump itself.
 */
export class DeterminismError extends Error {
  override readonly name = 'DeterminismError';
  /** What was touched: `Date.now`, `Math.random`. */
  readonly touched: string;
  constructor(touched: string) {
    super(
      `${touched} was used in the simulator: take it from the World, or the seed means nothing`,
    );
    this.touched = touched;
  }
}

/** Something to be trapped, as it was. */
interface Found {
  readonly holder: object;
  readonly key: string;
  readonly descriptor: PropertyDescriptor;
  readonly trap: unknown;
}

/** Globals that are functions or constructors: calling one throws, and so do its static methods. */
const TRAPPED_GLOBALS: readonly string[] = [
  'Date',
  'WeakRef',
  'FinalizationRegistry',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'fetch',
  'MessageChannel',
  'BroadcastChannel',
  'WebSocket',
  'EventSource',
];

/** Globals that are objects: reading any property throws. */
const TRAPPED_OBJECTS: readonly string[] = ['performance', 'crypto', 'navigator'];

/** Methods of objects that also hold harmless things. */
const TRAPPED_METHODS: readonly (readonly [holder: string, key: string])[] = [
  ['Math', 'random'],
  ['Atomics', 'wait'],
  ['Atomics', 'waitAsync'],
  ['Atomics', 'notify'],
  ['process', 'hrtime'],
  ['process', 'uptime'],
  ['process', 'cpuUsage'],
  ['process', 'memoryUsage'],
];

/** Puts the traps in place and returns what takes them away again, once. */
export function installTraps(): () => void {
  const globals: object = globalThis;
  const found: Found[] = [];
  for (const name of TRAPPED_GLOBALS) find(found, globals, name, trappedFunction(name));
  for (const name of TRAPPED_OBJECTS) find(found, globals, name, trappedObject(name));
  for (const [holderName, key] of TRAPPED_METHODS) {
    const holder: unknown = Reflect.get(globals, holderName);
    if (typeof holder !== 'object' || holder === null) continue;
    find(found, holder, key, trappedFunction(`${holderName}.${key}`));
  }
  // Only now that all were looked up: looking one up may load it, and what is loaded uses others.
  for (const { holder, key, descriptor, trap } of found) {
    Object.defineProperty(holder, key, {
      value: trap,
      configurable: true,
      enumerable: descriptor.enumerable ?? false,
      writable: true,
    });
  }
  return () => {
    for (const { holder, key, descriptor } of found.splice(0).reverse()) {
      Object.defineProperty(holder, key, descriptor);
    }
  };
}

function find(found: Found[], holder: object, key: string, trap: unknown): void {
  const descriptor = Object.getOwnPropertyDescriptor(holder, key);
  // Absent on this Node, or not ours to change: nothing of the core can depend on it unseen,
  // because the core is compiled without it.
  if (descriptor === undefined || descriptor.configurable !== true) return;
  found.push({ holder, key, descriptor, trap });
}

function trappedFunction(name: string): unknown {
  const touched = (): never => {
    throw new DeterminismError(name);
  };
  return new Proxy(function trapped() {}, {
    apply: touched,
    construct: touched,
    get: (target, key) => {
      // `x instanceof Date` asks only what x is.
      if (key === 'prototype' || key === Symbol.hasInstance) return Reflect.get(target, key);
      throw new DeterminismError(`${name}.${String(key)}`);
    },
  });
}

function trappedObject(name: string): unknown {
  return new Proxy(
    {},
    {
      get: (_target, key) => {
        throw new DeterminismError(`${name}.${String(key)}`);
      },
    },
  );
}
