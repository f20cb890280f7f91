import test from 'ava';
import { Throttle } from '../../../src/parallax/vdi/throttle.ts';
import { CoreWorld } from '../../helpers/core-world.ts';

interface Rig {
  readonly world: CoreWorld;
  readonly throttle: Throttle;
  dirty: number;
  rooms: number;
}

function rig(): Rig {
  const world = new CoreWorld(4096);
  const made = { world, dirty: 0, rooms: 0 };
  const throttle = new Throttle(
    world,
    1000,
    () => made.dirty,
    () => made.rooms++,
  );
  return Object.assign(made, { throttle });
}

test('up to half of the cap everything passes', (t) => {
  const made = rig();
  made.dirty = 500;
  made.throttle.taken(100);
  t.is(made.throttle.mayTake(100), 'now');
});

test('above half of it each mutation waits a little; it is told when it may pass', (t) => {
  const made = rig();
  made.throttle.published(1000, 1e9);
  made.dirty = 900;
  made.throttle.taken(50);
  t.is(made.throttle.mayTake(50), 'later');
  t.is(made.rooms, 0);
  made.world.advance(10e9);
  t.is(made.rooms, 1);
  t.is(made.throttle.mayTake(50), 'now');
});

test('at the cap nothing passes; but one that is larger than the cap passes when nothing is dirty', (t) => {
  const made = rig();
  made.dirty = 990;
  t.is(made.throttle.mayTake(20), 'full');
  made.dirty = 0;
  t.is(made.throttle.mayTake(5000), 'now');
});

test('the nearer to the cap, the longer the wait', (t) => {
  const waitAt = (dirty: number): number => {
    const made = rig();
    // Often enough for the measured speed to be this one.
    for (let i = 0; i < 100; i++) made.throttle.published(1000, 1e9);
    made.dirty = dirty;
    made.throttle.taken(100);
    let ns = 0;
    for (; made.throttle.mayTake(1) === 'later'; ns += 1e6) made.world.advance(1e6);
    return ns;
  };
  t.true(waitAt(550) < waitAt(750));
  t.true(waitAt(750) < waitAt(950));
});
