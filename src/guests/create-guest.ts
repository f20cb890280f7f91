/** What a guest that replays a trace is started with, and how it is built from that. */

import { Histogram } from '../base/histogram.ts';
import { invariant } from '../base/invariant.ts';
import type { TraceColumns } from '../traces/trace.ts';
import { Findings } from '../world/findings.ts';
import { History } from '../world/history.ts';
import type { World } from '../world/world.ts';
import { ClosedLoop, type ClosedLoopOptions } from './closed-loop.ts';
import { DiskModel } from './disk-model.ts';
import { Guest, type GuestConfig } from './guest.ts';
import { GuestStats } from './guest-stats.ts';
import type { Pace } from './pace.ts';
import { Replay } from './replay.ts';

/** Structured-cloneable; the buffers are shared. */
export interface ReplayConfig {
  readonly kind: 'replay';
  readonly trace: TraceColumns;
  readonly pace: Pace;
  readonly diskSectors: number;
  /** Number of the disk and of this incarnation of its guest, for the stamps. */
  readonly disk: number;
  readonly writer: number;
  readonly resumed: boolean;
  readonly history: SharedArrayBuffer;
  readonly findings: SharedArrayBuffer;
  readonly stats: SharedArrayBuffer;
  /** A `Histogram` of latencies from the intended start. */
  readonly responses: SharedArrayBuffer;
}

export interface ClosedLoopConfig {
  readonly kind: 'closed-loop';
  readonly words: SharedArrayBuffer;
  readonly options: ClosedLoopOptions;
}

export type WorkloadConfig = ReplayConfig | ClosedLoopConfig;

/** The `ActorFactory` of guests, in both worlds. */
export function createGuest(world: World, config: unknown): Guest<WorkloadConfig> {
  invariant(typeof config === 'object' && config !== null, 'a guest is started with a config');
  return new Guest(world, config as GuestConfig<WorkloadConfig>, (parts, workload) => {
    if (workload.kind === 'closed-loop') {
      const { words, options } = workload;
      const { frames, random, notifications } = parts;
      return new ClosedLoop(words, options, frames, random, world.clock, notifications);
    }
    const history = new History(workload.history, new Findings(workload.findings));
    const responses = new Histogram(workload.responses);
    return new Replay({
      world,
      frames: parts.frames,
      trace: workload.trace,
      pace: workload.pace,
      history,
      model: new DiskModel(workload.diskSectors, history),
      stats: new GuestStats(workload.stats),
      stampSource: { disk: workload.disk, writer: workload.writer, flushes: 0 },
      resumed: workload.resumed,
      recordResponse: (latencyNs) => responses.record(latencyNs),
    });
  });
}
