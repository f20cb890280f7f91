/**
 * Invariants stay on in production: a storage domain that goes on after its own law is broken
 * writes wrong data. A broken one is a bug, never caught, and ends the actor that broke it.
 */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Asserts a law. `law` is a constant text (interpolating costs 5 times the check): say the law. */
export function invariant(condition: boolean, law: string): asserts condition {
  if (!condition) fail(law);
}

/** Reports a broken law; for the rare place that wants values in the text. */
export function fail(law: string): never {
  throw new InvariantError(`broken invariant: ${law}`);
}

/** The `default` of an exhaustive switch. */
export function unreachable(value: never): never {
  return fail(`no case for ${JSON.stringify(value)}`);
}

/** Narrows away `undefined` where an index is known to be in range. */
export function present<T>(value: T | undefined | null, law: string): T {
  if (value === undefined || value === null) return fail(law);
  return value;
}
