/**
 * What the directory has said of a pool's pairs and maps, from the beginning on: the truth that
 * servers know only with some delay. Each change is judged when it is seen (I2, I3, I6).
 */
import type { Crc } from '../../base/formats/sealed.ts';
import { gmapPrefix, pairsPrefix } from '../../petal-backend/directory/keys.ts';
import { decodeRecord, type PairRecord, pairKind } from '../../petal-backend/directory/records.ts';
import { seatKey } from '../../petal-backend/server/seat.ts';
import type { DirectoryEntry } from '../../world/directory.ts';
import { BrokenLaw } from './petal-law.ts';

/** The directory itself, not what it answers somebody. */
export interface SeenDirectory {
  /** Grows with each change of any entry. */
  readonly changes: number;
  entries(): readonly DirectoryEntry[];
}

/** A pair in one term. */
export interface TermSeen {
  readonly record: PairRecord;
  /** Run time at which the next term was seen; infinity: it is the newest. */
  overNs: number;
}

interface PairSeen {
  readonly terms: Map<number, TermSeen>;
  newest: TermSeen;
}

export class PetalRecords {
  readonly #directory: SeenDirectory;
  readonly #digest: Crc;
  readonly #pool: string;
  readonly #pairs = new Map<number, PairSeen>();
  /** Version of each entry of a pair when it was read. */
  readonly #versions = new Map<string, number>();
  readonly #maps = new Map<string, string>();
  #changes = -1;

  constructor(directory: SeenDirectory, digest: Crc, pool: string) {
    this.#directory = directory;
    this.#digest = digest;
    this.#pool = pool;
  }

  /** Pairs that have changed since the last look. */
  look(nowNs: number): readonly PairRecord[] {
    if (this.#directory.changes === this.#changes) return [];
    this.#changes = this.#directory.changes;
    const changed: PairRecord[] = [];
    const maps = new Set<string>();
    for (const entry of this.#directory.entries()) {
      if (entry.key.startsWith(gmapPrefix(this.#pool))) {
        maps.add(entry.key);
        this.#judgeMap(entry);
      }
      if (!entry.key.startsWith(pairsPrefix(this.#pool))) continue;
      if (this.#versions.get(entry.key) === entry.version) continue;
      this.#versions.set(entry.key, entry.version);
      changed.push(this.#judgePair(entry, nowNs));
    }
    for (const key of this.#maps.keys()) {
      if (!maps.has(key)) throw new BrokenLaw('I6', `${key} is gone`);
    }
    return changed;
  }

  /** The newest of each pair. */
  all(): readonly PairRecord[] {
    return [...this.#pairs.values()].map(({ newest }) => newest.record);
  }

  newest(gmap: number, group: number): PairRecord | null {
    return this.#pairs.get(seatKey(gmap, group))?.newest.record ?? null;
  }

  /** Null: no such term was ever begun. */
  ofTerm(gmap: number, group: number, term: number): TermSeen | null {
    return this.#pairs.get(seatKey(gmap, group))?.terms.get(term) ?? null;
  }

  #judgePair(entry: DirectoryEntry, nowNs: number): PairRecord {
    const record = this.#decodedPair(entry);
    const { gmap, group, term, members } = record;
    const seen: TermSeen = { record, overNs: Number.POSITIVE_INFINITY };
    const pair = this.#pairs.get(seatKey(gmap, group));
    if (pair === undefined) {
      this.#pairs.set(seatKey(gmap, group), { terms: new Map([[term, seen]]), newest: seen });
      return record;
    }
    const before = pair.newest.record;
    if (term <= before.term) {
      throw new BrokenLaw('I2', `group ${group} has term ${term} after term ${before.term}`);
    }
    if (members.join() !== before.members.join()) {
      throw new BrokenLaw('I3', `group ${group} has other members in term ${term} than before`);
    }
    pair.newest.overNs = nowNs;
    pair.terms.set(term, seen);
    pair.newest = seen;
    return record;
  }

  /** What breaks the laws of one record cannot be read. */
  #decodedPair(entry: DirectoryEntry): PairRecord {
    try {
      return decodeRecord(this.#digest, pairKind, entry);
    } catch (thrown) {
      throw new BrokenLaw('I3', String(thrown));
    }
  }

  #judgeMap({ key, value }: DirectoryEntry): void {
    const bytes = value.join();
    const before = this.#maps.get(key);
    if (before === undefined) this.#maps.set(key, bytes);
    else if (bytes !== before) throw new BrokenLaw('I6', `${key} has other bytes than before`);
  }
}
