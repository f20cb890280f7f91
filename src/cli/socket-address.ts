/** Addresses as they are typed and kept: `unix:PATH`, `tcp:PORT` and `tcp:HOST:PORT`. */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from '../base/errors.ts';
import type { SocketAddress } from '../world/real/sockets.ts';

type UnixAddress = SocketAddress & { readonly kind: 'unix' };

/** What the kernel takes of a Unix socket's path. */
const UNIX_PATH_BYTES_MAX = 107;
const TCP = /^tcp:(?:(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):)?(\d{1,5})$/;
const PORT_END = 65_536;

/** What somebody who listens may be reached by. */
export interface ListenRules {
  /** `--allow-remote` was given. */
  readonly allowRemote: boolean;
  /** What may be done by whoever reaches it. */
  readonly danger: string;
  /** What to do instead. */
  readonly rather: string;
  /** The address is told to others, so it must name one machine. */
  readonly isTold: boolean;
}

export function addRemoteFlag(command: Command): Command {
  const text = 'listen where other machines reach it, without encryption';
  return command.option('--allow-remote', text, false);
}

/** `place`: a flag, or what else holds it. A path that is not absolute is below `folder`. */
export function parseAddress(text: string, place: string, folder: string): SocketAddress {
  if (text.startsWith('unix:') && text.length > 'unix:'.length) {
    return unixAddress(resolve(folder, text.slice('unix:'.length)), place);
  }
  const [, v6, name, digits] = TCP.exec(text) ?? [];
  const port = Number(digits);
  if (port < PORT_END) return { kind: 'tcp', host: v6 ?? name ?? 'localhost', port };
  throw new UsageError(
    'E_ADDRESS',
    `${place}: ${JSON.stringify(text)} is not usable; expected unix:PATH, tcp:PORT (of this ` +
      `machine) or tcp:HOST:PORT; write for example ${place} unix:here.sock`,
    { fields: { place, given: text } },
  );
}

/** Of `--listen`: refuses also what others could not dial, and what other machines can. */
export function parseListen(text: string, rules: ListenRules): SocketAddress {
  const address = parseAddress(text, '--listen', process.cwd());
  if (address.kind === 'unix') return address;
  const { host } = address;
  if (rules.isTold && (host === '0.0.0.0' || host === '::')) {
    throw remoteError(host, 'is no address that the others can dial; name one of this machine');
  }
  if (rules.allowRemote || isLoopback(host)) return address;
  throw remoteError(
    host,
    `is reached from other machines, and whoever reaches it ${rules.danger}; ${rules.rather}, ` +
      'or say that you want this: --allow-remote',
  );
}

/** Reached from this machine alone. */
export function isLocal(address: SocketAddress): boolean {
  return address.kind === 'unix' || isLoopback(address.host);
}

/** The socket of that path. Throws `UsageError` if it is too long for one. */
export function unixAddress(path: string, place: string): UnixAddress {
  const bytes = Buffer.byteLength(path);
  if (bytes <= UNIX_PATH_BYTES_MAX) return { kind: 'unix', path };
  throw new UsageError(
    'E_SOCKET_PATH',
    `${place}: ${JSON.stringify(path)} has ${bytes} bytes, and a Unix socket's path at most ` +
      `${UNIX_PATH_BYTES_MAX}; name a shorter one`,
    { fields: { path, bytes } },
  );
}

export function formatAddress(address: SocketAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const { host, port } = address;
  return isIP(host) === 6 ? `tcp:[${host}]:${port}` : `tcp:${host}:${port}`;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function remoteError(host: string, why: string): UsageError {
  return new UsageError('E_LISTEN_REMOTE', `--listen: ${host} ${why}`, { fields: { host } });
}
