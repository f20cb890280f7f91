/**
 * The log of an actor in a thread. Events are kept in a small ring, as a flight recorder keeps its
 * last minutes: nobody reads them unless the actor fails. Notes go to whoever started the actor.
 */
import type { Nanos } from '../../base/units.ts';
import type { Clock, Log } from '../world.ts';

const EVENTS_KEPT = 64;

interface LogEvent {
  timeNs: Nanos;
  kind: string;
  a: number;
  b: number;
}

export class FlightLog implements Log {
  readonly #clock: Clock;
  readonly #onNote: (text: string) => void;
  readonly #events: LogEvent[] = [];
  #count = 0;

  constructor(clock: Clock, onNote: (text: string) => void) {
    this.#clock = clock;
    this.#onNote = onNote;
  }

  event(kind: string, a = 0, b = 0): void {
    const slot = this.#count++ % EVENTS_KEPT;
    const timeNs = this.#clock.nowNs();
    const kept = this.#events[slot];
    if (kept === undefined) {
      this.#events.push({ timeNs, kind, a, b });
      return;
    }
    kept.timeNs = timeNs;
    kept.kind = kind;
    kept.a = a;
    kept.b = b;
  }

  note(text: string): void {
    this.#onNote(text);
  }

  /** The last events, oldest first, one a line: `time in ms, kind, a, b`. */
  lastEvents(): string {
    const oldest = this.#count % EVENTS_KEPT;
    const inOrder = [...this.#events.slice(oldest), ...this.#events.slice(0, oldest)];
    return inOrder
      .map(({ timeNs, kind, a, b }) => `${(timeNs / 1e6).toFixed(3)} ${kind} ${a} ${b}`)
      .join('\n');
  }
}
