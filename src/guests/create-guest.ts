/** What a guest that replays a trace is started with, and how it is built from that. */

import { Histogram } from '../base/histogram.ts';
import { invariant } from '../base/invariant.ts';
import type { TraceColumns } from '../traces/trace.ts';
import type { HostedActor } from '../world/actor.ts';
import { Findings } from '../world/findings.ts';
import { History } from '../world/history.ts';
import type { World } from '../world/world.ts';
import { ClosedLoop, type ClosedLoopOptions } from './closed-loop.ts';
import { DiskModel } from './disk-model.ts';
import { Guest, type GuestConfig } from './guest.ts';
import { GuestStats } from './guest-stats.ts';
import { type HostileConfig, HostileGuest } from './hostile-guest.ts';
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
  /** The first write index that nobody else has. */
  readonly writesFrom: number;
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

/** What a guest with a disk of its own is started with. */
export type WorkloadConfig = ReplayConfig | ClosedLoopConfig;

/** The `ActorFactory` of guests, in both worlds. */
export function createGuest(world: World, config: unknown): HostedActor {
  invariant(typeof config === 'object' && config !== null, 'a guest is started with a config');
  const { layout, disk, workload } = config as GuestConfig<WorkloadConfig | HostileConfig>;
  if (workload.kind === 'hostile') {
    return new HostileGuest(world, layout, disk.virtualDevice, workload);
  }
  return new Guest(world, config as GuestConfig<WorkloadConfig>, (parts, chosen) => {
    if (chosen.kind === 'closed-loop') {
      const { words, options } = chosen;
      const { frames, random, notifications } = parts;
      return new ClosedLoop(
        words,
        options,
        frames,
        world.memory,
        random,
        world.clock,
        notifications,
      );
    }
    const history = new History(chosen.history, new Findings(chosen.findings));
    const responses = new Histogram(chosen.responses);
    return new Replay({
      world,
      frames: parts.frames,
      trace: chosen.trace,
      pace: chosen.pace,
      history,
      model: new DiskModel(chosen.diskSectors, history, chosen.writesFrom),
      stats: new GuestStats(chosen.stats),
      stampSource: { disk: chosen.disk, writer: chosen.writer, flushes: 0 },
      resumed: chosen.resumed,
      recordResponse: (latencyNs) => responses.record(latencyNs),
    });
  });
}
