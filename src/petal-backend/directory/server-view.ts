/**
 * The directory as a Petal server needs it: its own record, the pairs of which it is a member,
 * changes of them, and who may touch which virtual disk (`server/ports.ts`).
 */
import { StorageError } from '../../base/errors.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import { decodeSessionRecord, SessionRecordKind } from '../../base/formats/session-record.ts';
import type { Fence, Incarnation, Session } from '../../base/units.ts';
import { u32 } from '../../base/units.ts';
import type { Directory } from '../../world/directory.ts';
import type { World } from '../../world/world.ts';
import type { AccessDirectory, PairsDirectory, PoolView } from '../server/ports.ts';
import { pairsPrefix, serverKey, vdiskKey } from './keys.ts';
import { type ChangeOutcome, PairDirectory, type PairView } from './pair-directory.ts';
import type { PairTransition } from './pair-transitions.ts';
import { readPool } from './pool-setup.ts';
import { raiseIncarnation, type Stored } from './pool-transitions.ts';
import {
  decodeRecord,
  PoolState,
  pairKind,
  type ServerRecord,
  serverKind,
  vdiskKind,
} from './records.ts';

const PAUSE_NS = 20_000_000;

export class ServerView implements PairsDirectory, AccessDirectory {
  readonly #directory: Directory;
  readonly #world: Pick<World, 'clock' | 'timers' | 'digest'>;
  readonly #pool: string;

  constructor(
    directory: Directory,
    world: Pick<World, 'clock' | 'timers' | 'digest'>,
    pool: string,
  ) {
    this.#directory = directory;
    this.#world = world;
    this.#pool = pool;
  }

  /**
   * Tells the directory of a life of the server, which its disks know already. Nothing may be
   * served or claimed before. False: nobody knows if it was done, so this number must not be used:
   * a copy of the disks may have been started elsewhere, and may have it. Rejects with `E_OLD_DISK`
   * if the directory knows this life or a later one. Waits while the directory does not answer.
   */
  async raiseIncarnation(server: number, incarnation: number): Promise<boolean> {
    const { timers, digest } = this.#world;
    for (;;) {
      try {
        const stored = await this.#recordOf(server);
        const at = { pool: this.#pool, digest };
        const life = u32<Incarnation>(incarnation);
        const { txn } = raiseIncarnation(at, stored, life, stored.record);
        const made = await this.#directory.txn(txn.comparisons, txn.changes).catch(unlessSilent);
        if (made === null) return false;
        if (made) return true;
      } catch (thrown) {
        unlessSilent(thrown);
      }
      await timers.sleep(PAUSE_NS);
    }
  }

  /** The last life of a server that is known; 0: none. Settles when the directory answers. */
  async incarnationOf(server: number): Promise<number> {
    for (;;) {
      const found = await this.#recordOf(server).catch(unlessSilent);
      if (found !== null) return found.record.incarnation;
      await this.#world.timers.sleep(PAUSE_NS);
    }
  }

  async #recordOf(server: number): Promise<Stored<ServerRecord>> {
    const entry = await this.#directory.get(serverKey(this.#pool, server));
    if (entry === null) {
      const text = `server ${server} is not one of pool "${this.#pool}": add it first`;
      throw new StorageError('E_PETAL_MISSING', text, { fields: { server } });
    }
    const record = decodeRecord(this.#world.digest, serverKind, entry);
    return { record, version: entry.version };
  }

  async viewOf(server: number): Promise<PoolView> {
    const { clock, digest } = this.#world;
    const askedNs = clock.nowNs();
    const [entries, pool] = await Promise.all([
      this.#directory.list(pairsPrefix(this.#pool)),
      readPool(this.#directory, digest, this.#pool),
    ]);
    const pairs = entries
      .map((entry): PairView => {
        const record = decodeRecord(digest, pairKind, entry);
        return { record, version: entry.version, askedNs };
      })
      .filter(({ record }) => record.members.includes(server));
    return { isReady: pool.record.state === PoolState.ready, pairs };
  }

  change(from: PairView, transition: PairTransition): Promise<ChangeOutcome> {
    const { gmap, group } = from.record;
    const pair = { pool: this.#pool, gmap, group };
    return new PairDirectory(this.#directory, this.#world, pair).change(from, transition);
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
}

/** The directory did not answer: anything else is the caller's affair. */
function unlessSilent(thrown: unknown): null {
  if (thrown instanceof StorageError && thrown.code === 'E_DIRECTORY') return null;
  throw thrown;
}
