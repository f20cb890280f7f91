import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { readTrace } from '../../src/traces/read-trace.ts';
import { TraceFlag } from '../../src/traces/trace.ts';
import { TraceBuilder } from '../../src/traces/trace-builder.ts';
import { writeCanonicalCsv } from '../../src/traces/write-canonical.ts';
import { RequestKind } from '../../src/world/history.ts';
import { fixture, records } from './trace-files.ts';

test('the conformance slice is written byte for byte as it was read', (t) => {
  const bytes = fixture('conformance/canonical.csv.gz');
  const written = writeCanonicalCsv(readTrace(bytes, 'canonical.csv'));
  t.true(Buffer.from(written).equals(Buffer.from(bytes)));
});

test('a trace with flags gets two more columns and loses nothing', (t) => {
  const log = readTrace(fixture('small.nbdkit.log'), 'small.nbdkit.log');
  const written = writeCanonicalCsv(log);
  const [header, first] = new TextDecoder().decode(written).split('\n');
  t.is(header, 't_ns,op,offset,size,latency_ns,device,flags');
  t.is(first, '0,W,4096,8192,10000,0,1');
  t.deepEqual(records(readTrace(written, 'again')), records(log));
});

test('property: any trace survives writing and reading', (t) => {
  for (let seed = 0; seed < 30; seed++) {
    const random = new Prng(seed, 'csv');
    const trace = new TraceBuilder(readTrace(fixture('small.csv'), 'small.csv').facts);
    let time = 0;
    for (let i = 0; i < 400; i++) {
      const op = random.below(5) as RequestKind;
      const offset = Math.floor(random.nextUnit() * 2 ** random.between(1, 38)) * 512;
      const latency = random.chance(0.2) ? Number.NaN : random.below(2 ** 31) * random.below(999);
      const flags = random.chance(0.5) ? 0 : random.below(TraceFlag.readahead * 2);
      trace.append(time, op, offset, random.between(1, 2 ** 23 - 1) * 512, latency, i % 3, flags);
      time += random.below(10) ** random.between(1, 12);
    }
    const sealed = trace.seal({ shared: false });
    t.deepEqual(
      records(readTrace(writeCanonicalCsv(sealed), 'x')),
      records(sealed),
      `seed ${seed}`,
    );
  }
});
