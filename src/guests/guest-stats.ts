/**
 * What a guest shows of itself while it runs: a few words in a shared buffer of the runner, so that
 * a progress line, a fault that strikes at 50 %, and a restarted guest can read them. One writer.
 */
export const GuestPhase = {
  connecting: 0,
  recheck: 1,
  replay: 2,
  flush: 3,
  readBack: 4,
  done: 5,
} as const;
export type GuestPhase = (typeof GuestPhase)[keyof typeof GuestPhase];

const Word = {
  phase: 0,
  /** Next record of the trace to issue. */
  cursor: 1,
  completed: 2,
  readBackSectors: 3,
  violations: 4,
  errors: 5,
  lateStarts: 6,
  connections: 7,
} as const;
type Word = keyof typeof Word;

const STATS_BYTES = 64;

export function guestStatsBuffer(): SharedArrayBuffer {
  return new SharedArrayBuffer(STATS_BYTES);
}

export class GuestStats {
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  get(word: Word): number {
    return Atomics.load(this.#words, Word[word]);
  }

  set(word: Word, value: number): void {
    Atomics.store(this.#words, Word[word], value);
  }

  add(word: Word, value: number): void {
    Atomics.add(this.#words, Word[word], value);
  }

  get phase(): GuestPhase {
    return this.get('phase') as GuestPhase;
  }

  /** The phase as `GuestPhase` names it. */
  get phaseName(): string {
    const phase = this.phase;
    return Object.entries(GuestPhase).find(([, number]) => number === phase)?.[0] ?? 'unknown';
  }
}
