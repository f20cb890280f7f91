/**
 * Which ring is served next.
 *
 * Rings whose doorbell rang, or that had work left, are *active* and are visited in turn; a visit
 * takes at most `weight` times a quantum of requests, so that a ring that always has work delays
 * the others by a bounded time only (B2). A ring becomes idle when a last look, after its event
 * index was set, found nothing. Rings that are idle cost one look at a bit.
 *
 * Two things guard against a hostile front end:
 * - one that garbles its event index would lose the doorbell: every ring is looked at each 50 ms
 *   whatever the doorbells say (B4);
 * - one that keeps ringing with an empty ring is masked for a while, longer each time, so that its
 *   bell wakes nobody (B17); its ring is looked at when the time is up.
 */

import type { EventPort } from '../base/units.ts';
import { MS, type Nanos, NEVER, nanos } from '../base/units.ts';
import type { EventPage } from '../ring/event-page.ts';
import type { StepResult } from '../world/actor.ts';
import type { BackQueue } from './back-queue.ts';
import type { Vbd } from './vbd.ts';

/** Requests a visit takes from a ring of weight 1. */
const QUANTUM = 16;
export const SAFETY_LOOK_NS: number = 50 * MS;
/** Rings of the bell with nothing behind them, in a row, before a port is masked. */
const SPURIOUS_LIMIT = 64;
const MASK_NS = MS;
const MASK_NS_MAX = 32 * MS;

interface Entry {
  readonly queue: BackQueue;
  readonly vbd: Vbd;
  readonly port: EventPort;
  active: boolean;
  spurious: number;
  maskNs: number;
  /** Masked until then; 0 when it is not masked. */
  maskedUntilNs: number;
}

export class Rounds {
  readonly #events: EventPage;
  readonly #entries: Entry[] = [];
  #next = 0;
  #safetyLookNs: Nanos = 0 as Nanos;
  /** Times a port was masked. */
  masked = 0;

  constructor(events: EventPage) {
    this.#events = events;
  }

  get length(): number {
    return this.#entries.length;
  }

  add(queue: BackQueue, vbd: Vbd, port: EventPort): void {
    this.#entries.push({
      queue,
      vbd,
      port,
      active: true,
      spurious: 0,
      maskNs: MASK_NS,
      maskedUntilNs: 0,
    });
  }

  remove(vbd: Vbd): void {
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      if (this.#entries[i]?.vbd === vbd) this.#entries.splice(i, 1);
    }
    this.#next = 0;
  }

  /** True while some ring is held for want of staging memory. */
  get anyHeld(): boolean {
    return this.#entries.some((entry) => entry.queue.isHeld);
  }

  /** Marks every ring to be looked at: staging memory came back, or a limit was changed. */
  lookAtAll(): void {
    for (const entry of this.#entries) entry.active = true;
  }

  /**
   * Calls `answer`, in which many requests of these rings are answered. Each ring is published and
   * its guest rung once, at the end: a guest that is woken by the first answer of many takes the
   * core away from the others, sleeps again, and is woken by each of them.
   */
  together(answer: () => void): void {
    for (const { queue } of this.#entries) queue.holdAnswers();
    answer();
    for (const { queue } of this.#entries) queue.publishHeld();
  }

  step(budget: number, nowNs: Nanos): StepResult {
    if (nowNs >= this.#safetyLookNs) this.#safetyLook(nowNs);
    let left = budget;
    let more = false;
    const count = this.#entries.length;
    for (let visited = 0; visited < count && left > 0; visited++) {
      const entry = this.#entries[this.#next % count] as Entry;
      this.#next = (this.#next + 1) % count;
      if (!this.#isDue(entry, nowNs)) continue;
      const taken = entry.queue.drain(Math.min(left, entry.vbd.weight * QUANTUM), nowNs);
      left -= taken;
      if (taken > 0) {
        entry.spurious = 0;
        entry.maskNs = MASK_NS;
        more = true;
      } else if (this.#settle(entry, nowNs)) {
        more = true;
      }
    }
    return more || left <= 0 ? 'again' : 'idle';
  }

  nextDeadlineNs(): Nanos {
    if (this.#entries.length === 0) return NEVER;
    let next = this.#safetyLookNs;
    for (const entry of this.#entries) {
      const { readyAtNs } = entry.queue;
      if (readyAtNs < next) next = readyAtNs;
      if (entry.maskedUntilNs > 0 && entry.maskedUntilNs < next) {
        next = nanos(entry.maskedUntilNs);
      }
    }
    return next;
  }

  #isDue(entry: Entry, nowNs: Nanos): boolean {
    if (entry.maskedUntilNs > 0) {
      if (nowNs < entry.maskedUntilNs) return false;
      entry.maskedUntilNs = 0;
      this.#events.unmask(entry.port);
      entry.active = true;
    }
    if (!entry.active && this.#events.isPending(entry.port)) {
      entry.active = true;
      entry.spurious++;
    }
    return entry.active || nowNs >= entry.queue.readyAtNs;
  }

  /** Nothing was taken: makes the ring idle unless a last look finds work. */
  #settle(entry: Entry, nowNs: Nanos): boolean {
    this.#events.clearPending(entry.port);
    if (entry.queue.finalCheck()) return true;
    entry.active = false;
    if (entry.spurious > SPURIOUS_LIMIT) {
      entry.spurious = 0;
      this.masked++;
      this.#events.mask(entry.port);
      entry.maskedUntilNs = nowNs + entry.maskNs;
      entry.maskNs = Math.min(2 * entry.maskNs, MASK_NS_MAX);
    }
    return false;
  }

  #safetyLook(nowNs: Nanos): void {
    this.#safetyLookNs = (nowNs + SAFETY_LOOK_NS) as Nanos;
    for (const entry of this.#entries) {
      entry.active = true;
      entry.queue.beat(nowNs);
    }
  }
}
