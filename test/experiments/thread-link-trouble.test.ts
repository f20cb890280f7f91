/** The gates that links of threads go through. */
import test from 'ava';
import { GatedPath } from '../../src/experiments/thread-link-trouble.ts';
import type { LinkMeasure } from '../../src/world/faults.ts';
import type { Link } from '../../src/world/world.ts';
import { CoreWorld } from '../helpers/core-world.ts';

const CLOG: LinkMeasure = { trouble: 'clog', forNs: 1, delayNs: 0, share: 0, messageKind: 0 };

class Inner implements Link {
  readonly sent: number[] = [];
  receive: (frame: Uint8Array) => void = () => {};
  closed = false;

  send([value = -1]: Uint8Array): void {
    this.sent.push(value);
  }

  onFrame(receive: (frame: Uint8Array) => void): void {
    this.receive = receive;
  }

  close(): void {
    this.closed = true;
  }
}

function bench() {
  const world = new CoreWorld(65_536);
  const path = new GatedPath(world.clock, world.timers);
  const inner = new Inner();
  const link = path.over(inner);
  const got: number[] = [];
  link.onFrame(([value = -1]) => got.push(value));
  const both = (value: number): void => {
    link.send(Uint8Array.of(value));
    inner.receive(Uint8Array.of(value));
  };
  return { world, path, inner, link, got, both };
}

test('a sound gate lets everything through at once', (t) => {
  const { inner, got, both } = bench();
  for (const value of [1, 2]) both(value);
  t.deepEqual(
    [inner.sent, got],
    [
      [1, 2],
      [1, 2],
    ],
  );
});

test('a clogged link holds all and gives it in order when it is over, to a successor too', (t) => {
  const { path, inner, got, both } = bench();
  const heal = path.strike(CLOG);
  for (const value of [1, 2, 3]) both(value);
  const successor = new Inner();
  path.over(successor).send(Uint8Array.of(9));
  t.deepEqual([inner.sent, got, successor.sent], [[], [], []]);
  heal();
  t.deepEqual([inner.sent, got, successor.sent], [[1, 2, 3], [1, 2, 3], [9]]);
  both(4);
  t.deepEqual([inner.sent.at(-1), got.at(-1)], [4, 4]);
});

test('a slow link is late by its delay and keeps order, also when it is fast again', (t) => {
  const { world, path, inner, got, both } = bench();
  const heal = path.strike({ ...CLOG, trouble: 'delay', delayNs: 1_000 });
  both(1);
  world.advance(500);
  both(2);
  heal();
  both(3);
  t.deepEqual(got, []);
  world.advance(500);
  t.deepEqual([inner.sent, got], [[1], [1]]);
  world.advance(500);
  t.deepEqual(
    [inner.sent, got],
    [
      [1, 2, 3],
      [1, 2, 3],
    ],
  );
  both(4);
  t.deepEqual(got.at(-1), 4);
});

test('what a gate held for a link that was closed meanwhile goes nowhere', (t) => {
  const { path, inner, link, got, both } = bench();
  const heal = path.strike(CLOG);
  both(1);
  link.close();
  heal();
  t.deepEqual([inner.sent, got, inner.closed], [[], [], true]);
});
