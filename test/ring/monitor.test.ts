/** The monitors: silent on sound peers, and each law is seen when it is broken. */
import test from 'ava';
import { MS, PAGE_BYTES } from '../../src/base/units.ts';
import { FrontOp } from '../../src/guests/front-request.ts';
import { BlkifOp, encodeSegment } from '../../src/ring/entries.ts';
import { BACK_MOVES } from '../../src/ring/hostile/hostile-back.ts';
import { REQ_PROD_BYTES } from '../../src/ring/layout.ts';
import { GrantMonitor, RingMonitor } from '../../src/ring/monitor.ts';
import { BackBench, type BenchRing, statuses } from '../helpers/back-bench.ts';
import { FrontBench } from '../helpers/front-bench.ts';
import { HostileStage } from '../helpers/hostile-stage.ts';

interface Watched {
  readonly bench: BackBench;
  readonly grants: GrantMonitor;
  readonly ring: BenchRing;
  readonly monitor: RingMonitor;
}

function watched(persistent: boolean): Watched {
  let grants: GrantMonitor | null = null;
  const bench = new BackBench(1, (mapper) => (grants = new GrantMonitor(mapper)));
  const ring = bench.connect({ persistent, startIndex: 2 ** 32 - 20 });
  const pageOf = (ref: number): number => ring.entries.frame(ref) * PAGE_BYTES;
  const monitor = new RingMonitor(ring.view, 0, pageOf);
  const made = grants as unknown as GrantMonitor;
  made.watch(ring.guest.domain, monitor);
  return { bench, grants: made, ring, monitor };
}

for (const persistent of [true, false]) {
  test(`sound peers, grants ${persistent ? 'kept' : 'of one request'}: nothing is found`, (t) => {
    const { bench, grants, ring, monitor } = watched(persistent);
    for (let i = 0; i < 100; i++) {
      ring.front.send(ring.front.honest());
      if (i % 7 === 0) ring.device.holds = !ring.device.holds;
      monitor.look();
      bench.turn();
      if (!ring.device.holds) ring.device.release();
      monitor.look();
      ring.front.collect();
    }
    ring.device.holds = false;
    ring.device.release();
    monitor.look();
    t.is(monitor.unanswered, 0);
    ring.queue.halt('the test is over');
    ring.queue.close();
    bench.mapper.unmapAll(ring.mapped);
    t.deepEqual(monitor.findings, []);
    t.deepEqual(grants.atEnd(), []);
  });
}

for (const attack of ['F1', 'F2', 'F3', 'F4', 'F5', 'F12']) {
  test(`${attack}: the monitor blames the back end`, (t) => {
    for (const move of BACK_MOVES.filter((one) => one.attack === attack)) {
      const bench = new FrontBench();
      const { back, view } = bench.connected();
      const monitor = new RingMonitor(view, 0);
      for (const at of [0, 1, 2]) bench.submitted(FrontOp.read, 8 * at, 8);
      monitor.look();
      back.take();
      move.apply(back);
      monitor.look();
      t.true(monitor.findings.length > 0, move.name);
      t.true(
        monitor.findings.every(({ side }) => side === 'back'),
        move.name,
      );
    }
  });
}

test('a front end that lies in req_prod, changes a request or repeats an id is blamed', (t) => {
  for (const harm of [
    ({ front }: BenchRing) => front.setIndex(REQ_PROD_BYTES, front.reqProd + 33),
    ({ front }: BenchRing) => front.setIndex(REQ_PROD_BYTES, front.reqProd - 2),
    ({ front, view }: BenchRing) => {
      view.u32[front.slotWord((front.reqProd - 1) & 31) + 4] = 99;
    },
    ({ front }: BenchRing) => {
      const again = front.honest();
      again[2] = 1;
      front.send(again);
    },
  ]) {
    const { ring, monitor } = watched(true);
    ring.front.send(ring.front.honest());
    monitor.look();
    harm(ring);
    monitor.look();
    t.deepEqual(
      monitor.findings.map(({ side }) => side),
      ['front'],
    );
  }
});

test('a back end that touches a page after its answer, or keeps one, is blamed', (t) => {
  const { bench, grants, ring, monitor } = watched(false);
  const entry = ring.front.honest(BlkifOp.write);
  const { ref } = ring.front.page(3);
  encodeSegment(entry, 0, ref, 0, 7);
  ring.front.send(entry);
  const handle = grants.map(ring.guest.domain, ref as never, true);
  bench.turn();
  t.deepEqual(statuses(ring), [0]);
  monitor.look();
  t.deepEqual(grants.findings, []);
  const scratch = bench.driver.heapFrame * PAGE_BYTES;
  grants.copyIn(handle, 0, scratch, 512);
  grants.copyOut(handle, 0, scratch, 512);
  t.deepEqual(
    grants.findings.map(({ law }) => law),
    [
      'a page is used only for an unanswered request that names it',
      'a page is used only for an unanswered request that names it',
    ],
  );
  t.true(grants.atEnd().some(({ law }) => law === 'every mapping is given back'));
});

test('in the simulator: an honest ring beside a hostile guest keeps every law', async (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    const stage = new HostileStage(seed, { requests: 300 });
    let monitor: RingMonitor | null = null;
    let looks = 0;
    stage.afterEvent = () => {
      monitor ??= stage.monitorOf('good');
      monitor?.look();
      if (monitor !== null) looks++;
    };
    await stage.run(async () => {
      await stage.startDriver();
      await stage.hostile('evil', { attacks: [], pauseNs: 20_000, prankShare: 0 });
      await stage.world.timers.sleep(60 * MS);
      const good = await stage.honest('good', seed);
      await stage.until(() => good.result !== null);
    });
    t.deepEqual(stage.problems, []);
    t.true(looks > 1000, `${looks} looks`);
    t.deepEqual((monitor as unknown as RingMonitor).findings, [], `seed ${seed}`);
  }
});
