/**
 * `stordom petal server` and `stordom petal directory`: a process of a pool, which serves until it
 * is told to end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { StorageError, UsageError } from '../base/errors.ts';
import { type PetalServerConfig, petalServerOn } from '../petal-backend/create-petal-server.ts';
import { readServer } from '../petal-backend/directory/pool-setup.ts';
import { moveServer } from '../petal-backend/directory/pool-transitions.ts';
import type { PetalServerActor } from '../petal-backend/server/petal-server-actor.ts';
import { serverName } from '../petal-backend/server/ports.ts';
import type { Directory } from '../world/directory.ts';
import { DirectoryClient } from '../world/directory-client.ts';
import { DirectoryServer } from '../world/directory-server.ts';
import { answeredBy, serveControlSocket } from '../world/real/control-socket.ts';
import { nodeDigest } from '../world/real/digest.ts';
import { ProcessHost } from '../world/real/process-host.ts';
import type { SocketAddress } from '../world/real/sockets.ts';
import type { SteadyLink } from '../world/real/steady-link.ts';
import { addExamples, readCount } from './flags.ts';
import { untilInterrupted } from './interrupt.ts';
import { PetalFolder, POOL_NAME, serverConfig } from './petal-folder.ts';
import { directoryLink, listenDirectory, poolNet } from './petal-links.ts';
import { addRemoteFlag, formatAddress, parseAddress, parseListen } from './socket-address.ts';
import type { OwnerClaim } from './store-owner.ts';

interface ServerFlags {
  readonly store: string;
  readonly id: number;
  readonly listen?: string;
  readonly directory?: string;
  readonly endWithStdin: boolean;
  readonly allowRemote: boolean;
}

interface DirectoryFlags {
  readonly store: string;
  readonly listen?: string;
  readonly allowRemote: boolean;
}

const SERVERS_MAX = 999_999_999;
/** Below the lease of a server: it must hear in time that it has to ask again. */
const DIRECTORY_TIMEOUT_NS = 1e9;
const ASK_AGAIN_MS = 100;
const SEED = 1;
/** Whoever takes the folder over waits for a little longer. */
const ORPHAN_MS = 2000;
const LISTEN = {
  danger: 'is believed, for there is no authentication',
  rather: 'listen on localhost',
  isTold: true,
} as const;

export function addServingCommands(petal: Command): void {
  const server = petal
    .command('server')
    .description('serve a part of a pool until SIGTERM')
    .requiredOption('--store <dir>', 'folder of the pool')
    .requiredOption(
      '--id <k>',
      'number of the server',
      readCount('--id', { from: 1, to: SERVERS_MAX }),
    )
    .option('--listen <address>', 'unix:PATH or tcp:HOST:PORT (default: a socket in the folder)')
    .option('--directory <address>', 'where the directory answers (default: as --listen)')
    .option('--end-with-stdin', 'end when standard input does: with who has started it', false);
  addRemoteFlag(server).action(serveServer);
  addExamples(
    server,
    'stordom petal server --store my-pool --id 1',
    'stordom petal server --store my-pool --id 2 --listen unix:second.sock',
  );
  const directory = petal
    .command('directory')
    .description('serve the directory of a pool until SIGTERM')
    .requiredOption('--store <dir>', 'folder of the pool')
    .option('--listen <address>', 'unix:PATH or tcp:HOST:PORT (default: a socket in the folder)');
  addRemoteFlag(directory).action(serveDirectory);
  addExamples(
    directory,
    'stordom petal directory --store my-pool',
    'stordom petal directory --store my-pool --listen unix:names.sock',
  );
}

async function serveDirectory(flags: DirectoryFlags): Promise<void> {
  const folder = await PetalFolder.open(flags.store);
  const address = givenListen(flags) ?? folder.directoryAddress;
  await untilInterrupted(async (signal) => {
    const owner = await folder.claim(null, claimOf('directory'));
    const directory = folder.openDirectory();
    const server = new DirectoryServer(directory);
    try {
      const listener = await listenDirectory(server, address);
      say(`the directory serves at ${formatAddress(listener.address)}`);
      await raised(signal);
      await listener.close();
    } finally {
      server.close();
      await directory.close();
      await owner.release();
    }
  });
}

async function serveServer(flags: ServerFlags): Promise<void> {
  const { store, id } = flags;
  const listen = givenListen(flags);
  const isElsewhere = flags.directory !== undefined;
  const folder = await (isElsewhere ? PetalFolder.beside(store) : PetalFolder.open(store));
  if (flags.endWithStdin) endWithStdin();
  await untilInterrupted(async (signal) => {
    const owner = await folder.claim(id, claimOf(`server --id ${id}`));
    try {
      await serve(folder, flags, listen, signal);
    } finally {
      await owner.release();
    }
  });
}

async function serve(
  folder: PetalFolder,
  flags: ServerFlags,
  given: SocketAddress | null,
  signal: AbortSignal,
): Promise<void> {
  const { id } = flags;
  const name = serverName(id);
  const place = { name, seed: SEED, folder: await folder.serverFolder(id), onNote: say };
  const host = new ProcessHost(place);
  const { link, directory } = directoryOf(folder, flags, host);
  try {
    const known = await untilAnswered(signal, () => configOf(directory, id));
    if (known === null) return;
    const { config, address } = known;
    const listen = given ?? parseAddress(address, `the address of ${name}`, folder.path);
    await serveWith({ folder, id, host, directory, config, listen, signal });
  } finally {
    link.close();
    await host.world.bury();
  }
}

interface ServingParts {
  readonly folder: PetalFolder;
  readonly id: number;
  readonly host: ProcessHost;
  readonly directory: Directory;
  readonly config: PetalServerConfig;
  readonly listen: SocketAddress;
  readonly signal: AbortSignal;
}

async function serveWith(parts: ServingParts): Promise<void> {
  const { folder, id, host, directory, config, listen, signal } = parts;
  const name = serverName(id);
  let actor: PetalServerActor | null = null;
  const incarnation = (): number => actor?.incarnation ?? 0;
  const net = await poolNet({ folder, directory, name, incarnation, listen, onNote: say });
  actor = petalServerOn(host.world, config, net, directory);
  const control = await serveControlSocket(folder.controlPath(id), answeredBy(actor.control));
  try {
    const running = host.run(actor);
    const announced = net.listening.then((bound) => announce(folder, directory, id, bound, signal));
    await Promise.race([running, Promise.all([announced, raised(signal)])]);
    net.close();
    await actor.stop();
    await running;
  } finally {
    net.close();
    await control.close();
  }
}

function directoryOf(
  folder: PetalFolder,
  flags: ServerFlags,
  { world }: ProcessHost,
): { link: SteadyLink; directory: DirectoryClient } {
  const address =
    flags.directory === undefined
      ? folder.directoryAddress
      : parseAddress(flags.directory, '--directory', process.cwd());
  const link = directoryLink(address, say);
  return { link, directory: new DirectoryClient(link, world, { timeoutNs: DIRECTORY_TIMEOUT_NS }) };
}

async function configOf(
  directory: Directory,
  id: number,
): Promise<{ config: PetalServerConfig; address: string }> {
  const { record } = await readServer(directory, nodeDigest, POOL_NAME, id);
  return { config: await serverConfig(directory, record), address: record.address };
}

/** Tells the directory where the server is reached, if that has changed, and then everybody. */
async function announce(
  folder: PetalFolder,
  directory: Directory,
  id: number,
  bound: SocketAddress,
  signal: AbortSignal,
): Promise<void> {
  const address = folder.addressText(bound);
  const at = { pool: POOL_NAME, digest: nodeDigest };
  await untilAnswered(signal, async () => {
    const stored = await readServer(directory, nodeDigest, POOL_NAME, id);
    if (stored.record.address === address) return true;
    const { txn } = moveServer(at, stored, address);
    return (await directory.txn(txn.comparisons, txn.changes)) ? true : null;
  });
  say(`${serverName(id)} serves at ${formatAddress(bound)}`);
}

/** Asks again until the directory answers; null: ended before. */
async function untilAnswered<T>(
  signal: AbortSignal,
  ask: () => Promise<T | null>,
): Promise<T | null> {
  while (!signal.aborted) {
    try {
      const answer = await ask();
      if (answer !== null) return answer;
    } catch (thrown) {
      if (!(thrown instanceof StorageError) || thrown instanceof UsageError) throw thrown;
    }
    await sleep(ASK_AGAIN_MS, null, { signal }).catch(() => {});
  }
  return null;
}

/** As by SIGTERM; at once if that takes too long, for then somebody may wait for the folder. */
function endWithStdin(): void {
  const { stdin } = process;
  stdin.once('close', () => {
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), ORPHAN_MS).unref();
  });
  stdin.resume();
  stdin.unref();
}

function claimOf(command: string): OwnerClaim {
  return { command: `stordom petal ${command}`, serves: true, patienceMs: 0 };
}

/** Where `--listen` says; null: it was not given. Throws `UsageError`. */
function givenListen({
  listen,
  allowRemote,
}: Pick<ServerFlags, 'listen' | 'allowRemote'>): SocketAddress | null {
  if (listen === undefined) return null;
  return parseListen(listen, { ...LISTEN, allowRemote });
}

function raised(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
