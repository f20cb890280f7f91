/** `stordom ctl`: asks of the process that serves a store, while its clients go on. */
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { StorageError, UsageError } from '../base/errors.ts';
import { formatBytes, formatBytesExact, formatDuration } from '../base/format-units.ts';
import type { ImageStatus } from '../parallax/vdi/served-image.ts';
import { serverName } from '../petal-backend/server/ports.ts';
import { askControlSocket } from '../world/real/control-socket.ts';
import { addExamples } from './flags.ts';
import type { Resized } from './serve-resize.ts';
import { unixAddress } from './socket-address.ts';
import type { ServerLook } from './store-pool.ts';
import { table } from './table.ts';
import { readHost, readSize } from './vdi-names.ts';

interface CtlFlags {
  readonly store: string;
  readonly json: boolean;
}

interface ResizeFlags extends CtlFlags {
  readonly size: number;
  readonly shrink: boolean;
}

interface MoveFlags extends CtlFlags {
  readonly to: string;
}

export const CONTROL_SOCKET = 'control.sock';

export function addCtlCommand(program: Command): void {
  const ctl = program.command('ctl').description('ask the process that serves a store');
  addFlags(
    ctl.command('status').description('what is served, to whom, and what a loss would lose now'),
  ).action((flags: CtlFlags) => tell(flags, 'status', [], statusText));
  addFlags(
    ctl
      .command('snapshot')
      .description('take a snapshot of an image; its clients go on')
      .argument('<image>', 'name of the image')
      .argument('<snapshot>', 'name of the snapshot'),
  ).action((image: string, snapshot: string, flags: CtlFlags) =>
    tell(flags, 'snapshot', [image, snapshot], () => `${image}@${snapshot}: taken`),
  );
  addFlags(
    ctl
      .command('clone')
      .description('make an image that begins as a snapshot; nothing is copied')
      .argument('<snapshot>', 'as NAME@SNAPSHOT')
      .argument('<new>', 'name of the new image'),
  ).action((from: string, to: string, flags: CtlFlags) =>
    tell(flags, 'clone', [from, to], () => `${to}: a clone of ${from}`),
  );
  addFlags(
    ctl
      .command('resize')
      .description('give an image another size; clients that are connected keep the one they have')
      .argument('<image>', 'name of the image')
      .requiredOption('--size <size>', 'the new size', readSize('--size'))
      .option('--shrink', 'a smaller size is meant: what lies beyond it is lost', false),
  ).action((image: string, flags: ResizeFlags) =>
    tell(flags, 'resize', resizeArgs(image, flags), resizeText),
  );
  addFlags(
    ctl
      .command('move')
      .description('give an image that nobody is served to another host, with all that it has')
      .argument('<image>', 'name of the image')
      .requiredOption('--to <host>', 'the host that serves it from now on', readHost),
  ).action((image: string, flags: MoveFlags) =>
    tell(flags, 'move', [image, flags.to], () => `${image}: of host ${flags.to} now`),
  );
  addFlags(
    ctl
      .command('accept-loss')
      .description('go on with what there is of an image that has lost what was acknowledged')
      .argument('<image>', 'name of the image'),
  ).action((image: string, flags: CtlFlags) =>
    tell(flags, 'accept-loss', [image], () => `${image}: the loss is accepted`),
  );
  addFlags(
    ctl
      .command('kill')
      .description('kill the driver VM, as a crash would; clients wait for its successor')
      .argument('<what>', 'driver-vm'),
  ).action((what: string, flags: CtlFlags) =>
    tell(flags, 'kill', [what], (result) =>
      (result as { killed: boolean }).killed ? 'killed' : 'there is none to kill just now',
    ),
  );
  addExamples(
    ctl,
    'stordom ctl status --store my-store',
    'stordom ctl snapshot mail before-upgrade --store my-store',
  );
}

function addFlags(command: Command): Command {
  return command
    .requiredOption('--store <dir>', 'folder of the store')
    .option('--json', 'print the answer as JSON on stdout, and nothing else there', false);
}

function resizeArgs(image: string, { size, shrink }: ResizeFlags): string[] {
  return [image, String(size), ...(shrink ? ['shrink'] : [])];
}

function resizeText(result: object): string {
  const { image, sizeBytes, sizeBytesBefore, connected } = result as Resized;
  const [now, before] = [formatBytesExact(sizeBytes), formatBytesExact(sizeBytesBefore)];
  const kept = connected === 0 ? '' : `; clients that see it when they connect again: ${connected}`;
  return `${image}: ${now}, before ${before}${kept}`;
}

async function tell(
  flags: CtlFlags,
  command: string,
  args: readonly string[],
  text: (result: object) => string,
): Promise<void> {
  const { path } = unixAddress(join(resolve(flags.store), CONTROL_SOCKET), '--store');
  const result = (await askControlSocket(path, command, args).catch(unlessNobody)) as object;
  process.stdout.write(`${flags.json ? JSON.stringify(result) : text(result)}\n`);
}

function unlessNobody(thrown: unknown): never {
  if (!(thrown instanceof StorageError) || thrown.code !== 'E_CONTROL_NOBODY') throw thrown;
  const text =
    `nobody serves this store: ${thrown.message}; start stordom serve, or look at the store with ` +
    'stordom vdi ls';
  throw new UsageError('E_NOT_SERVED', text, { fields: thrown.fields, cause: thrown });
}

interface Status {
  readonly driverVm: string;
  readonly restarts: number;
  readonly exports: readonly {
    readonly name: string;
    readonly image: string;
    readonly snapshot: string | null;
    readonly isReadOnly: boolean;
    readonly sizeBytes: number;
    readonly connections: number;
  }[];
  readonly images: readonly ImageStatus[];
  /** None: the store's blocks are in a file. */
  readonly servers: readonly ServerLook[];
}

function statusText(result: object): string {
  const { driverVm, restarts, exports, images, servers } = result as Status;
  const again = restarts === 0 ? '' : `, started again ${restarts} times`;
  const exported = exports.map((one) => [
    one.name,
    one.snapshot === null ? one.image : `${one.image}@${one.snapshot}`,
    formatBytesExact(one.sizeBytes),
    one.isReadOnly ? 'read-only' : 'read-write',
    String(one.connections),
  ]);
  const gauges = images.map(({ name, state, policy, loss }) => [
    name,
    state,
    policy,
    `${loss.requests} requests, ${formatBytes(loss.bytes)}, ${formatDuration(loss.seconds * 1e9)}`,
  ]);
  const serverRows = servers.map(({ server, state, pid, pairs, inSync, restarts: times }) => [
    serverName(server),
    state,
    String(pid ?? '-'),
    `${inSync} of ${pairs}`,
    String(times),
  ]);
  const serverNames = ['server', 'state', 'process', 'in sync for pairs', 'started again'];
  return [
    `driver VM: ${driverVm}${again}`,
    ...(servers.length === 0 ? [] : [table(serverNames, serverRows, 'llrrr')]),
    table(['export', 'serves', 'size', 'access', 'connections'], exported, 'llrlr'),
    table(
      ['image', 'state', 'policy', 'lost if this host were lost now'],
      gauges,
      'llll',
    ).trimEnd(),
  ].join('\n');
}
