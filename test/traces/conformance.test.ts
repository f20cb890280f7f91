/** One slice of our own recording in five spellings must read as the same requests. */
import test from 'ava';
import { readTrace } from '../../src/traces/read-trace.ts';
import type { Trace } from '../../src/traces/trace.ts';
import { TraceFlag } from '../../src/traces/trace.ts';
import { digestOf, fixture, originalPath, repoBytes, sum, unpack } from './trace-files.ts';

interface Expected {
  readonly n: number;
  readonly sum_offset: number;
  readonly sum_size: number;
  readonly 'sha256_of_op,offset,size_lines': string;
}

interface ExpectedFile {
  readonly all: Expected & { readonly span_ns: number };
  readonly rw_only: Expected & { readonly unique_4k: number };
}

const expected = JSON.parse(
  new TextDecoder().decode(fixture('conformance/expected.json')),
) as ExpectedFile;

const SPELLINGS = [
  { file: 'canonical.csv.gz', format: 'canonical-csv', all: true },
  { file: 'fio-v3.iolog.gz', format: 'fio-iolog', all: true },
  { file: 'blkreplay.load.gz', format: 'blkreplay', all: false },
  { file: 'vscsi-v1.bin.gz', format: 'vscsi-v1', all: false },
  { file: 'vscsi-v2.bin.gz', format: 'vscsi-v2', all: false },
] as const;

for (const { file, format, all } of SPELLINGS) {
  test(`the ${format} spelling of the slice has its counts, sums and digest`, (t) => {
    const trace = readTrace(fixture(`conformance/${file}`), file);
    const wanted = all ? expected.all : expected.rw_only;
    t.is(trace.facts.format, format);
    t.is(trace.requests, wanted.n);
    t.is(sum(trace.offset), wanted.sum_offset);
    t.is(sum(trace.length), wanted.sum_size);
    t.is(digestOf(trace, false), wanted['sha256_of_op,offset,size_lines']);
    t.is(digestOf(trace, true), expected.rw_only['sha256_of_op,offset,size_lines']);
    t.is(trace.facts.distinctBlocks, expected.rw_only.unique_4k);
    t.is(trace.t[0], 0);
    if (all) t.is(trace.facts.spanNs, expected.all.span_ns);
  });
}

test('spellings that carry times and latencies agree with the canonical one', (t) => {
  const canonical = readTrace(fixture('conformance/canonical.csv.gz'), 'canonical.csv');
  const vscsi = readTrace(fixture('conformance/vscsi-v2.bin.gz'), 'vscsi-v2.bin');
  const load = readTrace(fixture('conformance/blkreplay.load.gz'), 'blkreplay.load');
  const fio = readTrace(fixture('conformance/fio-v3.iolog.gz'), 'fio-v3.iolog');
  t.deepEqual(fio.t, canonical.t);
  let at = 0;
  let start = -1;
  for (let i = 0; i < canonical.requests; i++) {
    if ((canonical.op[i] as number) > 1) continue;
    if (start < 0) start = canonical.t[i] as number;
    const time = (canonical.t[i] as number) - start;
    if (vscsi.t[at] !== time || load.t[at] !== time || vscsi.latency[at] !== canonical.latency[i]) {
      t.fail(`record ${i}: ${time}, vscsi ${vscsi.t[at]}, blkreplay ${load.t[at]}`);
      return;
    }
    at++;
  }
  t.is(at, expected.rw_only.n);
});

test('the shipped recording of SQLite on ext4 has its 240,370 requests', (t) => {
  const name = 'workloads/traces/sqlite-ext4.nbdkit.log.gz';
  const { facts } = readTrace(repoBytes(name), name, { shared: true });
  t.is(facts.format, 'nbdkit-log');
  t.is(facts.requests, 240_370);
  t.deepEqual(facts.counts, { read: 9_208, write: 135_955, flush: 95_191, discard: 12, zero: 4 });
  t.is(facts.bytes.read, 131_467_264);
  t.is(facts.bytes.write, 1_563_426_816);
  t.is(facts.distinctBlocks, 54_879);
  t.is(facts.spanNs, 44_290_022_000);
  t.is(facts.exportBytes, 0x5dc00000);
  t.is(facts.missingLatencies, 0);
});

function readaheads(trace: Trace): number {
  return trace.flags.filter((bits) => (bits & TraceFlag.readahead) !== 0).length;
}

// The working sets of the two larger .load files were counted apart, by a set of block numbers.
const ORIGINALS = [
  ['blkreplay/linux-webserver-2.load.gz', 149_018, 119_989, 344, 488_036],
  ['blkreplay/linux-mysql.load.gz', 7_187, 73_607, 1, 142_563],
  ['blkreplay/windows-shared-server.load.gz', 0, 1_371, 0, 266],
  ['cloudphysics/cloudPhysicsIO.vscsi.gz', 46_974, 66_898, 0, 269_210],
] as const;

for (const [name, reads, writes, readahead, blocks] of ORIGINALS) {
  const path = originalPath(name);
  const run = path === null ? test.skip : test;
  const missing = path === null ? ' (skipped: STORDOM_SHARED has no traces folder with it)' : '';
  run(`the original ${name} has its published counts${missing}`, (t) => {
    const trace = readTrace(unpack(path as string), name);
    t.is(trace.facts.counts.read, reads);
    t.is(trace.facts.counts.write, writes);
    t.is(trace.requests, reads + writes);
    t.is(readaheads(trace), readahead);
    t.is(trace.facts.distinctBlocks, blocks);
  });
}

for (const [name, reads, writes, flushes] of [
  ['local/fio-zipf.iolog.gz', 8_313, 3_687, 807],
  ['local/fio-seq.iolog.gz', 0, 1_500, 187],
] as const) {
  const path = originalPath(name);
  const run = path === null ? test.skip : test;
  const missing = path === null ? ' (skipped: STORDOM_SHARED has no traces folder with it)' : '';
  run(`${name}, written by fio itself, has its counts${missing}`, (t) => {
    const { counts } = readTrace(unpack(path as string), name).facts;
    t.deepEqual(counts, { read: reads, write: writes, flush: flushes, discard: 0, zero: 0 });
  });
}
