/** The lines of `bench vdi` about writes, and about snapshots while a guest writes. */
import { LoopWord } from '../src/guests/closed-loop.ts';
import { DEFAULT_SIZES, type ParallaxSizes } from '../src/parallax/vdi/sizes.ts';
import type { WasmMemory } from '../src/world/real/wasm-memory.ts';
import { type Spread, spreadOf } from './bench-result.ts';
import { awaitQuiet, sleepMs } from './machine.ts';
import { RawLog } from './vdi-baselines.ts';
import { MAX_DEPTH, type RigGuest, VdiRig } from './vdi-rig.ts';
import type { VdiScale } from './vdi-scale.ts';
import type { BenchImage } from './vdi-store.ts';

const BLOCK_BYTES = 4096;
const POOL_BLOCKS = 2 ** 22;
const LOOK_MS = 2;
/** A second line beside the snapshots: stalls in as many windows of this length without one. */
const CONTROL_MS = 20;

const WRITER: RigGuest = {
  name: 'writer',
  device: 'vdi',
  image: 'written',
  blocks: 0,
  readShare: 0,
  fua: false,
  sampleLatency: false,
};

function written(scale: VdiScale): BenchImage {
  return { name: 'written', sizeBlocks: scale.writtenBlocks, filled: [], content: 'zeros' };
}

/** How far publishing is when a line ends. */
export interface Published {
  readonly acknowledged: number;
  readonly watermark: number;
}

async function publishedOf(rig: VdiRig): Promise<Published> {
  const { acknowledged, watermark } = await rig.image('written');
  return { acknowledged, watermark };
}

export interface WriteLine {
  readonly imageSpeeds: number[];
  readonly rawLogSpeeds: number[];
  /** With half of the depth before each sync, as the image has it. */
  readonly halfGroupSpeeds: number[];
  readonly fileSyncSpeeds: number[];
  readonly logAmplifications: number[];
  readonly blocksAGroup: number[];
  readonly published: Published;
}

/** W2 at depth 32, a bare log, and the `file` device with a sync for each write, in turn. */
export async function measureWrites(scale: VdiScale, memory: WasmMemory): Promise<WriteLine> {
  const { allocatedBlocks, writtenBlocks: blocks } = scale;
  const writer = { ...WRITER, blocks };
  const file: RigGuest = { ...writer, name: 'file', device: 'file', image: 'file', fua: true };
  const images = [written(scale)];
  const sizes = { ...DEFAULT_SIZES, periodNs: scale.periodNs };
  const config = {
    sizes,
    poolBlocks: POOL_BLOCKS,
    allocatedBlocks,
    images,
    guests: [writer, file],
  };
  const rig = await VdiRig.open(config, memory);
  const rawLog = new RawLog(rig.folder);
  const line = {
    imageSpeeds: [] as number[],
    rawLogSpeeds: [] as number[],
    halfGroupSpeeds: [] as number[],
    fileSyncSpeeds: [] as number[],
    logAmplifications: [] as number[],
    blocksAGroup: [] as number[],
  };
  for (let round = 0; round < scale.rounds; round++) {
    await awaitQuiet(scale.quietMs);
    line.rawLogSpeeds.push(rawLog.speed(scale.bareMs, MAX_DEPTH));
    line.halfGroupSpeeds.push(rawLog.speed(scale.bareMs, MAX_DEPTH / 2));
    const before = (await rig.store()).log;
    const speed = await rig.speed('writer', MAX_DEPTH, 2 * scale.measureMs, scale.warmMs);
    const { log } = await rig.store();
    line.imageSpeeds.push(speed.requestsPerSecond);
    const payload = log.payloadBytes - before.payloadBytes;
    const toLog = log.writtenBytes + log.checkpointBytes;
    const bytes = toLog - before.writtenBytes - before.checkpointBytes;
    line.logAmplifications.push(bytes / payload);
    line.blocksAGroup.push(payload / BLOCK_BYTES / (log.groups - before.groups));
    await rig.drained('written');
    const synced = await rig.speed('file', MAX_DEPTH, scale.bareMs, scale.warmMs);
    line.fileSyncSpeeds.push(synced.requestsPerSecond);
  }
  const published = await publishedOf(rig);
  rawLog.close();
  await rig.close();
  return { ...line, published };
}

function capped(scale: VdiScale): ParallaxSizes {
  const { dirtyCapBytes, batchBytes, periodNs } = scale;
  return { ...DEFAULT_SIZES, dirtyCapBytes, batchBytes, periodNs };
}

export interface SustainedLine {
  /** Requests a second of each third of three caps. */
  readonly thirds: number[][];
  readonly beforeSnapshot: number[];
  readonly afterSnapshot: number[];
  readonly published: Published;
}

/** Writes until three caps are written, and on both sides of a snapshot until two are published. */
export async function measureSustained(
  scale: VdiScale,
  memory: WasmMemory,
): Promise<SustainedLine> {
  const { allocatedBlocks } = scale;
  const writer = { ...WRITER, blocks: scale.writtenBlocks };
  const sizes = capped(scale);
  const images = [written(scale)];
  const config = { sizes, poolBlocks: POOL_BLOCKS, allocatedBlocks, images, guests: [writer] };
  const rig = await VdiRig.open(config, memory);
  const capBlocks = scale.dirtyCapBytes / BLOCK_BYTES;
  const thirds: number[][] = [];
  const beforeSnapshot: number[] = [];
  const afterSnapshot: number[] = [];
  const sustained: number[] = [];
  for (let third = 0; third < 3; third++) {
    sustained.push(capBlocks / (await rig.complete('writer', MAX_DEPTH, capBlocks)));
  }
  thirds.push(sustained);
  const pairs = Math.max(1, Math.floor(scale.rounds / 2));
  for (let pair = 0; pair < pairs; pair++) {
    await rig.drained('written');
    beforeSnapshot.push(await speedUntilPublished(rig, 2 * capBlocks));
    await rig.drained('written');
    await rig.snapshot('written', `after-${pair}`);
    afterSnapshot.push(await speedUntilPublished(rig, 2 * capBlocks));
  }
  const published = await publishedOf(rig);
  await rig.close();
  return { thirds, beforeSnapshot, afterSnapshot, published };
}

/** Requests a second from now until so many more are published. */
async function speedUntilPublished(rig: VdiRig, blocks: number): Promise<number> {
  const first = rig.completedOf('writer');
  const end = (await rig.image('written')).watermark + blocks;
  const startMs = performance.now();
  rig.setDepth('writer', MAX_DEPTH);
  while ((await rig.image('written')).watermark < end) await sleepMs(LOOK_MS);
  const requests = rig.completedOf('writer') - first;
  const seconds = (performance.now() - startMs) / 1000;
  await rig.pause('writer');
  return requests / seconds;
}

export interface StallLine {
  /** Longest time without a completion in each snapshot, ms, ascending. */
  readonly stallsMs: Float64Array;
  /** The same in windows without a snapshot. */
  readonly controlMs: Float64Array;
  readonly snapshotMs: Spread;
  readonly published: Published;
}

/** Snapshots, one after the other, while a guest writes at depth 32. */
export async function measureStalls(scale: VdiScale, memory: WasmMemory): Promise<StallLine> {
  const { allocatedBlocks } = scale;
  const writer = { ...WRITER, blocks: scale.writtenBlocks, sampleLatency: true };
  const images = [written(scale)];
  const sizes = capped(scale);
  const config = { sizes, poolBlocks: POOL_BLOCKS, allocatedBlocks, images, guests: [writer] };
  const rig = await VdiRig.open(config, memory);
  const words = rig.wordsOf('writer');
  rig.setDepth('writer', MAX_DEPTH);
  await sleepMs(2 * scale.warmMs);
  const stallsMs = new Float64Array(scale.stallSnapshots);
  const controlMs = new Float64Array(scale.stallSnapshots);
  const snapshotMs: number[] = [];
  for (let i = 0; i < scale.stallSnapshots; i++) {
    words[LoopWord.longestGapNs] = 0;
    snapshotMs.push(1000 * (await rig.snapshot('written', `s${i}`)));
    stallsMs[i] = (words[LoopWord.longestGapNs] as number) / 1e6;
  }
  for (let i = 0; i < scale.stallSnapshots; i++) {
    words[LoopWord.longestGapNs] = 0;
    await sleepMs(CONTROL_MS);
    controlMs[i] = (words[LoopWord.longestGapNs] as number) / 1e6;
  }
  await rig.pause('writer');
  const published = await publishedOf(rig);
  await rig.close();
  stallsMs.sort();
  controlMs.sort();
  return { stallsMs, controlMs, snapshotMs: spreadOf(snapshotMs), published };
}
