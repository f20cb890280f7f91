/**
 * The command line: one file a command.
 *
 * A command's module is loaded when the line names it, because what all of them need together takes
 * five times as long to load as the smallest. All are loaded where any may be meant: for help, and
 * for a name that is none.
 */
import { Command } from 'commander';
import { exitCodeFor } from './exit.ts';
import { addExamples } from './flags.ts';
import { stordomVersion } from './version.ts';

type AddCommand = (program: Command) => unknown;

/** In the order of the help. */
const COMMANDS: ReadonlyMap<string, () => Promise<AddCommand>> = new Map([
  ['demo', async () => (await import('./demo.ts')).addDemoCommand],
  ['replay', async () => (await import('./replay.ts')).addReplayCommand],
  ['sim', async () => (await import('./sim.ts')).addSimCommand],
  ['trace', async () => (await import('./trace.ts')).addTraceCommand],
  ['vdi', async () => (await import('./vdi.ts')).addVdiCommand],
  ['petal', async () => (await import('./petal.ts')).addPetalCommand],
  ['serve', async () => (await import('./serve.ts')).addServeCommand],
  ['record', async () => (await import('./record.ts')).addRecordCommand],
  ['ctl', async () => (await import('./ctl.ts')).addCtlCommand],
  ['bench', async () => (await import('./bench.ts')).addBenchCommand],
  ['fsck', async () => (await import('./fsck.ts')).addFsckCommand],
]);

/** Runs a command line; the process ends with `process.exitCode`. */
export async function main(args: readonly string[]): Promise<void> {
  try {
    const program = await programFor(args[0]);
    await program.parseAsync([...args], { from: 'user' });
  } catch (thrown) {
    process.exitCode = exitCodeFor(thrown, (text) => process.stderr.write(text));
  }
}

/** The program with the command of that name, or with all of them if there is none. */
async function programFor(name: string | undefined): Promise<Command> {
  const program = new Command('stordom')
    .description("an emulator of a hypervisor's storage domain")
    .version(stordomVersion())
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'stordom: ')),
    })
    .showHelpAfterError('(stordom COMMAND --help lists what is accepted, with examples)');
  const named = COMMANDS.get(name ?? '');
  for (const load of named === undefined ? COMMANDS.values() : [named]) (await load())(program);
  return addExamples(program, 'stordom demo crash', 'stordom sim crash --seeds 1..10');
}
