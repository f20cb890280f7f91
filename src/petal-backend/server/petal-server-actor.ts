/**
 * A Petal server as an actor: it opens its store, which raises its incarnation on the disks, has
 * the directory raise it too, and serves. Until then nothing of what arrives is looked at; whoever
 * sent it asks again.
 *
 * If the directory cannot say whether it was raised, the store is opened once more: nobody may be
 * another one of the same number, and numbers are plenty. A store that was lost, or is new, begins
 * above what the directory knows; one that is whole and below is an old copy, and is refused.
 */
import { type Nanos, NEVER } from '../../base/units.ts';
import type { HostedActor, StepResult } from '../../world/actor.ts';
import type { ChunkStore, StoreStatistics } from '../store/chunk-store.ts';
import type { PairStatus, PetalServer } from './petal-server.ts';

export interface PetalServerActorParts {
  /** The last life of this server that the directory has heard of. */
  readonly known: () => Promise<number>;
  readonly open: (known: number) => Promise<ChunkStore>;
  /** Tells the directory; false: nobody knows. Rejects if it knows this life or a later one. */
  readonly raise: (incarnation: number) => Promise<boolean>;
  readonly serve: (store: ChunkStore) => PetalServer;
}

/** What an operator sees of a server. */
export interface ServerReport {
  /** 0: its disks are not open yet. */
  readonly incarnation: number;
  readonly pairs: readonly PairReport[];
  readonly store: StoreStatistics | null;
}

export interface PairReport extends PairStatus {
  /** Blocks that each member lacks, as far as they are marked here: nothing lacks none. */
  readonly missing: readonly { readonly server: number; readonly blocks: number }[];
  /** Any block is marked here as missing at any member, in sync or not. */
  readonly hasMarks: boolean;
}

/** Of a member that lacks more it is said that it lacks so many. */
const MISSING_COUNTED_MAX = 1_000_000;

export class PetalServerActor implements HostedActor {
  readonly control: HostedActor['control'] = {
    status: () => this.status(),
    report: () => this.report(),
    stop: () => this.stop(),
  };
  readonly #parts: PetalServerActorParts;
  #store: ChunkStore | null = null;
  #server: PetalServer | null = null;
  #isOver = false;

  constructor(parts: PetalServerActorParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { known, open, raise, serve } = this.#parts;
    let store = await open(await known());
    while (!(await raise(store.incarnation))) {
      await store.close();
      store = await open(await known());
    }
    this.#store = store;
    this.#server = serve(store);
    await this.#server.start();
  }

  /** For whoever watches over a run; null until it is open. */
  get store(): ChunkStore | null {
    return this.#store;
  }

  /** Empty until it serves. */
  status(): readonly PairStatus[] {
    return this.#server?.status() ?? [];
  }

  /** 0: the store is not open yet. */
  get incarnation(): number {
    return this.#store?.incarnation ?? 0;
  }

  report(): ServerReport {
    const store = this.#store;
    const pairs = this.status().map((pair) => {
      return { ...pair, missing: missingOf(store, pair), hasMarks: hasMarks(store, pair) };
    });
    return { incarnation: this.incarnation, pairs, store: store?.statistics() ?? null };
  }

  step(): StepResult {
    return this.#server?.step() ?? 'idle';
  }

  nextDeadlineNs(): Nanos {
    return this.#server?.nextDeadlineNs() ?? NEVER;
  }

  finished(): boolean {
    return this.#isOver;
  }

  result(): unknown {
    return null;
  }

  checkInvariants(): void {
    this.#server?.checkInvariants();
  }

  /** Settles when all is in its place on the disks; nothing is served from here on. */
  async stop(): Promise<void> {
    await this.#store?.close();
    this.#isOver = true;
  }
}

function missingOf(
  store: ChunkStore | null,
  { gmap, group, members, inSync }: PairStatus,
): PairReport['missing'] {
  if (store === null) return [];
  return members
    .map((server, member) => ({ server, member }))
    .filter(({ server }) => !inSync.includes(server))
    .map(({ server, member }) => {
      const { length } = store.missingOf(gmap, group, member, MISSING_COUNTED_MAX);
      return { server, blocks: length };
    });
}

function hasMarks(store: ChunkStore | null, { gmap, group, members }: PairStatus): boolean {
  if (store === null) return false;
  return members.some((_, member) => store.missingOf(gmap, group, member, 1).length > 0);
}
