/**
 * The handshake against a hostile front end (B15, B16, B18) and guests that die at every step
 * (B19), through the real store, toolstack and driver VM in the simulator.
 */
import test, { type ExecutionContext } from 'ava';
import { MS } from '../../src/base/units.ts';
import type { HostileConnector } from '../../src/guests/hostile-connect.ts';
import { STORE_PRANKS, type StorePrank, setState } from '../../src/guests/store-pranks.ts';
import { XenbusState } from '../../src/hypervisor/xenbus.ts';
import { BlkifOp } from '../../src/ring/entries.ts';
import type { HostileFront } from '../../src/ring/hostile/hostile-front.ts';
import { CRASH_POINTS } from '../../src/world/faults.ts';
import type { World } from '../../src/world/world.ts';
import { HostileStage } from '../helpers/hostile-stage.ts';

/** Right keys, one honest request, its status; null when there is no ring. */
async function honestly(world: World, connector: HostileConnector): Promise<number | null> {
  if (!(await connector.begin())) return null;
  const front = await connector.connect(await connector.hands(0), 0);
  return front === null ? null : served(world, front);
}

async function served(world: World, front: HostileFront): Promise<number | null> {
  front.send(front.honest(BlkifOp.read));
  for (let i = 0; i < 100; i++) {
    const [answer] = front.collect();
    if (answer !== undefined) return answer.status;
    await world.timers.sleep(MS);
  }
  return null;
}

interface PrankOutcome {
  readonly state: XenbusState | null;
  readonly after: number | null;
}

async function played(t: ExecutionContext, prank: StorePrank, seed: number): Promise<PrankOutcome> {
  const stage = new HostileStage(seed, { requests: 200 });
  let state: XenbusState | null = null;
  let after: number | null = null;
  let calm = -1;
  await stage.run(async () => {
    await stage.startDriver();
    const good = await stage.honest('good', seed);
    let over = false;
    await stage.scripted('evil', async (world, connector) => {
      while (!(await connector.begin())) await world.timers.sleep(MS);
      const hands = await connector.hands(0);
      await prank.play(hands);
      state = await connector.waitFor((seen) => seen === XenbusState.closed);
      for (let tries = 0; tries < 5 && after === null; tries++) {
        after = await honestly(world, connector);
      }
      over = true;
    });
    await stage.until(() => over && good.result !== null);
    await stage.until(() => stage.toolstack.guest('evil').exit !== null);
    await stage.world.timers.sleep(50 * MS);
    const status = await stage.status();
    calm = status.mappedGrants;
    t.deepEqual(good.workload?.violations, [], `seed ${seed}`);
    t.is(good.result?.front.errors, 0, 'the other guest had no error');
  });
  t.deepEqual(stage.problems, [], `seed ${seed}`);
  t.is(calm, 0, 'all pages of both guests were given back');
  return { state, after };
}

for (const prank of STORE_PRANKS) {
  const end = prank.outcome === 'any' ? 'survived' : 'refused';
  const then = prank.outcome === 'gone' ? 'for good' : 'and right keys are served after';
  test(`${prank.attack}: ${prank.name}: ${end}, nothing leaks, ${then}`, async (t) => {
    for (const seed of [1, 2]) {
      const { state, after } = await played(t, prank, seed);
      if (prank.outcome !== 'any') t.is(state, XenbusState.closed, `seed ${seed}`);
      const wanted = prank.outcome === 'gone' ? null : 0;
      t.is(after, wanted, `seed ${seed}: an honest connection follows`);
    }
  });
}

test('B16: Closed with requests in flight, and again: it waits for the drain', async (t) => {
  const stage = new HostileStage(3);
  const statuses: (number | null)[] = [];
  let mapped = -1;
  await stage.run(async () => {
    await stage.startDriver();
    let over = false;
    await stage.scripted('evil', async (world, connector) => {
      for (let round = 0; round < 8; round++) {
        while (!(await connector.begin())) await world.timers.sleep(MS);
        const hands = await connector.hands(2 ** 32 - 3);
        const front = await connector.connect(hands, 2 ** 32 - 3);
        if (front === null) continue;
        for (let i = 0; i < front.slots; i++) front.put(front.honest(BlkifOp.write));
        front.publish();
        await world.timers.sleep(round * 10_000);
        await setState(hands, round % 2 === 0 ? XenbusState.closed : XenbusState.initialising);
      }
      statuses.push(await honestly(world, connector));
      over = true;
    });
    await stage.until(() => over && stage.toolstack.guest('evil').exit !== null);
    await stage.world.timers.sleep(50 * MS);
    mapped = (await stage.status()).mappedGrants;
  });
  t.deepEqual(stage.problems, []);
  t.deepEqual(statuses, [0]);
  t.is(mapped, 0);
});

test('a guest that skips from Closed to Initialised and dies leaves no page mapped', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const stage = new HostileStage(seed);
    await stage.run(async () => {
      await stage.startDriver();
      await stage.scripted('evil', async (world, connector) => {
        while (!(await connector.begin())) await world.timers.sleep(MS);
        const hands = await connector.hands(0);
        await connector.connect(hands, 0);
        await setState(hands, XenbusState.closed);
        await connector.waitFor((state) => state === XenbusState.closed);
        await setState(hands, XenbusState.initialised);
        await world.timers.sleep(world.random.below(1_500_000));
      });
      await stage.until(() => stage.toolstack.guest('evil').exit !== null);
      await stage.toolstack.destroyGuest('evil');
      await stage.world.timers.sleep(5 * MS);
      t.is((await stage.status()).mappedGrants, 0, `seed ${seed}`);
    });
    t.deepEqual(stage.problems, [], `seed ${seed}`);
  }
});

test('a guest that dies with forged use bits in its grant table can be destroyed', async (t) => {
  const stage = new HostileStage(5);
  await stage.run(async () => {
    await stage.startDriver();
    await stage.scripted('evil', async (world, connector) => {
      while (!(await connector.begin())) await world.timers.sleep(MS);
      const front = await connector.connect(await connector.hands(0), 0);
      const { forger } = (front as HostileFront).means;
      forger.forge(forger.freeRef(), 0x19 | (77 << 16), 1);
    });
    await stage.until(() => stage.toolstack.guest('evil').exit !== null);
    await stage.toolstack.destroyGuest('evil');
  });
  t.deepEqual(stage.problems, []);
});

test('the driver VM is at rest when its only guest is dead', async (t) => {
  const stage = new HostileStage(6);
  let events = -1;
  await stage.run(async () => {
    await stage.startDriver();
    await stage.scripted('evil', async (world, connector) => {
      while (!(await connector.begin())) await world.timers.sleep(MS);
      await connector.connect(await connector.hands(0), 0);
    });
    await stage.until(() => stage.toolstack.guest('evil').exit !== null);
    await stage.world.timers.sleep(100 * MS);
    const before = stage.sim.events;
    await stage.world.timers.sleep(1000 * MS);
    events = stage.sim.events - before;
  });
  t.deepEqual(stage.problems, []);
  t.true(events < 200, `${events} events in a second of nothing`);
});

for (const point of CRASH_POINTS.filter((name) => name.startsWith('front.'))) {
  test(`B19: a guest is killed at ${point}: all is given back`, async (t) => {
    for (const nth of [1, 2, 17, 100]) {
      const stage = new HostileStage(nth, { requests: 150 });
      let mapped = -1;
      await stage.run(async () => {
        await stage.startDriver();
        stage.killAt(point, nth, 'victim');
        await stage.honest('victim', nth);
        const other = await stage.honest('other', nth + 1);
        await stage.until(() => other.result !== null);
        await stage.until(() => stage.toolstack.guest('victim').exit !== null);
        t.is(stage.toolstack.guest('victim').exit?.reason, 'killed');
        await stage.toolstack.destroyGuest('victim');
        await stage.world.timers.sleep(50 * MS);
        mapped = (await stage.status()).mappedGrants;
        t.deepEqual(other.workload?.violations, []);
        t.is(other.result?.front.errors, 0);
      });
      t.deepEqual(stage.problems, [], `${point} ${nth}`);
      t.is(mapped, 0, `${point} ${nth}`);
    }
  });
}

test('B19: a guest is killed at each of 120 events: nothing of it stays mapped', async (t) => {
  for (let event = 1; event <= 120; event++) {
    const stage = new HostileStage(event, { requests: 40 });
    let mapped = -1;
    await stage.run(async () => {
      await stage.startDriver();
      stage.sim.armKillAtEvent('victim', event);
      await stage.honest('victim', 1);
      await stage.until(() => stage.toolstack.guest('victim').exit !== null);
      await stage.toolstack.destroyGuest('victim');
      await stage.world.timers.sleep(50 * MS);
      mapped = (await stage.status()).mappedGrants;
    });
    t.deepEqual(stage.problems, [], `event ${event}`);
    t.is(mapped, 0, `event ${event}`);
  }
});
