import test from 'ava';
import { nanos } from '../../../src/base/units.ts';
import { DeterminismError, installTraps } from '../../../src/world/sim/traps.ts';
import { stage } from './helper-actors.ts';

const touches: Readonly<Record<string, () => unknown>> = {
  Date: () => new Date(),
  'Date.now': () => Date.now(),
  'Math.random': () => Math.random(),
  'performance.now': () => performance.now(),
  setTimeout: () => setTimeout(() => {}, 0),
  setInterval: () => setInterval(() => {}, 1),
  setImmediate: () => setImmediate(() => {}),
  'crypto.getRandomValues': () => crypto.getRandomValues(new Uint8Array(1)),
  'crypto.randomUUID': () => crypto.randomUUID(),
  WeakRef: () => new WeakRef({}),
  FinalizationRegistry: () => new FinalizationRegistry(() => {}),
  fetch: () => fetch('http://localhost/'),
  MessageChannel: () => new MessageChannel(),
  'Atomics.wait': () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0),
  'Atomics.waitAsync': () => Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0),
  'Atomics.notify': () => Atomics.notify(new Int32Array(new SharedArrayBuffer(4)), 0),
  'process.hrtime': () => process.hrtime(),
  'process.hrtime.bigint': () => process.hrtime.bigint(),
};

/** Properties of the global object that the traps may change. */
function globalsNow(): unknown[] {
  const holders: [object, string][] = [
    ...Object.getOwnPropertyNames(globalThis).map((key): [object, string] => [globalThis, key]),
    ...Object.getOwnPropertyNames(Atomics).map((key): [object, string] => [Atomics, key]),
    [Math, 'random'],
    [process, 'hrtime'],
  ];
  return holders.map(([holder, key]) => Object.getOwnPropertyDescriptor(holder, key));
}

test('what would make two runs differ throws under the traps', (t) => {
  const before = globalsNow();
  const remove = installTraps();
  const caught = new Map<string, unknown>();
  try {
    for (const [name, touch] of Object.entries(touches)) {
      try {
        touch();
      } catch (thrown) {
        caught.set(name, thrown);
      }
    }
  } finally {
    remove();
  }
  for (const name of Object.keys(touches)) {
    const thrown = caught.get(name);
    t.true(thrown instanceof DeterminismError, name);
    t.is((thrown as DeterminismError).touched, name);
  }
  t.deepEqual(globalsNow(), before, 'each property is as it was');
  remove();
  t.true(Date.now() > 0);
});

test('an actor that looks at the clock or draws by itself fails, and says with what', async (t) => {
  for (const name of ['Date.now', 'Math.random', 'setTimeout']) {
    const { sim, spawn } = stage();
    spawn((world) => ({
      start: async () => {
        await world.timers.sleep(10);
        touches[name]?.();
      },
    }));
    const { failures } = await sim.run();
    t.is(failures[0]?.error.name, 'DeterminismError', name);
    t.true(failures[0]?.error.message.startsWith(`${name} was used`), name);
  }
});

test('without traps the same actor goes through, and after a run all traps are gone', async (t) => {
  const before = globalsNow();
  const { sim, world } = stage({ traps: false });
  let now = 0;
  world.timers.at(nanos(5), () => {
    now = Date.now();
  });
  await sim.run();
  t.true(now > 0);
  const other = stage();
  other.world.timers.at(nanos(5), () => {});
  await other.sim.run();
  t.deepEqual(globalsNow(), before);
});
