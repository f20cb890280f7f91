import test from 'ava';
import { isZeros } from '../../src/base/zeros.ts';

test('zeros: each single byte that is not zero is seen, wherever the bytes begin and end', (t) => {
  const all = new Uint8Array(64);
  for (let from = 0; from < 9; from++) {
    for (let to = from; to <= 40; to++) {
      const part = all.subarray(from, to);
      t.true(isZeros(part), `${from} to ${to}`);
      for (let at = 0; at < all.length; at++) {
        all[at] = 1;
        if (isZeros(part) !== (at < from || at >= to)) t.fail(`${from} to ${to}: byte ${at}`);
        all[at] = 0;
      }
    }
  }
});
