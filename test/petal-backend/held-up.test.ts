/** Servers that are held up again and again, as on a machine with too much to do. */
import test from 'ava';
import { CHUNK_BLOCKS } from '../../src/petal-backend/wire/messages.ts';
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { becomesClean } from './nemesis.ts';
import { History, randomOf } from './petal-workload.ts';
import { FAST, SimPetal } from './sim-petal.ts';

const SERVERS = 4;
const KILLS = 3;
/** From the death of a primary to the next acknowledged write of its group. */
const WITHIN_NS = 2 * (FAST.silenceNs + FAST.leaseNs);

test('servers stand still again and again for up to two heartbeats, and primaries die: each is replaced when silence and lease are over', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const petal = new SimPetal({ seed, servers: SERVERS, copies: seed % 3 === 0 ? 3 : 2 });
    const { simulator, world } = petal;
    const random = randomOf(seed);
    const history = new History(world);
    await petal.run(async () => {
      await petal.create();
      petal.directory.set({ latencyNs: random.pick([0.2e6, 1e6, 4e6]) });
      const client = await petal.client('h0');
      let isOver = false;
      const holdingUp = (async () => {
        while (!isOver) {
          const server = 1 + random.below(SERVERS);
          if (petal.isUp(server)) petal.pause(server, random.between(1e6, 2 * FAST.heartbeatNs));
          await world.timers.sleep(random.between(1e6, 20e6));
        }
      })();
      for (let kill = 0; kill < KILLS; kill++) {
        await becomesClean(petal, 2e9);
        const group = random.below(SERVERS);
        const { primary } = await petal.record(group);
        const fromNs = simulator.nowNs;
        await petal.kill(primary);
        const block = EXTENT_BLOCKS + group * CHUNK_BLOCKS + kill;
        t.is(await history.write(client, block), PoolStatus.ok);
        const tookNs = simulator.nowNs - fromNs;
        t.true(tookNs < WITHIN_NS, `seed ${seed}, s${primary}: ${tookNs / 1e6} ms`);
        petal.start(primary);
      }
      isOver = true;
      await holdingUp;
      await becomesClean(petal, 2e9);
    });
    t.is(history.conflict(), null, `seed ${seed}`);
  }
});
