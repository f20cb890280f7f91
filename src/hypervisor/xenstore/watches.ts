/**
 * Watches: who wants to hear of changes where, and what waits to be told.
 *
 * A watch fires once when it is registered, with its own path, and then for each change of its node
 * or below. When a node above it is removed together with the watched node, it fires with its own
 * path. It fires only for a change its domain could read before or after. Events say "look again",
 * no more: they may come twice, late, or merged. An event that waits is not queued again for the
 * same path, and when too many paths wait for one watch they merge into one event with the watch's
 * own path, which means "look again at everything below". So what waits is bounded, and a client
 * that re-reads what it is told of never misses the newest state.
 *
 * `WatchDelivery` lets a test or a fault script make use of that freedom: it says for each event
 * how often it is delivered and how late.
 */
import { invariant } from '../../base/invariant.ts';
import type { Prng } from '../../base/prng.ts';
import { refuse } from './errno.ts';
import type { Change } from './mutations.ts';
import type { Requester } from './operations.ts';
import { joinPath, parentPath } from './paths.ts';
import { mayRead } from './permissions.ts';
import type { StoreNode } from './tree.ts';

/** Whoever holds watches: a connection. */
export interface WatchHolder {
  readonly who: Requester;
}

export interface Watch {
  readonly holder: WatchHolder;
  /** Absolute, or a special path. */
  readonly path: string;
  readonly token: string;
  /** What is cut from the front of the paths of its events: not empty for a relative watch. */
  readonly base: string;
}

export type Emit = (watch: Watch, eventPath: string) => void;

export class WatchTable {
  readonly #byPath = new Map<string, Set<Watch>>();
  readonly #byHolder = new Map<WatchHolder, Map<string, Watch>>();

  add(watch: Watch): void {
    const { holder } = watch;
    const held = this.#byHolder.get(holder) ?? new Map<string, Watch>();
    const key = keyOf(watch.path, watch.token);
    if (held.has(key)) refuse('EEXIST', 'the watch is there already');
    if (held.size >= holder.who.quota.watches) refuse('E2BIG', 'as many watches are set as may be');
    held.set(key, watch);
    this.#byHolder.set(holder, held);
    const here = this.#byPath.get(watch.path) ?? new Set<Watch>();
    here.add(watch);
    this.#byPath.set(watch.path, here);
  }

  remove(holder: WatchHolder, path: string, token: string): Watch {
    const held = this.#byHolder.get(holder);
    const key = keyOf(path, token);
    const watch = held?.get(key) ?? refuse('ENOENT', 'there is no such watch');
    held?.delete(key);
    this.#forget(watch);
    return watch;
  }

  removeAll(holder: WatchHolder): void {
    const held = this.#byHolder.get(holder);
    this.#byHolder.delete(holder);
    for (const watch of held?.values() ?? []) this.#forget(watch);
  }

  count(holder: WatchHolder): number {
    return this.#byHolder.get(holder)?.size ?? 0;
  }

  /** True until the watch is removed. */
  has(watch: Watch): boolean {
    return this.#byPath.get(watch.path)?.has(watch) ?? false;
  }

  fire(change: Change, emit: Emit): void {
    let at = change.path;
    for (;;) {
      this.#fireAt(at, change, change.path, emit);
      if (at === '/') break;
      at = parentPath(at);
    }
    if (change.kind === 'rm' && change.before !== null) {
      this.#fireBelow(change.path, change.before, emit);
    }
  }

  /** Fires the watches of a special path for those who may know. */
  fireSpecial(path: string, mayKnow: (who: Requester) => boolean, emit: Emit): void {
    for (const watch of this.#byPath.get(path) ?? []) {
      if (mayKnow(watch.holder.who)) emit(watch, path);
    }
  }

  checkInvariants(): void {
    let held = 0;
    for (const watches of this.#byHolder.values()) {
      held += watches.size;
      for (const watch of watches.values()) invariant(this.has(watch), 'a held watch is indexed');
    }
    let indexed = 0;
    for (const watches of this.#byPath.values()) {
      invariant(watches.size > 0, 'no path is indexed without a watch');
      indexed += watches.size;
    }
    invariant(held === indexed, 'every indexed watch is held');
  }

  #fireAt(at: string, nodes: Seen, eventPath: string, emit: Emit): void {
    for (const watch of this.#byPath.get(at) ?? []) {
      if (couldRead(nodes, watch.holder.who)) emit(watch, eventPath);
    }
  }

  #fireBelow(path: string, removed: StoreNode, emit: Emit): void {
    for (const [name, child] of removed.children) {
      const childPath = joinPath(path, name);
      this.#fireAt(childPath, { before: child, after: null }, childPath, emit);
      this.#fireBelow(childPath, child, emit);
    }
  }

  #forget(watch: Watch): void {
    const here = this.#byPath.get(watch.path);
    here?.delete(watch);
    if (here?.size === 0) this.#byPath.delete(watch.path);
  }
}

/** The events of one connection that wait to be told. */
export class EventQueue {
  readonly #waiting = new Map<Watch, Set<string>>();
  readonly #pathsPerWatch: number;

  constructor(pathsPerWatch: number) {
    this.#pathsPerWatch = pathsPerWatch;
  }

  get empty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Number of events that wait. */
  get size(): number {
    let size = 0;
    for (const paths of this.#waiting.values()) size += paths.size;
    return size;
  }

  push(watch: Watch, eventPath: string): void {
    const paths = this.#waiting.get(watch) ?? new Set<string>();
    if (paths.size >= this.#pathsPerWatch && !paths.has(eventPath)) {
      paths.clear();
      paths.add(watch.path);
    } else {
      paths.add(eventPath);
    }
    this.#waiting.set(watch, paths);
  }

  /** The next event, in turn among the watches, so that a busy one does not hold up the others. */
  take(): { readonly watch: Watch; readonly eventPath: string } | null {
    for (const [watch, paths] of this.#waiting) {
      const [eventPath] = paths;
      invariant(eventPath !== undefined, 'a watch that waits has a path to tell');
      paths.delete(eventPath);
      this.#waiting.delete(watch);
      if (paths.size > 0) this.#waiting.set(watch, paths);
      return { watch, eventPath };
    }
    return null;
  }

  drop(watch: Watch): void {
    this.#waiting.delete(watch);
  }

  clear(): void {
    this.#waiting.clear();
  }
}

export interface WatchDelivery {
  /** How late each delivery of this event is, nanoseconds. At least one: none is ever lost. */
  delaysNs(watch: Watch, eventPath: string): readonly number[];
}

export interface DisturbanceOptions {
  /** Share of events that come twice. */
  readonly duplicate: number;
  /** Share of deliveries that come late. */
  readonly late: number;
  readonly latestNs: number;
}

/** A seeded delivery that duplicates and delays events. */
export function disturbedDelivery(random: Prng, options: DisturbanceOptions): WatchDelivery {
  const delay = (): number => (random.chance(options.late) ? random.below(options.latestNs) : 0);
  return {
    delaysNs: () => (random.chance(options.duplicate) ? [delay(), delay()] : [delay()]),
  };
}

/** What was and is at the place of a change. */
type Seen = Pick<Change, 'before' | 'after'>;

function couldRead(nodes: Seen, who: Requester): boolean {
  if (nodes.before !== null && mayRead(nodes.before.permissions, who)) return true;
  return nodes.after !== null && mayRead(nodes.after.permissions, who);
}

function keyOf(path: string, token: string): string {
  return `${path} ${token}`;
}
