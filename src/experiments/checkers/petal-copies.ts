/**
 * The copies of a block at the servers that keep it, held against each other and against what was
 * acknowledged or shown (I1, I4, I5).
 *
 * A store is looked at from outside, also when its server is dead: what was done in it is durable,
 * so its successor finds that at least. A copy of a life whose store was never open cannot be
 * looked at, and nothing is said of it.
 *
 * What a store says of a block changes when its mutation is durable, a little later at one server
 * than at another. Between those two moments one of the copies is dirty, and that is the law: where
 * copies differ, somebody knows that they may.
 */
import type { PairRecord } from '../../petal-backend/directory/records.ts';
import { isNewer } from '../../petal-backend/server/copies.ts';
import type { BlockFacts, ChunkStore, StorePlace } from '../../petal-backend/store/chunk-store.ts';
import type { BlockVersion } from '../../petal-backend/wire/messages.ts';
import { BrokenLaw } from './petal-law.ts';

/** A block of which anybody has heard. */
export interface SeenBlock extends Omit<StorePlace, 'blocks'> {
  /** Newest version that was acknowledged to a client. */
  acked: BlockVersion;
  /** Newest version that a client was shown, or told that it is written. */
  shown: BlockVersion;
  /** Sums of all that anybody has ever asked to be written there, and of nothing. */
  readonly written: Set<number>;
  /** Of each session, its last mutation that was acknowledged. */
  readonly done: Map<number, { readonly seq: number; readonly version: BlockVersion }>;
}

interface Copy {
  readonly server: number;
  readonly store: ChunkStore;
  readonly facts: BlockFacts;
}

/** The store of a server's newest life, dead or not; null: it was never open. */
export type StoreOf = (server: number) => ChunkStore | null;

export function judgeCopies(block: SeenBlock, record: PairRecord, storeOf: StoreOf): void {
  const inSync: Copy[] = [];
  for (const { server, incarnation } of record.inSync) {
    const store = storeOf(server);
    if (store === null || store.incarnation !== incarnation) continue;
    inSync.push({ server, store, facts: store.facts(block) });
  }
  for (const copy of inSync) {
    const { version } = copy.facts;
    if (isNewer(block.acked, version)) {
      throw new BrokenLaw('I1', `${words(block, copy)}, but ${text(block.acked)} was acknowledged`);
    }
    if (isNewer(block.shown, version)) {
      throw new BrokenLaw('I1', `${words(block, copy)}, but ${text(block.shown)} was shown`);
    }
  }
  const [first] = inSync;
  if (first === undefined) return;
  const allSeen = inSync.length === record.inSync.length;
  // A copy that is lost says so to whoever reads it.
  if (allSeen && inSync.every(({ facts }) => !facts.dirty && !facts.isLost)) {
    for (const copy of inSync) {
      if (isSame(copy.facts, first.facts)) continue;
      throw new BrokenLaw('I4', `${words(block, first)}, and ${words(block, copy)}`);
    }
  }
  const primary = inSync.find(({ server }) => server === record.primary);
  if (primary !== undefined) judgeMarks(block, record, primary, storeOf);
}

/** Who is not in sync lacks at the most what the primary has marked. */
function judgeMarks(block: SeenBlock, record: PairRecord, primary: Copy, storeOf: StoreOf): void {
  const { gmap, group } = block;
  const note = primary.store.pairNote(gmap, group);
  // It has not noted yet whom it has dropped at the beginning of this term.
  if (note.lastTerm !== record.term || primary.facts.dirty) return;
  record.members.forEach((server, member) => {
    if (record.inSync.some((one) => one.server === server)) return;
    const since = note.markedSince[member] ?? 0;
    const store = storeOf(server);
    // Of whom nothing is known everything will be sent.
    if (since === 0 || store === null || !store.intact) return;
    if (store.pairNote(gmap, group).lastTerm < since - 1) return;
    const copy: Copy = { server, store, facts: store.facts(block) };
    if (copy.facts.isLost || primary.facts.isLost) return;
    if (copy.facts.dirty || isSame(copy.facts, primary.facts)) return;
    if ((primary.facts.missing & (1 << member)) !== 0) return;
    throw new BrokenLaw('I5', `${words(block, primary)}, and ${words(block, copy)}, unmarked`);
  });
}

function isSame(one: BlockFacts, other: BlockFacts): boolean {
  const { term, n } = one.version;
  return term === other.version.term && n === other.version.n && one.crc === other.crc;
}

function words({ block }: SeenBlock, { server, facts }: Copy): string {
  const { crc, version, dirty } = facts;
  const sum = crc.toString(16).padStart(8, '0');
  return `s${server} has ${text(version)} of block ${block}${dirty ? ', dirty,' : ''} (${sum})`;
}

export function text({ term, n }: BlockVersion): string {
  return `version ${term}/${n}`;
}
