/**
 * `stordom trace info` and `stordom trace convert`: what is in a trace, and the canonical form of
 * it.
 */
import { writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import type { Command } from 'commander';
import { formatBytes, formatCount, formatDuration } from '../base/format-units.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { TRACE_FORMATS, type TraceFacts, type TraceFileFormat } from '../traces/trace.ts';
import { writeCanonicalCsv } from '../traces/write-canonical.ts';
import { mustBeFree, readTraceFile } from './files.ts';
import { addExamples, readChoice } from './flags.ts';

const TRACE = 'workloads/traces/sqlite-ext4.nbdkit.log.gz';
const FORMATS = Object.keys(TRACE_FORMATS) as TraceFileFormat[];

interface TraceFlags {
  readonly format?: TraceFileFormat;
  readonly json: boolean;
}

export function addTraceCommand(program: Command): void {
  const trace = program.command('trace').description('look at block traces and convert them');
  const infoCommand = trace
    .command('info')
    .description('say what is in a trace, and what is not')
    .argument('<file>', `trace as ${FORMATS.join(', ')}, gzip or not`)
    .option('--json', 'print the facts as JSON', false);
  addFormatFlag(infoCommand).action(info);
  addExamples(infoCommand, `stordom trace info ${TRACE}`, `stordom trace info ${TRACE} --json`);
  const convertCommand = trace
    .command('convert')
    .description('write a trace as canonical CSV: t_ns,op,offset,size,latency_ns')
    .argument('<in>', 'trace of any known format, gzip or not')
    .argument('<out>', 'file to write, which must not exist; packed if it ends in .gz');
  addFormatFlag(convertCommand).action(convert);
  addExamples(
    convertCommand,
    `stordom trace convert ${TRACE} sqlite-ext4.csv`,
    `stordom trace convert ${TRACE} sqlite-ext4.csv.gz --format nbdkit-log`,
  );
  addExamples(trace, `stordom trace info ${TRACE}`, `stordom trace convert ${TRACE} sqlite.csv`);
}

function addFormatFlag(command: Command): Command {
  return command.option(
    '--format <name>',
    'format of the trace; told from its first bytes otherwise',
    readChoice('--format', FORMATS),
  );
}

async function info(path: string, { format, json }: TraceFlags): Promise<void> {
  const { trace, sha256, storedBytes } = await readTraceFile(path, format);
  const { facts } = trace;
  process.stdout.write(
    json
      ? `${JSON.stringify({ file: path, sha256, storedBytes, ...facts })}\n`
      : factsText(path, facts),
  );
}

async function convert(from: string, to: string, { format }: TraceFlags): Promise<void> {
  await mustBeFree(to);
  const { trace } = await readTraceFile(from, format);
  const bytes = writeCanonicalCsv(trace);
  await writeFile(to, to.endsWith('.gz') ? gzipSync(bytes) : bytes, { flag: 'wx' });
  process.stdout.write(`${to}: ${formatCount(trace.requests)} requests\n`);
}

function factsText(path: string, facts: TraceFacts): string {
  const { counts, bytes } = facts;
  const known = facts.format === 'synthetic' ? 'synthetic' : TRACE_FORMATS[facts.format];
  const amount = (op: 'read' | 'write' | 'discard' | 'zero'): string =>
    `${formatCount(counts[op])} (${formatBytes(bytes[op])})`;
  const rows: readonly (readonly [string, string])[] = [
    ['file', path],
    ['format', known],
    ['requests', formatCount(facts.requests)],
    ['span', formatDuration(facts.spanNs)],
    ['reads', amount('read')],
    ['writes', amount('write')],
    ['flushes', formatCount(counts.flush)],
    ['discards', amount('discard')],
    ['zeroes', amount('zero')],
    ['touched', `${formatBytes(facts.distinctBlocks * PAGE_BYTES)} in blocks of 4k`],
    ['addresses', `up to ${formatBytes(facts.addressEndBytes)}`],
    ['disk', facts.exportBytes === null ? 'size not recorded' : formatBytes(facts.exportBytes)],
    ['devices', String(facts.devices)],
    ['clock', `steps of ${formatDuration(facts.clockGranularityNs)}`],
    ['no latency', `${formatCount(facts.missingLatencies)} requests`],
    ...facts.notes.map((note) => ['note', note] as const),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}\n`).join('');
}
