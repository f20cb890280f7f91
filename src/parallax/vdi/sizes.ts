/**
 * How much of the driver VM's RAM each part of Parallax gets, and how large its files and batches
 * are. The defaults are those of a real driver VM; the simulator and the tests use small ones.
 */
import { invariant } from '../../base/invariant.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import type { Arena } from '../arena.ts';
import { DEFAULT_LOG_OPTIONS, LOG_ARENA_BYTES, type LogOptions } from '../log/log-options.ts';

const MIB = 2 ** 20;

export interface ParallaxSizes {
  /** RAM, in pages of 4 KiB. */
  readonly logPages: number;
  readonly nodePages: number;
  readonly cachePages: number;
  /** For payloads of policies without a log. */
  readonly payloadPages: number;
  /** Reads of nodes, and reads of parts of blocks, that may be in flight. */
  readonly loaderPages: number;
  readonly readPages: number;
  /** What the log has of a run, read as a whole: a batch and some more. */
  readonly runLogPages: number;
  /** Windows in which batches are composed, and new nodes. */
  readonly writerPages: number;
  readonly updatePages: number;
  readonly slabPages: number;

  readonly slabBytes: number;
  /** From a change of the slab to the checkpoint of its table that holds it. */
  readonly slabCheckpointNs: number;
  readonly batchBytes: number;
  readonly periodNs: number;
  /** Of one image. */
  readonly dirtyCapBytes: number;
  readonly log: Omit<LogOptions, 'arena'>;
}

export const DEFAULT_SIZES: ParallaxSizes = {
  logPages: LOG_ARENA_BYTES / PAGE_BYTES,
  nodePages: (64 * MIB) / PAGE_BYTES,
  cachePages: (64 * MIB) / PAGE_BYTES,
  payloadPages: (16 * MIB) / PAGE_BYTES,
  loaderPages: 64,
  readPages: 64,
  runLogPages: (20 * MIB) / PAGE_BYTES,
  writerPages: 2048,
  updatePages: 256,
  slabPages: 65,
  slabBytes: 1024 * MIB,
  slabCheckpointNs: 10e9,
  batchBytes: 16 * MIB,
  periodNs: 2e9,
  dirtyCapBytes: 2048 * MIB,
  log: DEFAULT_LOG_OPTIONS,
};

/** Of a replay or a demonstration: log and batches of a real driver VM, caches for a laptop. */
export const REPLAY_SIZES: ParallaxSizes = {
  ...DEFAULT_SIZES,
  nodePages: (8 * MIB) / PAGE_BYTES,
  cachePages: (16 * MIB) / PAGE_BYTES,
  payloadPages: (16 * MIB) / PAGE_BYTES,
  slabBytes: 256 * MIB,
  dirtyCapBytes: 256 * MIB,
  log: { ...DEFAULT_LOG_OPTIONS, maxSegments: 16 },
};

/** Of the simulator: small enough that caches evict, segments turn over and caps are reached. */
export const SMALL_SIZES: ParallaxSizes = {
  logPages: 64,
  nodePages: 32,
  cachePages: 32,
  payloadPages: 128,
  loaderPages: 8,
  readPages: 8,
  runLogPages: 20,
  writerPages: 32,
  updatePages: 16,
  slabPages: 9,
  slabBytes: MIB,
  slabCheckpointNs: 15e6,
  batchBytes: 64 * 1024,
  periodNs: 20e6,
  dirtyCapBytes: 512 * 1024,
  log: {
    segmentBytes: 384 * 1024,
    maxSegments: 12,
    reserveBytes: 32 * 1024,
    maxGroupBytes: 64 * 1024,
    maxGroupEntries: 64,
    maxGroups: 16,
    maxVdis: 16,
    maxFronts: 64,
    windowDepth: 256,
    checkpointEveryBytes: MIB,
    checkpointEveryNs: 50e6,
    retryNs: 5e6,
  },
};

export interface ParallaxArenas {
  readonly log: Arena;
  readonly nodes: Arena;
  readonly cache: Arena;
  readonly payloads: Arena;
  readonly loader: Arena;
  readonly reads: Arena;
  readonly runLog: Arena;
  readonly writer: Arena;
  readonly update: Arena;
  readonly slab: Arena;
  readonly scratch: Arena;
}

/** RAM that Parallax needs, bytes. */
export function ramBytes(sizes: ParallaxSizes): number {
  return pagesOf(sizes).reduce((sum, [, pages]) => sum + pages, 0) * PAGE_BYTES;
}

/** Cuts a range of RAM into the arenas. */
export function cutArenas(sizes: ParallaxSizes, address: number, bytes: number): ParallaxArenas {
  invariant(address % PAGE_BYTES === 0, 'arenas begin on a page');
  invariant(bytes >= ramBytes(sizes), 'there is RAM for every arena');
  let next = address;
  const arenas = pagesOf(sizes).map(([name, pages]) => {
    const arena = { address: next, bytes: pages * PAGE_BYTES };
    next += arena.bytes;
    return [name, arena];
  });
  return Object.fromEntries(arenas) as unknown as ParallaxArenas;
}

function pagesOf(sizes: ParallaxSizes): [keyof ParallaxArenas, number][] {
  return [
    ['log', sizes.logPages],
    ['nodes', sizes.nodePages],
    ['cache', sizes.cachePages],
    ['payloads', sizes.payloadPages],
    ['loader', sizes.loaderPages],
    ['reads', sizes.readPages],
    ['runLog', sizes.runLogPages],
    ['writer', sizes.writerPages],
    ['update', sizes.updatePages],
    ['slab', sizes.slabPages],
    ['scratch', 1],
  ];
}
