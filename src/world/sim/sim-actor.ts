/**
 * Hosts one actor: gives it its steps, judges it after each event, and ends it.
 *
 * Steps come from three sources, of which at most one is scheduled: a bell that was rung (after a
 * wake-up latency), an answer of `again` (almost at once), a deadline that has passed. A ring
 * while a step is due is not heard twice, because the step looks at the ring later anyway.
 *
 * After each event, and all promise jobs that came of it: the actor's invariants are checked, it
 * exits if it has finished, and its deadline is asked for again.
 *
 * Ends: `finished`, `failed` (it threw) or `killed`. In the moment of the end the incarnation is
 * dead, its disk operations are settled; `exited` settles after the teardown, in an event of its
 * own, and calls that were not answered are rejected just before.
 */
import { StorageError, toErrorRecord } from '../../base/errors.ts';
import type { Prng } from '../../base/prng.ts';
import { NEVER } from '../../base/units.ts';
import type { ActorFactory, ActorSpec, ExitReport, HostedActor } from '../actor.ts';
import { type EventId, EventKind } from './event-queue.ts';
import type { Incarnation } from './incarnation.ts';
import { CrashSignal, type Kernel } from './kernel.ts';
import type { SimHost } from './sim-host.ts';
import type { SimWorld } from './sim-world.ts';
import type { SimTiming } from './timing.ts';

interface PendingCall {
  readonly method: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (thrown: unknown) => void;
}

const NO_EVENT = -1 as EventId;

export class SimActor {
  readonly exited: Promise<ExitReport>;
  readonly #kernel: Kernel;
  readonly #timing: SimTiming;
  readonly #incarnation: Incarnation;
  readonly #host: SimHost;
  readonly #spec: ActorSpec;
  readonly #random: Prng;
  readonly #calls = new Set<PendingCall>();
  #actor: HostedActor | null = null;
  #settleExit: (report: ExitReport) => void = () => {};
  /** Last time a call was let in: calls keep their order, and come after the start. */
  #lastCallNs: number;
  #stepEvent: EventId = NO_EVENT;
  #stepNs: number = NEVER;
  #deadlineEvent: EventId = NO_EVENT;
  #deadlineNs: number = NEVER;

  constructor(
    kernel: Kernel,
    timing: SimTiming,
    incarnation: Incarnation,
    host: SimHost,
    spec: ActorSpec,
  ) {
    this.#kernel = kernel;
    this.#timing = timing;
    this.#incarnation = incarnation;
    this.#host = host;
    this.#spec = spec;
    this.#random = kernel.stream(`hosting/${incarnation.name}/${incarnation.number}`);
    this.#lastCallNs = kernel.nowNs + timing.spawnNs;
    this.exited = new Promise((resolve) => {
      this.#settleExit = resolve;
    });
    incarnation.kill = () => this.#end({ reason: 'killed' });
    incarnation.fail = (thrown) => this.#fail(thrown);
  }

  /** Starts it when its worker would be up. */
  scheduleStart(factory: ActorFactory, world: SimWorld): void {
    const start = (): void => this.#start(factory, world);
    const timeNs = this.#kernel.nowNs + this.#timing.spawnNs;
    this.#kernel.schedule(timeNs, EventKind.start, this.#incarnation, start, 0, 0);
  }

  kill(): void {
    this.#end({ reason: 'killed' });
  }

  async call(method: string, args: unknown[]): Promise<unknown> {
    if (!this.#incarnation.alive) throw this.#goneError(method);
    const sent = structuredClone(args);
    return await new Promise((resolve, reject) => {
      const call: PendingCall = { method, resolve, reject };
      this.#calls.add(call);
      const earliestNs = this.#kernel.nowNs + this.#timing.callNs;
      this.#lastCallNs = Math.max(earliestNs, this.#lastCallNs + 1);
      const deliver = (): void => this.#deliverCall(call, sent);
      const owner = this.#incarnation;
      this.#kernel.schedule(this.#lastCallNs, EventKind.control, owner, deliver, args.length, 0);
    });
  }

  #start(factory: ActorFactory, world: SimWorld): void {
    const { bellAddress, config } = this.#spec;
    const actor = factory(world, config, bellAddress);
    this.#actor = actor;
    this.#host.ownBell(bellAddress, this.#incarnation, (rungNs) => this.#ring(rungNs));
    this.#incarnation.afterEvent = () => this.#judge(actor);
    this.#incarnation.clockListeners.push(() => this.#rearmDeadline(actor));
    this.#scheduleStep(this.#incarnation.nowNs() + this.#againNs());
    actor.start().catch((thrown: unknown) => this.#incarnation.fail?.(thrown));
  }

  #ring(rungNs: number): void {
    const { wakeNs } = this.#timing;
    const half = Math.floor(wakeNs / 2);
    this.#scheduleStep(rungNs + this.#random.between(half, wakeNs + half));
  }

  #againNs(): number {
    const { againNs } = this.#timing;
    return Math.max(1, this.#random.between(againNs, 2 * againNs));
  }

  /** Makes sure that a step comes at `timeNs` at the latest. */
  #scheduleStep(timeNs: number): void {
    if (timeNs >= this.#stepNs) return;
    if (this.#stepEvent !== NO_EVENT) this.#kernel.cancel(this.#stepEvent);
    this.#stepNs = timeNs;
    this.#stepEvent = this.#kernel.schedule(
      timeNs,
      EventKind.step,
      this.#incarnation,
      this.#step,
      0,
      0,
    );
  }

  readonly #step = (): void => {
    const actor = this.#actor;
    if (actor === null) return;
    this.#stepEvent = NO_EVENT;
    this.#stepNs = NEVER;
    const result = actor.step(this.#timing.stepBudget);
    if (result === 'again') this.#scheduleStep(this.#incarnation.nowNs() + this.#againNs());
  };

  /** The deadline's own event: the step it asks for, unless the deadline has moved since. */
  readonly #deadlinePassed = (): void => {
    this.#deadlineEvent = NO_EVENT;
    this.#deadlineNs = NEVER;
    const actor = this.#actor;
    if (actor === null || actor.nextDeadlineNs() > this.#incarnation.localNowNs()) return;
    if (this.#stepEvent !== NO_EVENT) this.#kernel.cancel(this.#stepEvent);
    this.#step();
  };

  #judge(actor: HostedActor): void {
    actor.checkInvariants();
    if (actor.finished()) {
      this.#end({ reason: 'finished', result: structuredClone(actor.result()) });
      return;
    }
    this.#armDeadline(actor.nextDeadlineNs());
  }

  /** Its clock was changed: the deadline comes at another moment, perhaps sooner. */
  #rearmDeadline(actor: HostedActor): void {
    if (this.#deadlineEvent !== NO_EVENT) this.#kernel.cancel(this.#deadlineEvent);
    this.#deadlineEvent = NO_EVENT;
    this.#deadlineNs = NEVER;
    this.#armDeadline(actor.nextDeadlineNs());
  }

  /** `deadlineNs`: by the actor's own clock. */
  #armDeadline(deadlineNs: number): void {
    // A deadline that stays in the past must not stop the clock.
    const soonestNs = this.#incarnation.nowNs() + Math.max(1, this.#timing.againNs);
    const timeNs = Math.max(this.#incarnation.clock.runNs(deadlineNs), soonestNs);
    // One that has moved back is left: when it comes up it is too early, and is armed again.
    if (timeNs !== NEVER && timeNs >= this.#deadlineNs) return;
    if (this.#deadlineEvent !== NO_EVENT) this.#kernel.cancel(this.#deadlineEvent);
    this.#deadlineEvent = NO_EVENT;
    this.#deadlineNs = timeNs;
    if (timeNs === NEVER) return;
    this.#deadlineEvent = this.#kernel.schedule(
      this.#deadlineNs,
      EventKind.step,
      this.#incarnation,
      this.#deadlinePassed,
      1,
      0,
    );
  }

  #deliverCall(call: PendingCall, args: unknown[]): void {
    const surface = this.#actor?.control as Readonly<Record<string, unknown>> | undefined;
    const method =
      surface !== undefined && Object.hasOwn(surface, call.method)
        ? surface[call.method]
        : undefined;
    if (typeof method !== 'function') {
      const text = `actor ${this.#spec.name} has no control method "${call.method}"`;
      const fields = { actor: this.#spec.name, method: call.method };
      this.#answer(call, () => call.reject(new StorageError('E_NO_METHOD', text, { fields })));
      return;
    }
    const answered = new Promise<unknown>((resolve) => {
      resolve(Reflect.apply(method, surface, args));
    });
    answered
      .then((value) => structuredClone(value))
      .then(
        (copy) => this.#answer(call, () => call.resolve(copy)),
        (thrown: unknown) => this.#callThrew(call, thrown),
      );
  }

  /** A `StorageError` is an answer; anything else is a bug, which ends the actor. */
  #callThrew(call: PendingCall, thrown: unknown): void {
    if (!this.#incarnation.alive) return;
    if (thrown instanceof StorageError) this.#answer(call, () => call.reject(thrown));
    else this.#fail(thrown);
  }

  /** Lets the answer travel back; it arrives even if the actor dies meanwhile. */
  #answer(call: PendingCall, settle: () => void): void {
    if (!this.#calls.delete(call)) return;
    const timeNs = this.#incarnation.nowNs() + this.#timing.callNs;
    this.#kernel.schedule(timeNs, EventKind.control, null, settle, 0, 1);
  }

  #fail(thrown: unknown): void {
    if (!this.#incarnation.alive || thrown instanceof CrashSignal) return;
    this.#kernel.recordFailure(this.#incarnation, thrown);
    this.#end({ reason: 'failed', error: toErrorRecord(thrown) });
  }

  #end(report: ExitReport): void {
    const { alive, logId, name } = this.#incarnation;
    if (!alive) return;
    this.#kernel.log.line(this.#kernel.nowNs, logId, name, report.reason, 0, 0);
    this.#incarnation.die();
    this.#actor = null;
    const timeNs = this.#kernel.nowNs + this.#timing.teardownNs;
    const exit = (): void => {
      for (const call of this.#calls) call.reject(this.#goneError(call.method));
      this.#calls.clear();
      this.#settleExit(report);
    };
    this.#kernel.schedule(timeNs, EventKind.exit, null, exit, 0, 0);
  }

  #goneError(method: string): StorageError {
    const text = `actor ${this.#spec.name} ended before it answered "${method}"`;
    const fields = { actor: this.#spec.name, method };
    return new StorageError('E_ACTOR_GONE', text, { fields });
  }
}
