/** The `ActorFactory` of Petal servers, in both worlds. */
import { invariant } from '../base/invariant.ts';
import type { Directory } from '../world/directory.ts';
import { DIRECTORY_LINK, DirectoryClient } from '../world/directory-client.ts';
import { AddressedFrames, type NamedFrames } from '../world/named-frames.ts';
import type { World } from '../world/world.ts';
import { ServerView } from './directory/server-view.ts';
import { PetalServer } from './server/petal-server.ts';
import { PetalServerActor } from './server/petal-server-actor.ts';
import type { ServerOptions } from './server/ports.ts';
import { openChunkStore } from './store/file-chunk-store.ts';
import type { StoreOptions } from './store/store-options.ts';
import { FrameNet, PETAL_LINK } from './wire/link-net.ts';

/** Links that a server is started with: to its peers and clients, and to the directory. */
export const PETAL_SERVER_LINKS: readonly string[] = [PETAL_LINK, DIRECTORY_LINK];

/** Structured-cloneable. */
export interface PetalServerConfig {
  /** Name of the pool in the directory. */
  readonly pool: string;
  /** Number of the server in the pool. */
  readonly server: number;
  readonly store: StoreOptions;
  readonly options: ServerOptions;
}

export function createPetalServer(world: World, config: unknown): PetalServerActor {
  invariant(typeof config === 'object' && config !== null, 'a server is started with a config');
  const known = config as PetalServerConfig;
  // What is older than a lease when it comes is of no use any more: it is asked for anew.
  const { leaseNs: timeoutNs } = known.options;
  const directory = new DirectoryClient(world.net.link(DIRECTORY_LINK), world, { timeoutNs });
  const frames = new AddressedFrames(world.net.link(PETAL_LINK));
  return petalServerOn(world, known, frames, directory);
}

/** A server that reaches others and the directory in some other way than by links of its world. */
export function petalServerOn(
  world: World,
  { pool, server, store, options }: PetalServerConfig,
  frames: NamedFrames,
  directory: Directory,
): PetalServerActor {
  const view = new ServerView(directory, world, pool);
  const net = new FrameNet(frames, world);
  return new PetalServerActor({
    known: () => view.incarnationOf(server),
    open: (known) => openChunkStore(world, store, known),
    raise: (incarnation) => view.raiseIncarnation(server, incarnation),
    serve: (chunks) =>
      new PetalServer({ world, self: server, store: chunks, net, directory: view, options }),
  });
}
