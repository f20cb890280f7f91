/** What pools of threads and of processes have in common for their tests. */
import { setTimeout as sleepMs } from 'node:timers/promises';
import { type AskedPool, PetalRig } from '../../../bench/petal-rig.ts';
import { openPetalClient } from '../../../src/cli/petal-client.ts';
import type { ServerReport } from '../../../src/petal-backend/server/petal-server-actor.ts';
import type { BlockPool } from '../../../src/world/block-pool.ts';
import type { World } from '../../../src/world/world.ts';

export interface OpenClient {
  readonly pool: BlockPool;
  readonly world: World;
  close(): Promise<void>;
}

export interface RealPool extends AskedPool {
  start(server: number): void;
  /** At whatever instruction it is; settles when nothing of it runs any more. */
  kill(server: number): Promise<void>;
  /** It stands still; settles when it goes on. */
  pause(server: number, forMs: number): Promise<void>;
  client(host: string): Promise<OpenClient>;
  close(): Promise<void>;
}

/** Servers as processes: killed by SIGKILL, paused by SIGSTOP. */
export class ProcessPool implements RealPool {
  readonly #rig: PetalRig;

  static async open(servers: number, copies: number): Promise<ProcessPool> {
    return new ProcessPool(await PetalRig.open({ servers, copies, diskBytes: 256 * 2 ** 20 }));
  }

  private constructor(rig: PetalRig) {
    this.#rig = rig;
  }

  get servers(): readonly number[] {
    return this.#rig.servers;
  }

  get notes(): readonly string[] {
    return this.#rig.notes;
  }

  start(server: number): void {
    this.#rig.start(server);
  }

  async kill(server: number): Promise<void> {
    await this.#rig.end(server, 'SIGKILL');
  }

  async pause(server: number, forMs: number): Promise<void> {
    this.#rig.pause(server);
    await sleepMs(forMs);
    this.#rig.resume(server);
  }

  reportOf(server: number): Promise<ServerReport | null> {
    return this.#rig.reportOf(server);
  }

  client(host: string): Promise<OpenClient> {
    return openPetalClient(this.#rig.folder, host, () => {});
  }

  close(): Promise<void> {
    return this.#rig.close();
  }
}
