import { crc32 as zlibCrc32 } from 'node:zlib';
import test from 'ava';
import { CRC32_START, crc32Append, crc32End, crc32Word } from '../../src/base/crc32.ts';
import { check, forSeeds } from '../helpers/property.ts';

function ofWords(words: Uint32Array): number {
  let crc = CRC32_START;
  for (const word of words) crc = crc32Word(crc, word);
  return crc32End(crc);
}

test('the sum of any words is what zlib computes over their little-endian bytes', (t) => {
  t.notThrows(() =>
    forSeeds(500, (random) => {
      const words = new Uint32Array(random.between(0, 200));
      for (let i = 0; i < words.length; i++) words[i] = random.nextU32();
      const expected = zlibCrc32(new Uint8Array(words.buffer));
      check(ofWords(words) === expected, `${words.length} words: ${ofWords(words)}, ${expected}`);
    }),
  );
});

test('the published check value comes out: "1234567\\0" and all ones', (t) => {
  const text = new Uint32Array(new TextEncoder().encode('12345678').buffer);
  t.is(ofWords(text), 0x9ae0daaf);
  t.is(ofWords(new Uint32Array([0xffffffff])), 0xffffffff);
  t.is(ofWords(new Uint32Array(0)), 0);
});

test('the sums of two neighbours give the sum of both, for any number of sectors', (t) => {
  t.notThrows(() =>
    forSeeds(200, (random) => {
      const first = Uint8Array.from({ length: random.between(0, 700) }, () => random.below(256));
      const sectors = random.between(0, 40);
      const second = Uint8Array.from({ length: sectors * 512 }, () => random.below(256));
      const expected = zlibCrc32(second, zlibCrc32(first));
      const found = crc32Append(zlibCrc32(first), zlibCrc32(second), sectors);
      check(found === expected, `${first.length} bytes and ${sectors} sectors`);
    }),
  );
  const mebibyte = new Uint8Array(2 ** 20).fill(7);
  t.is(crc32Append(0x1234, zlibCrc32(mebibyte), 2048), zlibCrc32(mebibyte, 0x1234));
});
