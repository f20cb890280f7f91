/** How the processes of a pool reach each other: links to the directory, and nets of sockets. */
import type { Incarnation } from '../base/units.ts';
import { readPool } from '../petal-backend/directory/pool-setup.ts';
import { serverName } from '../petal-backend/server/ports.ts';
import { FRAME_BYTES_MAX } from '../petal-backend/wire/codec.ts';
import { poolHandshake } from '../petal-backend/wire/pool-handshake.ts';
import type { Directory } from '../world/directory.ts';
import type { DirectoryServer } from '../world/directory-server.ts';
import { nodeDigest } from '../world/real/digest.ts';
import type { SocketLinkOptions } from '../world/real/socket-link.ts';
import { SocketNet } from '../world/real/socket-net.ts';
import { listenSockets, type SocketAddress, type SocketListener } from '../world/real/sockets.ts';
import { SteadyLink } from '../world/real/steady-link.ts';
import { type PetalFolder, POOL_NAME } from './petal-folder.ts';

/** Between a directory and its clients: what its longest answer takes. */
const DIRECTORY_SOCKETS: SocketLinkOptions = {
  frameBytesMax: 2 ** 22,
  pressureBytes: 2 ** 20,
  queueBytesMax: 2 ** 24,
};
const DIRECTORY_TIMES = { connectMs: 1000, retryMs: 20, retryMsMax: 500, silenceMs: 3000 };
const WAITING_BYTES_MAX = 2 ** 20;

export function directoryLink(address: SocketAddress, onNote: (text: string) => void): SteadyLink {
  return new SteadyLink({
    peer: 'the directory',
    address: () => Promise.resolve(address),
    sockets: DIRECTORY_SOCKETS,
    times: DIRECTORY_TIMES,
    waitingBytesMax: WAITING_BYTES_MAX,
    greeting: null,
    onNote,
  });
}

/** Serves a directory to the processes of its pool. */
export function listenDirectory(
  directory: DirectoryServer,
  address: SocketAddress,
): Promise<SocketListener> {
  return listenSockets(address, DIRECTORY_SOCKETS, (link) => {
    const end = directory.serve(link);
    link.onEnd(end);
  });
}

export interface PoolNetOptions {
  readonly folder: PetalFolder;
  readonly directory: Directory;
  readonly name: string;
  readonly incarnation: () => number;
  readonly listen: SocketAddress | null;
  readonly onNote: (text: string) => void;
}

/** The net of a server or client; it finds servers by their records in the directory. */
export async function poolNet(options: PoolNetOptions): Promise<SocketNet> {
  const { folder, directory, name, incarnation, listen, onNote } = options;
  const { record: pool } = await readPool(directory, nodeDigest, POOL_NAME);
  return new SocketNet({
    listen,
    handshake: poolHandshake(nodeDigest, {
      pool: pool.uuid,
      name,
      incarnation: () => incarnation() as Incarnation,
    }),
    addressOf: (peer) => {
      const server = Number(peer.slice(1));
      if (serverName(server) !== peer) return null;
      return () => folder.addressOf(directory, server);
    },
    frameBytesMax: FRAME_BYTES_MAX,
    onNote,
  });
}
