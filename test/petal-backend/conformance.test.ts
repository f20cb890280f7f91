import test from 'ava';
import { othersLeaseNs } from '../../src/petal-backend/server/ports.ts';
import { POOL_CASES } from '../parallax/pool/block-pool-conformance.ts';
import { guardOf, type PoolBench } from '../parallax/pool/pool-bench.ts';
import { FAST, SimPetal } from './sim-petal.ts';

for (const { servers, copies } of [
  { servers: 4, copies: 2 },
  { servers: 3, copies: 3 },
]) {
  for (const [title, story] of Object.entries(POOL_CASES)) {
    test(`Petal, ${servers} servers, ${copies} copies: ${title}`, async (t) => {
      const petal = new SimPetal({ seed: 1, servers, copies });
      await petal.run(async () => {
        await petal.create();
        const bench: PoolBench = {
          world: petal.world,
          run: (inner) => inner(),
          attached: async (host) => {
            const { pool, attachment } = await petal.attached(host);
            // The fence of whoever was attached before is confirmed when leases are over.
            await petal.world.timers.sleep(othersLeaseNs(FAST));
            return { pool, attachment, guard: guardOf(petal.world, petal.directory, attachment) };
          },
        };
        await story(t, bench);
      });
    });
  }
}
