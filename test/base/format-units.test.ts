import test from 'ava';
import fc from 'fast-check';
import { UsageError } from '../../src/base/errors.ts';
import {
  formatByteRate,
  formatBytes,
  formatBytesExact,
  formatCount,
  formatDuration,
  formatDurationExact,
  formatPercent,
  formatRate,
} from '../../src/base/format-units.ts';
import {
  parseByteRate,
  parseBytes,
  parseDuration,
  parsePercent,
  parseRate,
} from '../../src/base/parse-units.ts';

const MAX_NS = 100 * 24 * 3600e9;

test('sizes are printed in powers of 1024 with three digits that mean something', (t) => {
  const rows: [number, string][] = [
    [0, '0b'],
    [512, '512b'],
    [1023, '1023b'],
    [4096, '4k'],
    [1536, '1.5k'],
    [128 * 2 ** 20, '128m'],
    [1.5 * 2 ** 30, '1.5g'],
    [1023 * 1024, '1023k'],
    [1024 * 1024 - 1, '1m'],
    [2 ** 50, '1024t'],
  ];
  for (const [bytes, text] of rows) t.is(formatBytes(bytes), text);
});

test('times are printed in the unit people use, and rounding moves up to the next unit', (t) => {
  const rows: [number, string][] = [
    [0, '0s'],
    [7, '7ns'],
    [350_000, '350us'],
    [999_960, '1ms'],
    [999_400, '999us'],
    [2e6, '2ms'],
    [180_250_000, '180ms'],
    [1_234_567_890, '1.23s'],
    [20e9, '20s'],
    [90e9, '90s'],
    [119.4e9, '119s'],
    [119.6e9, '2min'],
    [119.6 * 60e9, '2h'],
    [-2e6, '-2ms'],
    [0.4, '0s'],
    [150e9, '2.5min'],
    [3 * 3600e9, '3h'],
  ];
  for (const [ns, text] of rows) t.is(formatDuration(ns), text);
});

test('rates count in powers of 1000, byte rates in powers of 1024, shares in percent', (t) => {
  t.is(formatRate(50_000), '50k/s');
  t.is(formatRate(999_999), '1m/s');
  t.is(formatRate(0.25), '0.25/s');
  t.is(formatByteRate(100 * 2 ** 20), '100m/s');
  t.is(formatPercent(0.125), '12.5%');
  t.is(formatPercent(1), '100%');
  t.is(formatPercent(0), '0%');
  t.is(formatCount(1_234_567), '1,234,567');
  t.is(formatCount(999), '999');
});

test('what is printed is read back within half of its last digit, and printed the same', (t) => {
  const near = (a: number, b: number): boolean => Math.abs(a - b) <= 0.0051 * Math.max(a, b);
  const checks: [string, (n: number) => string, (s: string) => number, number][] = [
    ['rate', formatRate, (s) => parseRate(s, 'rate'), 1e12],
    ['byte rate', formatByteRate, (s) => parseByteRate(s, 'rate'), 2 ** 50],
    ['percent', formatPercent, (s) => parsePercent(s, 'share'), 1],
    ['time', formatDuration, (s) => parseDuration(s, 'time'), MAX_NS],
  ];
  for (const [name, format, parse, max] of checks) {
    const value = name === 'time' ? fc.nat(max) : fc.double({ min: 0.01, max, noNaN: true });
    fc.assert(
      fc.property(value, (n) => {
        const back = parse(format(n));
        return near(back, n) && format(back) === format(n);
      }),
    );
  }
  t.pass();
});

test('the exact forms are read back without any loss', (t) => {
  const bytes = fc.oneof(
    fc.nat(2 ** 53 - 1),
    fc.nat(4096).map((n) => n * 2 ** 30),
  );
  fc.assert(fc.property(bytes, (n) => parseBytes(formatBytesExact(n), 'size') === n));
  const ns = fc.oneof(
    fc.nat(MAX_NS),
    fc.nat(1000).map((n) => n * 1e9),
  );
  fc.assert(fc.property(ns, (n) => parseDuration(formatDurationExact(n), 'time') === n));
  t.is(formatBytesExact(4097), '4097b');
  t.is(formatBytesExact(6144), '6k');
  t.is(formatBytesExact(1.5 * 2 ** 30), '1536m');
  t.is(formatDurationExact(180_250_000), '180250us');
  t.is(formatDurationExact(120e9), '2min');
});

test('sizes are read exactly: a fraction that is no whole byte is refused', (t) => {
  t.is(parseBytes('4k', 'x'), 4096);
  t.is(parseBytes('512', 'x'), 512);
  t.is(parseBytes('1.5g', 'x'), 1.5 * 2 ** 30);
  t.is(parseBytes('0.5k', 'x'), 512);
  const error = t.throws(() => parseBytes('1.1g', '--cache'), { instanceOf: UsageError });
  t.regex(error.message, /^--cache: "1\.1g" is not a size \(it is not a whole number of bytes\)/);
  t.throws(() => parseBytes('9999999999t', 'x'), { message: /too large/ });
  t.is(parseDuration('4.35us', 'x'), 4350);
  t.throws(() => parseDuration('1.5ns', 'x'), { message: /whole number of nanoseconds/ });
});

test('a refusal names the place, what was given, what is accepted and what was meant', (t) => {
  const rows: [() => number, RegExp][] = [
    [() => parseBytes('4KiB', '--block'), /^--block: "4KiB".*did you mean 4k\?.*128m/],
    [() => parseBytes('128 M', '--ram'), /did you mean 128m\?/],
    [() => parseBytes('-1k', '--ram'), /negative/],
    [() => parseBytes('', '--ram'), /"" is not a size;/],
    [() => parseBytes('1e3', '--ram'), /"1e3" is not a size;/],
    [() => parseBytes('0x10', '--ram'), /not a size;/],
    [() => parseBytes('2ms', '--ram'), /not a size;/],
    [() => parseBytes('.5k', '--ram'), /not a size;/],
    [() => parseDuration('20', 'at'), /^at: "20" is not a time \(the unit is missing\).*20s/],
    [() => parseDuration('5m', 'at'), /did you mean 5min\?/],
    [() => parseDuration('350µs', 'at'), /did you mean 350us\?/],
    [() => parseDuration('20 seconds', 'at'), /did you mean 20s\?/],
    [() => parseRate('50K/s', 'rate'), /did you mean 50k\/s\?/],
    [() => parsePercent('101%', 'share'), /more than 100%/],
    [() => parsePercent('0.5', 'share'), /unit is missing/],
  ];
  for (const [act, message] of rows) {
    const error = t.throws(act, { instanceOf: UsageError, message });
    t.is(typeof error.fields['given'], 'string');
  }
});

test('no text makes a parser return anything but a finite number that is not negative', (t) => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9]{0,4}\.?[0-9]{0,3}[a-z%/]{0,4}$/));
  fc.assert(
    fc.property(text, (given) => {
      for (const parse of [parseBytes, parseDuration, parseRate, parseByteRate, parsePercent]) {
        try {
          const value = parse(given, 'x');
          if (!(Number.isFinite(value) && value >= 0)) return false;
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
        }
      }
      return true;
    }),
  );
  t.pass();
});
