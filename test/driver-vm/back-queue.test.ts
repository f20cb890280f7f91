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
