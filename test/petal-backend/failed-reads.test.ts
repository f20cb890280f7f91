import test from 'ava';
import { failedReads } from '../../bench/petal-failed-reads.ts';

test('one of five servers fails at saturation: reads lose its share and no more, and cascade round the chain', async (t) => {
  const { value, samples } = await failedReads({
    servers: 5,
    clients: 2,
    depth: 64,
    measureNs: 5e8,
  });
  t.true(value >= 0.96 * 0.8 && value <= 0.85, `throughput falls to ${value}; 4/5 is ideal`);
  const [sample] = samples;
  t.true((sample?.shareError ?? 1) <= 0.05, `shares of own groups: ${sample?.shares.join(', ')}`);
});
