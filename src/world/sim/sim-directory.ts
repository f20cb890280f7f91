/**
 * The directory in the simulator: a table that outlives every actor, with the faults of one that is
 * kept by several voters.
 *
 * It belongs to no actor. Whoever serves it to actors does so over links (`DirectoryServer`);
 * its own answers and hints are events of nobody.
 *
 * A call takes `latencyNs`, with a draw of as much again, to reach the table, and as long to be
 * answered; what happens at the table happens at once and is durable. Faults:
 * - *down*: nothing reaches it; calls reject after `timeoutNs`, and no txn was made.
 * - *no majority*: calls reject after `timeoutNs`. Each txn lies with one voter until a majority
 *   is back, and is then judged and made, or forgotten, by draw: it may be made late.
 * - *lost answers*: with a chance, a txn rejects though it was decided, or was never heard of.
 */
import type { Prng } from '../../base/prng.ts';
import type { Change, Comparison, Directory, DirectoryEntry } from '../directory.ts';
import { checkKey, checkPrefix, checkTxn, directoryError } from '../directory-rules.ts';
import { EventKind } from './event-queue.ts';
import type { Kernel } from './kernel.ts';

export interface SimDirectoryOptions {
  /** One way. */
  readonly latencyNs: number;
  readonly timeoutNs: number;
  /** Chance of a txn to reject, made or not by draw, though nothing is wrong. */
  readonly lostAnswers: number;
  /** Chance of a hint to be lost, and to come twice. */
  readonly lostHints: number;
  readonly doubleHints: number;
}

const DEFAULT_OPTIONS: SimDirectoryOptions = {
  latencyNs: 200_000,
  timeoutNs: 2_000_000_000,
  lostAnswers: 0,
  lostHints: 0,
  doubleHints: 0,
};

export type DirectoryHealth = 'up' | 'down' | 'no-majority';

interface Watch {
  readonly prefix: string;
  readonly changed: (key: string) => void;
}

interface Txn {
  readonly comparisons: readonly Comparison[];
  readonly changes: readonly Change[];
}

export class SimDirectory implements Directory {
  readonly #kernel: Kernel;
  readonly #random: Prng;
  readonly #table = new Map<string, DirectoryEntry>();
  readonly #watches = new Set<Watch>();
  /** Txns that lie with one voter. */
  #undecided: Txn[] = [];
  #options: SimDirectoryOptions;
  #health: DirectoryHealth = 'up';
  #lastTxn = 0;
  #open = true;

  constructor(kernel: Kernel, name: string, options: Partial<SimDirectoryOptions> = {}) {
    this.#kernel = kernel;
    this.#random = kernel.stream(`directory/${name}`);
    this.#options = { ...DEFAULT_OPTIONS, ...options };
  }

  /** Changes some parameters, from the next call on. */
  set(options: Partial<SimDirectoryOptions>): void {
    this.#options = { ...this.#options, ...options };
  }

  get health(): DirectoryHealth {
    return this.#health;
  }

  /** Txns that have changed it so far. */
  get changes(): number {
    return this.#lastTxn;
  }

  setHealth(health: DirectoryHealth): void {
    this.#health = health;
    if (health !== 'up') return;
    const undecided = this.#undecided;
    this.#undecided = [];
    for (const txn of undecided) if (this.#random.chance(0.5)) this.#decide(txn);
  }

  get(key: string): Promise<DirectoryEntry | null> {
    checkKey(key);
    return this.#ask(() => copyOf(this.#table.get(key)));
  }

  list(prefix: string): Promise<readonly DirectoryEntry[]> {
    checkPrefix(prefix);
    return this.#ask(() => {
      const keys = [...this.#table.keys()].filter((key) => key.startsWith(prefix)).sort();
      return keys.map((key) => copyOf(this.#table.get(key)) as DirectoryEntry);
    });
  }

  txn(comparisons: readonly Comparison[], changes: readonly Change[]): Promise<boolean> {
    checkTxn(comparisons, changes);
    const txn: Txn = {
      comparisons: comparisons.map(({ key, version }) => ({ key, version })),
      changes: changes.map(({ key, value }) => ({ key, value: value?.slice() ?? null })),
    };
    const answerLost = this.#random.chance(this.#options.lostAnswers);
    const requestLost = answerLost && this.#random.chance(0.5);
    return this.#call((answer, fail) => {
      if (this.#health === 'no-majority') this.#undecided.push(txn);
      if (this.#health !== 'up') return fail('it has no majority, or is not reached');
      const made = requestLost ? false : this.#decide(txn);
      if (answerLost) fail('its answer was lost');
      else answer(made);
    });
  }

  watch(prefix: string, changed: (key: string) => void): () => void {
    checkPrefix(prefix);
    const watch = { prefix, changed };
    this.#watches.add(watch);
    return () => this.#watches.delete(watch);
  }

  /** Nobody can ask any more. What it holds is there for who looks with `entries`. */
  close(): Promise<void> {
    this.#open = false;
    this.#watches.clear();
    return Promise.resolve();
  }

  /** What it holds now, for a check. */
  entries(): readonly DirectoryEntry[] {
    return [...this.#table.keys()]
      .sort()
      .map((key) => copyOf(this.#table.get(key)) as DirectoryEntry);
  }

  #ask<T>(look: () => T): Promise<T> {
    return this.#call((answer, fail) => {
      if (this.#health === 'up') answer(look());
      else fail('it has no majority, or is not reached');
    });
  }

  /** Runs `judge` when the call reaches the table; its answer travels back, or does not come. */
  #call<T>(judge: (answer: (value: T) => void, fail: (why: string) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.#open) return reject(directoryError('it was closed'));
      const { timeoutNs } = this.#options;
      const answer = (value: T): void => this.#later(this.#travelNs(), () => resolve(value));
      const fail = (why: string): void => this.#later(timeoutNs, () => reject(directoryError(why)));
      this.#later(this.#travelNs(), () => judge(answer, fail));
    });
  }

  #decide({ comparisons, changes }: Txn): boolean {
    const holds = comparisons.every(({ key, version }) => {
      return (this.#table.get(key)?.version ?? 0) === version;
    });
    if (!holds || changes.length === 0) return holds;
    this.#lastTxn += 1;
    for (const { key, value } of changes) {
      if (value === null) this.#table.delete(key);
      else this.#table.set(key, { key, value, version: this.#lastTxn });
    }
    for (const watch of this.#watches) {
      for (const { key } of changes) if (key.startsWith(watch.prefix)) this.#hint(watch, key);
    }
    return true;
  }

  #hint(watch: Watch, key: string): void {
    const { lostHints, doubleHints } = this.#options;
    const copies = this.#random.chance(lostHints) ? 0 : this.#random.chance(doubleHints) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      this.#later(this.#travelNs(), () => {
        if (this.#watches.has(watch)) watch.changed(key);
      });
    }
  }

  #travelNs(): number {
    const { latencyNs } = this.#options;
    return latencyNs + this.#random.below(latencyNs + 1);
  }

  #later(durationNs: number, action: () => void): void {
    const timeNs = this.#kernel.nowNs + durationNs;
    this.#kernel.schedule(timeNs, EventKind.control, null, action, 0, 0);
  }
}

function copyOf(entry: DirectoryEntry | undefined): DirectoryEntry | null {
  return entry === undefined ? null : { ...entry, value: entry.value.slice() };
}
