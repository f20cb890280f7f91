import test from 'ava';
import { BlockLocks, type LockOwner } from '../../../src/petal-backend/server/block-locks.ts';
import { check, forSeeds } from '../../helpers/property.ts';

class Owner implements LockOwner {
  readonly vdisk = 1;
  readonly block: number;
  readonly blocks: number;
  held = false;

  constructor(block: number, blocks: number) {
    this.block = block;
    this.blocks = blocks;
  }

  locked(): void {
    this.held = true;
  }
}

test('what overlaps waits for whoever has it, and gets it when that is given back', (t) => {
  const locks = new BlockLocks();
  const [first, beside, over] = [new Owner(0, 4), new Owner(4, 4), new Owner(2, 4)];
  t.true(locks.acquire(first));
  t.true(locks.acquire(beside));
  t.false(locks.acquire(over));
  locks.release(first);
  t.false(over.held);
  locks.release(beside);
  t.true(over.held);
  locks.release(over);
  t.is(locks.size, 0);
});

test('nobody is overtaken by who overlaps with what an earlier one waits for', (t) => {
  const locks = new BlockLocks();
  const [first, wide, late] = [new Owner(0, 1), new Owner(0, 8), new Owner(4, 2)];
  t.true(locks.acquire(first));
  t.false(locks.acquire(wide));
  t.false(locks.acquire(late), 'it is free, but somebody waits for it');
  locks.release(first);
  t.true(wide.held);
  t.false(late.held);
  locks.release(wide);
  t.true(late.held);
});

test('one who gives back within the call that gave it to him is no trouble', (t) => {
  const locks = new BlockLocks();
  const first = new Owner(0, 2);
  const told: number[] = [];
  const quick = (block: number): LockOwner => ({
    vdisk: 1,
    block,
    blocks: 1,
    locked(): void {
      told.push(block);
      locks.release(this);
    },
  });
  t.true(locks.acquire(first));
  t.false(locks.acquire(quick(0)));
  t.false(locks.acquire(quick(1)));
  locks.release(first);
  t.deepEqual(told, [0, 1]);
  t.is(locks.size, 0);
});

test('whatever the order: no two overlap, and everybody gets what he asked for', (t) => {
  forSeeds(50, (random) => {
    const locks = new BlockLocks();
    const waiting: Owner[] = [];
    const held: Owner[] = [];
    for (let i = 0; i < 200; i++) {
      if (random.chance(0.6)) {
        const block = random.below(32);
        const owner = new Owner(block, 1 + random.below(16 - (block % 16)));
        owner.held = locks.acquire(owner);
        waiting.push(owner);
      } else {
        const one = held.splice(random.below(held.length + 1), 1)[0];
        if (one !== undefined) locks.release(one);
      }
      for (const owner of waiting.splice(0)) (owner.held ? held : waiting).push(owner);
      for (const one of held) {
        for (const other of held) {
          const isApart = one.block + one.blocks <= other.block;
          check(one === other || isApart || other.block + other.blocks <= one.block, 'overlap');
        }
      }
    }
    while (held.length > 0) {
      locks.release(held.shift() as Owner);
      for (const owner of waiting.splice(0)) (owner.held ? held : waiting).push(owner);
    }
    check(waiting.length === 0 && locks.size === 0, 'nobody is left');
  });
  t.pass();
});
