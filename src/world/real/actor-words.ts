/**
 * The words that a toolstack and one incarnation of an actor share, beside the host's RAM: they
 * belong to the world, not to the emulated machine, so they have a small buffer of their own.
 *
 * Crash points in threads: the toolstack arms one by name; the actor's thread, when it passes the
 * point for the given time, says so and parks for ever, and is then terminated. The kill therefore
 * falls exactly between the two instructions around the point, and shared memory stays as it is.
 * A pause works the same way, at whatever crash point the thread passes next, and ends by itself.
 * Protocol events are counted here by the actor's thread; who waits for one looks at the count.
 *
 * Faults of the actor's clock: the drift and the sum of all jumps, which the actor takes over when
 * it sees that the count of changes has moved. The count is raised last.
 */
import { CRASH_POINTS, type CrashPoint, PROTOCOL_EVENTS, type ProtocolEvent } from '../faults.ts';

const FRAMES_POSTED = 0;
const ARMED_POINT = 1;
const PASSES_LEFT = 2;
const PARKING = 3;
const PAUSE_MS = 4;
const CLOCK_CHANGES = 5;
const CLOCK_DRIFT_PPM = 6;
const CLOCK_JUMPED_MS = 7;
const EVENT_COUNTS = 8;
const WORDS: number = EVENT_COUNTS + PROTOCOL_EVENTS.length;
const NOT_ARMED = 0;
/** Where each event is counted: looked up for every request. */
const COUNT_OF = Object.fromEntries(
  PROTOCOL_EVENTS.map((event, at) => [event, EVENT_COUNTS + at]),
) as Readonly<Record<ProtocolEvent, number>>;

export class ActorWords {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  static create(): ActorWords {
    return new ActorWords(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT));
  }

  /** Counts the messages posted to ports that are polled. Free-running. */
  get framesPosted(): number {
    return Atomics.load(this.#words, FRAMES_POSTED);
  }

  /** After a message was posted, before the bell is rung. */
  addFramePosted(): void {
    Atomics.add(this.#words, FRAMES_POSTED, 1);
  }

  /** The actor will stop when it passes the point for the `passes`-th time from now. */
  arm(point: CrashPoint, passes: number): void {
    Atomics.store(this.#words, PASSES_LEFT, passes);
    Atomics.store(this.#words, ARMED_POINT, CRASH_POINTS.indexOf(point) + 1);
  }

  /**
   * True when the thread is to die here. A plain load is enough for the common case, nothing
   * armed: each step is a call of its own, and a point armed a step later is as good.
   */
  isLastPass(point: string): boolean {
    if (this.#words[ARMED_POINT] === NOT_ARMED) return false;
    const armed = CRASH_POINTS[Atomics.load(this.#words, ARMED_POINT) - 1];
    return armed === point && Atomics.sub(this.#words, PASSES_LEFT, 1) === 1;
  }

  /**
   * Counts an event. Only the actor's thread does, twice a request: a plain store is
   * cheaper than an atomic one, and seen soon enough by a stage that looks every millisecond.
   */
  countEvent(event: ProtocolEvent): void {
    const word = COUNT_OF[event];
    this.#words[word] = (this.#words[word] as number) + 1;
  }

  eventCount(event: ProtocolEvent): number {
    return Atomics.load(this.#words, COUNT_OF[event]);
  }

  /** The actor will stand still for so long when it passes its next crash point. */
  askPause(durationMs: number): void {
    Atomics.store(this.#words, PAUSE_MS, Math.max(1, Math.round(durationMs)));
  }

  /** Stands still if that was asked for. Called at every crash point. */
  pauseIfAsked(): void {
    if (this.#words[PAUSE_MS] === 0) return;
    Atomics.wait(this.#words, PARKING, 0, Atomics.exchange(this.#words, PAUSE_MS, 0));
  }

  setClockDrift(driftPpm: number): void {
    Atomics.store(this.#words, CLOCK_DRIFT_PPM, driftPpm);
    Atomics.add(this.#words, CLOCK_CHANGES, 1);
  }

  jumpClock(jumpMs: number): void {
    Atomics.add(this.#words, CLOCK_JUMPED_MS, jumpMs);
    Atomics.add(this.#words, CLOCK_CHANGES, 1);
  }

  /** Looked at on every look at the clock: a plain load, as for crash points. */
  get clockChanges(): number {
    return this.#words[CLOCK_CHANGES] as number;
  }

  get clockDriftPpm(): number {
    return Atomics.load(this.#words, CLOCK_DRIFT_PPM);
  }

  /** Sum of all jumps so far. */
  get clockJumpedMs(): number {
    return Atomics.load(this.#words, CLOCK_JUMPED_MS);
  }

  /** Stops the calling thread for ever. */
  park(): never {
    for (;;) Atomics.wait(this.#words, PARKING, 0);
  }
}
