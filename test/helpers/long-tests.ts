/**
 * Tests that take long and find little that others do not: they run where `STORDOM_LONG` is 1, as
 * in the continuous integration, and are shown as skipped elsewhere.
 */
import test from 'ava';

export const isLong: boolean = process.env['STORDOM_LONG'] === '1';

/** As `test`, or skipped with its title. */
export const longTest: typeof test | typeof test.skip = isLong ? test : test.skip;

/** As `test.serial`, or skipped with its title. */
export const longSerialTest: typeof test.serial | typeof test.serial.skip = isLong
  ? test.serial
  : test.serial.skip;
