/** What `stordom serve` is asked for, read from its flags. */
import { resolve } from 'node:path';
import { UsageError } from '../base/errors.ts';
import type { SocketAddress } from '../world/real/sockets.ts';
import { parseTarget, type Target } from './vdi-names.ts';

export interface ServeFlags {
  readonly store: string;
  readonly host: string;
  readonly export: readonly string[];
  readonly listen: readonly string[];
  readonly allowRemote: boolean;
  readonly maxConnections: number;
  readonly json: boolean;
  readonly quiet: boolean;
}

export interface WantedExport extends Target {
  readonly name: string;
}

const NAME_BYTES_MAX = 255;
/** Longest path that the address of a Unix socket can hold. */
const SOCKET_PATH_BYTES_MAX = 107;
const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1']);
const PORT_MAX = 65_535;

/** Reads `NAME=VDI` and `NAME=VDI@SNAPSHOT`, each name once. */
export function readExports(given: readonly string[]): WantedExport[] {
  const wanted = given.map(readExport);
  const names = new Set<string>();
  for (const { name } of wanted) {
    if (names.has(name)) {
      const text = `--export: two exports are called ${name}; give one of them another name`;
      throw new UsageError('E_EXPORT_NAME', text, { fields: { name } });
    }
    names.add(name);
  }
  return wanted;
}

function readExport(text: string): WantedExport {
  const at = text.indexOf('=');
  const name = text.slice(0, at);
  // A name travels in URIs: what has to be escaped there is only a source of mistakes.
  if (at < 1 || at > NAME_BYTES_MAX || !/^[\w.-]+$/.test(name)) {
    throw new UsageError(
      'E_EXPORT',
      `--export: ${JSON.stringify(text)} is not usable; expected NAME=VDI or NAME=VDI@SNAPSHOT, ` +
        'the name of letters, digits, ".", "_" and "-"; write for example --export disk=mail',
      { fields: { given: text } },
    );
  }
  return { name, ...parseTarget(text.slice(at + 1)) };
}

/**
 * Reads `unix:PATH`, `tcp:PORT` (of this machine alone) and `tcp:HOST:PORT`, which is beyond this
 * machine only if that is `allowed`.
 */
export function readAddress(text: string, allowed: boolean): SocketAddress {
  if (text.startsWith('unix:')) return unixAddress(text.slice('unix:'.length), '--listen');
  const match = /^tcp:(?:(\[[0-9a-f:]+\]|[^:]+):)?(\d+)$/i.exec(text);
  const port = Number(match?.[2] ?? Number.NaN);
  if (match === null || port > PORT_MAX) {
    throw new UsageError(
      'E_LISTEN',
      `--listen: ${JSON.stringify(text)} is not usable; expected unix:PATH, tcp:PORT or ` +
        'tcp:HOST:PORT; write for example --listen tcp:10809',
      { fields: { given: text } },
    );
  }
  const host = (match[1] ?? 'localhost').replace(/^\[|\]$/g, '');
  if (!allowed && !LOOPBACK.has(host)) {
    throw new UsageError(
      'E_LISTEN_REMOTE',
      `--listen: ${host} is reached from other machines, and whoever reaches it can read and ` +
        'write every export; listen on localhost, or say that you want this: --allow-remote',
      { fields: { host } },
    );
  }
  return { kind: 'tcp', host, port };
}

export function unixAddress(given: string, flag: string): SocketAddress {
  const path = resolve(given);
  const bytes = Buffer.byteLength(path);
  if (given !== '' && bytes <= SOCKET_PATH_BYTES_MAX) return { kind: 'unix', path };
  throw new UsageError(
    'E_SOCKET_PATH',
    `${flag}: ${JSON.stringify(path)} has ${bytes} bytes, and a Unix socket's path at most ` +
      `${SOCKET_PATH_BYTES_MAX}; name a shorter one`,
    { fields: { path, bytes } },
  );
}

/** As libnbd, QEMU and nbdkit write it. */
export function uriOf(address: SocketAddress, name: string): string {
  if (address.kind === 'unix') {
    return `nbd+unix:///${name}?socket=${encodeURI(address.path).replaceAll('?', '%3F')}`;
  }
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `nbd://${host}:${address.port}/${name}`;
}
