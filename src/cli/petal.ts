/**
 * `stordom petal`: a pool of servers that keep every block twice or three times, each in a process
 * of its own. The commands are here (`create`), in `petal-server.ts`, `petal-status.ts` and
 * `petal-force.ts`.
 */
import type { Command } from 'commander';
import { formatBytesExact } from '../base/format-units.ts';
import { addExamples, readCount } from './flags.ts';
import { DISK_UNIT_BYTES, PETAL_SERVERS_MAX, PetalFolder } from './petal-folder.ts';
import { addForceCommand } from './petal-force.ts';
import { addServingCommands } from './petal-server.ts';
import { addStatusCommand } from './petal-status.ts';
import { readSize } from './vdi-names.ts';

const COPIES_MAX = 3;
const DISK_BYTES = 2 ** 30;
const DISKS_MAX = 8;

interface CreateFlags {
  readonly store: string;
  readonly servers: number;
  readonly copies: number;
  readonly disks: number;
  readonly diskSize: number;
  readonly json: boolean;
}

export function addPetalCommand(program: Command): void {
  const petal = program.command('petal').description('make, serve and look at a Petal pool');
  const create = petal
    .command('create')
    .description('make a pool of new servers with one virtual disk')
    .requiredOption('--store <dir>', 'folder to make it in; new or empty')
    .requiredOption(
      '--servers <n>',
      'how many servers',
      readCount('--servers', { from: 2, to: PETAL_SERVERS_MAX }),
    )
    .option('--copies <n>', 'of each block', readCount('--copies', { from: 2, to: COPIES_MAX }), 2)
    .option('--disks <n>', 'of each server', readCount('--disks', { from: 1, to: DISKS_MAX }), 1)
    .option(
      '--disk-size <size>',
      'of each disk; the file is sparse and grows as it is used',
      readSize('--disk-size', DISK_UNIT_BYTES),
      DISK_BYTES,
    )
    .option('--json', 'print the result as JSON', false)
    .action(create_);
  addExamples(
    create,
    'stordom petal create --store new-pool --servers 4',
    'stordom petal create --store small-pool --servers 3 --copies 3 --disks 2 --disk-size 256m',
  );
  addServingCommands(petal);
  addStatusCommand(petal);
  addForceCommand(petal);
  addExamples(
    petal,
    'stordom petal create --store first-pool --servers 4',
    'stordom petal status --store my-pool',
  );
}

async function create_(flags: CreateFlags): Promise<void> {
  const { store, servers, copies, disks, diskSize: diskBytes, json } = flags;
  const sizeBytes = await PetalFolder.create(store, { servers, copies, disks, diskBytes });
  const size = formatBytesExact(sizeBytes);
  const each = disks > 1 ? ` of ${disks} disks` : '';
  const next = [
    `stordom petal directory --store ${store}`,
    ...Array.from(
      { length: servers },
      (_, at) => `stordom petal server --store ${store} --id ${at + 1}`,
    ),
  ];
  const text =
    `${store}: a pool of ${servers} servers${each}, ${copies} copies of each block, ${size}\n` +
    `start each of these in a terminal of its own:\n${next.map((one) => `  ${one}\n`).join('')}`;
  process.stdout.write(
    json ? `${JSON.stringify({ store, servers, disks, copies, sizeBytes })}\n` : text,
  );
}
