/** A world for tests of one side of a ring: RAM, a clock moved by hand, a hook at crash points. */
import { Prng } from '../../src/base/prng.ts';
import { BufferMemory } from '../../src/base/shared-memory.ts';
import { type Nanos, nanos } from '../../src/base/units.ts';
import type { TimerId, World } from '../../src/world/world.ts';

const refused = (): never => {
  throw new Error('this world has no such thing');
};

export class BenchWorld implements World {
  readonly name = 'bench';
  readonly memory: BufferMemory;
  readonly random: Prng;
  readonly notes: string[] = [];
  /** Called at every crash point: where a mutator writes while a step runs. */
  atCrashPoint: (name: string) => void = () => undefined;
  /** Called whenever work was done: between the looks that a front end takes at its ring. */
  atSpend: () => void = () => undefined;
  spentNs = 0;
  bells = 0;
  #now = 0;

  constructor(memoryBytes: number, seed = 1) {
    this.memory = BufferMemory.ofBytes(memoryBytes);
    this.random = new Prng(seed);
  }

  readonly clock: World['clock'] = { nowNs: () => nanos(this.#now) };
  readonly recordClock: World['clock'] = this.clock;
  readonly timers: World['timers'] = {
    at: (_deadlineNs: Nanos, _fire: () => void): TimerId => refused(),
    cancel: refused,
    sleep: refused,
  };
  readonly disks: World['disks'] = { open: refused, list: refused, remove: refused };
  readonly poolDisks: World['disks'] = this.disks;
  readonly net: World['net'] = { link: refused };
  readonly log: World['log'] = {
    event: () => undefined,
    note: (text: string) => {
      this.notes.push(text);
    },
  };
  readonly wake: World['wake'] = {
    ring: () => {
      this.bells++;
    },
  };
  readonly digest: World['digest'] = { crc32: refused, sha256: refused };
  readonly cpu: World['cpu'] = {
    spend: (durationNs: number) => {
      this.spentNs += durationNs;
      this.atSpend();
    },
  };

  wallMs(): number {
    return 0;
  }

  crashPoint(name: string): void {
    this.atCrashPoint(name);
  }

  protocolEvent(): void {}

  advance(durationNs: number): void {
    this.#now += durationNs;
  }
}
