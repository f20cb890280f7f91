/** The look at a host's own disk: its log and its cache, which it does not change. */
import test from 'ava';
import { SLAB_DISK } from '../../../src/parallax/disk-names.ts';
import { Findings } from '../../../src/parallax/fsck/findings.ts';
import { checkHost } from '../../../src/parallax/fsck/host-check.ts';
import type { HostReport } from '../../../src/parallax/fsck/report.ts';
import { parseLogName } from '../../../src/parallax/log/log-names.ts';
import { BLOCK_BYTES } from '../../../src/world/block-pool.ts';
import { diskCall } from '../../../src/world/disk-story.ts';
import { SimDirectory } from '../../../src/world/sim/sim-directory.ts';
import type { SimHost } from '../../../src/world/sim/sim-host.ts';
import { Simulator } from '../../../src/world/sim/simulator.ts';
import type { World } from '../../../src/world/world.ts';
import { runStory } from '../../helpers/directory-bench.ts';
import { UUID } from '../pool/pool-bench.ts';
import { HOST, MAKER_RAM_BYTES, StoreMaker } from './store-maker.ts';

const EVERY = 64;

interface Bench {
  readonly world: World;
  readonly host: SimHost;
  readonly maker: StoreMaker;
  readonly look: (watermark?: number) => Promise<{ report: HostReport; codes: string[] }>;
}

async function onHost(story: (bench: Bench) => Promise<void>): Promise<void> {
  const simulator = new Simulator({ seed: 1 });
  const pool = simulator.addHost('pool', { memoryBytes: BLOCK_BYTES });
  const host = simulator.addHost(HOST, { memoryBytes: MAKER_RAM_BYTES, pool });
  const world = simulator.toolstackWorld('dom0', host);
  const maker = new StoreMaker(world, new SimDirectory(simulator, 'd'));
  const look: Bench['look'] = async (watermark = 0) => {
    const findings = new Findings();
    const report = await checkHost({
      world,
      host: HOST,
      attached: false,
      slabDisk: SLAB_DISK,
      uuid: UUID,
      watermarks: new Map([[1, watermark]]),
      findings,
    });
    return { report, codes: findings.kept.map(({ code }) => code) };
  };
  await runStory(simulator, () => story({ world, host, maker, look }));
}

/** A host that died with writes in its log that no root has. */
async function dieWithWrites(maker: StoreMaker): Promise<void> {
  await maker.create();
  await maker.start();
  await maker.image('disk', 700);
  await maker.write('disk', [1, 2, 3, 4, 5, 6], 7);
  await maker.crash();
}

/** Flips one bit, looks, and flips it back. */
async function codesWithFlip(
  { world, look }: Bench,
  name: string,
  position: number,
): Promise<string[]> {
  const disk = await world.disks.open(name, { writable: true });
  const at = position - (position % BLOCK_BYTES);
  const bytes = new Uint8Array(BLOCK_BYTES);
  await diskCall(disk, 'read', at, bytes);
  const flip = async (): Promise<void> => {
    bytes[position - at] = (bytes[position - at] as number) ^ 4;
    await diskCall(disk, 'write', at, bytes);
  };
  await flip();
  const { codes } = await look();
  await flip();
  await disk.close();
  return codes;
}

function filesOf(host: SimHost, kind: 'segment' | 'checkpoint'): string[] {
  return host.diskNames().filter((name) => parseLogName(name)?.kind === kind);
}

test('the log of a host that died is listed with what no root has, and nothing of it changes', async (t) => {
  await onHost(async ({ host, maker, look }) => {
    await dieWithWrites(maker);
    const before = host.diskNames().map((name) => [name, host.disk(name).writtenBytes]);
    const { report, codes } = await look();
    t.deepEqual(codes, []);
    t.deepEqual(
      host.diskNames().map((name) => [name, host.disk(name).writtenBytes]),
      before,
    );
    t.deepEqual(report.unpublished, [{ vdi: 1, entries: 6, bytes: 6 * BLOCK_BYTES }]);
    const [incarnation] = report.incarnations;
    t.is(report.incarnations.length, 1);
    t.is(incarnation?.state, 'open');
    t.deepEqual(
      incarnation?.segments.map(({ file }) => file),
      ['log-1-1'],
    );
    t.is((await look(4)).report.unpublished[0]?.entries, 2);
    t.true((report.slab?.slots ?? 0) > 0);
  });
});

test('a host that left in order has no log to speak of, and no damage', async (t) => {
  await onHost(async ({ maker, look }) => {
    await dieWithWrites(maker);
    await maker.start();
    await maker.stop();
    const { report, codes } = await look(100);
    t.deepEqual(codes, []);
    t.deepEqual(report.unpublished, []);
    t.deepEqual(report.incarnations.flatMap(({ state }) => state).includes('damaged'), false);
  });
});

test('every 64th byte of a group that was durable flipped is told as damage of the log', async (t) => {
  await onHost(async (bench) => {
    await dieWithWrites(bench.maker);
    const { report } = await bench.look();
    const segment = report.incarnations[0]?.segments[0];
    const [file, end] = [segment?.file ?? '', segment?.usedBytes ?? 0];
    t.true(end > 3 * BLOCK_BYTES);
    const silent: number[] = [];
    let flips = 0;
    for (let at = BLOCK_BYTES; at < end; at += EVERY, flips++) {
      const codes = await codesWithFlip(bench, file, at);
      if (!codes.includes('log-damaged')) silent.push(at);
    }
    // Nothing says of the last groups that they were durable: there a flip is a torn tail, cut.
    const tail = silent[0] ?? end;
    t.is(silent.length, Math.ceil((end - tail) / EVERY), 'what is silent is all at the end');
    t.true(silent.length < flips / 2, `${silent.length} of ${flips} flips were silent`);
  });
});

test('a checkpoint that was flipped is remarked, and the other one serves for it', async (t) => {
  await onHost(async (bench) => {
    await dieWithWrites(bench.maker);
    let remarked = 0;
    for (const file of filesOf(bench.host, 'checkpoint')) {
      for (let at = 0; at < 64; at += 8) {
        const codes = await codesWithFlip(bench, file, at);
        remarked += codes.length;
        t.true(
          codes.every((code) => code === 'log-remark' || code === 'log-newer'),
          `${file}, byte ${at}: ${codes.join(' ')}`,
        );
      }
    }
    t.true(remarked >= 8, 'one checkpoint at least was written');
  });
});

test('a flipped superblock or table of the cache is a warning that names its byte', async (t) => {
  await onHost(async (bench) => {
    const { maker } = bench;
    await dieWithWrites(maker);
    await maker.start();
    await maker.stop();
    for (let at = 0; at < BLOCK_BYTES; at += 16 * EVERY) {
      t.deepEqual(await codesWithFlip(bench, SLAB_DISK, at), ['slab-damaged'], `byte ${at}`);
    }
  });
});
