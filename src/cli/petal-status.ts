/**
 * `stordom petal status`: what the directory says of a pool, and what each server says of itself.
 * It looks: at the directory's file, also while that is served, and at each server's control
 * socket.
 */
import type { Command } from 'commander';
import { UsageError } from '../base/errors.ts';
import { formatBytes, formatCount } from '../base/format-units.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { forcedPrefix, pairsPrefix } from '../petal-backend/directory/keys.ts';
import { findVdisk } from '../petal-backend/directory/pool-setup.ts';
import {
  decodeRecord,
  ForcedKind,
  type ForcedRecord,
  forcedKind,
  type PairRecord,
  pairKind,
  type ServerRecord,
} from '../petal-backend/directory/records.ts';
import type { PairReport, ServerReport } from '../petal-backend/server/petal-server-actor.ts';
import { serverName } from '../petal-backend/server/ports.ts';
import type { Directory } from '../world/directory.ts';
import { nodeDigest } from '../world/real/digest.ts';
import { addExamples } from './flags.ts';
import { PetalFolder, POOL_NAME, poolServers, VDISK_NAME } from './petal-folder.ts';
import { table } from './table.ts';

interface StatusFlags {
  readonly store: string;
  readonly json: boolean;
}

interface ServerLine {
  readonly server: number;
  readonly address: string;
  /** Data disks. */
  readonly disks: number;
  /** Null: it does not run on this machine. */
  readonly pid: number | null;
  /** Null: it does not answer. */
  readonly report: ServerReport | null;
}

interface PairLine {
  readonly group: number;
  readonly gmap: number;
  readonly term: number;
  readonly primary: number;
  readonly members: readonly number[];
  readonly inSync: readonly number[];
  /**
   * What each member out of sync lacks, as the primary knows; null: the primary does not answer.
   */
  readonly stale: readonly { readonly server: number; readonly bytes: number }[] | null;
  /** Members that are being brought up to date. */
  readonly joining: readonly number[];
}

interface PoolReport {
  readonly store: string;
  readonly sizeBytes: number;
  readonly copies: number;
  readonly directoryPid: number | null;
  readonly servers: readonly ServerLine[];
  readonly pairs: readonly PairLine[];
  /** What operators have decided, all of it. */
  readonly acts: readonly ForcedRecord[];
}

export function addStatusCommand(petal: Command): void {
  const status = petal
    .command('status')
    .description('show servers, who is in sync, what is stale, and how repair goes')
    .requiredOption('--store <dir>', 'folder of the pool')
    .option('--json', 'print one JSON value', false)
    .action(showStatus);
  addExamples(
    status,
    'stordom petal status --store my-pool',
    'stordom petal status --store my-pool --json',
  );
}

async function showStatus({ store, json }: StatusFlags): Promise<void> {
  const folder = await PetalFolder.open(store);
  const directory = folder.readDirectory();
  try {
    const report = await reportPool(folder, directory);
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : statusText(report));
  } finally {
    await directory.close();
  }
}

async function reportPool(folder: PetalFolder, directory: Directory): Promise<PoolReport> {
  const records = await poolServers(directory);
  if (records.length === 0) throw noPool(folder.path);
  const parts = [null, ...records.map(({ server }) => server)];
  const owners = await folder.ownersOf(parts);
  const [directoryPid = null, ...pids] = owners.map((owner) => owner?.pid ?? null);
  const servers = await Promise.all(
    records.map((record, at) => lineOf(folder, record, pids[at] ?? null)),
  );
  const { map, vdisk } = await findVdisk(directory, nodeDigest, POOL_NAME, VDISK_NAME);
  const pairs = (await directory.list(pairsPrefix(POOL_NAME))).map((entry) =>
    pairLine(decodeRecord(nodeDigest, pairKind, entry), servers),
  );
  const acts = (await directory.list(forcedPrefix(POOL_NAME))).map((entry) =>
    decodeRecord(nodeDigest, forcedKind, entry),
  );
  const sizeBytes = vdisk.sizeBlocks * PAGE_BYTES;
  const { copies } = map;
  return { store: folder.path, sizeBytes, copies, directoryPid, servers, pairs, acts };
}

function noPool(folder: string): UsageError {
  const text =
    `--store: the store in ${folder} keeps its blocks in a file, not on Petal servers; look at ` +
    'it with stordom vdi ls';
  return new UsageError('E_PETAL_FOLDER', text, { fields: { folder } });
}

async function lineOf(
  folder: PetalFolder,
  { server, address, disks: [, ...data] }: ServerRecord,
  pid: number | null,
): Promise<ServerLine> {
  const report = await folder.reportOf(server);
  return { server, address, disks: data.length, pid, report };
}

function pairLine(record: PairRecord, servers: readonly ServerLine[]): PairLine {
  const { gmap, group, term, primary, members } = record;
  const inSync = record.inSync.map(({ server }) => server);
  const known = servers
    .find(({ server }) => server === primary)
    ?.report?.pairs.find(
      (pair) => pair.gmap === gmap && pair.group === group && pair.term === term,
    );
  const stale = known === undefined ? null : staleOf(known);
  return { group, gmap, term, primary, members, inSync, stale, joining: known?.joining ?? [] };
}

function staleOf({ missing }: PairReport): PairLine['stale'] {
  return missing.map(({ server, blocks }) => ({ server, bytes: blocks * PAGE_BYTES }));
}

function statusText(report: PoolReport): string {
  const { store, copies, directoryPid, servers, pairs } = report;
  const size = formatBytes(report.sizeBytes);
  const directory = directoryPid === null ? 'not served here' : `served by process ${directoryPid}`;
  const head = `${store}: ${size}, ${copies} copies of each block; directory ${directory}\n\n`;
  const serverNames = [
    'SERVER',
    'STATE',
    'LIFE',
    'DISKS',
    'USED',
    'FREE',
    'DIRTY',
    'PRIMARY OF',
    'ADDRESS',
  ];
  const serverRows = servers.map((line) => serverRow(line, pairs));
  const pairNames = ['PAIR', 'TERM', 'PRIMARY', 'IN SYNC', 'STALE', 'STATE'];
  const pairRows = pairs.map((pair) => pairRow(pair));
  const whole = pairs.filter(({ inSync, members }) => inSync.length === members.length).length;
  return (
    `${head}${table(serverNames, serverRows, 'llrrrrrll')}\n` +
    `${table(pairNames, pairRows, 'lrllll')}\n${formatCount(whole)} of ` +
    `${formatCount(pairs.length)} pairs have all copies in sync\n` +
    report.acts.map(actText).join('')
  );
}

function actText({ n, kind, atMs, operator, reason, ...act }: ForcedRecord): string {
  const { gmap, group, kept, lost } = act;
  const what =
    kind === ForcedKind.restore
      ? 'the directory came back from a copy'
      : `pair ${gmap}/${group} goes on with ${serverName(kept)}, without what ` +
        `${lost.map(serverName).join(' and ')} had`;
  return `act ${n} of ${operator}, ${new Date(atMs).toISOString()}: ${what} (${reason})\n`;
}

function serverRow(
  { server, address, disks, pid, report }: ServerLine,
  pairs: readonly PairLine[],
): string[] {
  const own = pairs.filter(({ primary }) => primary === server);
  const groups = own.map(({ gmap, group }) => `${gmap}/${group}`).join(' ') || '-';
  const { store = null } = report ?? {};
  const state = report === null ? (pid === null ? 'down' : `silent (${pid})`) : 'up';
  const figures =
    store === null
      ? ['-', '-', '-']
      : [formatBytes(store.usedBytes), formatBytes(store.freeBytes), formatCount(store.dirty)];
  return [
    serverName(server),
    state,
    String(report?.incarnation ?? '-'),
    String(disks),
    ...figures,
    groups,
    address,
  ];
}

function pairRow({
  gmap,
  group,
  term,
  primary,
  members,
  inSync,
  stale,
  joining,
}: PairLine): string[] {
  const names = (servers: readonly number[]): string => servers.map(serverName).join(' ');
  const out = members.filter((server) => !inSync.includes(server));
  const staleText =
    out.length === 0
      ? '-'
      : stale === null
        ? 'not known'
        : stale.map(({ server, bytes }) => `${serverName(server)} ${formatBytes(bytes)}`).join(' ');
  const state =
    out.length === 0
      ? 'whole'
      : joining.length > 0
        ? `${names(joining)} is brought up to date`
        : `without ${names(out)}`;
  return [`${gmap}/${group}`, String(term), serverName(primary), names(inSync), staleText, state];
}
