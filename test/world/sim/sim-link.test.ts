import test from 'ava';
import { nanos } from '../../../src/base/units.ts';
import type { LinkPath } from '../../../src/world/sim/sim-link.ts';
import type { Link } from '../../../src/world/world.ts';
import { stage } from './helper-actors.ts';

interface Wire {
  readonly path: LinkPath;
  readonly far: Link;
  /** First byte of each frame the actor got, with the time. */
  readonly got: { readonly value: number; readonly atNs: number }[];
  readonly at: (timeNs: number, act: () => void) => void;
  readonly run: () => Promise<void>;
}

function wire(seed = 1): Wire {
  const { sim, world, spawn } = stage({ seed });
  const got: { value: number; atNs: number }[] = [];
  const handle = spawn(
    (own) => ({
      start: async () => {
        own.net.link('l').onFrame((frame) => {
          got.push({ value: (frame[0] as number) | ((frame[1] as number) << 8), atNs: sim.nowNs });
        });
      },
    }),
    { links: ['l'] },
  );
  return {
    path: sim.link('g0/l'),
    far: handle.links.get('l') as Link,
    got,
    at: (timeNs, act) => void world.timers.at(nanos(timeNs), act),
    run: async () => void (await sim.run()),
  };
}

function numbered(value: number, lengthBytes = 2): Uint8Array {
  const frame = new Uint8Array(lengthBytes);
  frame[0] = value & 0xff;
  frame[1] = value >> 8;
  return frame;
}

function sendAll(far: Link, count: number): void {
  for (let i = 0; i < count; i++) far.send(numbered(i));
}

const sequence = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test('by default every frame arrives once, in order, whatever the seed', async (t) => {
  for (let seed = 0; seed < 20; seed++) {
    const { far, got, at, run } = wire(seed);
    const frame = numbered(0);
    far.send(frame);
    frame[0] = 99;
    at(5_000, () => {
      for (let i = 1; i < 50; i++) far.send(numbered(i));
    });
    await run();
    t.deepEqual(
      got.map((one) => one.value),
      sequence(50),
      `seed ${seed}`,
    );
  }
});

test('with jitter a link in order keeps its order, one without it does not', async (t) => {
  for (const inOrder of [true, false]) {
    const { path, far, got, at, run } = wire();
    path.toActor.set({ jitterNs: 10_000, inOrder });
    at(5_000, () => sendAll(far, 100));
    await run();
    const values = got.map((one) => one.value);
    t.deepEqual(
      values.toSorted((x, y) => x - y),
      sequence(100),
    );
    if (inOrder) t.deepEqual(values, sequence(100));
    else t.notDeepEqual(values, sequence(100));
  }
});

test('frames are lost, doubled and late as often as told, by the seed', async (t) => {
  const arrivals = async (seed: number): Promise<number[]> => {
    const { path, far, got, at, run } = wire(seed);
    path.toActor.set({ loss: 0.1, duplicate: 0.05, reorder: 0.2 });
    at(5_000, () => sendAll(far, 2_000));
    await run();
    const { counts } = path.toActor;
    t.is(counts.sent, 2_000);
    t.is(counts.delivered, got.length);
    t.is(counts.delivered, counts.sent - counts.lost + counts.duplicated);
    const text = `seed ${seed}: ${JSON.stringify(counts)}`;
    t.true(counts.lost > 150 && counts.lost < 250, text);
    t.true(counts.duplicated > 60 && counts.duplicated < 120, text);
    t.true(counts.reordered > 300 && counts.reordered < 460, text);
    return got.map((one) => one.value);
  };
  const first = await arrivals(1);
  t.deepEqual(await arrivals(1), first);
  t.notDeepEqual(await arrivals(2), first);
  t.notDeepEqual(
    first,
    first.toSorted((x, y) => x - y),
  );
});

test('a cut direction loses what is sent and what is under way, the other goes on', async (t) => {
  const { path, far, got, at, run } = wire();
  at(10_000, () => far.send(numbered(1)));
  at(20_000, () => path.toActor.cut());
  at(40_000, () => far.send(numbered(2)));
  at(70_000, () => {
    path.toActor.heal();
    far.send(numbered(3));
  });
  await run();
  t.deepEqual(
    got.map((one) => one.value),
    [3],
  );
  t.is(path.toActor.counts.lost, 2);
  t.is(path.fromActor.counts.lost, 0);
});

test('a clogged direction holds its frames, then lets them by in order', async (t) => {
  for (let seed = 0; seed < 20; seed++) {
    const { path, far, got, at, run } = wire(seed);
    at(5_000, () => path.toActor.clog());
    at(10_000, () => sendAll(far, 20));
    at(79_995, () => far.send(numbered(20)));
    at(99_990, () => {
      t.is(got.length, 0);
      path.toActor.unclog();
    });
    await run();
    t.deepEqual(
      got.map((one) => one.value),
      sequence(21),
      `seed ${seed}`,
    );
  }
});

test('bandwidth spaces frames out, latency moves them all', async (t) => {
  const { path, far, got, at, run } = wire();
  path.toActor.set({ latencyNs: 1_000, bytesPerMicrosecond: 100 });
  at(10_000, () => {
    for (let i = 0; i < 3; i++) far.send(numbered(i, 1_000));
  });
  await run();
  t.deepEqual(
    got.map((one) => one.atNs),
    [21_000, 31_000, 41_000],
  );
});

test('frames that came before the receiver was set are handed over in order', async (t) => {
  const { sim, spawn } = stage();
  const got: number[] = [];
  const handle = spawn(
    (own) => ({
      start: async () => {
        const link = own.net.link('l');
        for (let i = 0; i < 3; i++) link.send(numbered(i));
        link.close();
        link.send(numbered(9));
      },
    }),
    { links: ['l'] },
  );
  await sim.run();
  handle.links.get('l')?.onFrame((frame) => got.push(frame[0] as number));
  t.deepEqual(got, [0, 1, 2]);
});
