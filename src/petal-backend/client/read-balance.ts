/**
 * Which copy a client reads, and when it asks a second one as well.
 *
 * *Balance*: the copy whose queue is the shorter one, as far as its server has lately told, with
 * what this client has under way there; with equal queues either, by draw. Of three copies two are
 * drawn first (Mitzenmacher 2001): many clients who all know the same queues would all run to the
 * same server. When a server is dead the load of its neighbour grows, so that their readers turn to
 * the next one, and so on round the chain. A server that has let a read wait for too long is not
 * asked again for a while, and then by one read at a time, until it answers.
 *
 * *Hedge* (Dean and Barroso 2013): a read that takes longer than most is asked of a second copy,
 * and the first good answer counts. How long most take is measured; how many may be asked twice is
 * bounded by a share of all reads, so that servers that are slow because they are loaded do not get
 * still more to do.
 */
import type { Prng } from '../../base/prng.ts';

export interface HedgeOptions {
  /** Share of reads that may be asked twice; 0: none. */
  readonly share: number;
  /** A read is asked twice when it takes longer than this share of the last ones. */
  readonly percentile: number;
  readonly delayNsMin: number;
}

/** How long a server that did not answer is left alone. */
const SILENCE_NS = 1e9;
const SAMPLES = 128;
/** Samples between two looks at the percentile. */
const LOOK_EVERY = 32;
/** Reads that may be asked twice in a row after a quiet time. */
const SAVED_MAX = 4;

export class ReadBalance {
  readonly #random: Prng;
  readonly #ownPending: boolean;
  readonly #hedge: HedgeOptions;
  readonly #queues = new Map<number, number>();
  readonly #pending = new Map<number, number>();
  /** Servers that have not answered in time, and until when they are not asked. */
  readonly #silent = new Map<number, number>();
  readonly #samples = new Float64Array(SAMPLES);
  readonly #sorted = new Float64Array(SAMPLES);
  #taken = 0;
  #delayNs = Number.POSITIVE_INFINITY;
  /** What may yet be asked twice, in reads. */
  #saved = 0;

  constructor(random: Prng, ownPending: boolean, hedge: HedgeOptions) {
    this.#random = random;
    this.#ownPending = ownPending;
    this.#hedge = hedge;
  }

  /** A server has told how many requests it has. */
  told(server: number, queue: number): void {
    this.#queues.set(server, queue);
    this.#silent.delete(server);
  }

  /** A server has not answered in time. */
  missed(server: number, nowNs: number): void {
    this.#silent.set(server, nowNs + SILENCE_NS);
  }

  asked(server: number): void {
    this.#pending.set(server, this.pendingAt(server) + 1);
  }

  /** It has answered, or is not waited for any more. */
  released(server: number): void {
    this.#pending.set(server, this.pendingAt(server) - 1);
  }

  pendingAt(server: number): number {
    return this.#pending.get(server) ?? 0;
  }

  choose(members: readonly number[], nowNs: number): number {
    const { length } = members;
    const at = this.#random.below(length);
    const one = members[at] as number;
    if (length === 1) return one;
    const other = members[(at + 1 + this.#random.below(length - 1)) % length] as number;
    if (this.#isSilent(one, nowNs)) return other;
    if (this.#isSilent(other, nowNs)) return one;
    return this.#loadOf(other) < this.#loadOf(one) ? other : one;
  }

  /** A read was answered by the first server that was asked. */
  took(durationNs: number): void {
    this.#saved = Math.min(SAVED_MAX, this.#saved + this.#hedge.share);
    this.#samples[this.#taken++ % SAMPLES] = durationNs;
    if (this.#taken < SAMPLES || this.#taken % LOOK_EVERY !== 0) return;
    this.#sorted.set(this.#samples);
    this.#sorted.sort();
    const at = Math.min(SAMPLES - 1, Math.floor(this.#hedge.percentile * SAMPLES));
    this.#delayNs = Math.max(this.#hedge.delayNsMin, this.#sorted[at] as number);
  }

  /** After so long a read may be asked of a second copy; infinity: not yet known. */
  get hedgeDelayNs(): number {
    return this.#hedge.share > 0 ? this.#delayNs : Number.POSITIVE_INFINITY;
  }

  /** True: a read may be asked a second time now, and is counted. */
  takeHedge(): boolean {
    if (this.#saved < 1) return false;
    this.#saved--;
    return true;
  }

  /** Who has been silent for long enough is tried by one read, and is silent again. */
  #isSilent(server: number, nowNs: number): boolean {
    const untilNs = this.#silent.get(server);
    if (untilNs === undefined) return false;
    if (nowNs >= untilNs) this.#silent.set(server, nowNs + SILENCE_NS);
    return nowNs < untilNs;
  }

  #loadOf(server: number): number {
    const own = this.pendingAt(server);
    return this.#ownPending ? own : own + (this.#queues.get(server) ?? 0);
  }
}
