import test from 'ava';
import { UsageError } from '../../src/base/errors.ts';
import { InvariantError } from '../../src/base/invariant.ts';
import { parseResult, stringifyResult } from '../../src/report/result-file.ts';
import { crashRun } from './fixture.ts';

test('a result is read back as it was written', (t) => {
  t.deepEqual(parseResult(stringifyResult(crashRun()), 'result.json'), crashRun());
});

test('members that this version does not know are no error', (t) => {
  const text = JSON.stringify({ ...crashRun(), weather: 'fine' });
  t.is(parseResult(text, 'result.json').title, 'Driver VM crash');
});

test('a newer result is refused with what to do', (t) => {
  const text = JSON.stringify({ ...crashRun(), version: 2, guests: 'another shape' });
  const error = t.throws(() => parseResult(text, 'old/result.json'), { instanceOf: UsageError });
  t.is(error.code, 'E_RESULT_NEWER');
  t.regex(error.message, /^old\/result\.json has version 2, .* up to version 1; use the stordom/);
});

test('what is no result is refused by what it is', (t) => {
  const rows: [string, string, RegExp][] = [
    ['{"format":', 'E_RESULT_JSON', /^r\.json is not JSON: /],
    ['[]', 'E_RESULT_FORMAT', /expected "format": "stordom-result", found a list/],
    ['{"format":"fio"}', 'E_RESULT_FORMAT', /found "fio"/],
    ['null', 'E_RESULT_FORMAT', /found null/],
  ];
  for (const [text, code, message] of rows) {
    const error = t.throws(() => parseResult(text, 'r.json'), { instanceOf: UsageError, message });
    t.is(error.code, code);
  }
});

test('a damaged result is refused with the path of the damage', (t) => {
  const rows: [(run: Record<string, unknown>) => void, RegExp][] = [
    [(run) => delete run['seed'], /result\.seed: expected a number.*found nothing/],
    [(run) => (run['world'] = 'mars'), /result\.world: expected "threads" or "sim", found "mars"/],
    [(run) => (run['guests'] = {}), /result\.guests: expected a list, found an object/],
    [(run) => (run['version'] = '1'), /result\.version: expected 1, found "1"/],
    [(run) => (run['durationNs'] = -1), /result\.durationNs: .*found -1/],
  ];
  for (const [damage, message] of rows) {
    const run = structuredClone(crashRun()) as unknown as Record<string, unknown>;
    damage(run);
    const error = t.throws(() => parseResult(JSON.stringify(run), 'r.json'), { message });
    t.true(error instanceof UsageError && error.code === 'E_RESULT_DAMAGED');
  }
  const text = stringifyResult(crashRun()).replace('"p50Ns":262000', '"p50Ns":"fast"');
  const message = /result\.guests\[0\]\.latency\.p50Ns: expected a number.*found "fast"/;
  t.throws(() => parseResult(text, 'r.json'), { message });
});

test('a result that could not be read back is not written', (t) => {
  const run = crashRun({ durationNs: Number.POSITIVE_INFINITY });
  const message = /result\.durationNs: .*found Infinity/;
  t.throws(() => stringifyResult(run), { instanceOf: InvariantError, message });
});
