/** The line of `bench vdi` about a restart after a kill. */
import { DEFAULT_SIZES, type ParallaxSizes } from '../src/parallax/vdi/sizes.ts';
import type { WasmMemory } from '../src/world/real/wasm-memory.ts';
import { MAX_DEPTH, VdiRig } from './vdi-rig.ts';
import type { VdiScale } from './vdi-scale.ts';

const BLOCK_BYTES = 4096;
const GIB = 2 ** 30;
const HOUR_NS = 3600e9;
const POOL_BLOCKS = 2 ** 20;
const RESTARTS_MAX = 3;

/** Nothing is checkpointed, and nothing of what is logged is due for its batch yet. */
const UNPUBLISHED: ParallaxSizes = {
  ...DEFAULT_SIZES,
  batchBytes: 16 * GIB,
  dirtyCapBytes: 16 * GIB,
  periodNs: HOUR_NS,
  log: { ...DEFAULT_SIZES.log, checkpointEveryBytes: 16 * GIB, checkpointEveryNs: HOUR_NS },
};

export interface RestartLine {
  readonly secondsAGib: number[];
  readonly loggedBytes: number;
  readonly dirtyBytes: number;
}

/**
 * From the kill of the driver VM to the first answer that its guest gets, with so much in the log
 * that no checkpoint and no root knows. The same log is found again by each successor.
 */
export async function measureRestart(scale: VdiScale, memory: WasmMemory): Promise<RestartLine> {
  const { loggedBytes, writtenBlocks, rounds } = scale;
  const guest = {
    name: 'writer',
    device: 'vdi',
    image: 'logged',
    blocks: writtenBlocks,
    readShare: 0,
    fua: false,
    sampleLatency: false,
  } as const;
  const image = {
    name: 'logged',
    sizeBlocks: writtenBlocks,
    filled: [],
    content: 'zeros',
  } as const;
  const config = { sizes: UNPUBLISHED, poolBlocks: POOL_BLOCKS, images: [image], guests: [guest] };
  const rig = await VdiRig.open(config, memory);
  await rig.complete('writer', MAX_DEPTH, loggedBytes / BLOCK_BYTES);
  const secondsAGib: number[] = [];
  for (let restart = 0; restart < Math.min(rounds, RESTARTS_MAX); restart++) {
    rig.setDepth('writer', 1);
    const startMs = performance.now();
    await rig.killDriver();
    const before = rig.completedOf('writer');
    const restarted = rig.restartDriver();
    await rig.until(() => rig.completedOf('writer') > before);
    secondsAGib.push(((performance.now() - startMs) / 1000 / loggedBytes) * GIB);
    await restarted;
    await rig.pause('writer');
  }
  const { dirtyBytes } = await rig.image('logged');
  await rig.close();
  return { secondsAGib, loggedBytes, dirtyBytes };
}
