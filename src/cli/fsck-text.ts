/** The report of `stordom fsck` for people: verdict first, then what there is, then findings. */
import { formatBytes, formatCount, formatDuration } from '../base/format-units.ts';
import type { FsckReport, HostReport, ImageReport } from '../parallax/fsck/report.ts';
import { pad, wrap } from '../report/columns.ts';
import { printable } from '../report/escape.ts';

const COLUMNS = 100;
const BLOCK_BYTES = 4096;
/** Of the table of images: number, name, host, policy; then numbers. */
const LAST_TEXT_COLUMN = 3;

/** One line: whether the store is whole, and how much of it was looked at. */
export function fsckVerdict(report: FsckReport): string {
  const { ok, errors, warnings, totals, withData, durationNs } = report;
  const mark = ok ? '✔ the store is whole' : `✘ ${counted(errors, 'error')}`;
  const more = warnings === 0 ? '' : `, ${counted(warnings, 'warning')}`;
  const looked =
    `${counted(totals.images, 'image')}, ${counted(totals.snapshots, 'snapshot')}, ` +
    `${formatBytes(totals.reachableBytes)} in use`;
  const data = withData ? '' : ', data not read';
  return `${mark}${more}: ${looked}${data} (${formatDuration(durationNs)})`;
}

export function fsckText(report: FsckReport): string {
  const lines = [
    fsckVerdict(report),
    '',
    ...totalLines(report),
    ...imageLines(report.images),
    ...report.hosts.flatMap(hostLines),
    ...findingLines(report),
  ];
  return `${lines.join('\n')}\n`;
}

function totalLines({ store, uuid, totals, extents }: FsckReport): string[] {
  const rows: readonly (readonly [string, string])[] = [
    ['store', `${store}, ${uuid ?? 'uuid unknown'}`],
    ['in use', `${formatCount(totals.nodes)} nodes, ${formatCount(totals.dataBlocks)} data blocks`],
    ['leaked', `${blocks(totals.leakedBlocks)}: allocated, and nothing names them`],
    ['undecided', `${blocks(totals.undecidedBlocks)}: in extents that are open or closed`],
    ['superseded', `${blocks(totals.supersededBlocks)}, as the images count them`],
    [
      'extents',
      `${extents.claimed} claimed: ${extents.open} open, ${extents.partial} partial, ` +
        `${extents.full} full, ${extents.closed} closed`,
    ],
  ];
  return rows.map(([name, text]) => `  ${pad(name, 10)}  ${text}`);
}

function imageLines(images: readonly ImageReport[]): string[] {
  if (images.length === 0) return [];
  const head = ['image', 'name', 'host', 'policy', 'size', 'mapped', 'snapshots', 'errors'];
  const rows = images.map((image) => [
    String(image.vdi),
    image.name === null ? '(none)' : printable(image.name),
    image.host === '' ? '-' : printable(image.host),
    `W${image.policy}`,
    formatBytes(image.sizeBlocks * BLOCK_BYTES),
    image.mappedBlocks === null ? '?' : formatBytes(image.mappedBlocks * BLOCK_BYTES),
    String(image.snapshots),
    String(image.errors),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]?.length ?? 0)));
  const lineOf = (row: readonly string[]): string => {
    const cells = row.map((cell, i) => {
      return pad(cell, widths[i] ?? 0, i === 0 || i > LAST_TEXT_COLUMN ? 'right' : 'left');
    });
    return `  ${cells.join('  ')}`.trimEnd();
  };
  return ['', ...[head, ...rows].map(lineOf)];
}

function hostLines({
  host,
  attached,
  incarnations,
  entries,
  unpublished,
  slab,
}: HostReport): string[] {
  const state = attached ? 'attached, or ended without a word' : 'not attached';
  const lines = [
    '',
    `  host ${printable(host)}: ${state}; ${formatCount(entries)} entries in its log`,
  ];
  for (const { incarnation, state: end, cutGroupSeq, segments } of incarnations) {
    const files = segments.map(({ file, usedBytes }) => `${file} (${formatBytes(usedBytes)})`);
    const where = files.length === 0 ? 'no segment in use' : files.join(', ');
    lines.push(`    incarnation ${incarnation}: ${end} at group ${cutGroupSeq}; ${where}`);
  }
  for (const { vdi, entries: count, bytes } of unpublished) {
    lines.push(
      `    image ${vdi}: ${counted(count, 'entry')}, ${formatBytes(bytes)} not published yet`,
    );
  }
  if (slab !== null) {
    lines.push(
      `    cache: ${formatCount(slab.usedSlots)} of ${formatCount(slab.slots)} slots used`,
    );
  }
  return lines;
}

function findingLines({ findings, omittedFindings }: FsckReport): string[] {
  const lines: string[] = [];
  for (const { severity, code, where, what, remedy } of findings) {
    const mark = severity === 'error' ? '✘' : severity === 'warning' ? '!' : '·';
    lines.push('', `${mark} ${severity} ${code}: ${printable(where)}`);
    for (const line of wrap(printable(what), COLUMNS - 4)) lines.push(`    ${line}`);
    for (const line of wrap(`To do: ${remedy}.`, COLUMNS - 4)) lines.push(`    ${line}`);
  }
  if (omittedFindings > 0) {
    lines.push('', `${formatCount(omittedFindings)} more findings were counted and not kept`);
  }
  return lines;
}

function blocks(count: number): string {
  return `${formatCount(count)} blocks (${formatBytes(count * BLOCK_BYTES)})`;
}

function counted(count: number, what: string): string {
  if (count === 1) return `1 ${what}`;
  return `${formatCount(count)} ${what.endsWith('y') ? `${what.slice(0, -1)}ies` : `${what}s`}`;
}
