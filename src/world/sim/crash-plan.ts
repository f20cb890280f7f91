/**
 * Deaths that are planned by what an actor does, not by the time: at its k-th event, or the n-th
 * time it passes a named crash point. Sweeping k over all events of a recovery finds more than
 * any choice of times.
 *
 * Each plan counts from the moment it is armed, over all incarnations of the actor's name, and
 * strikes once. So a plan armed before the run counts from the first event, and one armed when an
 * actor is restarted counts the events of its recovery.
 */
import { invariant } from '../../base/invariant.ts';

/** What a plan does when it strikes; without one the actor is killed. */
export type Strike = () => void;

interface Armed {
  /** Any of these counts. */
  readonly actors: readonly string[];
  /** Null: any event counts; else the crash point that counts. */
  readonly crashPoint: string | null;
  left: number;
  readonly strike: Strike | null;
}

export class CrashPlan {
  #armedEvents: Armed[] = [];
  #armedPoints: Armed[] = [];

  /** Strikes instead of the actor's `nth` event from now, 1 for the next one. */
  armEvent(actor: string, nth: number, strike: Strike | null): void {
    invariant(Number.isInteger(nth) && nth >= 1, 'events are counted from 1');
    this.#armedEvents.push({ actors: [actor], crashPoint: null, left: nth, strike });
  }

  /** Strikes where the actors, taken together, pass `crashPoint` for the `nth` time from now. */
  armPoint(
    actors: readonly string[],
    crashPoint: string,
    nth: number,
    strike: Strike | null,
  ): void {
    invariant(Number.isInteger(nth) && nth >= 1, 'passages are counted from 1');
    this.#armedPoints.push({ actors, crashPoint, left: nth, strike });
  }

  /** Counts an event of `actor`; calls what strikes, `kill` where no other strike was given. */
  countEvent(actor: string, kill: Strike): void {
    if (this.#armedEvents.length === 0) return;
    const due = countDown(this.#armedEvents, actor, null);
    if (due.length === 0) return;
    this.#armedEvents = this.#armedEvents.filter((armed) => armed.left > 0);
    for (const armed of due) (armed.strike ?? kill)();
  }

  /** Counts a passage of a crash point, in the same way. */
  countPassage(actor: string, crashPoint: string, kill: Strike): void {
    if (this.#armedPoints.length === 0) return;
    const due = countDown(this.#armedPoints, actor, crashPoint);
    if (due.length === 0) return;
    this.#armedPoints = this.#armedPoints.filter((armed) => armed.left > 0);
    for (const armed of due) (armed.strike ?? kill)();
  }

  /** Plans that have not struck. A sweep that asks for an event past the end leaves one here. */
  get armedCount(): number {
    return this.#armedEvents.length + this.#armedPoints.length;
  }
}

function countDown(plans: readonly Armed[], actor: string, crashPoint: string | null): Armed[] {
  const due: Armed[] = [];
  for (const armed of plans) {
    if (armed.crashPoint !== crashPoint || !armed.actors.includes(actor)) continue;
    armed.left--;
    if (armed.left === 0) due.push(armed);
  }
  return due;
}
