/**
 * A run as terminal text: the verdict first, then what is broken, the story, the lanes, who shared
 * the fate, the guests in numbers, the checks, what limits the result, and the command that
 * repeats it. A reader who stops after any part has read the most important ones.
 *
 * No line is wider than `width` columns. Text is composed plain and coloured last, so that a
 * colour never counts as width; colours come from the caller, who knows whether this is a
 * terminal. Everything a stranger may have named goes through `printable` first.
 */
import { formatBytes, formatCount, formatDuration, formatRate } from '../base/format-units.ts';
import type { GuestResult, RunResult } from '../experiments/result.ts';
import { type Align, cut, displayWidth, pad, wrap, wrapCommand } from './columns.ts';
import { printable } from './escape.ts';
import { fatesIn, fateText, outageEndNs, outageText, serverDeathText, stalledNs } from './fate.ts';
import {
  ASCII_GLYPHS,
  type Glyphs,
  latencyLane,
  outageMarks,
  throughputLane,
  timeAxis,
  UNICODE_GLYPHS,
} from './lanes.ts';
import { peakRate, positiveRange, requestCount } from './series.ts';
import { verdictOf } from './verdict.ts';

/** How four kinds of text are marked; each function gets plain text and adds no width. */
export interface TerminalStyle {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
}

const PLAIN_STYLE: TerminalStyle = { good: same, bad: same, strong: same, faint: same };

/** The colours every terminal has, chosen to be told apart by the colour-blind with the glyphs. */
export const ANSI_STYLE: TerminalStyle = {
  good: (text) => `\u001b[1;32m${text}\u001b[0m`,
  bad: (text) => `\u001b[1;31m${text}\u001b[0m`,
  strong: (text) => `\u001b[1m${text}\u001b[0m`,
  faint: (text) => `\u001b[2m${text}\u001b[0m`,
};

export interface TerminalOptions {
  /** Columns of the terminal; 60 to 100 of them are used. */
  readonly width?: number;
  readonly style?: TerminalStyle;
  /** Only ASCII characters of our own; names are printed as they are. */
  readonly ascii?: boolean;
}

const MIN_WIDTH = 60;
const MAX_WIDTH = 100;
const MAX_LANES = 24;
/** Up to so many guests get lanes of two rows. */
const TALL_LANES = 6;
const MAX_VIOLATIONS = 5;
const MAX_NAME = 16;
const COLUMN_GAP = 2;
const VERIFIED = 'verified: 512-byte sectors found as last written, the final read-back included';

interface Page {
  readonly result: RunResult;
  readonly width: number;
  readonly style: TerminalStyle;
  readonly glyphs: Glyphs;
}

/** The whole report, ending in a newline. */
export function renderTerminal(result: RunResult, options: TerminalOptions = {}): string {
  const page = pageOf(result, options);
  const parts = [
    head(page),
    violations(page),
    story(page),
    lanes(page),
    fates(page),
    pool(page),
    guestTable(page),
    checks(page),
    limits(page),
    foot(page),
  ];
  const lines = parts.filter((part) => part.length > 0).map((part) => part.join('\n'));
  return `${lines.join('\n\n')}\n`;
}

/** The first line alone: what a quiet run prints. */
export function renderVerdictLine(result: RunResult, options: TerminalOptions = {}): string {
  return verdictLine(pageOf(result, options));
}

function pageOf(result: RunResult, options: TerminalOptions): Page {
  return {
    result: printableResult(result),
    width: Math.max(MIN_WIDTH, Math.min(MAX_WIDTH, Math.floor(options.width ?? MAX_WIDTH))),
    style: options.style ?? PLAIN_STYLE,
    glyphs: options.ascii === true ? ASCII_GLYPHS : UNICODE_GLYPHS,
  };
}

function verdictLine({ result, width, style, glyphs }: Page): string {
  const verdict = verdictOf(result);
  const mark = verdict.ok ? glyphs.good : glyphs.bad;
  const line = cut(`${mark} ${result.title}: ${verdict.text}`, width, glyphs.ellipsis);
  return verdict.ok ? style.good(line) : style.bad(line);
}

function head(page: Page): string[] {
  const { result, width, style } = page;
  const facts = [
    `${formatDuration(result.durationNs)} in ${result.world}`,
    `seed ${result.seed}`,
    result.startedAtIso,
  ].join(', ');
  return [
    verdictLine(page),
    ...wrap(result.summary, width - 2).map((line) => `  ${line}`),
    ...wrap(facts, width - 2).map((line) => style.faint(`  ${line}`)),
  ];
}

function violations({ result, width, style, glyphs }: Page): string[] {
  const lines: string[] = [];
  for (const guest of result.guests) {
    for (const text of guest.violations.slice(0, MAX_VIOLATIONS)) {
      lines.push(...hanging(`  ${glyphs.bad} ${cut(guest.name, MAX_NAME)}: `, text, width));
    }
    const more = guest.violations.length - MAX_VIOLATIONS;
    if (more > 0) lines.push(`    and ${more} more of ${cut(guest.name, MAX_NAME)}`);
  }
  return lines.length === 0 ? [] : [style.bad('Violations'), ...lines];
}

function story({ result, width, style }: Page): string[] {
  if (result.story.length === 0) return [];
  const times = result.story.map((line) => clock(line.atNs));
  const timeWidth = Math.max(...times.map(displayWidth));
  const lines = result.story.flatMap((line, i) =>
    hanging(`  ${pad(times[i] ?? '', timeWidth, 'right')}  `, line.text, width),
  );
  return [style.strong('Story'), ...lines];
}

function lanes({ result, width, style, glyphs }: Page): string[] {
  const shown = result.guests.slice(0, MAX_LANES);
  if (shown.length === 0 || !(result.durationNs > 0)) return [];
  const names = shown.map((guest) => cut(`${guest.name} on ${guest.host}`, 20, glyphs.ellipsis));
  const nameWidth = Math.max(...names.map(displayWidth));
  const scaleWidth = 8;
  const columns = width - 2 - nameWidth - 1 - 1 - scaleWidth;
  const left = (text: string): string => `  ${pad(text, nameWidth)} `;
  const rows = shown.length <= TALL_LANES ? 2 : 1;
  const lines = [style.strong('Requests a second, each guest to its own peak')];
  shown.forEach((guest, i) => {
    const peak = pad(formatRate(peakRate(guest, result.durationNs)), scaleWidth, 'right');
    throughputLane(result, guest, columns, rows, glyphs).forEach((row, at) => {
      const name = at === rows - 1 ? (names[i] ?? '') : '';
      lines.push(`${left(name)}${row}${at === 0 ? ` ${peak}` : ''}`.trimEnd());
    });
    const marks = outageMarks(result, guest, columns, glyphs);
    if (marks !== '') lines.push(`${left('')}${style.bad(marks)}`);
  });
  lines.push(`${left('')}${style.faint(timeAxis(result, columns, glyphs))}`);
  const range = positiveRange(shown.map((guest) => guest.series.p99Ns));
  if (range !== null) {
    const scale = `${formatDuration(range.low)} to ${formatDuration(range.high)}`;
    lines.push('', style.strong(`p99 latency, log scale from ${scale}`));
    shown.forEach((guest, i) => {
      const lane = latencyLane(result, guest, columns, range, glyphs);
      lines.push(`${left(names[i] ?? '')}${lane}`.trimEnd());
    });
    lines.push(`${left('')}${style.faint(timeAxis(result, columns, glyphs))}`);
  }
  const more = result.guests.length - shown.length;
  if (more > 0) lines.push(`  and ${more} more ${more === 1 ? 'guest' : 'guests'} in report.html`);
  return lines;
}

function fates({ result, width, style }: Page): string[] {
  const lines: string[] = [];
  for (const outage of result.outages) {
    const span = `${clock(outage.killedAtNs)} to ${clock(outageEndNs(result, outage))}`;
    lines.push(
      ...hanging('  ', `${outageText(result, outage)}, from ${span}: `.trimEnd(), width),
      ...hanging(
        '    ',
        `${formatCount(outage.replayedRequests)} requests replayed by their guests`,
        width,
      ),
    );
    for (const fate of fatesIn(result, outage)) {
      const name = cut(`${fate.guest.name} on ${fate.guest.host}`, 24);
      const broken = fate.kind === 'stalled' && fate.foreign;
      const text = hanging(`    ${pad(name, 12)} `, fateText(fate), width);
      lines.push(...(broken ? text.map(style.bad) : text));
    }
  }
  return lines.length === 0 ? [] : [style.strong('Fate sharing'), ...lines];
}

interface Column {
  readonly title: string;
  readonly align: Align;
  cell(guest: GuestResult): string;
}

/** What became of the servers that the store is on. */
function pool({ result, width, style }: Page): string[] {
  const lines = (result.serverDeaths ?? []).flatMap((death) =>
    hanging('  ', `${serverDeathText(result, death)}, from ${clock(death.killedAtNs)}`, width),
  );
  return lines.length === 0 ? [] : [style.strong('Servers of the pool'), ...lines];
}

/**
 * The guests in numbers. Columns that find no room beside the others go into a second table
 * below, which names the guests again: a number that is cut off would be a wrong one.
 */
function guestTable(page: Page): string[] {
  const { result, width, style, glyphs } = page;
  if (result.guests.length === 0) return [style.strong('Guests'), '  no guest took part'];
  const [name, ...rest] = guestColumns(result).map((column) => filled(column, result.guests));
  const blocks: FilledColumn[][] = [];
  let used = 0;
  for (const column of rest) {
    const block = blocks.at(-1);
    const columnWidth = column.width + COLUMN_GAP;
    if (block !== undefined && used + columnWidth <= width) {
      block.push(column);
      used += columnWidth;
    } else if (name !== undefined) {
      blocks.push([name, column]);
      used = name.width + COLUMN_GAP + columnWidth;
    }
  }
  const tables = blocks.flatMap((block) => {
    const lines = Array.from({ length: result.guests.length + 1 }, (_, at) => {
      const cells = block.map((column) => ' '.repeat(COLUMN_GAP) + (column.lines[at] ?? ''));
      return cut(cells.join('').trimEnd(), width, glyphs.ellipsis);
    });
    return [style.faint(lines[0] ?? ''), ...lines.slice(1)];
  });
  return [
    style.strong('Guests'),
    ...tables,
    ...hanging('  ', VERIFIED, width).map(style.faint),
    ...responseLines(page),
  ];
}

interface FilledColumn {
  readonly width: number;
  /** The title, then a line a guest, all of the same width. */
  readonly lines: readonly string[];
}

function filled(column: Column, guests: readonly GuestResult[]): FilledColumn {
  const texts = [column.title, ...guests.map((guest) => column.cell(guest))];
  const width = Math.max(...texts.map(displayWidth));
  return { width, lines: texts.map((text) => pad(text, width, column.align)) };
}

function guestColumns(result: RunResult): Column[] {
  const right = (title: string, cell: (guest: GuestResult) => string): Column => {
    return { title, align: 'right', cell };
  };
  const stalled = (guest: GuestResult): string => {
    const ns = stalledNs(result, guest);
    return ns === 0 ? '-' : formatDuration(ns);
  };
  const some = (count: number): string => (count === 0 ? '-' : formatCount(count));
  return [
    { title: 'guest', align: 'left', cell: (guest) => cut(guest.name, MAX_NAME) },
    { title: 'host', align: 'left', cell: (guest) => cut(guest.host, 8) },
    right('requests', (guest) => formatCount(requestCount(guest))),
    right('read', (guest) => formatBytes(guest.bytesRead)),
    right('written', (guest) => formatBytes(guest.bytesWritten)),
    right('p50', (guest) => formatDuration(guest.latency.p50Ns)),
    right('p99', (guest) => formatDuration(guest.latency.p99Ns)),
    right('max', (guest) => formatDuration(guest.latency.maxNs)),
    right('stalled', stalled),
    right('replayed', (guest) => some(guest.replayedRequests)),
    right('errors', (guest) => some(guest.requests.errors)),
    right('verified', (guest) => formatCount(guest.sectorsVerified + guest.readBackSectors)),
  ];
}

/** Latency from the intended start, where it differs: a paced guest that fell behind. */
function responseLines({ result, width }: Page): string[] {
  return result.guests.flatMap(({ name, latency, responseLatency: from }) => {
    if (from.p99Ns === latency.p99Ns && from.maxNs === latency.maxNs) return [];
    const [p50, p99, max] = [from.p50Ns, from.p99Ns, from.maxNs].map(formatDuration);
    const text = `from the intended start: p50 ${p50}, p99 ${p99}, max ${max}`;
    return hanging(`  ${cut(name, MAX_NAME)} `, text, width);
  });
}

function checks({ result, width, style, glyphs }: Page): string[] {
  if (result.checks.length === 0) return [];
  const lines = result.checks.flatMap((check) => {
    const mark = check.ok ? glyphs.good : glyphs.bad;
    const text = hanging(`  ${mark} `, `${check.name}: ${check.text}`, width);
    return check.ok ? text : text.map(style.bad);
  });
  const held = result.checks.filter((check) => check.ok).length;
  return [style.strong(`Checks: ${held} of ${result.checks.length} hold`), ...lines];
}

function limits({ result, width, style }: Page): string[] {
  if (result.limits.length === 0) return [];
  const lines = result.limits.flatMap((limit) => hanging('  - ', limit, width));
  return [style.strong('What limits this result'), ...lines];
}

function foot({ result, width, style }: Page): string[] {
  const { node, cpu, cores, os } = result.machine;
  const machine = `node ${node} on ${cpu}, ${cores} ${cores === 1 ? 'core' : 'cores'}, ${os}`;
  return [
    style.faint(cut(machine, width)),
    style.strong('Run it again with'),
    ...wrapCommand(result.command, width),
  ];
}

/** Text behind a label, its further lines below its first. */
function hanging(label: string, text: string, width: number): string[] {
  const indent = ' '.repeat(displayWidth(label));
  const lines = wrap(text, Math.max(10, width - indent.length));
  if (lines.length === 0) return [label.trimEnd()];
  return lines.map((line, i) => (i === 0 ? label : indent) + line);
}

/** A moment of the run, in seconds to the millisecond, so that moments line up. */
function clock(ns: number): string {
  return `${(ns / 1e9).toFixed(3)}s`;
}

function same(text: string): string {
  return text;
}

/** The result with every text in it made safe to print. */
function printableResult(result: RunResult): RunResult {
  return mapTexts(result) as RunResult;
}

function mapTexts(value: unknown): unknown {
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value)) return typeof value[0] === 'number' ? value : value.map(mapTexts);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, mapTexts(one)]));
}
