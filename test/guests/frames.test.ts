import test from 'ava';
import type { FrameNo } from '../../src/base/units.ts';
import { GuestFrames } from '../../src/guests/frames.ts';

test('a guest hands out its own frames only, and says what it lacked when they are gone', (t) => {
  const frames = new GuestFrames(100 as FrameNo, 116 as FrameNo);
  const run = frames.mustTake(8, 'a ring');
  t.true(run >= 100 && run + 8 <= 116);
  t.is(frames.address(run), run * 4096);
  t.is(frames.take(16), null);
  t.throws(() => frames.mustTake(16, 'a ring'), {
    code: 'E_GUEST_MEMORY_FULL',
    message: /no run of 16 pages left for a ring \(8 pages free\); give the guest more memory/,
  });
  frames.give(run);
  t.is(frames.freePages, 16);
  t.not(frames.take(16), null);
});
