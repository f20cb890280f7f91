/**
 * Where the blocks of a store in a folder are: in a file there, or on the servers of a Petal pool
 * that have their disks there. Whoever works on the store reaches them through this.
 *
 * Servers run while somebody uses them. A command that finds none starts them for itself, and ends
 * them when it ends; one that finds the store served uses the servers that there are. Nobody is
 * answered by servers who is not attached, so a look has an attachment too, under a name of its
 * own that is gone with it.
 */

import { openPetalPool, openStoreIn, type PetalPlace } from '../driver-vm/petal-opener.ts';
import type { Findings } from '../parallax/fsck/findings.ts';
import {
  type OpenedStore,
  openForCheck,
  openPoolForCheck,
} from '../parallax/fsck/open-for-check.ts';
import { type Attachment, attach, detach } from '../parallax/pool/attach.ts';
import {
  createEmbeddedStore,
  type EmbeddedPlace,
  embeddedOpener,
  openEmbeddedStore,
} from '../parallax/pool/embedded-store.ts';
import { createStore, type StoreFacts } from '../parallax/pool/store.ts';
import type { OpenedPool, PoolOpener } from '../parallax/pool/store-pool.ts';
import { DEFAULT_PETAL_POOL_OPTIONS, type PetalPool } from '../petal-backend/client/petal-pool.ts';
import { FrameNet, PETAL_LINK } from '../petal-backend/wire/link-net.ts';
import type { Directory } from '../world/directory.ts';
import { AddressedFrames, type NamedFrames } from '../world/named-frames.ts';
import { nodeDigest } from '../world/real/digest.ts';
import type { RealWorld } from '../world/real/real-world.ts';
import type { SocketNet } from '../world/real/socket-net.ts';
import type { Link } from '../world/world.ts';
import { type PetalFolder, POOL_NAME, VDISK_NAME } from './petal-folder.ts';
import { poolNet } from './petal-links.ts';
import { PetalServers, type ServerProcess } from './petal-servers.ts';
import type { OwnerClaim } from './store-owner.ts';

export interface ServerLook extends ServerProcess {
  readonly state: 'up' | 'silent' | 'gone';
  /** Groups of which it keeps copies, and those of them for which it is in sync. */
  readonly pairs: number;
  readonly inSync: number;
}

/** How a driver VM gets at the pool. */
export interface DriverPool {
  /** null: the pool is a file of its host. */
  readonly petal: PetalPlace | null;
  /** Links that it is started with, each time. */
  readonly links: Readonly<Record<string, (far: Link) => void>>;
}

export interface StorePool {
  /** Makes the store, or goes on making one that was begun. */
  create(world: RealWorld, facts: StoreFacts): Promise<void>;
  /** For Parallax in this process; `look` has its loop take a step soon. */
  opener(world: RealWorld, look: () => void): PoolOpener;
  /** For somebody who serves nothing. Closed by its user. */
  look(world: RealWorld): Promise<OpenedPool>;
  /** For `fsck`. Closed by its user. */
  lookForCheck(world: RealWorld, findings: Findings): Promise<OpenedStore | null>;
  forDriver(name: string): Promise<DriverPool>;
  /** Servers that are processes of this one, and how they are. */
  servers(): Promise<readonly ServerLook[]>;
  /** Nobody uses it any more. */
  close(): Promise<void>;
}

/** In a file; worlds have its folder. */
export class FileStorePool implements StorePool {
  readonly #place: EmbeddedPlace;

  constructor(place: EmbeddedPlace) {
    this.#place = place;
  }

  async create(world: RealWorld, facts: StoreFacts): Promise<void> {
    await createEmbeddedStore(world, this.#place, facts);
  }

  opener(world: RealWorld): PoolOpener {
    return embeddedOpener(world, this.#place);
  }

  look(world: RealWorld): Promise<OpenedPool> {
    return openEmbeddedStore(world, this.#place, null);
  }

  lookForCheck(world: RealWorld, findings: Findings): Promise<OpenedStore | null> {
    return openForCheck(world, this.#place, findings);
  }

  forDriver(): Promise<DriverPool> {
    return Promise.resolve({ petal: null, links: {} });
  }

  servers(): Promise<readonly ServerLook[]> {
    return Promise.resolve([]);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const PLACE: PetalPlace = { pool: POOL_NAME, options: DEFAULT_PETAL_POOL_OPTIONS };

/** On servers of Petal. */
export class PetalStorePool implements StorePool {
  readonly #folder: PetalFolder;
  readonly #directory: Directory;
  /** null: they are somebody else's. */
  readonly #servers: PetalServers | null;
  readonly #nets: SocketNet[] = [];
  readonly #looks: Attachment[] = [];

  /**
   * Starts the servers, or finds them served to others by who does not end by itself. Rejects with
   * `UsageError` if somebody else has them who does.
   */
  static async reach(
    folder: PetalFolder,
    directory: Directory,
    user: OwnerClaim & { readonly onNote: (text: string) => void },
  ): Promise<PetalStorePool> {
    const { onNote, ...claim } = user;
    const [owner] = await folder.ownersOf([null]);
    const isServed = owner?.serves === true && !claim.serves;
    const parts = { folder, directory, claim, onNote };
    const servers = isServed ? null : await PetalServers.start(parts);
    return new PetalStorePool(folder, directory, servers);
  }

  private constructor(folder: PetalFolder, directory: Directory, servers: PetalServers | null) {
    this.#folder = folder;
    this.#directory = directory;
    this.#servers = servers;
  }

  async create(world: RealWorld, facts: StoreFacts): Promise<void> {
    const pool = await this.#openAny(world);
    const { sizeBlocks } = pool;
    await createStore(pool, nodeDigest, VDISK_NAME, { ...facts, sizeBlocks }, async () => {});
    await pool.close();
  }

  opener(world: RealWorld, look: () => void): PoolOpener {
    return async ({ attachment }) => {
      const pool = await this.#open(world, attachment, look);
      return openStoreIn(pool, nodeDigest, attachment.store);
    };
  }

  async look(world: RealWorld): Promise<OpenedPool> {
    return openStoreIn(await this.#openAny(world), nodeDigest, VDISK_NAME);
  }

  async lookForCheck(world: RealWorld, findings: Findings): Promise<OpenedStore | null> {
    return openPoolForCheck(await this.#openAny(world), nodeDigest, findings);
  }

  /** The virtual disk, whatever is in it. */
  async #openAny(world: RealWorld): Promise<PetalPool> {
    const host = `look.${process.pid}.${this.#looks.length}`;
    const attachment = await attach(this.#directory, nodeDigest, VDISK_NAME, host);
    this.#looks.push(attachment);
    return this.#open(world, attachment, () => {});
  }

  /** The net stays when a driver VM dies; its successor has the next link. */
  async forDriver(name: string): Promise<DriverPool> {
    const net = await this.#net(`${name}.driver`);
    const plug = (far: Link): void => {
      const driver = new AddressedFrames(far);
      driver.onFrame((to, frame) => net.send(to, frame));
      net.onFrame((from, frame) => driver.send(from, frame));
    };
    return { petal: PLACE, links: { [PETAL_LINK]: plug } };
  }

  servers(): Promise<readonly ServerLook[]> {
    const processes = this.#servers?.processes() ?? [];
    return Promise.all(
      processes.map(async (process): Promise<ServerLook> => {
        const { server, pid } = process;
        const report = pid === null ? null : await this.#folder.reportOf(server);
        const pairs = report?.pairs ?? [];
        const inSync = pairs.filter(({ role }) => role !== 'outside').length;
        const state = pid === null ? 'gone' : report === null ? 'silent' : 'up';
        return { ...process, state, pairs: pairs.length, inSync };
      }),
    );
  }

  async close(): Promise<void> {
    for (const attachment of this.#looks) await detach(this.#directory, attachment);
    for (const net of this.#nets) net.close();
    await this.#servers?.close();
  }

  async #open(world: RealWorld, attachment: Attachment, look: () => void): Promise<PetalPool> {
    const net = await this.#net(`${attachment.host}.${attachment.session}`);
    const frames: NamedFrames = {
      send: (to, frame) => net.send(to, frame),
      onFrame: (receive) =>
        net.onFrame((from, frame) => {
          receive(from, frame);
          look();
        }),
    };
    const over = new FrameNet(frames, world);
    return openPetalPool(world, over, this.#directory, PLACE, attachment);
  }

  async #net(name: string): Promise<SocketNet> {
    const net = await poolNet({
      folder: this.#folder,
      directory: this.#directory,
      name,
      incarnation: () => 0,
      listen: null,
      // Servers that are gone are told of by who keeps them.
      onNote: () => {},
    });
    this.#nets.push(net);
    return net;
  }
}
