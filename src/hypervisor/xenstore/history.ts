/**
 * Who changed what, when: the answer to "why is it stuck".
 *
 * Every change that took effect is kept with its time, the domain that made it and what was there
 * before. Each domain has a ring of its own, bounded in entries and in bytes: a guest that writes
 * without end pushes out its own old changes, never those of others. The rings of domains that are
 * gone are kept until there are too many of them; the one unchanged for longest goes first.
 */
import type { DomainId, Nanos } from '../../base/units.ts';
import type { Change, Mutation } from './mutations.ts';
import { isAtOrBelow } from './paths.ts';
import { formatPermission } from './permissions.ts';
import type { StoreNode } from './tree.ts';

export interface RecordedChange {
  /** Counts all changes of the store, in the order they took effect. */
  readonly sequence: number;
  readonly timeNs: Nanos;
  readonly domid: DomainId;
  readonly kind: Mutation['kind'];
  readonly path: string;
  /** The value, or for `set-perms` the permission list as text; null where there was no node. */
  readonly before: string | null;
  readonly after: string | null;
}

export interface HistoryLimits {
  readonly entriesPerDomain: number;
  /** Counts the characters of paths and values. */
  readonly bytesPerDomain: number;
  readonly domains: number;
}

export const DEFAULT_HISTORY_LIMITS: HistoryLimits = {
  entriesPerDomain: 1024,
  bytesPerDomain: 256 * 1024,
  domains: 128,
};

export interface HistoryQuery {
  /** Only changes of this node, of nodes below it, and removals of a node above it. */
  readonly path?: string;
  readonly sinceNs?: Nanos;
  /** Only the newest so many. */
  readonly limit?: number;
}

interface DomainRing {
  readonly entries: RecordedChange[];
  /** Index of the oldest entry that is still kept. */
  first: number;
  bytes: number;
}

export class ChangeHistory {
  readonly #limits: HistoryLimits;
  /** The domain that changed something last comes last. */
  readonly #rings = new Map<DomainId, DomainRing>();
  #sequence = 0;

  constructor(limits: HistoryLimits = DEFAULT_HISTORY_LIMITS) {
    this.#limits = limits;
  }

  record(timeNs: Nanos, domid: DomainId, change: Change): void {
    const describe = change.kind === 'set-perms' ? permissionsText : valueText;
    const entry: RecordedChange = {
      sequence: ++this.#sequence,
      timeNs,
      domid,
      kind: change.kind,
      path: change.path,
      before: change.before === null ? null : describe(change.before),
      after: change.after === null ? null : describe(change.after),
    };
    const ring = this.#ringOf(domid);
    ring.entries.push(entry);
    ring.bytes += sizeOf(entry);
    this.#trim(ring);
  }

  /** Oldest first. */
  query(query: HistoryQuery = {}): readonly RecordedChange[] {
    const found: RecordedChange[] = [];
    for (const ring of this.#rings.values()) {
      for (let i = ring.first; i < ring.entries.length; i++) {
        const entry = ring.entries[i];
        if (entry !== undefined && matches(entry, query)) found.push(entry);
      }
    }
    found.sort((a, b) => a.sequence - b.sequence);
    return query.limit === undefined ? found : found.slice(Math.max(0, found.length - query.limit));
  }

  #ringOf(domid: DomainId): DomainRing {
    const ring = this.#rings.get(domid) ?? { entries: [], first: 0, bytes: 0 };
    this.#rings.delete(domid);
    this.#rings.set(domid, ring);
    if (this.#rings.size > this.#limits.domains) {
      const [oldest] = this.#rings.keys();
      if (oldest !== undefined) this.#rings.delete(oldest);
    }
    return ring;
  }

  #trim(ring: DomainRing): void {
    const { entriesPerDomain, bytesPerDomain } = this.#limits;
    while (ring.entries.length - ring.first > entriesPerDomain || ring.bytes > bytesPerDomain) {
      const oldest = ring.entries[ring.first];
      if (oldest === undefined) break;
      ring.bytes -= sizeOf(oldest);
      ring.first++;
    }
    if (ring.first >= entriesPerDomain) {
      ring.entries.splice(0, ring.first);
      ring.first = 0;
    }
  }
}

/** One line for people: `12.500000 s  domain 3  write /local/...  "1" -> "4"`. */
export function formatChange(change: RecordedChange): string {
  const seconds = (change.timeNs / 1e9).toFixed(6);
  const before = change.before === null ? 'nothing' : JSON.stringify(change.before);
  const after = change.after === null ? 'nothing' : JSON.stringify(change.after);
  const what = `domain ${change.domid}  ${change.kind} ${change.path}`;
  return `${seconds} s  ${what}  ${before} -> ${after}`;
}

function matches(entry: RecordedChange, query: HistoryQuery): boolean {
  if (query.sinceNs !== undefined && entry.timeNs < query.sinceNs) return false;
  if (query.path === undefined || isAtOrBelow(entry.path, query.path)) return true;
  return entry.kind === 'rm' && isAtOrBelow(query.path, entry.path);
}

function sizeOf(entry: RecordedChange): number {
  return entry.path.length + (entry.before?.length ?? 0) + (entry.after?.length ?? 0);
}

function valueText(node: StoreNode): string {
  return node.value;
}

function permissionsText(node: StoreNode): string {
  return node.permissions.map(formatPermission).join(',');
}
