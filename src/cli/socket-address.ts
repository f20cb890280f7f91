/** Addresses as they are typed and kept: `unix:PATH` and `tcp:HOST:PORT`. */
import { isIP } from 'node:net';
import { isAbsolute, join } from 'node:path';
import { UsageError } from '../base/errors.ts';
import type { SocketAddress } from '../world/real/sockets.ts';

/** What the kernel takes of a Unix socket's path. */
const UNIX_PATH_BYTES_MAX = 107;
const TCP = /^tcp:(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/;
const PORT_END = 65_536;

/** `place`: a flag, or what else holds it. A path that is not absolute is below `folder`. */
export function parseAddress(text: string, place: string, folder: string): SocketAddress {
  if (text.startsWith('unix:') && text.length > 'unix:'.length) {
    const given = text.slice('unix:'.length);
    const path = isAbsolute(given) ? given : join(folder, given);
    if (Buffer.byteLength(path) <= UNIX_PATH_BYTES_MAX) return { kind: 'unix', path };
    throw addressError(
      place,
      text,
      `the path of a Unix socket has at most ${UNIX_PATH_BYTES_MAX} bytes, ${path} is longer; ` +
        'name a shorter one with --listen unix:PATH',
    );
  }
  const [, v6, name, digits] = TCP.exec(text) ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  if (host !== undefined && port > 0 && port < PORT_END) return { kind: 'tcp', host, port };
  throw addressError(place, text, 'expected unix:PATH or tcp:HOST:PORT');
}

export function formatAddress(address: SocketAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const { host, port } = address;
  return isIP(host) === 6 ? `tcp:[${host}]:${port}` : `tcp:${host}:${port}`;
}

/** Refuses what others could not dial, and what machines beside this one can. */
export function checkListen(address: SocketAddress, place: string, isOpen: boolean): void {
  if (address.kind === 'unix') return;
  const text = formatAddress(address);
  if (address.host === '0.0.0.0' || address.host === '::') {
    throw addressError(place, text, 'the others dial this address; name one of this machine');
  }
  if (isOpen || isLoopback(address.host)) return;
  throw addressError(
    place,
    text,
    'other machines could reach it, and whoever reaches a server is believed (there is no ' +
      'authentication); use localhost, or add --open-to-network if that network is trusted',
  );
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function addressError(place: string, text: string, why: string): UsageError {
  return new UsageError('E_ADDRESS', `${place}: "${text}" is not usable: ${why}`, {
    fields: { place, given: text },
  });
}
