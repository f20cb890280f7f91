/** `stordom vdi` commands that look: which images there are, their snapshots, what differs. */
import type { Command } from 'commander';
import { formatBytes, formatBytesExact, formatCount } from '../base/format-units.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { diffTrees } from '../parallax/tree/walk.ts';
import { addExamples } from './flags.ts';
import { ProgressLine } from './progress.ts';
import { table } from './table.ts';
import { frozen } from './vdi-frozen.ts';
import { parseImage, parseTarget } from './vdi-names.ts';
import { type ImageReport, reportImages, type StoreReport } from './vdi-report.ts';
import { addVdiFlags, type VdiFlags, VdiSession } from './vdi-session.ts';

export function addLookCommands(vdi: Command): void {
  const ls = vdi.command('ls').description('list the images of a store, and what could be lost');
  addVdiFlags(ls).action(list);
  addExamples(ls, 'stordom vdi ls --store my-store', 'stordom vdi ls --store my-store --json');
  const snapshots = vdi
    .command('snapshots')
    .description('list the snapshots of an image')
    .argument('<name>', 'of the image');
  addVdiFlags(snapshots).action(listSnapshots);
  addExamples(
    snapshots,
    'stordom vdi snapshots disk --store my-store',
    'stordom vdi snapshots disk --store my-store --json',
  );
  const diff = vdi
    .command('diff')
    .description('say where two snapshots, or a snapshot and an image, differ')
    .argument('<older>', 'as NAME@SNAPSHOT or NAME')
    .argument('<newer>', 'as NAME@SNAPSHOT or NAME');
  addVdiFlags(diff).action(difference);
  addExamples(
    diff,
    'stordom vdi diff disk@first disk --store my-store',
    'stordom vdi diff disk@first disk@second --store my-store --json',
  );
}

async function list(flags: VdiFlags): Promise<void> {
  await VdiSession.run('stordom vdi ls', flags, async (session) => {
    const report = await reportImages(session);
    const { json } = flags;
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : listText(report));
  });
}

function listText({ store, images }: StoreReport): string {
  const serving =
    store.owner === null
      ? 'stopped'
      : `in use by process ${store.owner.pid} (${store.owner.command})`;
  const size = formatBytesExact(store.sizeBytes);
  const head = `${store.path}: ${size}, ${formatBytes(store.usedBytes)} on this disk, ${serving}\n`;
  if (images.length === 0) return `${head}no images; make one with stordom vdi create\n`;
  const rows = images.map(rowOf);
  const names = [
    'NAME',
    'SIZE',
    'POLICY',
    'SNAPSHOTS',
    'MAPPED',
    'SUPERSEDED',
    'WATERMARK',
    'HOST',
    'STATE',
    'LOST WITH THE HOST NOW',
  ];
  const problems = images.filter(({ problem }) => problem !== null);
  const remarks = problems.map(({ name, problem }) => `${name}: ${problem}\n`);
  return head + table(names, rows, 'lrlrrrrlll') + remarks.join('');
}

function rowOf(image: ImageReport): string[] {
  const { root } = image;
  const figures =
    root === null
      ? ['-', '-', '-', '-', '-', '-']
      : [
          formatBytesExact(root.sizeBytes),
          root.policy,
          formatCount(root.snapshots),
          formatBytes(root.mappedBytes),
          formatBytes(root.supersededBytes),
          String(root.watermark),
        ];
  return [image.name, ...figures, image.host || '-', image.state, lossText(image)];
}

function lossText({ loss, state }: ImageReport): string {
  if (loss === null) return state === 'in use' ? 'its process knows' : '-';
  if (loss.requests === 0) return 'nothing';
  return `${formatCount(loss.requests)} requests, ${formatBytes(loss.bytes)}, in the log`;
}

async function listSnapshots(given: string, flags: VdiFlags): Promise<void> {
  const name = parseImage(given);
  await VdiSession.run('stordom vdi snapshots', flags, async (session) => {
    const source = await session.require(name);
    await session.recover(source);
    const view = await session.view();
    const { image } = await view.images.read(source.vdi);
    const { records, damage } = await view.snapshots(image);
    const there = records.filter(({ deleted }) => !deleted);
    if (flags.json) {
      const snapshots = there.map((one) => ({
        name: one.name,
        id: one.id,
        createdMs: one.createdMs,
        vdiSeq: one.vdiSeq,
        sizeBytes: one.sizeBlocks * PAGE_BYTES,
        mappedBytes: one.mappedBlocks * PAGE_BYTES,
        template: one.template,
        local: one.local,
      }));
      process.stdout.write(`${JSON.stringify({ image: name, snapshots, damage })}\n`);
      return;
    }
    const rows = there.map((one) => [
      `${name}@${one.name}`,
      new Date(one.createdMs).toISOString().slice(0, 19).replace('T', ' '),
      formatBytesExact(one.sizeBlocks * PAGE_BYTES),
      formatBytes(one.mappedBlocks * PAGE_BYTES),
      String(one.vdiSeq),
      one.template ? 'template' : '',
    ]);
    const names = ['SNAPSHOT', 'TAKEN (UTC)', 'SIZE', 'MAPPED', 'WATERMARK', ''];
    const text = rows.length === 0 ? `${name} has no snapshots\n` : table(names, rows, 'llrrrl');
    process.stdout.write(text);
    for (const { firstId, lastId, problem } of damage) {
      session.note(`snapshots ${firstId} to ${lastId} of ${name} cannot be read: ${problem}`);
    }
  });
}

/** Ranges that are printed at the most; all of them are in the JSON. */
const RANGES_PRINTED = 40;

interface ChangedRange {
  readonly offset: number;
  readonly bytes: number;
  /** Whether the newer one has data there; else it has zeros. */
  readonly mapped: boolean;
}

async function difference(older: string, newer: string, flags: VdiFlags): Promise<void> {
  const from = parseTarget(older);
  const to = parseTarget(newer);
  await VdiSession.run('stordom vdi diff', flags, async (session) => {
    const view = await session.view();
    const before = await frozen(session, from);
    const after = await frozen(session, to);
    const ranges: ChangedRange[] = [];
    let bytes = 0;
    const line = new ProgressLine(flags.quiet, () => {
      return `${older} .. ${newer}: ${formatBytes(bytes)} changed so far`;
    });
    line.start();
    const { cancel } = session;
    try {
      const visit = (first: number, blocks: number, mapped: boolean): void => {
        bytes += blocks * PAGE_BYTES;
        ranges.push({ offset: first * PAGE_BYTES, bytes: blocks * PAGE_BYTES, mapped });
      };
      const stats = await diffTrees(view.loader, before.root, after.root, visit, { cancel });
      const sizes = { older: before.sizeBytes, newer: after.sizeBytes };
      const { nodes, shared } = stats;
      const result = {
        older,
        newer,
        sizes,
        bytes,
        ranges,
        nodesRead: nodes,
        sharedSkipped: shared,
      };
      line.stop();
      process.stdout.write(
        flags.json ? `${JSON.stringify(result)}\n` : diffText(older, newer, ranges, bytes, stats),
      );
    } finally {
      line.stop();
    }
  });
}

function diffText(
  older: string,
  newer: string,
  ranges: readonly ChangedRange[],
  bytes: number,
  { nodes, shared }: { readonly nodes: number; readonly shared: number },
): string {
  const rows = ranges
    .slice(0, RANGES_PRINTED)
    .map((range) => [
      String(range.offset),
      formatBytesExact(range.bytes),
      range.mapped ? 'data' : 'zeros',
    ]);
  const more = ranges.length - rows.length;
  const rest = more > 0 ? `and ${formatCount(more)} more ranges: --json has all of them\n` : '';
  const list = rows.length === 0 ? '' : table(['OFFSET', 'BYTES', 'NOW'], rows, 'rrl');
  const places = `${formatCount(ranges.length)} range${ranges.length === 1 ? '' : 's'}`;
  return (
    `${list}${rest}${older} .. ${newer}: ${formatBytes(bytes)} changed in ${places}; ` +
    `${formatCount(nodes)} nodes read, ${formatCount(shared)} shared subtrees skipped\n`
  );
}
