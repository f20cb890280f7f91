/**
 * The pool of a run's store, as the runner gets at it: to make the store, and to look at what the
 * run has left in it.
 */

import { openPetalPool, openStoreIn, type PetalPlace } from '../driver-vm/petal-opener.ts';
import type { Findings } from '../parallax/fsck/findings.ts';
import {
  type OpenedStore,
  openForCheck,
  openPoolForCheck,
} from '../parallax/fsck/open-for-check.ts';
import { attach } from '../parallax/pool/attach.ts';
import {
  createEmbeddedStore,
  type EmbeddedPlace,
  openEmbeddedStore,
} from '../parallax/pool/embedded-store.ts';
import { createStore, type StoreFacts } from '../parallax/pool/store.ts';
import type { OpenedPool } from '../parallax/pool/store-pool.ts';
import type { PetalPool } from '../petal-backend/client/petal-pool.ts';
import type { PeerNet } from '../petal-backend/server/ports.ts';
import type { Directory } from '../world/directory.ts';
import type { World } from '../world/world.ts';

export interface RunPool {
  create(facts: StoreFacts): Promise<void>;
  /** For somebody who serves nothing. One after the other; closed by its user. */
  look(): Promise<OpenedPool>;
  /** For `fsck`. */
  openForCheck(findings: Findings): Promise<OpenedStore | null>;
}

/** In a file and a directory, neither of which belongs to a host. */
export class FileRunPool implements RunPool {
  readonly #world: World;
  readonly #place: EmbeddedPlace;

  constructor(world: World, place: EmbeddedPlace) {
    this.#world = world;
    this.#place = place;
  }

  async create(facts: StoreFacts): Promise<void> {
    await createEmbeddedStore(this.#world, this.#place, facts);
  }

  look(): Promise<OpenedPool> {
    return openEmbeddedStore(this.#world, this.#place, null);
  }

  openForCheck(findings: Findings): Promise<OpenedStore | null> {
    return openForCheck(this.#world, this.#place, findings);
  }
}

export interface PetalRunPoolParts {
  readonly world: World;
  readonly net: PeerNet;
  readonly directory: Directory;
  readonly store: string;
  readonly place: PetalPlace;
}

/** The name by which the runner is attached. Each look has a session of its own. */
const RUNNER = 'runner';

/** On servers of Petal, which serve nobody who is not attached. */
export class PetalRunPool implements RunPool {
  readonly #parts: PetalRunPoolParts;

  constructor(parts: PetalRunPoolParts) {
    this.#parts = parts;
  }

  async create(facts: StoreFacts): Promise<void> {
    const { world, store } = this.#parts;
    const pool = await this.#attach();
    await createStore(pool, world.digest, store, facts, () => Promise.resolve());
    await pool.close();
  }

  async look(): Promise<OpenedPool> {
    const { world, store } = this.#parts;
    return openStoreIn(await this.#attach(), world.digest, store);
  }

  async openForCheck(findings: Findings): Promise<OpenedStore | null> {
    return openPoolForCheck(await this.#attach(), this.#parts.world.digest, findings);
  }

  async #attach(): Promise<PetalPool> {
    const { world, directory, net, store, place } = this.#parts;
    const attachment = await attach(directory, world.digest, store, RUNNER);
    return openPetalPool(world, net, directory, place, attachment);
  }
}
