import { execFileSync } from 'node:child_process';
import test from 'ava';
import fc from 'fast-check';
import { cut, displayWidth, pad, wrap, wrapCommand } from '../../src/report/columns.ts';
import { printable } from '../../src/report/escape.ts';

test('wide characters take two columns, marks that combine take none', (t) => {
  t.is(displayWidth('g0'), 2);
  t.is(displayWidth('仮想機'), 6);
  t.is(displayWidth('e\u0301'), 1);
  t.is(displayWidth('🚀'), 2);
  t.is(displayWidth('✔▁█▒'), 4);
});

test('cut, pad and wrap keep to their columns and wrap loses no word', (t) => {
  const text = fc.string({ unit: 'binary', maxLength: 80 }).map(printable);
  fc.assert(
    fc.property(text, fc.integer({ min: 4, max: 40 }), (given, width) => {
      const lines = wrap(given, width);
      const joined = lines.join('').replace(/\s/g, '');
      return (
        displayWidth(cut(given, width)) <= width &&
        displayWidth(pad(cut(given, width), width)) === width &&
        lines.every((line) => displayWidth(line) <= width) &&
        joined === given.replace(/\s/g, '')
      );
    }),
  );
  t.pass();
});

test('a wrapped command, pasted into a shell, is the command it was', (t) => {
  const word = fc.stringMatching(/^[a-z0-9=:{}.-]{1,50}$/);
  const quoted = fc.oneof(
    word,
    fc.stringMatching(/^[a-z $"\\]{1,40}$/).map((one) => `'${one}'`),
    fc.stringMatching(/^[a-z ']{1,40}$/).map((one) => `"${one}"`),
    word.map((one) => `--check='cmd:${one} {image}'`),
  );
  const args = (command: string): string =>
    execFileSync('sh', ['-c', `printf '%s\\n' ${command}`], { encoding: 'utf8' });
  fc.assert(
    fc.property(fc.array(quoted, { minLength: 1, maxLength: 6 }), (words) => {
      const lines = wrapCommand(words.join(' '), 24);
      t.true(lines.every((line) => line.length <= 24));
      return args(lines.join('\n')) === args(words.join(' '));
    }),
    { numRuns: 40 },
  );
});
