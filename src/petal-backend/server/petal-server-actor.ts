/**
 * A Petal server as an actor: it opens its store, which raises its incarnation, and serves. Until
 * the store is open nothing of what arrives is looked at; whoever sent it asks again.
 */
import { type Nanos, NEVER } from '../../base/units.ts';
import type { HostedActor, StepResult } from '../../world/actor.ts';
import type { ChunkStore } from '../store/chunk-store.ts';
import type { PairStatus, PetalServer } from './petal-server.ts';

export class PetalServerActor implements HostedActor {
  readonly control: HostedActor['control'] = {
    status: () => this.status(),
    stop: () => this.#stop(),
  };
  readonly #open: () => Promise<ChunkStore>;
  readonly #serve: (store: ChunkStore) => PetalServer;
  #store: ChunkStore | null = null;
  #server: PetalServer | null = null;
  #isOver = false;

  constructor(open: () => Promise<ChunkStore>, serve: (store: ChunkStore) => PetalServer) {
    this.#open = open;
    this.#serve = serve;
  }

  async start(): Promise<void> {
    this.#store = await this.#open();
    this.#server = this.#serve(this.#store);
    await this.#server.start();
  }

  /** Empty until the store is open. */
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
