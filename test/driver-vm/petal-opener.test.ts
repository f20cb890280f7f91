/** A store in a Petal pool: made, opened for an attachment, opened for a check. */
import test from 'ava';
import { openStoreIn } from '../../src/driver-vm/petal-opener.ts';
import { Findings } from '../../src/parallax/fsck/findings.ts';
import { openPoolForCheck } from '../../src/parallax/fsck/open-for-check.ts';
import { createStore } from '../../src/parallax/pool/store.ts';
import { BLOCK_BYTES } from '../../src/world/block-pool.ts';
import { SIZE_BLOCKS, SimPetal, VDISK_NAME } from '../petal-backend/sim-petal.ts';

const FACTS = { uuid: new Uint8Array(16).fill(3), createdMs: 1, sizeBlocks: SIZE_BLOCKS };
const nothing = (): Promise<void> => Promise.resolve();

test('a store in a pool is opened by the superblock in its block 0, and a check says what is wrong with that', async (t) => {
  const petal = new SimPetal({ seed: 1, servers: 3 });
  await petal.run(async () => {
    await petal.create();
    const { digest } = petal.world;
    const found = async (): Promise<[boolean, readonly string[]]> => {
      const findings = new Findings();
      const opened = await openPoolForCheck(await petal.client('checker'), digest, findings);
      return [opened !== null, findings.kept.map(({ code, what }) => `${code}: ${what}`)];
    };
    const missing = petal.client('h0').then((pool) => openStoreIn(pool, digest, VDISK_NAME));
    await t.throwsAsync(missing, { code: 'E_STORE_MISSING' });
    t.deepEqual(await found(), [false, ['superblock: it is not there']]);

    const pool = await petal.client('h0');
    await createStore(pool, digest, VDISK_NAME, FACTS, nothing);
    t.deepEqual(await found(), [true, []]);
    const { superblock } = await openStoreIn(await petal.client('h0'), digest, VDISK_NAME);
    t.deepEqual(superblock.uuid, FACTS.uuid);

    const writer = await petal.client('h0');
    const { version } = await writer.readConditional(0);
    t.true((await writer.writeIf(0, version, new Uint8Array(BLOCK_BYTES).fill(9))).written);
    const [isOpen, [problem]] = await found();
    t.false(isOpen);
    t.regex(problem ?? '', /^superblock: /);
  });
});
