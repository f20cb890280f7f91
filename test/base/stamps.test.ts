import test from 'ava';
import { readStamp, StampFault, writeStamps } from '../../src/base/stamps.ts';
import { check, forSeeds } from '../helpers/property.ts';

const WORDS = 128;
const SOURCE = { disk: 3, writer: 2, flushes: 9 };

function stamped(lba: number, writeIndex: number): Uint32Array {
  const words = new Uint32Array(WORDS);
  writeStamps(words, 0, lba, 1, writeIndex, SOURCE);
  return words;
}

test('every sector of a stamped run reads back as its write, at its own place only', (t) => {
  t.notThrows(() =>
    forSeeds(200, (random) => {
      const sectors = random.between(1, 16);
      const lba = random.pick([0, 5, 2 ** 32 - 3, 2 ** 40]) + random.below(100);
      const writeIndex = random.pick([1, 2 ** 32 - 1, 2 ** 32, 2 ** 47]) + random.below(100);
      const at = WORDS * random.below(3);
      const words = new Uint32Array(at + sectors * WORDS);
      const source = { disk: random.nextU32(), writer: random.nextU32(), flushes: 0xffffffff };
      writeStamps(words, at, lba, sectors, writeIndex, source);
      for (let i = 0; i < sectors; i++) {
        const place = at + i * WORDS;
        check(readStamp(words, place, source.disk, lba + i) === writeIndex, 'reads its write');
        const elsewhere = readStamp(words, place, source.disk, lba + i + 1);
        check(elsewhere === StampFault.misplaced, 'is of no other sector');
        const otherDisk = readStamp(words, place, source.disk ^ 1, lba + i);
        check(otherDisk === StampFault.misplaced, 'is of no other disk');
      }
    }),
  );
});

test('a sector address that differs only above 32 bits is another place', (t) => {
  t.is(readStamp(stamped(7, 1), 0, SOURCE.disk, 7 + 2 ** 32), StampFault.misplaced);
  t.is(readStamp(stamped(7 + 2 ** 40, 1), 0, SOURCE.disk, 7 + 2 ** 40), 1);
});

test('every single flipped bit of a stamped sector is noticed', (t) => {
  const words = stamped(77, 2 ** 33 + 5);
  for (let bit = 0; bit < WORDS * 32; bit++) {
    const word = bit >>> 5;
    words[word] = (words[word] as number) ^ (1 << (bit & 31));
    const found = readStamp(words, 0, SOURCE.disk, 77);
    if (found >= 0) t.fail(`bit ${bit} flipped, read as write ${found}`);
    words[word] = (words[word] as number) ^ (1 << (bit & 31));
  }
  t.is(readStamp(words, 0, SOURCE.disk, 77), 2 ** 33 + 5);
});

test('zeros are zeros, and a zero sector with any bit set is garbage', (t) => {
  const words = new Uint32Array(WORDS);
  t.is(readStamp(words, 0, 1, 0), 0);
  for (let bit = 0; bit < WORDS * 32; bit++) {
    words[bit >>> 5] = 1 << (bit & 31);
    if (readStamp(words, 0, 1, 0) !== StampFault.garbage) t.fail(`bit ${bit} alone`);
    words[bit >>> 5] = 0;
  }
  t.pass();
});

test('a sector torn between two writes, at any word of its body, is called torn', (t) => {
  for (let cut = 8; cut < WORDS; cut++) {
    const words = stamped(9, 20);
    words.set(stamped(9, 19).subarray(cut), cut);
    t.is(readStamp(words, 0, SOURCE.disk, 9), StampFault.torn, `cut at word ${cut}`);
  }
});

test('a sector torn inside its head is damage, never a third write', (t) => {
  for (let cut = 1; cut < 8; cut++) {
    const words = stamped(2 ** 33 + 9, 2 ** 34 + 20);
    words.set(stamped(9, 19).subarray(cut), cut);
    const found = readStamp(words, 0, SOURCE.disk, 9);
    // Behind the magic both are whole: that is the other write.
    t.true(cut === 1 ? found === 19 : found < 0, `cut at word ${cut}`);
  }
});

test('the head of a stamp tells disk, writer, place, write and flushes, each in its word', (t) => {
  const words = stamped(2 ** 40 + 5, 2 ** 33 + 7);
  t.is(words[0], 0x504d5453);
  t.deepEqual([...words.subarray(2, 8)], [3, 2, 5, 256 | (2 << 16), 7, 9]);
});
