import test from 'ava';
import { fromErrorRecord, StorageError, toErrorRecord, UsageError } from '../../src/base/errors.ts';
import { InvariantError } from '../../src/base/invariant.ts';

test('class, code, fields, stack and the chain of causes survive a structured clone', (t) => {
  const root = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  const middle = new StorageError('E_APPEND', 'the log cannot grow', {
    fields: { segment: 4, name: 'log.4', full: true, owner: null },
    cause: root,
  });
  const thrown = new UsageError('E_TRACE', 'a.csv:3: not a number', { cause: middle });
  const back = fromErrorRecord(structuredClone(toErrorRecord(thrown)));
  t.true(back instanceof UsageError);
  t.is(back.name, 'UsageError');
  t.is(back.code, 'E_TRACE');
  t.is(back.message, 'a.csv:3: not a number');
  t.is(back.stack, thrown.stack);
  t.deepEqual(back.fields, {});
  const cause = back.cause as StorageError;
  t.true(cause instanceof StorageError && !(cause instanceof UsageError));
  t.deepEqual([cause.name, cause.code, cause.fields], ['StorageError', 'E_APPEND', middle.fields]);
  const deepest = cause.cause as StorageError;
  t.deepEqual([deepest.code, deepest.message, deepest.cause], ['ENOSPC', 'no space', undefined]);
});

test('an error record is its own inverse', (t) => {
  const record = toErrorRecord(
    new StorageError('E_X', 'x', { fields: { a: 1 }, cause: new UsageError('E_Y', 'y') }),
  );
  t.deepEqual(toErrorRecord(fromErrorRecord(record)), record);
});

test('a broken invariant and a foreign error keep their names in the record', (t) => {
  const broken = toErrorRecord(new InvariantError('a law'));
  t.deepEqual([broken.kind, broken.name, broken.code], ['other', 'InvariantError', 'E_UNKNOWN']);
  t.is(toErrorRecord(new RangeError('far')).name, 'RangeError');
});

test('anything can be thrown and has a record', (t) => {
  const anything = [
    ['text', 'text'],
    [7, '7'],
    [null, 'null'],
    [undefined, 'undefined'],
  ] as const;
  for (const [thrown, message] of anything) {
    const record = toErrorRecord(thrown);
    t.deepEqual([record.kind, record.code, record.message], ['other', 'E_UNKNOWN', message]);
    t.is(record.cause, null);
  }
});

test('an error without a cause has none, also after the round trip', (t) => {
  const back = fromErrorRecord(toErrorRecord(new StorageError('E_X', 'x')));
  t.false('cause' in back);
});
