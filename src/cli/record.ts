/**
 * `stordom record`: serves images as `stordom serve` does, and writes down what their clients do,
 * as a trace that `stordom trace` reads and `stordom replay` replays.
 */
import type { Command } from 'commander';
import { RECORD_FORMATS, type RecordFormat } from '../traces/trace-recorder.ts';
import { addExamples, readChoice } from './flags.ts';
import { RecordFile, recordFormat } from './record-file.ts';
import { addServeFlags, serve } from './serve.ts';
import type { ServeFlags } from './serve-plan.ts';

interface RecordFlags extends ServeFlags {
  readonly out: string;
  readonly format?: RecordFormat;
}

export function addRecordCommand(program: Command): void {
  const command = program
    .command('record')
    .description('serve images to NBD clients, and record what they do as a trace')
    .requiredOption('--out <file>', 'the trace to write, which must not exist')
    .option(
      '--format <name>',
      `${RECORD_FORMATS.join(', ')} (default: by the name of the file: .csv, .iolog, .log)`,
      readChoice('--format', RECORD_FORMATS),
    );
  addServeFlags(command).action(record);
  addExamples(
    command,
    'stordom record --store my-store --export disk=mail --out mail.csv',
    'stordom record --store my-store --export disk=mail --out mail.trace --format fio-iolog',
  );
}

async function record(flags: RecordFlags): Promise<void> {
  const format = recordFormat(flags.out, flags.format);
  await serve(flags, (disks, onNote) => new RecordFile(flags.out, format, disks, onNote));
}
