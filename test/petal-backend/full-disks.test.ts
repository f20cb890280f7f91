/** Servers whose disks are full: new places are refused, and nothing else changes. */
import test from 'ava';
import { poolCall } from '../../src/parallax/story-io.ts';
import { CHUNK_BLOCKS } from '../../src/petal-backend/wire/messages.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { becomesClean } from './nemesis.ts';
import { History } from './petal-workload.ts';
import { SimPetal } from './sim-petal.ts';

const SERVERS = 4;
/** More than there is room for. */
const CHUNKS = 300;

function firstOf(chunk: number): number {
  return EXTENT_BLOCKS + chunk * CHUNK_BLOCKS;
}

test('disks of servers are full: writes to new places stop cleanly, reads and overwrites go on, trimming makes room', async (t) => {
  const petal = new SimPetal({ seed: 1, servers: SERVERS, copies: 2, onDisks: true });
  const history = new History(petal.world);
  const records = () => Promise.all(petal.map.servers.map((_, group) => petal.record(group)));
  await petal.run(async () => {
    await petal.create();
    const client = await petal.client('h0', { giveUpNs: 1e9 });
    const kept: number[] = [];
    let refused = 0;
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      const status = await history.write(client, firstOf(chunk));
      if (status === PoolStatus.ok) kept.push(chunk);
      else refused++;
      t.true(status === PoolStatus.ok || status === PoolStatus.noSpace, `${status}`);
    }
    t.true(kept.length > CHUNKS / 2 && refused > 0, `${kept.length} kept, ${refused} refused`);
    for (const { group, term, inSync } of await records()) {
      t.is(term as number, 1, `group ${group}: nobody steps down for what was not begun`);
      t.is(inSync.length, 2, `group ${group} keeps both copies`);
    }
    for (const chunk of kept) t.is(await history.read(client, firstOf(chunk)), PoolStatus.ok);
    for (const chunk of kept) t.is(await history.write(client, firstOf(chunk)), PoolStatus.ok);
    const nothing = new Uint8Array(CHUNK_BLOCKS * BLOCK_BYTES);
    for (const chunk of kept.splice(0, 4 * SERVERS)) {
      t.is(await poolCall(client, 'trim', firstOf(chunk), nothing), PoolStatus.ok);
    }
    for (let chunk = CHUNKS; chunk < CHUNKS + 2 * SERVERS; chunk++) {
      t.is(await history.write(client, firstOf(chunk)), PoolStatus.ok, 'there is room again');
    }
    await becomesClean(petal, 1e9);
    for (const chunk of kept) t.is(await history.read(client, firstOf(chunk)), PoolStatus.ok);
  });
  t.is(history.conflict(), null);
});
