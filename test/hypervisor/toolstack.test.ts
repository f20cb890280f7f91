import test from 'ava';
import { type Probe, SimBench } from '../helpers/sim-bench.ts';

test('a disk is created, written and read through the whole path', async (t) => {
  for (const kind of ['memory', 'file'] as const) {
    const bench = new SimBench();
    await bench.run(t, async () => {
      await bench.startDriver();
      await bench.createGuest('g0', { disk: { kind } });
      const probe = bench.probe('g0');
      t.is(await probe.write(3, 100, 0x5a), 0);
      t.is(await probe.flush(), 0);
      t.true(await probe.holds(3, 100, 0x5a), kind);
      t.true(await probe.holds(103, 10, 0), kind);
    });
  }
});

test('a guest that is created before the driver VM waits for it', async (t) => {
  const bench = new SimBench();
  await bench.run(t, async () => {
    await bench.createGuest('g0');
    const written = bench.probe('g0').write(0, 8, 1);
    await bench.sleep(50e6);
    await bench.startDriver();
    t.is(await written, 0);
  });
});

test('a killed driver VM stalls its guests without an error, and contents outlive it', async (t) => {
  const bench = new SimBench();
  await bench.run(t, async () => {
    await bench.startDriver();
    for (const kind of ['memory', 'file'] as const)
      await bench.createGuest(kind, { disk: { kind } });
    const probes = [bench.probe('memory'), bench.probe('file')];
    for (const probe of probes) t.is(await probe.write(0, 256, 0x11), 0);
    await bench.killDriver();
    const during = probes.map((probe) => probe.write(64, 8, 0x22));
    await bench.sleep(100e6);
    await bench.toolstack.restartDriver();
    for (const written of during) t.is(await written, 0);
    for (const probe of probes) {
      t.true(await probe.holds(0, 64, 0x11));
      t.true(await probe.holds(64, 8, 0x22));
      t.true(await probe.holds(72, 184, 0x11));
    }
  });
});

test('driver VMs that die before they serve leave no frame behind, however many they are', async (t) => {
  const bench = new SimBench({ memoryBytes: 6 * 2 ** 20 });
  await bench.run(t, async () => {
    await bench.startDriver();
    await bench.createGuest('g0', { disk: { kind: 'file' } });
    const probe = bench.probe('g0');
    t.is(await probe.write(0, 64, 1), 0);
    await bench.killDriver();
    const during = probe.write(64, 8, 2);
    for (let round = 0; round < 20; round++) {
      await bench.toolstack.restartDriver();
      await bench.killDriver();
    }
    await bench.toolstack.restartDriver();
    t.is(await during, 0);
    t.true(await probe.holds(0, 64, 1));
  });
});

test('guests that come and go, and driver VMs that die, leave no frame behind', async (t) => {
  const bench = new SimBench({ memoryBytes: 6 * 2 ** 20 });
  await bench.run(t, async () => {
    await bench.startDriver();
    for (let round = 0; round < 12; round++) {
      await bench.createGuest('g0');
      await bench.createGuest('g1', { disk: { kind: 'file' } });
      t.is(await bench.probe('g0').write(0, 64, round), 0);
      if (round % 3 === 1) {
        await bench.killDriver();
        await bench.toolstack.restartDriver();
        await bench.toolstack.allConnected();
      }
      await bench.toolstack.destroyGuest('g0');
      await bench.toolstack.destroyGuest('g1');
    }
    const status = await bench.status();
    t.deepEqual([status.mappedGrants, status.disks.length], [0, 0]);
  });
});

for (const others of [[], ['dead', 'alive']]) {
  const beside = others.length === 0 ? '' : `, beside it ${others.join(' and ')}`;
  test(`a driver VM may die at any moment while a guest is destroyed${beside}`, async (t) => {
    let isOver = false;
    for (let delayNs = 0; !isOver; delayNs += 100e3) {
      const bench = new SimBench();
      await bench.run(t, async () => {
        await bench.startDriver();
        for (const name of ['g0', ...others]) await bench.createGuest(name);
        t.is(await bench.probe('g0').write(0, 8, 1), 0);
        for (const name of others.filter((one) => one === 'dead'))
          bench.toolstack.guest(name).handle.kill();
        const destroyed = bench.toolstack.destroyGuest('g0').then(() => true);
        isOver = await Promise.race([destroyed, bench.sleep(delayNs).then(() => false)]);
        await bench.killDriver();
        await t.notThrowsAsync(destroyed, `killed after ${delayNs} ns`);
        await bench.toolstack.restartDriver();
        await bench.createGuest('g0');
        t.is(await bench.probe('g0').write(0, 8, 2), 0);
      });
    }
  });
}

test('a guest that was killed is restarted on its disk with all it had written', async (t) => {
  const bench = new SimBench();
  await bench.run(t, async () => {
    await bench.startDriver();
    const first = await bench.createGuest('g0');
    const probe = bench.probe('g0');
    t.is(await probe.write(8, 200, 0x44), 0);
    first.handle.kill();
    await first.handle.exited;
    const second = await bench.toolstack.restartGuest('g0', bench.guestSpec('g0').config);
    t.not(second.layout.domain, first.layout.domain);
    t.not(second.frontId, first.frontId);
    t.true(await probe.holds(8, 200, 0x44));
  });
});

test('a disk that grows is seen by its guest, used at once, and keeps its size', async (t) => {
  const bench = new SimBench();
  await bench.run(t, async () => {
    await bench.startDriver();
    await bench.createGuest('g0', { disk: { kind: 'file', sectors: 256 } });
    const probe = bench.probe('g0');
    t.is(await probe.write(0, 8, 1), 0);
    t.is(probe.disk?.features?.sectors, 256);
    t.not(await probe.write(256, 8, 2), 0, 'behind the end');
    await bench.toolstack.resizeDisk('g0', 512);
    t.true(await bench.until(() => probe.disk?.features?.sectors === 512));
    t.is(await probe.write(504, 8, 3), 0);
    await bench.killDriver();
    await bench.toolstack.restartDriver();
    t.true(await probe.holds(504, 8, 3), 'also after the driver VM was replaced');
    t.is(probe.disk?.features?.sectors, 512);
    await bench.toolstack.resizeDisk('g0', 128);
    t.true(await bench.until(() => probe.disk?.features?.sectors === 128));
    t.not(await probe.write(128, 8, 4), 0, 'a smaller disk ends sooner');
    await bench.killDriver();
    await bench.toolstack.restartDriver();
    t.true(await probe.holds(0, 8, 1));
    t.is(probe.disk?.features?.sectors, 128);
    const guest = bench.toolstack.guest('g0');
    guest.handle.kill();
    await guest.handle.exited;
    await bench.toolstack.restartGuest('g0', bench.guestSpec('g0').config);
    t.true(await probe.holds(0, 8, 1));
    t.is(probe.disk?.features?.sectors, 128, 'also for another guest on the same disk');
  });
});

test('a disk that cannot grow says so, keeps its size and goes on', async (t) => {
  const bench = new SimBench();
  await bench.run(t, async () => {
    await bench.startDriver();
    await bench.createGuest('g0');
    const probe = bench.probe('g0');
    t.is(await probe.write(0, 8, 1), 0);
    await t.throwsAsync(bench.toolstack.resizeDisk('g0', 100_000), { code: 'E_CANNOT_GROW' });
    t.true(await probe.holds(0, 8, 1));
    await bench.killDriver();
    await bench.toolstack.restartDriver();
    t.true(await probe.holds(0, 8, 1));
    t.is(probe.disk?.features?.sectors, 512);
  });
});

/** Writes as fast as the disk takes them, 16 at a time; how many were answered in `durationNs`. */
async function flood(bench: SimBench, probe: Probe, durationNs: number): Promise<number> {
  let answered = 0;
  let over = false;
  const one = async (at: number): Promise<void> => {
    while (!over) {
      await probe.write(8 * at, 8, 1);
      if (!over) answered++;
    }
  };
  const all = Array.from({ length: 16 }, (_, at) => one(at));
  await bench.sleep(durationNs);
  over = true;
  await Promise.all(all);
  return answered;
}

test('limits come from the store, hold, and are changed while the disk serves', async (t) => {
  const bench = new SimBench();
  await bench.run(t, async () => {
    await bench.startDriver();
    await bench.createGuest('g0', { disk: { requestsPerSecond: 200 } });
    await bench.createGuest('g1');
    const probe = bench.probe('g0');
    await bench.toolstack.allConnected();
    const limited = await flood(bench, probe, 2e9);
    t.true(Math.abs(limited - 400) <= 25, `${limited} in 2 s at 200 a second`);
    await bench.control('setLimit', 'g0', { requestsPerSecond: 1000, bytesPerSecond: 0 });
    const faster = await flood(bench, probe, 1e9);
    t.true(Math.abs(faster - 1000) <= 110, `${faster} in 1 s at 1000 a second`);
    await bench.control('setLimit', 'g0', { requestsPerSecond: 0, bytesPerSecond: 409_600 });
    const bytes = await flood(bench, probe, 2e9);
    t.true(Math.abs(bytes - 200) <= 12, `${bytes} of 4 KiB in 2 s at 400 KiB a second`);
    await bench.control('setLimit', 'g0', { requestsPerSecond: 0, bytesPerSecond: 0 });
    t.true((await flood(bench, probe, 0.1e9)) > 1000, 'without a limit');
    await bench.killDriver();
    await bench.toolstack.restartDriver();
    await bench.toolstack.allConnected();
    const again = await flood(bench, probe, 1e9);
    t.true(again <= 225, 'a successor has the limits of the store');
  });
});

test('a limit that holds a waiting request back is lifted without another request', async (t) => {
  const bench = new SimBench();
  await bench.run(t, async () => {
    await bench.startDriver();
    await bench.createGuest('g0', { disk: { bytesPerSecond: 4096 } });
    const probe = bench.probe('g0');
    t.is(await probe.write(0, 256, 1), 0);
    const startNs = bench.world.clock.nowNs();
    const held = probe.write(0, 8, 2);
    await bench.sleep(50e6);
    await bench.control('setLimit', 'g0', { requestsPerSecond: 0, bytesPerSecond: 0 });
    t.is(await held, 0);
    t.true(bench.world.clock.nowNs() - startNs < 60e6);
  });
});

test('errors and delays are switched on and off while a disk serves, for that disk only', async (t) => {
  const bench = new SimBench();
  await bench.run(t, async () => {
    await bench.startDriver();
    await bench.createGuest('g0');
    await bench.createGuest('g1');
    const [probe, other] = [bench.probe('g0'), bench.probe('g1')];
    await bench.toolstack.allConnected();
    const rule = { op: 'write', firstLba: 64, endLba: 72, probability: 1, skip: 0, times: 0 };
    await bench.control('setErrors', 'g0', [{ ...rule, status: 'ioError' }]);
    t.deepEqual([await probe.write(60, 8, 1), await probe.write(56, 8, 1)], [-1, 0]);
    t.is(await other.write(60, 8, 1), 0);
    await bench.control('setErrors', 'g0', []);
    t.is(await probe.write(60, 8, 1), 0);
    await bench.control('setDelays', 'g0', { readNs: 0, writeNs: 80e6, flushNs: 0, jitterNs: 0 });
    const startNs = bench.world.clock.nowNs();
    t.is(await other.write(0, 8, 1), 0);
    t.is(await probe.read(0, 8).then((bytes) => typeof bytes), 'object');
    t.true(bench.world.clock.nowNs() - startNs < 5e6);
    t.is(await probe.write(0, 8, 1), 0);
    t.true(bench.world.clock.nowNs() - startNs >= 80e6);
    const disks = (await bench.status()).disks;
    t.deepEqual(
      disks.map(({ device }) => device?.write.errors),
      [1, 0],
    );
  });
});
