/**
 * The directory as a Petal server needs it: the pairs of which it is a member, changes of them, and
 * who may touch which virtual disk (`server/ports.ts`).
 */
import { isDamage } from '../../base/formats/sealed.ts';
import { decodeSessionRecord, SessionRecordKind } from '../../base/formats/session-record.ts';
import type { Fence, Session } from '../../base/units.ts';
import { u32 } from '../../base/units.ts';
import type { Directory, DirectoryEntry } from '../../world/directory.ts';
import type { World } from '../../world/world.ts';
import type { AccessDirectory, PairChange, PairDirectory, PairRecord } from '../server/ports.ts';
import { pairKey, pairsPrefix, vdiskKey } from './keys.ts';
import { checkPairOrder } from './pair-transitions.ts';
import { pairBecomes, pairIs } from './pool-transitions.ts';
import { decodeRecord, pairKind, type PairRecord as StoredPair, vdiskKind } from './records.ts';

export class ServerView implements PairDirectory, AccessDirectory {
  readonly #directory: Directory;
  readonly #world: Pick<World, 'digest'>;
  readonly #pool: string;

  constructor(directory: Directory, world: Pick<World, 'digest'>, pool: string) {
    this.#directory = directory;
    this.#world = world;
    this.#pool = pool;
  }

  async pairsOf(server: number): Promise<readonly PairRecord[]> {
    const entries = await this.#directory.list(pairsPrefix(this.#pool));
    return entries
      .map((entry) => this.#pairOf(entry))
      .filter(({ members }) => members.includes(server));
  }

  async change(before: PairRecord, next: PairChange): Promise<PairRecord | null> {
    const { digest } = this.#world;
    const { version, ...known } = before as PairRecord & StoredPair;
    const record = { ...known, ...next, term: u32(known.term + 1) } as StoredPair;
    checkPairOrder(known, record);
    const at = { pool: this.#pool, digest };
    const comparison = pairIs(at, { record: known, version });
    if (!(await this.#directory.txn([comparison], [pairBecomes(at, record)]))) return null;
    const entry = await this.#directory.get(pairKey(this.#pool, record.gmap, record.group));
    const now = entry === null ? null : this.#pairOf(entry);
    // Somebody may have gone on already: then this term is over before it was known.
    return now?.term === record.term ? now : null;
  }

  /** A virtual disk that hosts attach to is a store of its name: `attach/<name>/<host>`. */
  async accessOf(vdisk: number, session: Session): ReturnType<AccessDirectory['accessOf']> {
    const { digest } = this.#world;
    const entry = await this.#directory.get(vdiskKey(this.#pool, vdisk));
    if (entry === null) return { vdisk: null, fence: null };
    const record = decodeRecord(digest, vdiskKind, entry);
    for (const { value } of await this.#directory.list(`attach/${record.name}/`)) {
      const attached = decodeSessionRecord(digest, SessionRecordKind.attachment, value);
      if (isDamage(attached) || attached.session !== session) continue;
      return { vdisk: record, fence: u32<Fence>(attached.fence) };
    }
    return { vdisk: record, fence: null };
  }

  #pairOf(entry: DirectoryEntry): PairRecord {
    const record = decodeRecord(this.#world.digest, pairKind, entry);
    return { ...record, version: entry.version };
  }
}
