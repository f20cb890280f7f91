/**
 * `stordom petal force`: an operator's last resort. Of a pair whose copies in sync are all lost,
 * another one goes on with what it has. What only the lost ones had is lost then for good, so the
 * act is refused where anybody in sync still runs, and is kept in the directory with its reason.
 */
import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { StorageError, UsageError } from '../base/errors.ts';
import { type Incarnation, u32 } from '../base/units.ts';
import { type ChangeOutcome, PairDirectory } from '../petal-backend/directory/pair-directory.ts';
import { forceIsr } from '../petal-backend/directory/pair-transitions.ts';
import type { OperatorAct } from '../petal-backend/directory/pool-transitions.ts';
import type { PairRecord } from '../petal-backend/directory/records.ts';
import type { ServerReport } from '../petal-backend/server/petal-server-actor.ts';
import { serverName } from '../petal-backend/server/ports.ts';
import { DirectoryClient } from '../world/directory-client.ts';
import { startClock } from '../world/real/clock.ts';
import { type RealWorld, toolstackWorld } from '../world/real/real-world.ts';
import { createHostMemory, WASM_PAGE_BYTES } from '../world/real/wasm-memory.ts';
import { addExamples, readCount } from './flags.ts';
import { PETAL_SERVERS_MAX, PetalFolder, POOL_NAME } from './petal-folder.ts';
import { directoryLink } from './petal-links.ts';

interface ForceFlags {
  readonly store: string;
  readonly pair: PairName;
  readonly keep: number;
  readonly reason: string;
  readonly operator?: string;
  readonly lossy: boolean;
  readonly json: boolean;
}

interface PairName {
  readonly gmap: number;
  readonly group: number;
}

const PAIR = /^(\d{1,9})\/(\d{1,9})$/;
const SEED = 1;

export function addForceCommand(petal: Command): void {
  const force = petal
    .command('force')
    .description('let a copy that is not in sync go on, when all that were are lost')
    .requiredOption('--store <dir>', 'folder of the pool, whose directory is served')
    .requiredOption('--pair <map/group>', 'the pair, as stordom petal status names it', readPair)
    .requiredOption(
      '--keep <k>',
      'number of the server that goes on with what it has',
      readCount('--keep', { from: 1, to: PETAL_SERVERS_MAX }),
    )
    .requiredOption('--reason <text>', 'why; it is recorded for ever')
    .option('--operator <name>', 'who decides; it is recorded too (default: the user)')
    .option('--lossy', 'yes: what only the lost copies had is lost for good', false)
    .option('--json', 'print the result as JSON', false)
    .action(force_);
  addExamples(
    force,
    'stordom petal force --store my-pool --pair 1/0 --keep 1 --lossy --reason fire',
    'stordom petal force --store my-pool --pair 1/1 --keep 2 --lossy --reason fire --operator ada',
  );
}

function readPair(text: string): PairName {
  const [, gmap, group] = PAIR.exec(text) ?? [];
  if (gmap !== undefined && group !== undefined) {
    return { gmap: Number(gmap), group: Number(group) };
  }
  const why = `--pair: ${JSON.stringify(text)} is no pair; expected MAP/GROUP as in stordom petal`;
  throw new UsageError('E_PETAL_PAIR', `${why} status, for example --pair 1/0`, {
    fields: { given: text },
  });
}

async function force_(flags: ForceFlags): Promise<void> {
  const folder = await PetalFolder.open(flags.store);
  const [directoryOwner] = await folder.ownersOf([null]);
  if (directoryOwner === null) {
    throw refusal(
      'the directory of the pool is not served, and the server that goes on must be heard; start ' +
        'stordom serve, or stordom petal directory and stordom petal server',
    );
  }
  const world = commandWorld(folder);
  const directory = new DirectoryClient(directoryLink(folder.directoryAddress, say), world);
  try {
    const pair = new PairDirectory(directory, world, { pool: POOL_NAME, ...flags.pair });
    const view = await pair.read().catch((thrown: unknown) => {
      if (!(thrown instanceof StorageError) || thrown.code !== 'E_NO_PAIR') throw thrown;
      throw refusal(`there is no pair ${nameOf(flags.pair)}; stordom petal status names all`);
    });
    const report = await keptReport(folder, view.record, flags);
    const kept = { server: flags.keep, incarnation: u32<Incarnation>(report.incarnation) };
    const { reason, operator = userName() } = flags;
    const act: OperatorAct = { atMs: Date.now(), operator, reason };
    const outcome = await pair.force(view, act, (n) => forceIsr(kept, n, flags.lossy));
    tell(flags, outcome);
  } finally {
    await directory.close();
    await world.bury();
  }
}

/** What the server that goes on says of itself, if there is a reason to force anything. */
async function keptReport(
  folder: PetalFolder,
  { members, inSync }: PairRecord,
  { pair, keep, lossy }: ForceFlags,
): Promise<ServerReport> {
  const name = nameOf(pair);
  if (!members.includes(keep)) {
    throw refusal(`${serverName(keep)} keeps no copy of pair ${name}; ${names(members)} do`);
  }
  const reports = await Promise.all(members.map((server) => folder.reportOf(server)));
  const living = inSync.find(({ server }) => {
    const status = reports[members.indexOf(server)]?.pairs.find(
      ({ gmap, group }) => gmap === pair.gmap && group === pair.group,
    );
    return status !== undefined && status.role !== 'outside';
  });
  if (living !== undefined) {
    throw refusal(
      `${serverName(living.server)} is in sync and runs, so pair ${name} goes on without an act ` +
        'of yours; end it first if what it has is not wanted',
    );
  }
  const report = reports[members.indexOf(keep)] ?? null;
  if (report === null) {
    throw refusal(`${serverName(keep)} does not run; start it, so that it can go on`);
  }
  if (lossy) return report;
  throw refusal(
    `what only ${names(inSync.map(({ server }) => server))} had would be lost for good; start it ` +
      'again if it can be had, or say that you want this: --lossy',
  );
}

function tell({ json, pair, keep }: ForceFlags, outcome: ChangeOutcome): void {
  switch (outcome.kind) {
    case 'made': {
      const { term, forced } = outcome.view.record;
      const act = forced.at(-1)?.forced ?? 0;
      const text =
        `pair ${nameOf(pair)}: ${serverName(keep)} goes on alone with what it has, in term ` +
        `${term}; act ${act} is recorded\n`;
      process.stdout.write(json ? `${JSON.stringify({ ...pair, keep, term, act })}\n` : text);
      return;
    }
    case 'refused':
      throw refusal(`pair ${nameOf(pair)} was not changed: ${outcome.why}`);
    case 'other':
      throw refusal(
        `pair ${nameOf(pair)} has changed meanwhile; look again with stordom petal status`,
      );
    case 'unknown':
      throw new StorageError(
        'E_DIRECTORY',
        `the directory does not say whether pair ${nameOf(pair)} was changed; look with stordom ` +
          'petal status',
      );
  }
}

function commandWorld(folder: PetalFolder): RealWorld {
  return toolstackWorld({
    name: 'operator',
    memory: createHostMemory(WASM_PAGE_BYTES),
    seed: SEED,
    clockZero: startClock(),
    folder: folder.path,
    onNote: say,
  });
}

/** A user that the machine has no name for has a number. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.() ?? 'unknown'}`;
  }
}

function nameOf({ gmap, group }: PairName): string {
  return `${gmap}/${group}`;
}

function names(servers: readonly number[]): string {
  return servers.map(serverName).join(' and ');
}

function refusal(text: string): UsageError {
  return new UsageError('E_PETAL_FORCE', text, {});
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
