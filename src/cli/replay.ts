/** `stordom replay TRACE`: replays a recorded workload, through faults if asked, and checks it. */
import type { Command } from 'commander';
import { readTraceFile, withRunFolder } from './files.ts';
import { addExamples } from './flags.ts';
import { addReplayFlags, chooseDevice, type GivenReplayFlags } from './replay-flags.ts';
import { checkFlags, planReplay } from './replay-plan.ts';
import { prepareDisks, runScenario } from './run-scenario.ts';

const TRACE = 'workloads/traces/sqlite-ext4.nbdkit.log.gz';

export function addReplayCommand(program: Command): void {
  const command = program
    .command('replay')
    .description('replay a block trace from guests over their rings, and check every block')
    .argument('<trace>', 'file with a block trace, gzip or not')
    .action(replay);
  addReplayFlags(command);
  addExamples(
    command,
    `stordom replay ${TRACE} --to 3000 --guests 2 --kill driver-vm@50%`,
    `stordom replay ${TRACE} --to 3000 --world sim --kill guest:0@30% --seed 7`,
  );
}

async function replay(path: string, given: GivenReplayFlags): Promise<void> {
  const flags = chooseDevice(given);
  checkFlags(flags);
  const traceFile = await readTraceFile(path, flags.format);
  const { scenario, limits } = planReplay(traceFile.trace, flags);
  if (flags.disks !== undefined) await prepareDisks(scenario, flags.disks);
  process.exitCode = await withRunFolder(flags.out, 'replay', (folder) =>
    runScenario(
      { scenario, world: flags.world, flags, disks: flags.disks ?? null, limits, traceFile },
      folder,
    ),
  );
}
