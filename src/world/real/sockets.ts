/**
 * Listening for links over sockets, and opening them. To try again, and when, is the caller's.
 *
 * A Unix socket leaves its file behind when its process is killed. Whoever listens there next finds
 * the address in use; if nobody answers on it, the file is removed. Two who do that at the same
 * time may both succeed, and the first is then unreachable: that one server is started once is for
 * its incarnation and its files to see to.
 */
import { unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { StorageError } from '../../base/errors.ts';
import { SocketLink, type SocketLinkOptions } from './socket-link.ts';

export type SocketAddress =
  | { readonly kind: 'unix'; readonly path: string }
  /** `port` 0, to listen: any that is free. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

export interface SocketListener {
  /** With the port that was given. */
  readonly address: SocketAddress;
  /** Listens no more and closes every link that came in here; settles when they are closed. */
  close(): Promise<void>;
}

/** Rejects with a `StorageError` if the address cannot be listened on. */
export async function listenSockets(
  address: SocketAddress,
  options: SocketLinkOptions,
  onLink: (link: SocketLink) => void,
): Promise<SocketListener> {
  const links = new Set<SocketLink>();
  const server = createServer((socket) => {
    const link = new SocketLink(socket, options);
    links.add(link);
    socket.on('close', () => links.delete(link));
    onLink(link);
  });
  return {
    address: await bindServer(server, address),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const link of links) link.close();
      }),
  };
}

/**
 * Clients that wait to be accepted. With Node's 511 a thousand that come at once are refused at a
 * Unix socket; the kernel lowers it to what it allows.
 */
const BACKLOG = 4096;

/** Has a server listen; gives the address with the port that it got. Rejects as `listenSockets`. */
export async function bindServer(server: Server, address: SocketAddress): Promise<SocketAddress> {
  try {
    await listen(server, address);
  } catch (thrown) {
    if (!(await isLeftOver(address, thrown))) throw cannot('listen on', address, thrown);
    await listen(server, address).catch((again: unknown) => {
      throw cannot('listen on', address, again);
    });
  }
  return boundTo(server, address);
}

/** Rejects with a `StorageError` if nobody answers, or not in time. */
export async function connectSocket(
  address: SocketAddress,
  options: SocketLinkOptions,
  timeoutMs = 5000,
): Promise<SocketLink> {
  try {
    return new SocketLink(await opened(address, timeoutMs), options);
  } catch (thrown) {
    throw cannot('connect to', address, thrown);
  }
}

function opened(address: SocketAddress, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(placeOf(address));
    const late = setTimeout(() => {
      socket.destroy(new Error(`no answer in ${timeoutMs} ms`));
    }, timeoutMs);
    socket.once('error', reject);
    socket.once('close', () => clearTimeout(late));
    socket.once('connect', () => {
      clearTimeout(late);
      socket.removeListener('error', reject);
      resolve(socket);
    });
  });
}

function listen(server: Server, address: SocketAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...placeOf(address), backlog: BACKLOG }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

/** Whether the address is the file of a Unix socket whose process is gone; removes it. */
async function isLeftOver(address: SocketAddress, thrown: unknown): Promise<boolean> {
  if (address.kind !== 'unix' || codeOf(thrown) !== 'EADDRINUSE') return false;
  try {
    (await opened(address, 1000)).destroy();
    return false;
  } catch (nobody) {
    if (codeOf(nobody) !== 'ECONNREFUSED') return false;
    unlinkSync(address.path);
    return true;
  }
}

function placeOf(address: SocketAddress): { path: string } | { host: string; port: number } {
  return address.kind === 'unix'
    ? { path: address.path }
    : { host: address.host, port: address.port };
}

function boundTo(server: Server, address: SocketAddress): SocketAddress {
  const bound = server.address();
  if (address.kind === 'unix' || bound === null || typeof bound === 'string') return address;
  return { ...address, port: bound.port };
}

function cannot(what: string, address: SocketAddress, cause: unknown): StorageError {
  const where = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new StorageError('E_SOCKET', `cannot ${what} ${where}: ${why}`, {
    fields: { address: where, code: codeOf(cause) },
    cause,
  });
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}
