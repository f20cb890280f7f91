/**
 * A Petal server as an actor: it opens its store, which raises its incarnation on the disks, has
 * the directory raise it too, and serves. Until then nothing of what arrives is looked at; whoever
 * sent it asks again.
 *
 * If the directory cannot say whether it was raised, the store is opened once more: nobody may be
 * another one of the same number, and numbers are plenty.
 */
import { type Nanos, NEVER } from '../../base/units.ts';
import type { HostedActor, StepResult } from '../../world/actor.ts';
import type { ChunkStore } from '../store/chunk-store.ts';
import type { PairStatus, PetalServer } from './petal-server.ts';

export interface PetalServerActorParts {
  readonly open: () => Promise<ChunkStore>;
  /** Tells the directory; false: nobody knows. Rejects if it knows this life or a later one. */
  readonly raise: (incarnation: number) => Promise<boolean>;
  readonly serve: (store: ChunkStore) => PetalServer;
}

export class PetalServerActor implements HostedActor {
  readonly control: HostedActor['control'] = {
    status: () => this.status(),
    stop: () => this.#stop(),
  };
  readonly #parts: PetalServerActorParts;
  #store: ChunkStore | null = null;
  #server: PetalServer | null = null;
  #isOver = false;

  constructor(parts: PetalServerActorParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { open, raise, serve } = this.#parts;
    let store = await open();
    while (!(await raise(store.incarnation))) {
      await store.close();
      store = await open();
    }
    this.#store = store;
    this.#server = serve(store);
    await this.#server.start();
  }

  /** Empty until it serves. */
  status(): readonly PairStatus[] {
    return this.#server?.status() ?? [];
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

  async #stop(): Promise<void> {
    await this.#store?.close();
    this.#isOver = true;
  }
}
