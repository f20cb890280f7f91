/**
 * A seeded generator of small traces that look like a database's: few blocks, many overwrites of
 * hot ones, a flush behind every few writes, some requests smaller than a block and some of many.
 *
 * It serves the simulator and tests, where a world of a few hundred blocks finds more races than a
 * large one. The same stream and options give the same trace. Gaps between requests are uniform
 * between 0 and twice the mean: an exponential draw would need a logarithm, whose last bit differs
 * between engines.
 */
import { UsageError } from '../base/errors.ts';
import type { Prng } from '../base/prng.ts';
import { PAGE_BYTES, SECTOR_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';
import { RequestKind } from '../world/history.ts';
import { type Trace, TraceFlag } from './trace.ts';
import { TraceBuilder } from './trace-builder.ts';

export interface SyntheticOptions {
  /** Records in all, flushes included. */
  readonly requests: number;
  /** Size of the disk in 4 KiB blocks. */
  readonly blocks: number;
  /** Share of reads among the requests that are not flushes. */
  readonly readShare: number;
  /** Share of discards among the requests that are not flushes. */
  readonly discardShare: number;
  /** A flush follows every so many writes; 0: never. */
  readonly flushEvery: number;
  /** Share of the requests that go to the hot blocks. */
  readonly hotShare: number;
  /** The hot blocks are the first so many of the disk. */
  readonly hotBlocks: number;
  /** Share of the writes that are one 512-byte sector. */
  readonly subBlockShare: number;
  /** Share of the writes that must be durable when they are acknowledged (FUA). */
  readonly fuaShare: number;
  /** Longest request in 512-byte sectors; half of all requests are one block. */
  readonly maxSectors: number;
  readonly meanInterarrivalNs: number;
  /** Whether worker threads will share the columns. */
  readonly shared: boolean;
}

export const SYNTHETIC_DEFAULTS: SyntheticOptions = {
  requests: 1_000,
  blocks: 256,
  readShare: 0.4,
  discardShare: 0.02,
  flushEvery: 8,
  hotShare: 0.7,
  hotBlocks: 24,
  subBlockShare: 0.15,
  fuaShare: 0,
  maxSectors: 64,
  meanInterarrivalNs: 50_000,
  shared: false,
};

const SINGLE_BLOCK_SHARE = 0.5;

/** Draws a trace from `random`; options that are not given are `SYNTHETIC_DEFAULTS`. */
export function syntheticTrace(random: Prng, options: Partial<SyntheticOptions> = {}): Trace {
  const chosen: SyntheticOptions = { ...SYNTHETIC_DEFAULTS, ...options };
  checkOptions(chosen);
  const builder = new TraceBuilder(
    {
      format: 'synthetic',
      source: 'synthetic',
      clockGranularityNs: 1,
      exportBytes: chosen.blocks * PAGE_BYTES,
      notes: ['Made by the seeded generator, not recorded: latency unknown.'],
    },
    chosen.requests,
  );
  let t = 0;
  let unflushedWrites = 0;
  while (builder.requests < chosen.requests) {
    if (chosen.flushEvery > 0 && unflushedWrites >= chosen.flushEvery) {
      builder.append(t, RequestKind.flush, 0, 0, Number.NaN, 0, 0);
      unflushedWrites = 0;
    } else {
      const op = drawOp(random, chosen);
      appendRequest(builder, random, chosen, op, t);
      if (op === RequestKind.write) unflushedWrites++;
    }
    t += random.between(0, 2 * chosen.meanInterarrivalNs);
  }
  return builder.seal({ shared: chosen.shared });
}

function drawOp(random: Prng, options: SyntheticOptions): RequestKind {
  const draw = random.nextUnit();
  if (draw < options.readShare) return RequestKind.read;
  if (draw < options.readShare + options.discardShare) return RequestKind.discard;
  return RequestKind.write;
}

function appendRequest(
  builder: TraceBuilder,
  random: Prng,
  options: SyntheticOptions,
  op: RequestKind,
  t: number,
): void {
  const hot = random.chance(options.hotShare);
  const block = random.below(hot ? options.hotBlocks : options.blocks);
  let lba = block * SECTORS_PER_PAGE;
  let sectors: number = Math.min(SECTORS_PER_PAGE, options.maxSectors);
  if (op === RequestKind.write && random.chance(options.subBlockShare)) {
    lba += random.below(SECTORS_PER_PAGE);
    sectors = 1;
  } else if (!random.chance(SINGLE_BLOCK_SHARE)) {
    const room = Math.min(options.maxSectors, (options.blocks - block) * SECTORS_PER_PAGE);
    const blocks = Math.floor(room / SECTORS_PER_PAGE);
    if (blocks > 1) sectors = random.between(2, blocks) * SECTORS_PER_PAGE;
  }
  const fua = op === RequestKind.write && options.fuaShare > 0 && random.chance(options.fuaShare);
  const flags = fua ? TraceFlag.fua : 0;
  builder.append(t, op, lba * SECTOR_BYTES, sectors * SECTOR_BYTES, Number.NaN, 0, flags);
}

function checkOptions(options: SyntheticOptions): void {
  const { blocks, readShare, discardShare } = options;
  whole('requests', options.requests, 1, 2 ** 31);
  whole('blocks', blocks, 1, 2 ** 31);
  whole('hotBlocks', options.hotBlocks, 1, blocks);
  whole('flushEvery', options.flushEvery, 0, 2 ** 31);
  whole('maxSectors', options.maxSectors, 1, 2 ** 23 - 1);
  whole('meanInterarrivalNs', options.meanInterarrivalNs, 0, 2 ** 31);
  share('hotShare', options.hotShare);
  share('subBlockShare', options.subBlockShare);
  share('fuaShare', options.fuaShare);
  share('readShare', readShare);
  share('discardShare', discardShare);
  share('readShare + discardShare', readShare + discardShare);
}

function whole(option: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  refuse(option, value, `a whole number from ${low} to ${high}`);
}

function share(option: string, value: number): void {
  if (value >= 0 && value <= 1) return;
  refuse(option, value, 'a share from 0 to 1');
}

function refuse(option: string, value: number, expected: string): never {
  throw new UsageError(
    'E_TRACE_SYNTHETIC',
    `synthetic trace: ${option} is ${value}, expected ${expected}. Choose a value in that range.`,
    { fields: { option, value, expected } },
  );
}
