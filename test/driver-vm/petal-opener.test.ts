/** A store in a Petal pool: made, opened for an attachment, opened for a check; and its client. */
import test from 'ava';
import { openStoreIn } from '../../src/driver-vm/petal-opener.ts';
import { Findings } from '../../src/parallax/fsck/findings.ts';
import { openPoolForCheck } from '../../src/parallax/fsck/open-for-check.ts';
import { createStore } from '../../src/parallax/pool/store.ts';
import { vdiskKey } from '../../src/petal-backend/directory/keys.ts';
import { resizeVdisk } from '../../src/petal-backend/directory/pool-transitions.ts';
import { decodeRecord, vdiskKind } from '../../src/petal-backend/directory/records.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { History } from '../petal-backend/petal-workload.ts';
import {
  FAST,
  POOL,
  SIZE_BLOCKS,
  SimPetal,
  VDISK,
  VDISK_NAME,
} from '../petal-backend/sim-petal.ts';

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

test('a virtual disk gets a new map version: its client is refused by the old one, looks again and goes on', async (t) => {
  const petal = new SimPetal({ seed: 2, servers: 3 });
  await petal.run(async () => {
    await petal.create();
    const { directory, world } = petal;
    const history = new History(world);
    const client = await petal.client('h0');
    t.is(await history.write(client, EXTENT_BLOCKS), PoolStatus.ok);
    const entry = await directory.get(vdiskKey(POOL, VDISK));
    if (entry === null) return t.fail('the virtual disk is in the directory');
    const record = decodeRecord(world.digest, vdiskKind, entry);
    const at = { pool: POOL, digest: world.digest };
    const { txn } = resizeVdisk(at, { record, version: entry.version }, 2 * SIZE_BLOCKS);
    t.true(await directory.txn(txn.comparisons, txn.changes));
    // Servers go by what they know for a lease, and then by the new version.
    await world.timers.sleep(FAST.leaseNs);
    t.is(await history.write(client, EXTENT_BLOCKS), PoolStatus.ok);
    t.is(await history.read(client, EXTENT_BLOCKS), PoolStatus.ok);
    t.is(history.conflict(), null);
  });
});
