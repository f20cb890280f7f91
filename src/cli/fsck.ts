/**
 * `stordom fsck --store DIR`: looks at everything that a store holds, and at the logs and caches of
 * its hosts, and changes nothing. Exit code 0: no errors; 1: errors, each with what can be done.
 */
import type { Command } from 'commander';
import { StorageError } from '../base/errors.ts';
import { formatCount } from '../base/format-units.ts';
import { SLAB_DISK } from '../parallax/disk-names.ts';
import { checkStore, type FsckProgress } from '../parallax/fsck/fsck.ts';
import { checkHost } from '../parallax/fsck/host-check.ts';
import type { FsckReport, HostReport } from '../parallax/fsck/report.ts';
import { ExitCode, Interrupted } from './exit.ts';
import { addExamples } from './flags.ts';
import { FsckFolder } from './fsck-folder.ts';
import { fsckText, fsckVerdict } from './fsck-text.ts';
import { untilInterrupted } from './interrupt.ts';
import { ProgressLine, progressBar } from './progress.ts';

const PATIENCE_MS = 10_000;

interface FsckFlags {
  readonly store: string;
  readonly host?: string;
  readonly data: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
}

export function addFsckCommand(program: Command): void {
  const command = program
    .command('fsck')
    .description('look at everything that a store holds, running or stopped, and change nothing')
    .requiredOption('--store <dir>', 'folder of the store')
    .option('--host <name>', 'look at the log and the cache of this host alone (default: all)')
    .option('--no-data', 'count data blocks and do not read them: much faster')
    .option('--json', 'print the report as JSON on stdout, and nothing else there', false)
    .option('--quiet', 'print the verdict only, and no progress line', false)
    .action(fsck);
  addExamples(command, 'stordom fsck --store my-store', 'stordom fsck --store my-store --no-data');
}

async function fsck(flags: FsckFlags): Promise<void> {
  const folder = await FsckFolder.open(flags.store);
  try {
    const report = await untilInterrupted((signal) => check(folder, flags, signal));
    const { json, quiet } = flags;
    const text = quiet ? `${fsckVerdict(report)}\n` : fsckText(report);
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : text);
    process.exitCode = report.ok ? ExitCode.ok : ExitCode.broken;
  } finally {
    await folder.close();
  }
}

async function check(
  folder: FsckFolder,
  flags: FsckFlags,
  signal: AbortSignal,
): Promise<FsckReport> {
  const hosts = folder.chosenHosts(flags.host);
  const store = await folder.storeName();
  let now: FsckProgress = { image: '', nodes: 0, blocks: 0, expectedBlocks: 0 };
  let host: string | null = null;
  const line = new ProgressLine(flags.quiet, () =>
    host === null ? storeLine(now) : hostLine(host),
  );
  line.start();
  try {
    const world = folder.worldOf(null);
    const onNote = (text: string): void => {
      if (!flags.quiet) process.stderr.write(`stordom: ${text}\n`);
    };
    const user = { command: 'stordom fsck', serves: false, patienceMs: PATIENCE_MS, onNote };
    const outcome = await checkStore(world, await folder.storeToCheck(world, store, user), {
      withData: flags.data,
      cancel: {
        get cancelled(): boolean {
          return signal.aborted;
        },
      },
      progress: (progress) => {
        now = progress;
      },
    });
    const { findings, watermarks, uuid, hasAttached } = outcome;
    const reports: HostReport[] = [];
    for (host of hosts) {
      if (signal.aborted) throw new Interrupted('interrupted');
      const world = folder.worldOf(host);
      const attached = hasAttached(host);
      const common = { world, host, attached, slabDisk: SLAB_DISK };
      reports.push(await checkHost({ ...common, uuid, watermarks, findings }));
    }
    return outcome.reportWith(reports);
  } catch (thrown) {
    const isCancelled = thrown instanceof StorageError && thrown.code === 'E_CANCELLED';
    throw isCancelled ? new Interrupted('interrupted') : thrown;
  } finally {
    line.stop();
  }
}

function storeLine({ image, nodes, blocks, expectedBlocks }: FsckProgress): string {
  const bar = progressBar(expectedBlocks === 0 ? 0 : blocks / expectedBlocks);
  const counts = `${formatCount(blocks)} blocks, ${formatCount(nodes)} nodes`;
  return `fsck ${bar} ${counts}  ${image}`;
}

function hostLine(host: string): string {
  return `fsck: log and cache of host ${host}`;
}
