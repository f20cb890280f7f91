/**
 * The flags of `stordom serve` for TLS, and the files that they name.
 *
 * A key that everybody on the machine may read or replace is none: such a file is refused, as ssh
 * does, and not merely warned about, for a warning of a service is seen by nobody. A group may read
 * it, as Debian's `ssl-cert` does.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Command } from 'commander';
import { UsageError } from '../base/errors.ts';
import type { TlsRule } from '../exports/nbd/handshake.ts';
import type { TlsKeys } from '../world/real/tls-upgrade.ts';
import { contradiction, readChoice } from './flags.ts';

export interface TlsFlags {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly tlsPsk?: string;
  readonly tls?: 'require' | 'allow';
}

export interface TlsPlan {
  readonly rule: TlsRule;
  readonly keys: TlsKeys | null;
  /** Whoever reaches an address must have TLS. */
  readonly isRequired: boolean;
  /** Clients show who they are. */
  readonly knowsClients: boolean;
}

const FILE_BYTES_MAX = 1_048_576;
const KEY_BYTES_MIN = 16;
const KEY_BYTES_MAX = 256;
const READ_BY_OTHERS = 0o004;
const OPEN_TO_OTHERS = 0o006;
const NO_TLS: TlsPlan = { rule: 'none', keys: null, isRequired: false, knowsClients: false };

export function addTlsFlags(command: Command): Command {
  return command
    .option('--tls-cert <file>', 'serve over TLS, with this certificate (PEM, chain after it)')
    .option('--tls-key <file>', 'the private key of --tls-cert (PEM)')
    .option('--tls-ca <file>', 'clients need a certificate that one of these has signed (PEM)')
    .option('--tls-psk <file>', 'serve over TLS, with keys that clients have too: USER:HEX a line')
    .option(
      '--tls <rule>',
      'require: nothing is told in the clear; allow: clients choose (default: require, with keys)',
      readChoice('--tls', ['require', 'allow']),
    );
}

/** Reads the files. Throws a `UsageError` that names the flag, the file and what was expected. */
export async function readTls(flags: TlsFlags): Promise<TlsPlan> {
  const { tlsCert, tlsKey, tlsCa, tlsPsk, tls: rule = 'require' } = flags;
  const isRequired = rule === 'require';
  if (tlsPsk !== undefined) {
    if (tlsCert !== undefined || tlsKey !== undefined || tlsCa !== undefined) {
      const why = 'clients have either shared keys or certificates';
      throw contradiction('--tls-psk --tls-cert', why, 'leave one of them out');
    }
    const keys = await sharedKeys(tlsPsk);
    return { rule, keys: { kind: 'shared', keys }, isRequired, knowsClients: true };
  }
  if (tlsCert !== undefined && tlsKey !== undefined) {
    const keys = await certificateKeys(tlsCert, tlsKey, tlsCa ?? null);
    return { rule, keys, isRequired, knowsClients: tlsCa !== undefined };
  }
  const given = (['tlsCert', 'tlsKey', 'tlsCa', 'tls'] as const).filter(
    (name) => flags[name] !== undefined,
  );
  if (given.length === 0) return NO_TLS;
  const name =
    given[0] === 'tls' ? '--tls' : `--tls-${given[0]?.slice('tls'.length).toLowerCase()}`;
  throw contradiction(
    name,
    'TLS needs a certificate and its key, or shared keys',
    'give --tls-cert FILE --tls-key FILE, or --tls-psk FILE',
  );
}

async function certificateKeys(cert: string, key: string, ca: string | null): Promise<TlsKeys> {
  const certificate = await readPem('--tls-cert', cert, 'a certificate', checkCertificate);
  const privateKey = await readPem('--tls-key', key, 'a private key without a passphrase', (text) =>
    createPrivateKey(text),
  );
  try {
    createSecureContext({ cert: certificate, key: privateKey });
  } catch (thrown) {
    throw unusable('--tls-key', key, `the private key of ${cert}`, reasonOf(thrown));
  }
  const clientAuthority =
    ca === null ? null : await readPem('--tls-ca', ca, 'certificates', checkCertificate);
  return { kind: 'certificate', certificate, key: privateKey, clientAuthority };
}

function checkCertificate(text: string): void {
  new X509Certificate(text);
}

async function readPem(
  flag: string,
  path: string,
  what: string,
  check: (text: string) => unknown,
): Promise<string> {
  const expected = `${what} as PEM`;
  const text = await readSmall(flag, path, expected, flag === '--tls-key');
  try {
    check(text);
  } catch (thrown) {
    throw unusable(flag, path, expected, reasonOf(thrown));
  }
  return text;
}

/** Lines as psktool writes them and nbdkit and QEMU read them. */
async function sharedKeys(path: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const flag = '--tls-psk';
  const expected = `lines USER:HEX, each key of ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} bytes`;
  const text = await readSmall(flag, path, expected, true);
  const keys = new Map<string, Uint8Array>();
  text.split('\n').forEach((line, at) => {
    if (line.trim() === '') return;
    const where = `line ${at + 1}`;
    const [, user = '', hex = ''] = /^([^:\s]+):((?:[0-9a-f]{2})+)\s*$/i.exec(line) ?? [];
    const bytes = hex.length / 2;
    if (user === '') throw unusable(flag, path, expected, `${where} is not of that form`);
    if (bytes < KEY_BYTES_MIN || bytes > KEY_BYTES_MAX) {
      throw unusable(flag, path, expected, `${where} has a key of ${bytes}`);
    }
    if (keys.has(user)) throw unusable(flag, path, expected, `${where} has ${user} again`);
    keys.set(user, Buffer.from(hex, 'hex'));
  });
  if (keys.size === 0) throw unusable(flag, path, expected, 'it has none');
  return keys;
}

async function readSmall(
  flag: string,
  path: string,
  expected: string,
  isSecret: boolean,
): Promise<string> {
  const problem = (why: string): UsageError => unusable(flag, path, expected, why);
  try {
    const file = await open(path);
    try {
      const { mode } = await file.stat();
      if (isSecret && (mode & OPEN_TO_OTHERS) !== 0) {
        const may = (mode & READ_BY_OTHERS) === 0 ? 'write' : 'read';
        const text = `${flag}: everybody may ${may} ${path}; keep keys to yourself: chmod o-rwx`;
        throw new UsageError('E_TLS_OPEN', `${text} ${path}`, { fields: { flag, path } });
      }
      const text = await boundedText(file);
      if (text === null) throw problem(`it is longer than ${FILE_BYTES_MAX} bytes`);
      return text;
    } finally {
      await file.close();
    }
  } catch (thrown) {
    throw thrown instanceof UsageError ? thrown : problem(reasonOf(thrown));
  }
}

/** null: there is more than any such file has. A pipe does not say how long it is. */
async function boundedText(file: FileHandle): Promise<string | null> {
  const parts: Buffer[] = [];
  const stream = file.createReadStream({ end: FILE_BYTES_MAX, autoClose: false });
  for await (const part of stream) parts.push(part as Buffer);
  const bytes = Buffer.concat(parts);
  return bytes.length > FILE_BYTES_MAX ? null : bytes.toString('utf8');
}

function unusable(flag: string, path: string, expected: string, why: string): UsageError {
  const text = `${flag}: ${path} cannot be used: expected ${expected}; ${why}`;
  return new UsageError('E_TLS_FILE', text, { fields: { flag, path } });
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
