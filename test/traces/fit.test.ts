/** Fitting: what reads see must not change, and what does not fit must be refused. */
import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import type { FitResult } from '../../src/traces/fit.ts';
import { fitCompact, fitNone, fitWrap } from '../../src/traces/fit.ts';
import type { Trace } from '../../src/traces/trace.ts';
import { TraceFlag } from '../../src/traces/trace.ts';
import { TraceBuilder } from '../../src/traces/trace-builder.ts';
import { RequestKind } from '../../src/world/history.ts';
import { records, usageError } from './trace-files.ts';

type Row = readonly [op: keyof typeof RequestKind, block: number, blocks: number, device?: number];

/** A trace of whole blocks, one record a ns. */
function traceOf(rows: readonly Row[]): Trace {
  const builder = new TraceBuilder({
    format: 'synthetic',
    source: 'rows',
    clockGranularityNs: 1,
    exportBytes: null,
    notes: [],
  });
  rows.forEach(([op, block, blocks, device], t) => {
    builder.append(t, RequestKind[op], block * 4096, blocks * 4096, t * 100, device ?? 0, 0);
  });
  return builder.seal({ shared: false });
}

/** `t:first+blocks` of each record. */
function placed(trace: Trace): string[] {
  return Array.from(
    trace.t,
    (t, i) => `${t}:${trace.offset[i]! / 4096}+${trace.length[i]! / 4096}`,
  );
}

test('compact: a new run stays whole, wherever it was recorded', (t) => {
  const fit = fitCompact(
    traceOf([
      ['write', 1_000_000, 4],
      ['read', 7, 1],
      ['read', 1_000_001, 2],
    ]),
  );
  t.deepEqual(placed(fit.trace), ['0:0+4', '1:4+1', '2:1+2']);
  t.is(fit.diskBytes, 5 * 4096);
  t.is(fit.splitRequests, 0);
});

test('compact: a request over blocks touched in another order is split into its runs', (t) => {
  const fit = fitCompact(
    traceOf([
      ['write', 12, 1],
      ['write', 10, 1],
      ['write', 10, 4],
    ]),
  );
  // Blocks 10 to 13 are numbers 1, 2 (new), 0 and 3 (new).
  t.deepEqual(placed(fit.trace), ['0:0+1', '1:1+1', '2:1+2', '2:0+1', '2:3+1']);
  t.deepEqual([...fit.trace.latency].slice(2), [200, 200, 200]);
  t.is(fit.splitRequests, 1);
  t.true(
    fit.trace.facts.notes.some((note) => note.startsWith('1 of 3 requests were split into 3')),
  );
});

test('compact: sub-block requests keep their place inside the block', (t) => {
  const builder = new TraceBuilder(traceOf([['read', 0, 1]]).facts);
  builder.append(0, RequestKind.write, 40_960 + 512, 512, 5, 0, TraceFlag.fua);
  builder.append(1, RequestKind.read, 40_960 + 3_584, 1_024, 5, 0, 0);
  const fit = fitCompact(builder.seal({ shared: true }));
  t.deepEqual(records(fit.trace), ['0 W 512 512 5 0 1', '1 R 3584 1024 5 0 0']);
  t.is(fit.diskBytes, 8_192);
  t.true(fit.trace.t.buffer instanceof SharedArrayBuffer, 'a fit shares as its trace does');
});

test('compact: only the first piece of a split request carries PREFLUSH', (t) => {
  const rows = traceOf([
    ['write', 1, 1],
    ['write', 0, 1],
  ]);
  const builder = new TraceBuilder(rows.facts);
  for (let i = 0; i < 2; i++) {
    builder.append(i, RequestKind.write, rows.offset[i]!, 4_096, 1, 0, 0);
  }
  builder.append(2, RequestKind.write, 0, 8_192, 1, 0, TraceFlag.preflush | TraceFlag.fua);
  const { trace } = fitCompact(builder.seal({ shared: false }));
  t.deepEqual([...trace.flags], [0, 0, TraceFlag.preflush | TraceFlag.fua, TraceFlag.fua]);
});

test('compact: a discard takes no space and keeps only what was touched before', (t) => {
  const fit = fitCompact(
    traceOf([
      ['discard', 0, 1_000],
      ['write', 500, 2],
      ['zero', 400, 1_000],
      ['flush', 0, 0],
    ]),
  );
  t.deepEqual(placed(fit.trace), ['0:0+2', '1:0+2', '2:0+0']);
  t.is(fit.diskBytes, 2 * 4096);
  t.is(fit.droppedRequests, 1);
  const bytes = (1_000 + 998) * 4_096;
  t.true(
    fit.trace.facts.notes.some((note) => note.startsWith(`2 discards and zeroes lost ${bytes}`)),
  );
});

test('compact: a trace of which nothing is left is refused', (t) => {
  const error = usageError(() => fitCompact(traceOf([['discard', 0, 9]])));
  t.is(error.code, 'E_TRACE_FIT');
  t.regex(error.message, /nothing is left.*--fit wrap/);
});

test('compact: the same address on two devices is two blocks of one disk', (t) => {
  const fit = fitCompact(
    traceOf([
      ['write', 3, 1, 0],
      ['write', 3, 1, 1],
      ['read', 3, 1, 0],
    ]),
  );
  t.deepEqual(placed(fit.trace), ['0:0+1', '1:1+1', '2:0+1']);
  t.deepEqual([...fit.trace.device], [0, 0, 0]);
});

test('wrap: addresses fold, a request over the end goes on at the start', (t) => {
  const fit = fitWrap(
    traceOf([
      ['write', 9, 1],
      ['write', 7, 2],
      ['read', 0, 20],
      ['flush', 0, 0],
    ]),
    8 * 4096,
  );
  t.deepEqual(placed(fit.trace), ['0:1+1', '1:7+1', '1:0+1', '2:0+8', '3:0+0']);
  t.is(fit.diskBytes, 8 * 4096);
  t.is(fit.splitRequests, 1);
  t.true(fit.trace.facts.notes.some((note) => note.startsWith('1 requests longer than the disk')));
  t.is(usageError(() => fitWrap(traceOf([['read', 0, 1]]), 1_000)).code, 'E_TRACE_FIT');
});

test('none: the trace is passed on, or the first record outside the disk is named', (t) => {
  const trace = traceOf([
    ['write', 0, 1],
    ['write', 6, 3],
  ]);
  const fit = fitNone(trace, 9 * 4096);
  t.is(fit.trace, trace);
  t.is(fit.diskBytes, 9 * 4096);
  const error = usageError(() => fitNone(trace, 8 * 4096));
  t.is(error.code, 'E_TRACE_FIT');
  t.like(error.fields, { record: 1, end: 9 * 4096 });
  t.regex(error.message, /record 1 .*--fit compact/);
  const two = traceOf([
    ['read', 0, 1, 0],
    ['read', 0, 1, 1],
  ]);
  t.regex(usageError(() => fitNone(two, 4096)).message, /2 devices.*--fit compact/);
});

/** What each record's reads find: the write (record time, sector of the request) or 0. */
function readsOf(trace: Trace): Map<number, string[]> {
  const content = new Map<number, string>();
  const seen = new Map<number, string[]>();
  const sectorsDone = new Map<number, number>();
  for (let i = 0; i < trace.requests; i++) {
    const time = trace.t[i]!;
    const base = (trace.device[i]! * 2 ** 48 + trace.offset[i]!) / 512;
    for (let sector = 0; sector < trace.length[i]! / 512; sector++) {
      const done = sectorsDone.get(time) ?? 0;
      sectorsDone.set(time, done + 1);
      if (trace.op[i] === RequestKind.write) content.set(base + sector, `${time}/${done}`);
      else if (trace.op[i] !== RequestKind.read) content.delete(base + sector);
      else seen.set(time, [...(seen.get(time) ?? []), content.get(base + sector) ?? '0']);
    }
  }
  return seen;
}

function randomTrace(random: Prng): Trace {
  const builder = new TraceBuilder(traceOf([['read', 0, 1]]).facts);
  // A flush is never dropped, so that it keeps time 0 on both sides.
  builder.append(0, RequestKind.flush, 0, 0, 1, 0, 0);
  const ops = ['read', 'write', 'write', 'read', 'flush', 'discard', 'zero'] as const;
  for (let time = 1; time < 120; time++) {
    const op = RequestKind[random.pick(ops)];
    const start = random.pick([0, 2 ** 40, 2 ** 47]) + random.below(300) * 512;
    builder.append(time, op, start, random.between(1, 60) * 512, 1, random.below(2), 0);
  }
  return builder.seal({ shared: false });
}

test('property: after compacting, every read finds the writes that it found as recorded', (t) => {
  for (let seed = 0; seed < 60; seed++) {
    const trace = randomTrace(new Prng(seed, 'fit'));
    const fit: FitResult = fitCompact(trace);
    t.deepEqual(readsOf(fit.trace), readsOf(trace), `seed ${seed}`);
    t.is(fit.diskBytes, trace.facts.distinctBlocks * 4096, `seed ${seed}`);
    t.true(fit.trace.facts.addressEndBytes <= fit.diskBytes, `seed ${seed}`);
    t.is(fit.trace.facts.bytes.read, trace.facts.bytes.read, `seed ${seed}`);
    t.is(fit.trace.facts.bytes.write, trace.facts.bytes.write, `seed ${seed}`);
    t.is(fit.trace.facts.counts.flush, trace.facts.counts.flush, `seed ${seed}`);
  }
});
