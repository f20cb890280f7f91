/** What `stordom serve` is asked for, read from its flags. */
import { UsageError } from '../base/errors.ts';
import type { SocketAddress } from '../world/real/sockets.ts';
import type { TlsFlags } from './serve-tls.ts';
import { parseTarget, type Target } from './vdi-names.ts';

export interface ServeFlags extends TlsFlags {
  readonly store: string;
  /** The store is on so many Petal servers. */
  readonly petal?: number;
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

/** As libnbd, QEMU and nbdkit write it. */
export function uriOf(address: SocketAddress, name: string, isTls: boolean): string {
  const scheme = isTls ? 'nbds' : 'nbd';
  if (address.kind === 'unix') {
    return `${scheme}+unix:///${name}?socket=${encodeURI(address.path).replaceAll('?', '%3F')}`;
  }
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${scheme}://${host}:${address.port}/${name}`;
}
