/** Where the trace tests find their files, and what they compare. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { UsageError } from '../../src/base/errors.ts';
import type { Trace } from '../../src/traces/trace.ts';
import { RequestKind } from '../../src/world/history.ts';

const ROOT: string = process.cwd();
const SHARED: string = process.env['STORDOM_SHARED'] ?? resolve(ROOT, '../shared');

/** A file of the repository, unpacked if it is compressed. */
export function repoBytes(path: string): Uint8Array {
  return unpack(join(ROOT, path));
}

export function fixture(name: string): Uint8Array {
  return repoBytes(join('test/fixtures/traces', name));
}

/** Path of an original trace that is too large or not ours to ship; null where it is missing. */
export function originalPath(name: string): string | null {
  const path = join(SHARED, 'traces', name);
  return existsSync(path) ? path : null;
}

export function unpack(path: string): Uint8Array {
  const bytes = readFileSync(path);
  // A copy of its own: slices of a Buffer from a pool would be views of it.
  return new Uint8Array(path.endsWith('.gz') ? gunzipSync(bytes) : bytes);
}

const LETTERS = 'RWFDZ';

/** The sha256 of the `op,offset,size` lines, as `expected.json` has it. */
export function digestOf(trace: Trace, readsAndWritesOnly: boolean): string {
  const hash = createHash('sha256');
  for (let i = 0; i < trace.requests; i++) {
    const op = trace.op[i] as number;
    if (readsAndWritesOnly && op > RequestKind.write) continue;
    hash.update(`${LETTERS[op]},${trace.offset[i]},${trace.length[i]}\n`);
  }
  return hash.digest('hex');
}

export function sum(values: Float64Array | Uint32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** A trace's records as text, one a line, for comparing and for messages. */
export function records(trace: Trace): string[] {
  return Array.from({ length: trace.requests }, (_, i) =>
    [
      trace.t[i],
      LETTERS[trace.op[i] as number],
      trace.offset[i],
      trace.length[i],
      trace.latency[i],
      trace.device[i],
      trace.flags[i],
    ].join(' '),
  );
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The `UsageError` that `run` throws; anything else, also no error, fails the test. */
export function usageError(run: () => unknown): UsageError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof UsageError) return thrown;
    throw thrown;
  }
  throw new Error('expected a UsageError, and nothing was thrown');
}
