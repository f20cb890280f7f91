/** The lines of `bench vdi` about reads: from memory, from the slab, from below many snapshots. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SUPERBLOCKS, tableBlocksOf } from '../src/parallax/formats/slab-table.ts';
import { DEFAULT_SIZES, type ParallaxSizes } from '../src/parallax/vdi/sizes.ts';
import type { WasmMemory } from '../src/world/real/wasm-memory.ts';
import { awaitQuiet, sleepMs } from './machine.ts';
import { readSpeed } from './vdi-baselines.ts';
import { MAX_DEPTH, type RigGuest, VdiRig } from './vdi-rig.ts';
import type { VdiScale } from './vdi-scale.ts';
import { type BenchImage, firstBlocks } from './vdi-store.ts';

const POOL_BLOCKS = 2 ** 20;
const BLOCK_BYTES = 4096;
/** Of the memory cache where reads are to miss it. */
const FEW_PAGES = 64;
/** Reads of a slab line that come from the slab, at least. */
const SLAB_SHARE = 0.98;
const WARM_PASSES_MAX = 50;

function reader(name: string, image: string, blocks: number): RigGuest {
  return {
    name,
    device: 'vdi',
    image,
    blocks,
    readShare: 1,
    fua: false,
    sampleLatency: false,
  };
}

function filled(name: string, blocks: number): BenchImage {
  return { name, sizeBlocks: blocks, filled: firstBlocks(blocks), content: 'random' };
}

export interface HitLine {
  readonly imageSpeeds: number[];
  readonly nullSpeeds: number[];
  /** p99 of reads at depth 1 while another guest writes at depth 32, and while nobody does. */
  readonly p99BesideWritesMs: number[];
  readonly p99AloneMs: number[];
  readonly fromMemoryShare: number;
}

/** Reads that memory has, the null device, and reads beside a guest that writes, in turn. */
export async function measureHits(scale: VdiScale, memory: WasmMemory): Promise<HitLine> {
  const { hitBlocks, writtenBlocks } = scale;
  const guests: RigGuest[] = [
    reader('reader', 'hit', hitBlocks),
    { ...reader('null', '', hitBlocks), device: 'null' },
    { ...reader('probe', 'hit', hitBlocks), sampleLatency: true },
    { ...reader('writer', 'written', writtenBlocks), readShare: 0 },
  ];
  const images: BenchImage[] = [
    filled('hit', hitBlocks),
    { name: 'written', sizeBlocks: writtenBlocks, filled: [], content: 'zeros' },
  ];
  const sizes = { ...DEFAULT_SIZES, periodNs: scale.periodNs };
  const config = { sizes, poolBlocks: POOL_BLOCKS, images, guests };
  const rig = await VdiRig.open(config, memory);
  await rig.complete('reader', MAX_DEPTH, 20 * hitBlocks);
  const line: Omit<HitLine, 'fromMemoryShare'> = {
    imageSpeeds: [],
    nullSpeeds: [],
    p99BesideWritesMs: [],
    p99AloneMs: [],
  };
  const { reads: before } = await rig.store();
  for (let round = 0; round < scale.rounds; round++) {
    await awaitQuiet(scale.quietMs);
    const hit = await rig.speed('reader', MAX_DEPTH, scale.bareMs, scale.warmMs);
    const none = await rig.speed('null', MAX_DEPTH, scale.bareMs, scale.warmMs);
    line.imageSpeeds.push(hit.requestsPerSecond);
    line.nullSpeeds.push(none.requestsPerSecond);
  }
  const { reads } = await rig.store();
  const fromMemoryShare =
    (reads.fromMemory - before.fromMemory) / Math.max(1, reads.blocks - before.blocks);
  for (let round = 0; round < scale.rounds; round++) {
    rig.setDepth('probe', 1);
    await sleepMs(scale.warmMs);
    line.p99AloneMs.push(p99Of(await rig.latenciesMs('probe', scale.bareMs)));
    rig.setDepth('writer', MAX_DEPTH);
    await sleepMs(scale.warmMs);
    line.p99BesideWritesMs.push(p99Of(await rig.latenciesMs('probe', scale.measureMs)));
    await rig.pause('writer');
    await rig.pause('probe');
  }
  await rig.close();
  return { ...line, fromMemoryShare };
}

export interface SlabLine {
  readonly imageSpeeds: number[];
  readonly readSpeeds: number[];
  readonly fromSlabShare: number;
}

/** Reads that the slab has and memory has not, and a bare loop over the slab's own file. */
export async function measureSlab(scale: VdiScale, memory: WasmMemory): Promise<SlabLine> {
  const { slabBlocks } = scale;
  const sizes = missesMemory(4 * slabBlocks * BLOCK_BYTES, scale);
  const guests = [reader('reader', 'slab', slabBlocks)];
  const images = [filled('slab', slabBlocks)];
  const rig = await VdiRig.open({ sizes, poolBlocks: POOL_BLOCKS, images, guests }, memory);
  let fromSlabShare = 0;
  for (let pass = 0; pass < WARM_PASSES_MAX && fromSlabShare < SLAB_SHARE; pass++) {
    const { reads: before } = await rig.store();
    await rig.complete('reader', MAX_DEPTH, slabBlocks);
    const { reads } = await rig.store();
    const blocks = reads.blocks - before.blocks - (reads.fromMemory - before.fromMemory);
    fromSlabShare = (reads.fromSlab - before.fromSlab) / Math.max(1, blocks);
  }
  const path = join(rig.hostFolder, 'slab');
  const slots = (4 * slabBlocks * BLOCK_BYTES) / BLOCK_BYTES;
  const firstSlot = SUPERBLOCKS + tableBlocksOf(slots);
  const imageSpeeds: number[] = [];
  const readSpeeds: number[] = [];
  for (let round = 0; round < scale.rounds; round++) {
    await awaitQuiet(scale.quietMs);
    const speed = await rig.speed('reader', MAX_DEPTH, scale.bareMs, scale.warmMs);
    imageSpeeds.push(speed.requestsPerSecond);
    readSpeeds.push(readSpeed(path, firstSlot, slabBlocks, scale.bareMs));
  }
  await rig.close();
  return { imageSpeeds, readSpeeds, fromSlabShare };
}

export interface SpreadLine {
  readonly spreadSpeeds: number[];
  readonly plainSpeeds: number[];
}

/**
 * Reads of an image whose blocks were written between a hundred snapshots, and of one that was
 * written as much without any. Before each measurement all caches are emptied.
 */
export async function measureSpread(scale: VdiScale, memory: WasmMemory): Promise<SpreadLine> {
  const { spreadBlocks, spreadSnapshots } = scale;
  const sizes = missesMemory(DEFAULT_SIZES.slabBytes, scale);
  const names = ['spread', 'plain'] as const;
  const guests = names.map((name) => ({ ...reader(name, name, spreadBlocks), readShare: 0 }));
  const images = names.map((name) => filled(name, spreadBlocks));
  const rig = await VdiRig.open({ sizes, poolBlocks: POOL_BLOCKS, images, guests }, memory);
  const share = Math.ceil(spreadBlocks / spreadSnapshots);
  for (let i = 0; i < spreadSnapshots; i++) {
    await rig.complete('spread', MAX_DEPTH, share);
    await rig.complete('plain', MAX_DEPTH, share);
    await rig.snapshot('spread', `s${i}`);
  }
  for (const name of names) {
    await rig.drained(name);
    rig.readFrom(name);
  }
  const line: SpreadLine = { spreadSpeeds: [], plainSpeeds: [] };
  const reads = Math.ceil(spreadBlocks / 2);
  for (let round = 0; round < scale.rounds; round++) {
    const order = round % 2 === 0 ? names : names.toReversed();
    for (const name of order) {
      await rig.killDriver();
      await rm(join(rig.hostFolder, 'slab'));
      await rig.restartDriver();
      const speed = reads / (await rig.complete(name, MAX_DEPTH, reads));
      (name === 'spread' ? line.spreadSpeeds : line.plainSpeeds).push(speed);
    }
  }
  await rig.close();
  return line;
}

function missesMemory(slabBytes: number, { periodNs }: VdiScale): ParallaxSizes {
  return { ...DEFAULT_SIZES, cachePages: FEW_PAGES, slabBytes, periodNs };
}

export function p99Of(sorted: Float64Array): number {
  return sorted[Math.floor(0.99 * (sorted.length - 1))] ?? Number.NaN;
}
