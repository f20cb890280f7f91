import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { MS, type Nanos, NEVER, nanos } from '../../../src/base/units.ts';
import type { ControlSurface, HostedActor, StepResult } from '../../../src/world/actor.ts';
import { ActorWords } from '../../../src/world/real/actor-words.ts';
import type { WaitMode } from '../../../src/world/real/bell-watch.ts';
import { BlockingLoop } from '../../../src/world/real/blocking-loop.ts';
import { MonotonicClock, startClock } from '../../../src/world/real/clock.ts';
import { EventLoop } from '../../../src/world/real/event-loop.ts';
import { PolledInbox } from '../../../src/world/real/net.ts';
import { NodeTimers } from '../../../src/world/real/node-timers.ts';
import { TimerHeap } from '../../../src/world/real/timer-heap.ts';
import { createHostMemory } from '../../../src/world/real/wasm-memory.ts';
import { BELL, benchOf, PROGRESS, until } from './helpers.ts';

const MODES: readonly WaitMode[] = ['block', 'poll', 'adaptive'];
const RINGS = 100_000;
/** So long that a lost wake-up is never found by the safety poll. */
const HOUR_MS = 3_600_000;
/** For the loops that run in this thread: a miss costs this once. */
const LIMIT_MS = 5000;
const clock = new MonotonicClock(startClock());

for (const kind of ['guest', 'driver-vm'] as const) {
  for (const mode of MODES) {
    test.serial(
      `${kind}, ${mode}: of ${RINGS} bells from another thread none is lost`,
      async (t) => {
        const bench = await benchOf(t, {
          guestMode: mode,
          driverMode: mode,
          safetyPollMs: HOUR_MS,
        });
        const actor = bench.spawner.spawn(
          bench.spec(kind, 'a0', { behaviour: 'count', until: RINGS }),
        );
        const ringer = new Worker(new URL('./fixtures/bell-ringer.js', import.meta.url), {
          workerData: {
            memory: bench.memory.transfer,
            bellAddress: BELL,
            seenAddress: PROGRESS,
            rings: RINGS,
          },
        });
        await once(ringer, 'exit');
        t.deepEqual(await actor.exited, { reason: 'finished', result: { seen: RINGS } });
      },
    );
  }
}

/** An actor whose step is given by the test. */
class Scripted implements HostedActor {
  steps = 0;
  done = false;
  deadlineNs: Nanos = NEVER;
  onStep: (actor: Scripted) => StepResult = () => 'idle';
  story: (actor: Scripted) => Promise<void> = () => Promise.resolve();
  readonly control: ControlSurface = {};

  start(): Promise<void> {
    return this.story(this);
  }

  step(): StepResult {
    this.steps += 1;
    return this.onStep(this);
  }

  nextDeadlineNs(): Nanos {
    return this.deadlineNs;
  }

  checkInvariants(): void {}

  finished(): boolean {
    return this.done;
  }

  result(): unknown {
    return this.steps;
  }
}

interface Driven {
  readonly run: (actor: Scripted) => Promise<unknown>;
  readonly look: () => void;
  readonly rests: () => number;
  setInFlight(count: number): void;
}

type Drive = (mode: WaitMode, safetyPollMs: number) => Driven;

/** Both loops, so that each scenario below holds in both. */
const LOOPS: Readonly<Record<string, Drive>> = {
  'blocking loop': (mode, safetyPollMs) => {
    let inFlight = 0;
    const memory = createHostMemory(65536);
    const loop = new BlockingLoop({
      words: memory.i32,
      bell: 1,
      mode,
      safetyPollMs,
      clock,
      timers: new TimerHeap(clock),
      inbox: new PolledInbox(ActorWords.create()),
      inFlight: () => inFlight,
    });
    return {
      run: (actor) => loop.run(actor),
      look: loop.look,
      rests: () => loop.sleeps,
      setInFlight: (count) => {
        inFlight = count;
      },
    };
  },
  'event loop': (mode, safetyPollMs) => {
    const memory = createHostMemory(65536);
    const timers = new NodeTimers(clock, () => loop.look());
    const loop = new EventLoop({ words: memory.i32, bell: 1, mode, safetyPollMs, timers });
    return {
      run: (actor) => loop.run(actor),
      look: loop.look,
      rests: () => loop.waits,
      setInFlight: () => {},
    };
  },
};

for (const [name, drive] of Object.entries(LOOPS)) {
  for (const mode of MODES) {
    test.serial(
      `${name}, ${mode}: a story that a step wakes makes work for the next step`,
      async (t) => {
        // No bell rings here: a hand-over that is missed waits for the safety poll.
        const ROUNDS = 200;
        const startMs = performance.now();
        const actor = new Scripted();
        let wake: (() => void) | null = null;
        let work = 0;
        actor.onStep = (self): StepResult => {
          if (work > 0 && wake !== null) {
            const woken = wake;
            work -= 1;
            wake = null;
            woken();
          }
          self.done = (work === 0 && rounds === ROUNDS) || performance.now() - startMs > LIMIT_MS;
          return 'idle';
        };
        let rounds = 0;
        let startIsOver = false;
        actor.story = async () => {
          const story = async (): Promise<void> => {
            while (rounds < ROUNDS) {
              await new Promise<void>((resolve) => {
                wake = resolve;
                work += 1;
              });
              // A chain of some length, as stories that call stories make it.
              for (let link = 0; link < 7; link++) await Promise.resolve();
              rounds += 1;
            }
            startIsOver = true;
          };
          void story();
        };
        await drive(mode, LIMIT_MS).run(actor);
        t.true(startIsOver, `after ${rounds} rounds a hand-over was missed`);
      },
    );
  }

  test.serial(
    `${name}: an idle actor is stepped at its deadline, and not much before`,
    async (t) => {
      const actor = new Scripted();
      const deadlineNs = nanos(clock.nowNs() + 5 * MS);
      actor.deadlineNs = deadlineNs;
      let atNs = 0;
      let early = 0;
      actor.onStep = (self): StepResult => {
        if (clock.nowNs() < deadlineNs) {
          early += 1;
          return 'idle';
        }
        atNs = clock.nowNs();
        self.done = true;
        return 'idle';
      };
      await drive('block', 50).run(actor);
      t.true(atNs - deadlineNs < 40 * MS, 'the deadline woke it, not the safety poll');
      t.true(early < 20, `${early} steps before the deadline`);
    },
  );

  test.serial(`${name}: a bell that nobody rings is looked at again after 50 ms`, async (t) => {
    const actor = new Scripted();
    const startMs = performance.now();
    actor.onStep = (self): StepResult => {
      self.done = performance.now() - startMs > 45;
      return 'idle';
    };
    await drive('block', 50).run(actor);
    t.true(performance.now() - startMs < 1000);
  });

  test.serial(
    `${name}: while the actor says again, files and timers are still served`,
    async (t) => {
      const actor = new Scripted();
      let served = false;
      actor.onStep = (self): StepResult => {
        if (self.steps === 1) {
          setTimeout(() => {
            served = true;
          }, 1);
        }
        self.done = served;
        return 'again';
      };
      t.true(((await drive('block', 50).run(actor)) as number) > 1);
    },
  );

  test.serial(`${name}: a step that throws ends the run with that error`, async (t) => {
    const actor = new Scripted();
    actor.onStep = (): StepResult => {
      throw new Error('planted');
    };
    await t.throwsAsync(drive('adaptive', HOUR_MS).run(actor), { message: 'planted' });
  });
}

test.serial('blocking loop: it does not sleep while a disk operation is in flight', async (t) => {
  const driven = (LOOPS['blocking loop'] as Drive)('block', HOUR_MS);
  const actor = new Scripted();
  driven.setInFlight(1);
  let completed = false;
  setImmediate(() =>
    setImmediate(() => {
      completed = true;
      driven.setInFlight(0);
      driven.look();
    }),
  );
  actor.onStep = (self): StepResult => {
    self.done = completed;
    return 'idle';
  };
  await driven.run(actor);
  t.is(driven.rests(), 0);
});

test.serial('event loop: completions beyond one pump are all handled without a bell', async (t) => {
  const TOTAL = 256;
  const driven = (LOOPS['event loop'] as Drive)('block', HOUR_MS);
  const actor = new Scripted();
  let ready = 0;
  let handled = 0;
  // Work arrives by completions only; a step handles one and is then idle.
  for (let io = 0; io < TOTAL; io++) {
    setImmediate(() => {
      ready += 1;
      driven.look();
    });
  }
  actor.onStep = (self): StepResult => {
    if (handled < ready) handled += 1;
    self.done = handled === TOTAL;
    return handled < ready ? 'again' : 'idle';
  };
  const startMs = performance.now();
  await driven.run(actor);
  t.is(handled, TOTAL);
  t.true(performance.now() - startMs < 1000);
});

test.serial('event loop: however often it goes idle, it stacks no waits on its bell', async (t) => {
  const driven = (LOOPS['event loop'] as Drive)('block', HOUR_MS);
  const actor = new Scripted();
  const running = driven.run(actor);
  for (let round = 0; round < 50; round++) {
    const { steps } = actor;
    driven.look();
    await until('it has stepped', () => actor.steps > steps);
  }
  t.is(driven.rests(), 1);
  actor.done = true;
  driven.look();
  await running;
});
