import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { readTrace } from '../../src/traces/read-trace.ts';
import type { Trace } from '../../src/traces/trace.ts';
import {
  type RecordedCall,
  type RecordFormat,
  TraceRecorder,
} from '../../src/traces/trace-recorder.ts';
import { RequestKind } from '../../src/world/history.ts';

const START_MS = Date.UTC(2028, 1, 29, 23, 59, 59, 999);
const DISKS = [{ name: 'disk', sizeBytes: 2 ** 41 }];

/** Records on a clock of its own. */
class Bench {
  nowNs = 5000;
  text = '';
  readonly recorder: TraceRecorder;

  constructor(format: RecordFormat) {
    this.recorder = new TraceRecorder(format, {
      disks: DISKS,
      nowNs: () => this.nowNs,
      startWallMs: START_MS,
      put: (lines) => {
        this.text += lines;
      },
    });
  }

  begun(op: RequestKind, offset: number, lengthBytes: number, fua = false): RecordedCall {
    return this.recorder.begun({ op, device: 0, offset, lengthBytes, fua });
  }

  get trace(): Trace {
    return readTrace(Buffer.from(this.text), 'recorded');
  }
}

function rows(trace: Trace): number[][] {
  return Array.from({ length: trace.requests }, (_, i) =>
    [trace.t, trace.op, trace.offset, trace.length, trace.latency, trace.flags].map(
      (column) => column[i] as number,
    ),
  );
}

for (const format of ['canonical-csv', 'nbdkit-log'] as const) {
  test(`${format}: requests that return in any order are read back as they were`, (t) => {
    const bench = new Bench(format);
    const random = new Prng(3, 'recorder');
    const open: { readonly call: RecordedCall; readonly row: number[] }[] = [];
    const expected: number[][] = [];
    const zeroNs = bench.nowNs;
    for (let i = 0; i < 500; i++) {
      const op = random.below(5) as RequestKind;
      const isFlush = op === RequestKind.flush;
      const offset = isFlush ? 0 : 512 * random.below(1e6);
      const length = isFlush ? 0 : 512 * (1 + random.below(100));
      const fua = op === RequestKind.write && random.below(2) === 0;
      const row = [bench.nowNs - zeroNs, op, offset, length, Number.NaN, fua ? 1 : 0];
      expected.push(row);
      open.push({ call: bench.begun(op, offset, length, fua), row });
      bench.nowNs += 1000 * random.below(400_000);
      while (open.length > 20 || (open.length > 0 && random.below(2) === 0)) {
        const [one] = open.splice(random.below(open.length), 1);
        if (one === undefined) break;
        one.row[4] = bench.nowNs - zeroNs - (one.row[0] as number);
        bench.recorder.ended(one.call, true);
      }
    }
    bench.recorder.finish();
    t.deepEqual(rows(bench.trace), expected);
    t.is(bench.recorder.requests, 500);
  });
}

test('nbdkit-log: times go over the end of a leap day, and say the size of the disk', (t) => {
  const bench = new Bench('nbdkit-log');
  t.regex(bench.text, /^2028-02-29 23:59:59\.999000 connection=1 Connect export="disk"/);
  bench.nowNs += 2e6;
  bench.recorder.ended(bench.begun(RequestKind.read, 0, 512), true);
  t.regex(
    bench.text,
    /\n2028-03-01 00:00:00\.001000 connection=1 Read id=1 offset=0x0 count=0x200/,
  );
  t.is(bench.trace.facts.exportBytes, 2 ** 41);
});

test('a request that fails or never returns has no latency, and its place in the order', (t) => {
  const bench = new Bench('canonical-csv');
  const failed = bench.begun(RequestKind.write, 0, 512);
  bench.begun(RequestKind.write, 512, 512);
  const good = bench.begun(RequestKind.write, 1024, 512);
  bench.nowNs += 100;
  bench.recorder.ended(good, true);
  bench.recorder.ended(failed, false);
  t.is(bench.trace.requests, 1, 'what is behind one that has not returned waits');
  bench.recorder.finish();
  t.deepEqual([...bench.trace.latency], [Number.NaN, Number.NaN, 100]);
});

test('rows that wait for one that never returns are bounded', (t) => {
  const bench = new Bench('canonical-csv');
  bench.begun(RequestKind.read, 0, 512);
  for (let i = 0; i < 65_536; i++) bench.recorder.ended(bench.begun(1, 0, 512), true);
  t.is(bench.trace.requests, 65_537);
  t.is(bench.trace.facts.missingLatencies, 1);
});

test('a request longer than a trace can say is several, at the same times', (t) => {
  const bench = new Bench('canonical-csv');
  const call = bench.begun(RequestKind.discard, 512, 2 ** 33);
  bench.nowNs += 7;
  bench.recorder.ended(call, true);
  const { trace } = bench;
  t.is(trace.requests, 3);
  t.is(trace.facts.bytes.discard, 2 ** 33);
  t.deepEqual([...trace.latency], [7, 7, 7]);
  t.is((trace.offset[2] as number) + (trace.length[2] as number), 512 + 2 ** 33);
});

test('fio-iolog: a write with FUA has a flush behind it, zeros are a write', (t) => {
  const bench = new Bench('fio-iolog');
  bench.begun(RequestKind.write, 0, 512, true);
  bench.begun(RequestKind.zero, 512, 512);
  bench.recorder.finish();
  t.deepEqual(
    rows(bench.trace).map(([, op, offset, length]) => [op, offset, length]),
    [
      [1, 0, 512],
      [2, 0, 0],
      [1, 512, 512],
    ],
  );
});

test('whatever the last line is, what was written before it is a trace', (t) => {
  for (const format of ['canonical-csv', 'fio-iolog', 'nbdkit-log'] as const) {
    const bench = new Bench(format);
    for (let i = 0; i < 4; i++) bench.recorder.ended(bench.begun(1, 512 * i, 512), true);
    const lines = bench.text.split('\n');
    // The header and what opens the disk are no requests yet.
    for (let end = 4; end < lines.length; end++) {
      const cut = Buffer.from(`${lines.slice(0, end).join('\n')}\n`);
      t.notThrows(() => readTrace(cut, format), `${format}, ${end} lines`);
    }
  }
});
