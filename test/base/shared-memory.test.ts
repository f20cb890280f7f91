import test from 'ava';
import { BufferMemory } from '../../src/base/shared-memory.ts';
import { check, forSeeds } from '../helpers/property.ts';

test('copies and clears do what an array of bytes does, ranges that overlap included', (t) => {
  t.notThrows(() =>
    forSeeds(200, (random) => {
      const memory = BufferMemory.ofBytes(256);
      const model = Array.from({ length: 256 }, () => 0);
      for (let i = 0; i < 256; i++) memory.u8[i] = model[i] = random.below(256);
      for (let step = 0; step < 20; step++) {
        const length = random.below(64);
        const target = random.below(257 - length);
        const source = random.below(257 - length);
        if (random.chance(0.7)) {
          memory.copy(target, source, length);
          model.splice(target, length, ...model.slice(source, source + length));
        } else {
          memory.clear(target, length);
          model.fill(0, target, target + length);
        }
      }
      check(
        model.every((byte, at) => memory.u8[at] === byte),
        'the bytes agree',
      );
    }),
  );
});

test('all views show one little-endian memory, which can be shared', (t) => {
  const memory = BufferMemory.ofBytes(64);
  t.true(memory.u8.buffer instanceof SharedArrayBuffer);
  t.is(memory.sizeBytes, 64);
  memory.u32[2] = 0x80000001;
  t.deepEqual([...memory.u8.subarray(8, 12)], [1, 0, 0, 0x80]);
  t.is(memory.i32[2], 0x80000001 | 0);
  t.is(memory.u16[4], 1);
  memory.f64[2] = 1;
  t.deepEqual([...memory.u8.subarray(22, 24)], [0xf0, 0x3f]);
});
