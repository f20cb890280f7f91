import test from 'ava';
import { FrontOp } from '../../src/guests/front-request.ts';
import { FrontBench } from '../helpers/front-bench.ts';

test('before it goes idle a front end says that it looks, or later doorbells would be lost', (t) => {
  const bench = new FrontBench();
  const { queue } = bench.connected();
  bench.submitted(FrontOp.write, 0, 8);
  const before = bench.acknowledgements;
  t.false(queue.finalCheck());
  t.is(bench.acknowledgements, before + 1);
});
