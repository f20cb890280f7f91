import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { syntheticTrace } from '../../src/traces/synthetic.ts';
import { RequestKind } from '../../src/world/history.ts';
import { records, usageError } from './trace-files.ts';

test('the same seed gives the same trace, another seed another', (t) => {
  const first = records(syntheticTrace(new Prng(7)));
  t.deepEqual(records(syntheticTrace(new Prng(7))), first);
  t.notDeepEqual(records(syntheticTrace(new Prng(8))), first);
});

test('the trace has the shape that the options ask for', (t) => {
  const requests = 20_000;
  const options = { requests, blocks: 512, hotBlocks: 16, maxSectors: 128, shared: true };
  const trace = syntheticTrace(new Prng(1), options);
  const { counts, addressEndBytes, spanNs } = trace.facts;
  const transfers = requests - counts.flush;
  const near = (value: number, wanted: number): void => {
    t.true(Math.abs(value - wanted) < 0.02, `${value} is not near ${wanted}`);
  };
  t.is(trace.requests, requests);
  t.true(addressEndBytes <= 512 * 4096);
  t.is(trace.facts.exportBytes, 512 * 4096);
  near(counts.read / transfers, 0.4);
  near(counts.discard / transfers, 0.02);
  t.is(counts.flush, Math.floor(counts.write / 8));
  near(spanNs / requests / 50_000, 1);
  let hot = 0;
  let subBlock = 0;
  let longest = 0;
  for (let i = 0; i < requests; i++) {
    const op = trace.op[i];
    if (op === RequestKind.flush) continue;
    if (trace.offset[i]! < 16 * 4096) hot++;
    if (op === RequestKind.write && trace.length[i] === 512) subBlock++;
    longest = Math.max(longest, trace.length[i]!);
  }
  near(hot / transfers, 0.7 + 0.3 * (16 / 512));
  near(subBlock / counts.write, 0.15);
  t.is(longest, 128 * 512);
  t.true(trace.t.buffer instanceof SharedArrayBuffer);
});

test('without flushes and discards there are none', (t) => {
  const { counts } = syntheticTrace(new Prng(3), { flushEvery: 0, discardShare: 0 }).facts;
  t.is(counts.flush + counts.discard, 0);
});

test('a disk of one block and requests of one sector are possible', (t) => {
  const trace = syntheticTrace(new Prng(3), { blocks: 1, hotBlocks: 1, maxSectors: 1 });
  t.true(trace.facts.addressEndBytes <= 4096);
  t.true(trace.length.every((length) => length <= 512));
});

test('options out of range are refused by name', (t) => {
  const bad = [
    ['requests', { requests: 0 }],
    ['hotBlocks', { hotBlocks: 300 }],
    ['readShare', { readShare: 1.5 }],
    ['readShare + discardShare', { readShare: 0.9, discardShare: 0.2 }],
    ['maxSectors', { maxSectors: 1.5 }],
  ] as const;
  for (const [option, options] of bad) {
    const error = usageError(() => syntheticTrace(new Prng(1), options));
    t.is(error.code, 'E_TRACE_SYNTHETIC');
    t.is(error.fields['option'], option);
  }
});
