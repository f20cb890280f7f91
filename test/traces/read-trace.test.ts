/** Small inputs of each format: what is read from them, and what is said when they are damaged. */
import test from 'ava';
import { UsageError } from '../../src/base/errors.ts';
import { Prng } from '../../src/base/prng.ts';
import { detectFormat, readTrace } from '../../src/traces/read-trace.ts';
import type { Trace, TraceFileFormat } from '../../src/traces/trace.ts';
import { recordProblem } from '../../src/traces/trace.ts';
import type { RequestKind } from '../../src/world/history.ts';
import { bytesOf, fixture, records, usageError } from './trace-files.ts';

const text = (name: string): string => new TextDecoder().decode(fixture(name));

test('nbdkit log: calls and returns pair over midnight, other events carry no request', (t) => {
  const trace = readTrace(fixture('small.nbdkit.log'), 'small.nbdkit.log');
  t.deepEqual(records(trace), [
    '0 W 4096 8192 10000 0 1',
    '3000 R 2560 512 3000 0 0',
    '15000 F 0 0 NaN 0 0',
    '25000 D 16384 4096 10000 0 0',
    '45000 Z 32768 4096 1000 0 0',
  ]);
  t.is(trace.facts.exportBytes, 0x100000);
  t.is(trace.facts.missingLatencies, 1);
  t.deepEqual(trace.facts.notes, [
    '1 calls have no return: latency unknown.',
    '1 calls returned an error.',
  ]);
});

test('nbdkit log: an unknown event is skipped and noted with its line', (t) => {
  const log = text('small.nbdkit.log').replace(' Fork', ' Teleport now');
  const { facts } = readTrace(bytesOf(log), 'log');
  t.is(facts.requests, 5);
  t.true(facts.notes.some((note) => note.includes('"Teleport" in line 2')));
});

test('nbdkit log: the same id on a call that never returned keeps both calls', (t) => {
  const stamp = '2026-11-22 10:00:00.00000';
  const log =
    `${stamp}1 connection=1 Flush id=1 ...\n` +
    `${stamp}2 connection=1 Flush id=1 ...\n` +
    `${stamp}5 connection=1 ...Flush id=1 return=0\n`;
  t.deepEqual(records(readTrace(bytesOf(log), 'log')), ['0 F 0 0 NaN 0 0', '1000 F 0 0 3000 0 0']);
});

test('blkreplay: text and repeated headers are skipped, modifiers become flags', (t) => {
  const trace = readTrace(fixture('small.load'), 'small.load');
  t.deepEqual(records(trace), [
    '0 W 3222310912 4096 NaN 0 0',
    '1499999999 R 3222310912 2560 250000 0 8',
    '2110378216 W 3105026048 4096 NaN 0 1',
  ]);
});

test('vscsi: both layouts read the same, sorted by time, version 2 with latencies', (t) => {
  const one = readTrace(fixture('small-v1.vscsi'), 'small-v1.vscsi');
  const two = readTrace(fixture('small-v2.vscsi'), 'small-v2.vscsi');
  const wanted = [
    ['0 R 51200 4096', '90000'],
    ['10000 W 4398046511104 8192', '40000'],
    ['20000 W 1536 512', '30000'],
  ];
  t.deepEqual(
    records(one),
    wanted.map(([head]) => `${head} NaN 0 0`),
  );
  t.deepEqual(
    records(two),
    wanted.map(([head, latency]) => `${head} ${latency} 0 0`),
  );
  t.is(one.facts.format, 'vscsi-v1');
  t.is(two.facts.format, 'vscsi-v2');
  t.true(one.facts.notes.some((note) => note.includes('sorted by time')));
});

test('vscsi: bytes at an odd place of a larger buffer read the same', (t) => {
  const source = fixture('small-v1.vscsi');
  const padded = new Uint8Array(source.length + 3);
  padded.set(source, 3);
  t.deepEqual(records(readTrace(padded.subarray(3), 'a')), records(readTrace(source, 'b')));
});

test('canonical CSV: all five ops, an empty latency, carriage returns', (t) => {
  const wanted = [
    '0 R 0 4096 1000 0 0',
    '10 W 4608 512 NaN 0 0',
    '20 F 0 0 5 0 0',
    '30 D 8192 4096 7 0 0',
    '40 Z 12288 8192 9 0 0',
  ];
  t.deepEqual(records(readTrace(fixture('small.csv'), 'small.csv')), wanted);
  const dos = bytesOf(text('small.csv').replaceAll('\n', '\r\n'));
  t.deepEqual(records(readTrace(dos, 'dos.csv')), wanted);
});

test('fio iolog: each file is a device, syncs are flushes, file actions are no requests', (t) => {
  const trace = readTrace(fixture('small.iolog'), 'small.iolog');
  t.deepEqual(records(trace), [
    '0 W 4096 8192 NaN 0 0',
    '2000 R 4096 512 NaN 1 0',
    '5000 F 0 0 NaN 0 0',
    '10000 D 4096 4096 NaN 0 0',
    '15000 F 0 0 NaN 0 0',
  ]);
  t.is(trace.facts.devices, 2);
  t.is(trace.facts.distinctBlocks, 3, 'the same block of two devices is two blocks');
});

test('a last line without a line feed is read, and noted as possibly cut', (t) => {
  const { facts } = readTrace(bytesOf(text('small.csv').trimEnd()), 'small.csv');
  t.is(facts.requests, 5);
  t.true(facts.notes.some((note) => note.includes('may be cut')));
});

test('columns are shared exactly when asked', (t) => {
  const bytes = fixture('small.csv');
  t.true(readTrace(bytes, 'a', { shared: true }).t.buffer instanceof SharedArrayBuffer);
  t.true(readTrace(bytes, 'a').t.buffer instanceof ArrayBuffer);
});

test('an unknown format names the formats, and says when a file is still packed', (t) => {
  const unknown = usageError(() => detectFormat(bytesOf('hello\n'), 'x.txt'));
  t.is(unknown.code, 'E_TRACE_FORMAT');
  t.regex(unknown.message, /^x\.txt: .*"hello\."/);
  t.regex(unknown.message, /nbdkit-log.*blkreplay.*vscsi-v1.*--format/);
  const packed = usageError(() => detectFormat(Uint8Array.of(0x1f, 0x8b, 8), 'x.gz'));
  t.regex(packed.message, /gzip: unpack it/);
});

test('an input without a request is refused', (t) => {
  t.is(usageError(() => readTrace(new Uint8Array(), 'empty')).code, 'E_TRACE_EMPTY');
  const header = bytesOf('t_ns,op,offset,size,latency_ns\n');
  t.is(usageError(() => readTrace(header, 'head.csv')).code, 'E_TRACE_EMPTY');
});

interface Damage {
  readonly title: string;
  readonly file: string;
  readonly format: TraceFileFormat;
  readonly damage: (text: string) => string;
  readonly code: 'E_TRACE_GARBLED' | 'E_TRACE_TRUNCATED' | 'E_TRACE_VERSION';
  readonly line: number;
  readonly expected: RegExp;
}

const csv = { file: 'small.csv', format: 'canonical-csv', code: 'E_TRACE_GARBLED' } as const;
const log = { file: 'small.nbdkit.log', format: 'nbdkit-log', code: 'E_TRACE_GARBLED' } as const;
const load = { file: 'small.load', format: 'blkreplay', code: 'E_TRACE_GARBLED' } as const;
const fio = { file: 'small.iolog', format: 'fio-iolog', code: 'E_TRACE_GARBLED' } as const;

const replace =
  (from: string, to: string) =>
  (source: string): string =>
    source.replace(from, to);
/** Keeps the text up to and with `mark`. */
const cutAfter =
  (mark: string) =>
  (source: string): string =>
    source.slice(0, source.lastIndexOf(mark) + mark.length);

const DAMAGES: readonly Damage[] = [
  {
    ...csv,
    title: 'a last row cut before its latency',
    damage: cutAfter('12288,8192'),
    code: 'E_TRACE_TRUNCATED',
    line: 6,
    expected: /"," and the next field/,
  },
  {
    ...csv,
    title: 'a word for a number',
    damage: replace('8192,4096', 'far,4096'),
    line: 5,
    expected: /an offset in bytes/,
  },
  { ...csv, title: 'an unknown op', damage: replace('10,W', '10,X'), line: 3, expected: /an op R/ },
  {
    ...csv,
    title: 'a read of no bytes',
    damage: replace('0,R,0,4096', '0,R,0,0'),
    line: 2,
    expected: /a length above 0/,
  },
  {
    ...csv,
    title: 'an offset inside a sector',
    damage: replace('4608', '4609'),
    line: 3,
    expected: /an offset at a 512-byte sector/,
  },
  {
    ...csv,
    title: 'a length inside a sector',
    damage: replace('4608,512', '4608,500'),
    line: 3,
    expected: /whole 512-byte sectors/,
  },
  {
    ...csv,
    title: 'a length of 4 GiB',
    damage: replace('4608,512', '4608,4294967296'),
    line: 3,
    expected: /at most 4294966784 bytes/,
  },
  {
    ...csv,
    title: 'an address beyond 256 TiB',
    damage: replace('4608', '281474976710656'),
    line: 3,
    expected: /below 281474976710656/,
  },
  {
    ...csv,
    title: 'a number beyond 2^53',
    damage: replace('4608', '99999999999999999999'),
    line: 3,
    expected: /an offset in bytes/,
  },
  {
    ...csv,
    title: 'a field too many',
    damage: replace('8192,4096,7', '8192,4096,7,1'),
    line: 5,
    expected: /the end of the row/,
  },
  {
    ...log,
    title: 'a return whose call is missing',
    damage: replace('connection=2 ...Read id=1', 'connection=3 ...Read id=1'),
    line: 8,
    expected: /the line of the call before/,
  },
  {
    ...log,
    title: 'a last call cut in its count',
    damage: cutAfter('offset=0x8000 count=0x10'),
    code: 'E_TRACE_TRUNCATED',
    line: 17,
    expected: /whole 512-byte sectors/,
  },
  {
    ...log,
    title: 'a last call cut before its dots',
    damage: cutAfter('trim=1 fua=0'),
    code: 'E_TRACE_TRUNCATED',
    line: 17,
    expected: /" \.\.\." at the end of a call/,
  },
  {
    ...log,
    title: 'a last line cut in its event',
    damage: cutAfter('Discon'),
    code: 'E_TRACE_TRUNCATED',
    line: 19,
    expected: /an event of the log filter/,
  },
  {
    ...log,
    title: 'a line without a time',
    damage: replace('2026-11-22 23:59:59.999995 ', ''),
    line: 6,
    expected: /a time like/,
  },
  {
    ...log,
    title: 'a month that is none',
    damage: replace('2026-11-23 00:00:00.000001', '2026-13-23 00:00:00.000001'),
    line: 8,
    expected: /a time like/,
  },
  {
    ...log,
    title: 'an offset that is not hexadecimal',
    damage: replace('offset=0xA00', 'offset=0xZ'),
    line: 7,
    expected: /an offset in hexadecimal/,
  },
  {
    ...load,
    title: 'a row whose start is damaged',
    damage: replace('1340000001.5 ', '1340000x01.5 '),
    line: 6,
    expected: /a row "start ; sector/,
  },
  {
    ...load,
    title: 'a last row cut in its first field',
    damage: cutAfter('1340000002.11'),
    code: 'E_TRACE_TRUNCATED',
    line: 7,
    expected: /a row "start ; sector/,
  },
  {
    ...load,
    title: 'a last row cut behind its op',
    damage: cutAfter('8 ; WF'),
    code: 'E_TRACE_TRUNCATED',
    line: 7,
    expected: /";" and the next field/,
  },
  {
    ...load,
    title: 'a readahead that is a write',
    damage: replace('RA', 'WA'),
    line: 6,
    expected: /R or W with the modifiers/,
  },
  {
    ...load,
    title: 'a sector that is a word',
    damage: replace('6064504', 'sixtysix'),
    line: 7,
    expected: /a sector number/,
  },
  {
    ...fio,
    title: 'an action that is none',
    damage: replace('trim', 'erase'),
    line: 9,
    expected: /read, write, sync/,
  },
  {
    ...fio,
    title: 'a last line cut before its length',
    damage: cutAfter('trim 4096'),
    code: 'E_TRACE_TRUNCATED',
    line: 9,
    expected: /a blank and the next field/,
  },
  {
    ...fio,
    title: 'a log of version 2',
    damage: replace('version 3', 'version 2'),
    code: 'E_TRACE_VERSION',
    line: 1,
    expected: /expected version 3/,
  },
];

for (const { title, file, format, damage, code, line, expected } of DAMAGES) {
  test(`${format}: ${title} is refused with its place`, (t) => {
    const source = text(file);
    const damaged = damage(source);
    t.not(damaged, source, 'the damage must change the text');
    const error = usageError(() => readTrace(bytesOf(damaged), file, { format }));
    t.is(error.code, code, error.message);
    t.is(error.fields['line'], line, error.message);
    t.is(error.fields['file'], file);
    t.true(error.message.startsWith(`${file}: line ${line}`), error.message);
    t.regex(error.message, expected);
  });
}

test('vscsi: a cut record, a strange command, version or length name byte and record', (t) => {
  const source = fixture('small-v1.vscsi');
  const refusal = (change: (bytes: Uint8Array) => Uint8Array): ReturnType<typeof usageError> =>
    usageError(() => readTrace(change(source.slice()), 'x.vscsi', { format: 'vscsi-v1' }));
  const poke = (at: number, value: number) => (bytes: Uint8Array) => bytes.fill(value, at, at + 1);

  const cut = refusal((bytes) => bytes.subarray(0, 80));
  t.is(cut.code, 'E_TRACE_TRUNCATED');
  t.like(cut.fields, { byteOffset: 64, record: 2, expected: 'a record of 32 bytes' });
  t.regex(cut.message, /^x\.vscsi: byte 64 \(record 2, counted from 0\): found 16 bytes [0-9a-f]/);

  const command = refusal(poke(32 + 12, 0x12));
  t.is(command.code, 'E_TRACE_GARBLED');
  t.like(command.fields, { byteOffset: 32, record: 1 });
  t.regex(command.message, /a SCSI command 08, 28, 88/);

  t.regex(refusal(poke(64 + 15, 2)).message, /version 1 in the record/);
  t.regex(refusal(poke(64 + 31, 1)).message, /a time within 104 days/);
  t.regex(refusal(poke(4, 1)).message, /whole 512-byte sectors/);
  t.regex(refusal(poke(16 + 7, 1)).message, /below 281474976710656/);
});

/** The first law of a sealed trace that does not hold, or null. */
function brokenLaw(trace: Trace): string | null {
  if (trace.t[0] !== 0) return 'starts at 0';
  for (let i = 0; i < trace.requests; i++) {
    if (!(trace.t[i]! >= (trace.t[i - 1] ?? 0))) return `time order at ${i}`;
    const problem = recordProblem(
      trace.t[i]!,
      trace.op[i] as RequestKind,
      trace.offset[i]!,
      trace.length[i]!,
    );
    if (problem !== null) return `${problem} at ${i}`;
    if (trace.latency[i]! < 0) return `latency at ${i}`;
  }
  return null;
}

/** Cuts, overwrites, removes or doubles a few bytes. */
function damaged(source: Uint8Array, random: Prng): Uint8Array {
  let bytes = source.slice();
  for (let change = random.between(1, 3); change > 0; change--) {
    const at = random.below(bytes.length);
    const more = random.between(1, 40);
    const kind = random.below(4);
    if (kind === 0) bytes[at] = random.below(256);
    else if (kind === 1) bytes = bytes.slice(0, Math.max(1, at));
    else if (kind === 2) bytes = Uint8Array.of(...bytes.slice(0, at), ...bytes.slice(at + more));
    else bytes = Uint8Array.of(...bytes.slice(0, at + more), ...bytes.slice(at));
    if (bytes.length === 0) return source;
  }
  return bytes;
}

const SMALL = [
  ['small.nbdkit.log', 'nbdkit-log'],
  ['small.load', 'blkreplay'],
  ['small-v1.vscsi', 'vscsi-v1'],
  ['small-v2.vscsi', 'vscsi-v2'],
  ['small.csv', 'canonical-csv'],
  ['small.iolog', 'fio-iolog'],
] as const;

for (const [file, format] of SMALL) {
  test(`property: ${format} with random damage gives a lawful trace or a UsageError`, (t) => {
    const source = fixture(file);
    let refused = 0;
    for (let seed = 0; seed < 1_500; seed++) {
      const bytes = damaged(source, new Prng(seed, file));
      try {
        const options = seed % 2 === 0 ? { format } : {};
        const broken = brokenLaw(readTrace(bytes, file, options));
        if (broken !== null) return t.fail(`seed ${seed}: ${broken}`);
      } catch (thrown) {
        if (!(thrown instanceof UsageError)) return t.fail(`seed ${seed}: ${String(thrown)}`);
        refused++;
      }
    }
    return t.true(refused > 100, `only ${refused} of 1500 were refused`);
  });
}
