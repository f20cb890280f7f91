/**
 * `stordom bench NAME`: runs a benchmark of `bench/` and prints its targets. Exits 0 whether or not
 * a goal is met: a benchmark measures, it does not judge the machine.
 */
import type { Command } from 'commander';
import { type BenchOptions, type BenchResult, benchJson, benchTable } from './bench-output.ts';
import { addExamples, unknownName } from './flags.ts';
import { ProgressLine } from './progress.ts';

const BENCHES = ['ring', 'sim', 'checkers', 'vdi', 'wire', 'petal', 'nbd'] as const;

interface BenchFlags {
  readonly json: boolean;
  readonly quick: boolean;
  readonly quiet: boolean;
}

interface BenchModule {
  run(options: BenchOptions): Promise<BenchResult>;
}

export function addBenchCommand(program: Command): void {
  const command = program
    .command('bench')
    .description('measure the speed of a part, as ratios within one run')
    .argument('<name>', `what to measure: ${BENCHES.join(', ')}`)
    .option('--json', 'print one JSON value instead of a table', false)
    .option('--quick', 'one short round: shows that it works, measures nothing', false)
    .option('--quiet', 'no progress line', false)
    .action(bench);
  addExamples(command, 'stordom bench ring', 'stordom bench sim --quick --json');
}

async function bench(name: string, flags: BenchFlags): Promise<void> {
  const known = BENCHES.find((one) => one === name);
  if (known === undefined) throw unknownName('bench NAME', name, BENCHES);
  const startedMs = performance.now();
  const line = new ProgressLine(flags.quiet, () => {
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    return `bench ${known}: ${seconds}s`;
  });
  line.start();
  try {
    // From build/src/cli to build/bench: benchmarks stand beside the sources, not among them.
    const file = new URL(`../../bench/${known}.js`, import.meta.url);
    const module = (await import(file.href)) as BenchModule;
    const result = await module.run({ quick: flags.quick });
    line.stop();
    process.stdout.write(flags.json ? benchJson(result) : benchTable(result));
  } finally {
    line.stop();
  }
}
