/** Which images may share blocks. */
import test from 'ava';
import { Lineages } from '../../../src/parallax/fsck/lineages.ts';

test('clones of clones are of one lineage, images that were made empty are of none but their own', (t) => {
  const lineages = new Lineages(
    new Map([
      [1, null],
      [2, 1],
      [3, null],
      [4, 2],
      [5, 3],
    ]),
  );
  t.is(lineages.of(4), lineages.of(1));
  t.is(lineages.of(2), lineages.of(1));
  t.is(lineages.of(5), lineages.of(3));
  t.not(lineages.of(3), lineages.of(1));
});

test('a clone whose origin was deleted is kin of all that is older than that, and of no other', (t) => {
  const lineages = new Lineages(
    new Map([
      [1, null],
      [3, null],
      [4, 2],
      [5, 2],
    ]),
  );
  t.is(lineages.of(4), lineages.of(1));
  t.is(lineages.of(4), lineages.of(5));
  t.not(lineages.of(4), lineages.of(3));
});
