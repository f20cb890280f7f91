/**
 * The lines of `bench vdi` about an image of a terabyte, in a process of their own, because how
 * much memory a thread takes can be told only of a process. The parent hands in the scale and gets
 * a `HugeLine`.
 */
import { DEFAULT_SIZES } from '../src/parallax/vdi/sizes.ts';
import { sleepMs } from './machine.ts';
import { MAX_DEPTH, type RigGuest, VdiRig, vdiRigMemory } from './vdi-rig.ts';
import type { VdiScale } from './vdi-scale.ts';
import { type BenchImage, firstBlocks, randomBlocks } from './vdi-store.ts';

const MIB = 2 ** 20;
const LOOK_MS = 20;
/** Room for the blocks, and for a node for each of them. */
const POOL_BLOCKS_A_BLOCK = 3;
const POOL_BLOCKS_MIN = 2 ** 20;

export interface HugeLine {
  /** Most that the process grew by since the driver VM had started, MiB. */
  readonly growthMib: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly hugeSnapshotMs: number[];
  readonly smallSnapshotMs: number[];
}

function guestOf(name: string, blocks: number, readShare: number): RigGuest {
  return {
    name: `${name}-${readShare}`,
    device: 'vdi',
    image: name,
    blocks,
    readShare,
    fua: false,
    sampleLatency: false,
  };
}

async function measureHuge(scale: VdiScale): Promise<HugeLine> {
  const { hugeBlocks, hugeMapped, smallBlocks, residentMs, periodNs } = scale;
  const images: BenchImage[] = [
    {
      name: 'huge',
      sizeBlocks: hugeBlocks,
      filled: randomBlocks(hugeMapped, hugeBlocks),
      content: 'zeros',
    },
    {
      name: 'small',
      sizeBlocks: smallBlocks,
      filled: firstBlocks(Math.min(hugeMapped, smallBlocks)),
      content: 'zeros',
    },
  ];
  const memory = vdiRigMemory(DEFAULT_SIZES, 3);
  const poolBlocks = Math.max(POOL_BLOCKS_MIN, POOL_BLOCKS_A_BLOCK * hugeMapped);
  const sizes = { ...DEFAULT_SIZES, periodNs };
  const config = { sizes, poolBlocks, images, guests: [] };
  const rig = await VdiRig.open({ ...config, guestThreads: 3 }, memory);
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  await rig.addGuest(guestOf('huge', hugeBlocks, 1), images);
  await rig.addGuest(guestOf('huge', hugeBlocks, 0), images);
  let most = 0;
  const look = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, LOOK_MS);
  const reads = await rig.speed('huge-1', MAX_DEPTH, residentMs, 0);
  const writes = await rig.speed('huge-0', MAX_DEPTH, residentMs, 0);
  await rig.drained('huge');
  clearInterval(look);
  await rig.addGuest(guestOf('small', smallBlocks, 0), images);
  await sleepMs(scale.warmMs);
  const hugeSnapshotMs: number[] = [];
  const smallSnapshotMs: number[] = [];
  for (let i = 0; i < scale.sizedSnapshots; i++) {
    hugeSnapshotMs.push(1000 * (await rig.snapshot('huge', `s${i}`)));
    smallSnapshotMs.push(1000 * (await rig.snapshot('small', `s${i}`)));
  }
  await rig.close();
  return {
    growthMib: (most - before) / MIB,
    readsPerSecond: reads.requestsPerSecond,
    writesPerSecond: writes.requestsPerSecond,
    hugeSnapshotMs,
    smallSnapshotMs,
  };
}

process.once('message', (scale: VdiScale) => {
  measureHuge(scale).then(
    (line) => process.send?.(line, () => process.exit()),
    (thrown: unknown) => {
      process.stderr.write(`${String((thrown as Error).stack)}\n`);
      process.exit(1);
    },
  );
});
