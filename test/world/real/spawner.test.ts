import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { StorageError, UsageError } from '../../../src/base/errors.ts';
import type { ActorKind } from '../../../src/world/actor.ts';
import { BellWake } from '../../../src/world/real/wake.ts';
import { WRITE_BYTES, WRITES_IN_FLIGHT } from './fixtures/actors.ts';
import { BELL, benchOf, until } from './helpers.ts';

const KINDS: readonly ActorKind[] = ['guest', 'driver-vm'];

for (const kind of KINDS) {
  for (const behaviour of ['idle', 'spin', 'disk']) {
    test.serial(
      `${kind}: killed while in ${behaviour}, its thread ends before exited`,
      async (t) => {
        let threadsEnded = 0;
        const { prototype } = Worker;
        const emit = Reflect.get(prototype, 'emit') as (
          event: string,
          ...args: unknown[]
        ) => boolean;
        const counting = function (this: Worker, event: string, ...args: unknown[]): boolean {
          if (event === 'exit') threadsEnded += 1;
          return emit.call(this, event, ...args);
        };
        Object.defineProperty(prototype, 'emit', { value: counting, configurable: true });
        t.teardown(() => Reflect.deleteProperty(prototype, 'emit'));
        const bench = await benchOf(t);
        const actor = bench.spawner.spawn(bench.spec(kind, 'a0', { behaviour }));
        if (behaviour === 'idle') await actor.call('add', 1, 1);
        else await until('it works', () => bench.progress() > 0);
        t.is(threadsEnded, 0);
        actor.kill();
        await actor.exited;
        t.is(threadsEnded, 1);
      },
    );
  }
}

for (const kind of KINDS) {
  test(`${kind}: a call is answered, and the actor finishes with its result`, async (t) => {
    const bench = await benchOf(t);
    const actor = bench.spawner.spawn(bench.spec(kind, 'a0', {}));
    t.is(await actor.call('add', 2, 3), 5);
    await actor.call('finish');
    t.deepEqual(await actor.exited, { reason: 'finished', result: { seen: bellOf(kind) } });
    t.deepEqual(bench.notes, ['a0: started idle']);
    await t.throwsAsync(actor.call('add', 1, 1), { code: 'E_ACTOR_GONE' });
    actor.kill();
  });

  test(`${kind}: an error of a call keeps its class, code, fields and cause`, async (t) => {
    const bench = await benchOf(t);
    const actor = bench.spawner.spawn(bench.spec(kind, 'a0', {}));
    const error = await t.throwsAsync(actor.call('refuse'), { instanceOf: UsageError });
    t.is(error?.code, 'E_REFUSED');
    t.is(error?.message, 'this is refused');
    t.deepEqual(error?.fields, { line: 7 });
    const cause = error?.cause;
    t.true(cause instanceof StorageError && !(cause instanceof UsageError));
    t.like(cause, { code: 'E_INNER', message: 'for this reason' });
    await t.throwsAsync(actor.call('no-such-method'), { instanceOf: StorageError });
  });

  test(`${kind}: frames come in order, both ways, each with its own bytes`, async (t) => {
    const bench = await benchOf(t);
    const actor = bench.spawner.spawn(bench.spec(kind, 'a0', { behaviour: 'links' }, ['echo']));
    const link = actor.links.get('echo');
    t.truthy(link);
    const whole = new Uint8Array(4096);
    const COUNT = 500;
    for (let i = 0; i < COUNT; i++) {
      const frame = whole.subarray(8, 12);
      new DataView(whole.buffer).setUint32(8, i);
      link?.send(frame);
    }
    const back: number[] = [];
    const buffers = new Set<number>();
    link?.onFrame((frame) => {
      back.push(new DataView(frame.buffer, frame.byteOffset).getUint32(0));
      buffers.add(frame.buffer.byteLength);
    });
    await until('all frames are back', () => back.length === COUNT);
    t.deepEqual(
      back,
      Array.from({ length: COUNT }, (_, i) => i),
    );
    t.deepEqual([...buffers], [4], 'only the frame travels, not the buffer under it');
  });

  test(`${kind}: killed while it waits, it is gone and its calls are rejected`, async (t) => {
    const bench = await benchOf(t);
    const actor = bench.spawner.spawn(bench.spec(kind, 'a0', {}));
    await actor.call('add', 1, 1);
    const pending = t.throwsAsync(actor.call('never'), { code: 'E_ACTOR_GONE' });
    actor.kill();
    t.deepEqual(await actor.exited, { reason: 'killed' });
    await pending;
  });

  test(`${kind}: killed while it spins inside a step, nothing of it runs afterwards`, async (t) => {
    const bench = await benchOf(t);
    const actor = bench.spawner.spawn(bench.spec(kind, 'a0', { behaviour: 'spin' }));
    await until('it spins', () => bench.progress() > 1000);
    actor.kill();
    t.deepEqual(await actor.exited, { reason: 'killed' });
    const atExit = bench.progress();
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    t.is(bench.progress(), atExit);
  });

  test(`${kind}: killed with writes in flight, it exits after the last of them`, async (t) => {
    const bench = await benchOf(t);
    const actor = bench.spawner.spawn(bench.spec(kind, 'a0', { behaviour: 'disk' }));
    await until('it writes', () => bench.progress() > WRITES_IN_FLIGHT);
    actor.kill();
    t.deepEqual(await actor.exited, { reason: 'killed' });
    // The last byte of a piece changes when a write of it ends.
    const fd = openSync(join(bench.folder, 'busy'), 'r');
    const lastBytes = (): number[] =>
      Array.from({ length: WRITES_IN_FLIGHT }, (_, at) => {
        const byte = new Uint8Array(1);
        readSync(fd, byte, 0, 1, (at + 1) * WRITE_BYTES - 1);
        return byte[0] as number;
      });
    const atExit = lastBytes();
    // By the time a successor answers, a write that outlived its actor would have ended.
    const successor = bench.spawner.spawn(bench.spec(kind, 'a0', {}));
    await successor.call('add', 1, 1);
    t.deepEqual(lastBytes(), atExit);
    closeSync(fd);
  });

  test(`${kind}: killed before its thread is ready, it is gone and a successor runs`, async (t) => {
    const bench = await benchOf(t, { guestThreads: 1 });
    const first = bench.spawner.spawn(bench.spec(kind, 'a0', {}, ['echo']));
    first.links.get('echo')?.onFrame(() => {});
    first.kill();
    t.deepEqual(await first.exited, { reason: 'killed' });
    const second = bench.spawner.spawn(bench.spec(kind, 'a0', {}));
    t.is(await second.call('add', 20, 22), 42);
  });

  test(`${kind}: an armed crash point kills between two instructions`, async (t) => {
    const bench = await benchOf(t);
    const actor = bench.spawner.spawn(bench.spec(kind, 'a0', { behaviour: 'crash-point' }));
    await actor.call('add', 1, 1);
    const before = bench.progress();
    actor.killAt('front.before-index-publish', 2);
    const wake = new BellWake(bench.memory);
    wake.changeAndRing(BELL);
    await until('the first pass is over', () => bench.progress() >= before + 2);
    const rings = setInterval(() => wake.changeAndRing(BELL), 1);
    t.teardown(() => clearInterval(rings));
    t.deepEqual(await actor.exited, { reason: 'killed' });
    t.is((bench.progress() - before) % 2, 1, 'the second half of the last pass did not run');
  });

  for (const [behaviour, message] of [
    ['throw-in-step', 'a step failed'],
    ['reject-in-start', 'start failed'],
    ['throw-in-timer', 'a timer failed'],
  ] as const) {
    test(`${kind}: ${behaviour} ends the actor with the error in the report`, async (t) => {
      const bench = await benchOf(t);
      const actor = bench.spawner.spawn(bench.spec(kind, 'a0', { behaviour }));
      const report = await actor.exited;
      t.is(report.reason, 'failed');
      if (report.reason !== 'failed') return;
      t.is(report.error.code, 'E_PROBE');
      t.is(report.error.message, message);
      if (behaviour === 'throw-in-step') t.regex(bench.notes.join('\n'), /about-to-throw 1 2/);
    });
  }

  test(`${kind}: a result that cannot be cloned is a failure that says so`, async (t) => {
    const bench = await benchOf(t);
    const actor = bench.spawner.spawn(bench.spec(kind, 'a0', { behaviour: 'bad-result' }));
    await actor.call('finish');
    const report = await actor.exited;
    t.is(report.reason, 'failed');
    if (report.reason === 'failed') t.regex(report.error.message, /could not be cloned/);
  });

  test(`${kind}: it reads its host's disks and sleeps by its own timers`, async (t) => {
    const bench = await benchOf(t);
    await writeFile(join(bench.folder, 'd0'), Uint8Array.of(1, 2, 3, 4, 5));
    const actor = bench.spawner.spawn(bench.spec(kind, 'a0', {}));
    t.deepEqual(await actor.call('readDisk', 'd0'), [0, [1, 2, 3, 4]]);
    t.is(await actor.call('sleepMs', 2), 'slept');
    await t.throwsAsync(actor.call('readDisk', 'd1'), { code: 'E_DISK_MISSING' });
  });

  test(`${kind}: a story that sleeps many times goes on while no bell rings`, async (t) => {
    const bench = await benchOf(t);
    bench.spawner.spawn(bench.spec(kind, 'a0', { behaviour: 'sleeper' }));
    await until('the story has slept 50 times', () => bench.progress() >= 50);
    t.pass();
  });
}

test('a guest that was killed is followed by a new one on a pool of one thread', async (t) => {
  const bench = await benchOf(t, { guestThreads: 1 });
  const draws: unknown[] = [];
  for (let round = 0; round < 5; round++) {
    const guest = bench.spawner.spawn(bench.spec('guest', 'g0', {}));
    draws.push(await guest.call('random'));
    guest.kill();
    t.deepEqual(await guest.exited, { reason: 'killed' });
  }
  t.is(new Set(draws).size, 5, 'each incarnation draws numbers of its own');
});

test('more guests than threads: the one too many fails and says what to do', async (t) => {
  const bench = await benchOf(t, { guestThreads: 1 });
  const first = bench.spawner.spawn(bench.spec('guest', 'g0', {}));
  const second = bench.spawner.spawn(bench.spec('guest', 'g1', {}));
  const report = await second.exited;
  t.is(report.reason, 'failed');
  if (report.reason === 'failed') t.is(report.error.code, 'E_GUEST_THREADS');
  t.is(await first.call('add', 1, 2), 3);
});

test('a worker file that does not exist fails the actor, of either kind', async (t) => {
  const nowhere = new URL('./fixtures/nowhere.js', import.meta.url);
  const bench = await benchOf(t, { guestWorker: nowhere, driverWorker: nowhere });
  for (const kind of KINDS) {
    const report = await bench.spawner.spawn(bench.spec(kind, 'a0', {})).exited;
    t.is(report.reason, 'failed', kind);
  }
});

test('all threads of a run read the same clock', async (t) => {
  const bench = await benchOf(t);
  const guest = bench.spawner.spawn(bench.spec('guest', 'g0', {}));
  const driver = bench.spawner.spawn(bench.spec('driver-vm', 'd0', {}));
  let last = 0;
  for (let round = 0; round < 20; round++) {
    for (const actor of [guest, driver]) {
      const nowNs = (await actor.call('nowNs')) as number;
      t.true(nowNs > last, 'a later answer has a later time');
      last = nowNs;
    }
  }
  t.true(Number.isInteger(last));
});

test('closing the spawner kills what runs and leaves no thread', async (t) => {
  const bench = await benchOf(t);
  const guest = bench.spawner.spawn(bench.spec('guest', 'g0', { behaviour: 'spin' }));
  const driver = bench.spawner.spawn(bench.spec('driver-vm', randomBytes(2).toString('hex'), {}));
  await driver.call('add', 1, 1);
  await bench.spawner.close();
  t.deepEqual(await guest.exited, { reason: 'killed' });
  t.deepEqual(await driver.exited, { reason: 'killed' });
});

/** Calls to a guest ring its bell; a driver VM hears them as events. */
function bellOf(kind: ActorKind): number {
  return kind === 'guest' ? 2 : 0;
}
