/**
 * `bench vdi`: Parallax with everything a request passes, against bare loops over the same disk.
 *
 * Each line has a rig of its own (`vdi-rig.ts`): destage is on in all of them, and how far it had
 * published when the line ended is in the samples. What is compared is measured in turn, and a
 * target's value is the median over the rounds of a ratio inside one round.
 */
import { fork } from 'node:child_process';
import type { BenchTarget } from '../src/cli/bench-output.ts';
import { DEFAULT_SIZES } from '../src/parallax/vdi/sizes.ts';
import type { WasmMemory } from '../src/world/real/wasm-memory.ts';
import { type BenchOptions, type BenchResult, medianOf, spreadOf, target } from './bench-result.ts';
import { describeMachine, ForeignLoad } from './machine.ts';
import type { HugeLine } from './vdi-huge.ts';
import {
  type HitLine,
  measureHits,
  measureSlab,
  measureSpread,
  p99Of,
  type SlabLine,
  type SpreadLine,
} from './vdi-read-lines.ts';
import { measureRestart, type RestartLine } from './vdi-restart-line.ts';
import { vdiRigMemory } from './vdi-rig.ts';
import { FULL, QUICK, type VdiScale } from './vdi-scale.ts';
import {
  measureStalls,
  measureSustained,
  measureWrites,
  type StallLine,
  type SustainedLine,
  type WriteLine,
} from './vdi-write-lines.ts';

const GUESTS_MAX = 4;
const STALL_MS_MAX = 5;

interface Lines {
  readonly writes: WriteLine;
  readonly sustained: SustainedLine;
  readonly stalls: StallLine;
  readonly hits: HitLine;
  readonly slab: SlabLine;
  readonly spread: SpreadLine;
  readonly restart: RestartLine;
  readonly huge: HugeLine;
}

type Measure<T> = (scale: VdiScale, memory: WasmMemory) => Promise<T>;

/** How long a line took, and how many cores others used meanwhile. */
interface Circumstances {
  readonly line: string;
  readonly seconds: number;
  readonly foreignCores: number;
}

export async function run(options: BenchOptions = {}): Promise<BenchResult> {
  const scale = options.quick === true ? QUICK : FULL;
  const machine = describeMachine();
  const memory = vdiRigMemory(DEFAULT_SIZES, GUESTS_MAX);
  const circumstances: Circumstances[] = [];
  const line = async <T>(name: string, measure: Measure<T>): Promise<T> => {
    const load = new ForeignLoad();
    const startMs = performance.now();
    const measured = await measure(scale, memory);
    const seconds = (performance.now() - startMs) / 1000;
    circumstances.push({ line: name, seconds, foreignCores: load.cores() });
    return measured;
  };
  const lines: Lines = {
    writes: await line('writes', measureWrites),
    sustained: await line('sustained', measureSustained),
    stalls: await line('stalls', measureStalls),
    hits: await line('hits', measureHits),
    slab: await line('slab', measureSlab),
    spread: await line('spread', measureSpread),
    restart: await line('restart', measureRestart),
    huge: await line('huge', measureHuge),
  };
  const samples = [...circumstances, ...samplesOf(lines)];
  return { bench: 'vdi', machine, runs: scale.rounds, targets: targetsOf(lines), samples };
}

function targetsOf(lines: Lines): BenchTarget[] {
  const { writes, sustained, stalls, hits, slab, spread, restart, huge } = lines;
  const { beforeSnapshot, afterSnapshot } = sustained;
  const thirds = sustained.thirds.map(([first = Number.NaN, , last = Number.NaN]) => last / first);
  const { hugeSnapshotMs, smallSnapshotMs } = huge;
  return [
    higher('write.w2.qd32.vs-rawlog', ratio(writes.imageSpeeds, writes.rawLogSpeeds), 0.4),
    higher('write.w2.qd32.vs-file-sync', ratio(writes.imageSpeeds, writes.fileSyncSpeeds), 8),
    higher('write.w2.sustained', medianOf(thirds), 0.3),
    higher('read.hit.qd32.vs-null', ratio(hits.imageSpeeds, hits.nullSpeeds), 0.5),
    higher('read.slab.qd32.vs-pread', ratio(slab.imageSpeeds, slab.readSpeeds), 0.4),
    stallTarget(stalls),
    lower('snapshot.size-ratio', ratio(hugeSnapshotMs, smallSnapshotMs), 1.5),
    higher('write.after-snapshot.ratio', ratio(afterSnapshot, beforeSnapshot), 0.7),
    higher('read.100-snapshots.ratio', ratio(spread.spreadSpeeds, spread.plainSpeeds), 0.95),
    lower('read.hit.p99-under-writes-ms', medianOf(hits.p99BesideWritesMs), 3),
    lower('restart.s-per-gib', medianOf(restart.secondsAGib), 1),
    lower('log.write-amp', medianOf(writes.logAmplifications), 1.1),
    lower('rss-mib', huge.growthMib, 512),
  ];
}

/** Where the guest stalls for longer than the goal without any snapshot, nothing is decided. */
function stallTarget({ stallsMs, controlMs }: StallLine): BenchTarget {
  const id = 'vdi.snapshot.stall-p99-ms';
  return target(id, p99Of(stallsMs), 'lower', STALL_MS_MAX, p99Of(controlMs) <= STALL_MS_MAX);
}

function samplesOf(lines: Lines): unknown[] {
  const { writes, sustained, stalls, hits, slab, spread, restart, huge } = lines;
  return [
    {
      line: 'write.w2.qd32',
      imagePerSecond: spreadOf(writes.imageSpeeds),
      rawLogPerSecond: spreadOf(writes.rawLogSpeeds),
      rawLogOf16PerSecond: spreadOf(writes.halfGroupSpeeds),
      fileSyncPerSecond: spreadOf(writes.fileSyncSpeeds),
      logAmplification: spreadOf(writes.logAmplifications),
      blocksAGroup: spreadOf(writes.blocksAGroup),
      published: writes.published,
    },
    {
      line: 'write.w2.sustained',
      thirdsPerSecond: sustained.thirds,
      beforeSnapshotPerSecond: spreadOf(sustained.beforeSnapshot),
      afterSnapshotPerSecond: spreadOf(sustained.afterSnapshot),
      published: sustained.published,
    },
    {
      line: 'snapshot.stall',
      stallMs: spreadOf([...stalls.stallsMs]),
      withoutSnapshotP99Ms: p99Of(stalls.controlMs),
      withoutSnapshotMs: spreadOf([...stalls.controlMs]),
      snapshotMs: stalls.snapshotMs,
      published: stalls.published,
    },
    {
      line: 'read.hit.qd32',
      imagePerSecond: spreadOf(hits.imageSpeeds),
      nullPerSecond: spreadOf(hits.nullSpeeds),
      fromMemoryShare: hits.fromMemoryShare,
      p99BesideWritesMs: spreadOf(hits.p99BesideWritesMs),
      p99AloneMs: spreadOf(hits.p99AloneMs),
    },
    {
      line: 'read.slab.qd32',
      imagePerSecond: spreadOf(slab.imageSpeeds),
      readPerSecond: spreadOf(slab.readSpeeds),
      fromSlabShare: slab.fromSlabShare,
    },
    {
      line: 'read.100-snapshots',
      spreadPerSecond: spreadOf(spread.spreadSpeeds),
      plainPerSecond: spreadOf(spread.plainSpeeds),
    },
    {
      line: 'restart',
      secondsAGib: spreadOf(restart.secondsAGib),
      loggedBytes: restart.loggedBytes,
      dirtyBytes: restart.dirtyBytes,
    },
    {
      line: 'huge',
      growthMib: huge.growthMib,
      readsPerSecond: huge.readsPerSecond,
      writesPerSecond: huge.writesPerSecond,
      hugeSnapshotMs: spreadOf(huge.hugeSnapshotMs),
      smallSnapshotMs: spreadOf(huge.smallSnapshotMs),
    },
  ];
}

/** In a process of its own. */
function measureHuge(scale: VdiScale): Promise<HugeLine> {
  return new Promise((resolve, reject) => {
    const file = new URL('./vdi-huge.js', import.meta.url);
    const child = fork(file, { execArgv: ['--expose-gc'] });
    child.once('message', (line) => resolve(line as HugeLine));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the process of vdi-huge ended with ${code}`)));
    child.send(scale);
  });
}

/** Median over the rounds of what one has done over what the other has. */
function ratio(of: readonly number[], over: readonly number[]): number {
  return medianOf(of.map((one, round) => one / (over[round] ?? Number.NaN)));
}

function higher(id: string, value: number, goal: number): BenchTarget {
  return target(`vdi.${id}`, value, 'higher', goal);
}

function lower(id: string, value: number, goal: number): BenchTarget {
  return target(`vdi.${id}`, value, 'lower', goal);
}
