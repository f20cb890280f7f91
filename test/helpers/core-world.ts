/**
 * A world for code that is called straight from a test: RAM, a clock that is moved by hand, timers
 * that fire while it moves. It has no disks and no links.
 */
import { fail } from '../../src/base/invariant.ts';
import { Prng } from '../../src/base/prng.ts';
import { BufferMemory } from '../../src/base/shared-memory.ts';
import { type Nanos, nanos } from '../../src/base/units.ts';
import { noDisks } from '../../src/world/no-disks.ts';
import { simDigest } from '../../src/world/sim/sim-digest.ts';
import type { TimerId, World } from '../../src/world/world.ts';

interface Timer {
  readonly id: TimerId;
  readonly deadlineNs: number;
  readonly fire: () => void;
}

export class CoreWorld implements World {
  readonly name = 'test';
  readonly memory: BufferMemory;
  readonly random: Prng;
  readonly notes: string[] = [];
  /** Bells that were rung, oldest first. */
  readonly rung: number[] = [];
  nowNs = 0;
  #timers: Timer[] = [];
  #lastTimer = 0;

  constructor(memoryBytes: number, seed: number = 1) {
    this.memory = BufferMemory.ofBytes(memoryBytes);
    this.random = new Prng(seed, 'world');
  }

  readonly clock: World['clock'] = { nowNs: () => nanos(this.nowNs) };
  readonly recordClock: World['clock'] = this.clock;
  readonly timers: World['timers'] = {
    at: (deadlineNs: Nanos, fire: () => void): TimerId => {
      const id = ++this.#lastTimer as TimerId;
      this.#timers.push({ id, deadlineNs, fire });
      return id;
    },
    cancel: (id: TimerId): void => {
      this.#timers = this.#timers.filter((timer) => timer.id !== id);
    },
    sleep: (durationNs: number): Promise<void> =>
      new Promise((resolve) => this.timers.at(nanos(this.nowNs + durationNs), resolve)),
  };
  readonly disks: World['disks'] = noDisks;
  readonly poolDisks: World['disks'] = noDisks;
  readonly net: World['net'] = { link: () => fail('this world has no links') };
  readonly log: World['log'] = {
    event: () => undefined,
    note: (text: string) => {
      this.notes.push(text);
    },
  };
  readonly wake: World['wake'] = {
    ring: (bellAddress: number) => {
      this.rung.push(bellAddress);
    },
  };
  readonly digest: World['digest'] = simDigest;
  readonly cpu: World['cpu'] = { spend: () => undefined };

  wallMs(): number {
    return Math.floor(this.nowNs / 1e6);
  }

  crashPoint(_name: string): void {}

  protocolEvent(): void {}

  /** Moves time on, firing timers in order of their deadlines. */
  advance(durationNs: number): void {
    const endNs = this.nowNs + durationNs;
    for (;;) {
      const due = this.#timers
        .filter((timer) => timer.deadlineNs <= endNs)
        .reduce<Timer | null>(
          (first, timer) => (first === null || timer.deadlineNs < first.deadlineNs ? timer : first),
          null,
        );
      if (due === null) break;
      this.timers.cancel(due.id);
      this.nowNs = Math.max(this.nowNs, due.deadlineNs);
      due.fire();
    }
    this.nowNs = endNs;
  }
}
