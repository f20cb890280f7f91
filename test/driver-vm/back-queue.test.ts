import test from 'ava';
import { BlkifOp } from '../../src/ring/entries.ts';
import { RSP_PROD_BYTES } from '../../src/ring/layout.ts';
import { BackBench, type BenchRing } from '../helpers/back-bench.ts';

function published({ view }: BenchRing): number {
  return view.u32[(view.baseBytes + RSP_PROD_BYTES) / 4] as number;
}

function send(ring: BenchRing, requests: number): void {
  for (let i = 0; i < requests; i++) ring.front.put(ring.front.honest(BlkifOp.write));
  ring.front.publish();
}

test('a batch is published at its end, though each of it completed at once', (t) => {
  const bench = new BackBench();
  const ring = bench.connect({ publish: 'batch' });
  send(ring, 5);
  bench.turn();
  t.is(published(ring), 5);
});

test('what a batch leaves with the device is published when it completes, not at the next look', (t) => {
  const bench = new BackBench();
  const ring = bench.connect({ publish: 'batch' });
  ring.device.holds = true;
  send(ring, 3);
  bench.turn();
  t.is(published(ring), 0);
  ring.device.release();
  t.is(published(ring), 3);
});

test('answers that a device gives together are published as one, and the guest is rung once', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  ring.device.holds = true;
  send(ring, 3);
  bench.turn();
  const rung = bench.world.bells;
  bench.rounds.together(() => {
    ring.device.release();
    t.is(published(ring), 0);
  });
  t.is(published(ring), 3);
  t.is(bench.world.bells, rung + 1);
  ring.device.holds = true;
  send(ring, 1);
  bench.turn();
  ring.device.release();
  t.is(published(ring), 4, 'what comes alone is published at once');
});

test('while requests are taken a guest that sleeps is rung after eight answers, or at the end', (t) => {
  for (const [requests, heard] of [
    [3, 3],
    [11, 8],
  ] as const) {
    const bench = new BackBench();
    const ring = bench.connect();
    send(ring, requests);
    const { bells } = bench.world;
    let quiet = 0;
    bench.world.atCrashPoint = (name) => {
      if (name !== 'back.before-response-publish') return;
      if (bench.world.bells === bells) quiet = published(ring) + 1;
    };
    bench.turn();
    t.is(published(ring), requests);
    t.is(quiet, heard, 'answers when the bell rang');
    t.is(bench.world.bells, bells + 1);
  }
});
