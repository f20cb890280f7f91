import { crc32 as zlibCrc32 } from 'node:zlib';
import test from 'ava';
import { Prng } from '../../../src/base/prng.ts';
import { nodeDigest } from '../../../src/world/real/digest.ts';

test('CRC-32 is that of zlib, of shared memory too, whatever the length and place', (t) => {
  const random = new Prng(1, 'digest');
  for (const buffer of [new ArrayBuffer(9000), new SharedArrayBuffer(9000)]) {
    const bytes = new Uint8Array(buffer);
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
    for (const length of [0, 1, 3, 24, 64, 511, 512, 4096, 8000]) {
      for (const offset of [0, 1, 7, 512]) {
        const expected = zlibCrc32(bytes.subarray(offset, offset + length));
        t.is(nodeDigest.crc32(bytes, offset, length), expected, `${length} bytes at ${offset}`);
      }
    }
  }
});
