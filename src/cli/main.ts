/** The command line: one file a command. */
import { Command } from 'commander';
import { addBenchCommand } from './bench.ts';
import { addCtlCommand } from './ctl.ts';
import { addDemoCommand } from './demo.ts';
import { exitCodeFor } from './exit.ts';
import { addExamples } from './flags.ts';
import { addFsckCommand } from './fsck.ts';
import { addPetalCommand } from './petal.ts';
import { addReplayCommand } from './replay.ts';
import { addServeCommand } from './serve.ts';
import { addSimCommand } from './sim.ts';
import { addTraceCommand } from './trace.ts';
import { addVdiCommand } from './vdi.ts';
import { stordomVersion } from './version.ts';

/** Runs a command line; the process ends with `process.exitCode`. */
export async function main(args: readonly string[]): Promise<void> {
  try {
    await program().parseAsync([...args], { from: 'user' });
  } catch (thrown) {
    process.exitCode = exitCodeFor(thrown, (text) => process.stderr.write(text));
  }
}

function program(): Command {
  const command = new Command('stordom')
    .description("an emulator of a hypervisor's storage domain")
    .version(stordomVersion())
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'stordom: ')),
    })
    .showHelpAfterError('(stordom COMMAND --help lists what is accepted, with examples)');
  addDemoCommand(command);
  addReplayCommand(command);
  addSimCommand(command);
  addTraceCommand(command);
  addVdiCommand(command);
  addPetalCommand(command);
  addServeCommand(command);
  addCtlCommand(command);
  addBenchCommand(command);
  addFsckCommand(command);
  return addExamples(command, 'stordom demo crash', 'stordom sim crash --seeds 1..10');
}
