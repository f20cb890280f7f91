/**
 * A Petal pool on the stage of threads: each server in a worker of its own, on disks that are files
 * in a folder of its own; the switch between servers and clients in the main thread.
 *
 * A power cut of a server takes nothing back that the operating system holds of its files, so it is
 * a kill here. When the run is over the servers are stopped in order, and their disks are opened by
 * the main thread, to hold the copies of every block against each other.
 */
import { StorageError } from '../base/errors.ts';
import { fail, present } from '../base/invariant.ts';
import { linkPair } from '../hypervisor/xenstore/link-pair.ts';
import {
  PETAL_SERVER_LINKS,
  type PetalServerConfig,
} from '../petal-backend/create-petal-server.ts';
import type { ServerReport } from '../petal-backend/server/petal-server-actor.ts';
import type { PeerNet } from '../petal-backend/server/ports.ts';
import { openChunkStore } from '../petal-backend/store/file-chunk-store.ts';
import { LinkNet, PETAL_LINK } from '../petal-backend/wire/link-net.ts';
import { Switchboard } from '../petal-backend/wire/switchboard.ts';
import type { ActorHandle, Spawner } from '../world/actor.ts';
import type { Directory } from '../world/directory.ts';
import { DIRECTORY_LINK } from '../world/directory-client.ts';
import { DirectoryServer } from '../world/directory-server.ts';
import type { Link, World } from '../world/world.ts';
import { type PetalScenario, RUN_POOL, serverNames } from './petal-scenario.ts';
import type { PetalStage, ServerLook } from './stage.ts';

export interface ThreadPetalParts {
  readonly scenario: PetalScenario;
  readonly directory: Directory;
  /** Starts servers on hosts of their names. */
  readonly spawner: Spawner;
  /** A world in the main thread with the disks of a server. */
  readonly worldOn: (server: string) => World;
}

const UUID_BYTES = 16;

export class ThreadPetalStage implements PetalStage {
  readonly scrubOn = false;
  readonly laws = null;
  readonly #parts: ThreadPetalParts;
  readonly #directory: DirectoryServer;
  readonly #board = new Switchboard();
  /** Newest lives, by name. */
  readonly #handles = new Map<string, ActorHandle>();

  constructor(parts: ThreadPetalParts) {
    this.#parts = parts;
    this.#directory = new DirectoryServer(parts.directory);
  }

  isPowered(): boolean {
    return true;
  }

  hostUp(): void {
    // Its power cannot be cut.
  }

  start(name: string): ActorHandle {
    const handle = this.#parts.spawner.spawn({
      kind: 'petal-server',
      name,
      host: name,
      bellAddress: 0,
      links: PETAL_SERVER_LINKS,
      config: this.#configOf(name),
    });
    const linkOf = (link: string): Link =>
      present(handle.links.get(link), 'an actor has the links that it was started with');
    this.plug(name, linkOf(PETAL_LINK));
    this.#directory.serve(linkOf(DIRECTORY_LINK));
    this.#handles.set(name, handle);
    return handle;
  }

  plug(name: string, far: Link): void {
    this.#board.plug(name, far);
  }

  async powerCut(server: string): Promise<void> {
    const handle = this.#handles.get(server);
    handle?.kill();
    await handle?.exited;
  }

  trouble(): () => void {
    return fail('a script is checked before it is played');
  }

  partition(one: string, other: string, oneWay: boolean): () => void {
    return this.#board.part(one, other, oneWay);
  }

  async report(server: string): Promise<ServerReport | null> {
    const handle = this.#handles.get(server);
    if (handle === undefined) return null;
    return (await handle.call('report').catch(unlessGone)) as ServerReport | null;
  }

  async stores(): Promise<readonly ServerLook[]> {
    const looks: ServerLook[] = [];
    for (const name of serverNames(this.#parts.scenario)) {
      const report = await this.report(name);
      const handle = present(this.#handles.get(name), 'a pool that is clean has all its servers');
      // It may be gone before its answer is.
      await handle.call('stop').catch(unlessGone);
      await handle.exited;
      const store = await openChunkStore(this.#parts.worldOn(name), this.#configOf(name).store);
      looks.push({ pairs: report?.pairs ?? [], store });
    }
    return looks;
  }

  /** A net for somebody in the main thread. */
  netFor(name: string, world: World): PeerNet {
    const [near, far] = linkPair();
    this.plug(name, far);
    return new LinkNet(near, world);
  }

  #configOf(name: string): PetalServerConfig {
    const { scenario } = this.#parts;
    const server = serverNames(scenario).indexOf(name) + 1;
    const uuid = new Uint8Array(UUID_BYTES).fill(server);
    const store = { ...scenario.store, server: uuid };
    return { pool: RUN_POOL, server, store, options: scenario.options };
  }
}

function unlessGone(thrown: unknown): null {
  if (!(thrown instanceof StorageError)) throw thrown;
  return null;
}
