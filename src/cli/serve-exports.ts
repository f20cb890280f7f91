/**
 * The exports of a served store: images as they are, and snapshots.
 *
 * A snapshot is served as a clone that nobody may write to, made at the start and removed at the
 * end: a clone costs nothing, and everything that serves an image serves it too. One that a killed
 * server has left is used again; its name begins with `_served.`.
 */
import { PAGE_BYTES } from '../base/units.ts';
import type { ExportDisk } from '../exports/export-disk.ts';
import type { NbdExport } from '../exports/nbd/catalog.ts';
import { ALLOCATION_CONTEXT, STATE_HOLE, STATE_ZERO } from '../exports/nbd/protocol.ts';
import type { Extent } from '../exports/nbd/replies.ts';
import type { RequestTap } from '../exports/request-tap.ts';
import { requireSnapshot, type StoreView } from '../parallax/store/store-view.ts';
import type { BlockRun, ExtentKind } from '../parallax/vdi/extents.ts';
import type { Policy } from '../parallax/vdi/policy.ts';
import type { ServedDisk, ServeHost } from './serve-host.ts';
import type { WantedExport } from './serve-plan.ts';

/** Not published yet: would be lost with this host. */
const DIRTY_CONTEXT = 'stordom:dirty';
/** Changed since the snapshot that follows. */
const DIFF_CONTEXT = 'stordom:diff:';
/** Of both. */
const IS_SO = 1;
export const SERVED_CLONE = '_served.';

export interface PlannedExport extends ServedDisk {
  readonly wanted: WantedExport;
  /** Throws away what was made to serve it. */
  readonly isClone: boolean;
  /** What clients that come now are told: never beyond what the image has. */
  sizeBlocks: number;
  /** Of the image; more are taken while it is served. */
  readonly snapshots: string[];
}

/** Finds what each export serves; makes the clones that snapshots are served from. */
export async function planExports(
  view: StoreView,
  host: string,
  wanted: readonly WantedExport[],
): Promise<PlannedExport[]> {
  const planned: PlannedExport[] = [];
  for (const one of wanted) planned.push(await plan(view, host, one));
  return planned;
}

async function plan(view: StoreView, host: string, wanted: WantedExport): Promise<PlannedExport> {
  const { image: name, snapshot } = wanted;
  const source = await view.images.registry.byName(name);
  const { image } = await view.images.read(source.vdi);
  const domain = `export/${wanted.name}`;
  if (snapshot === null) {
    const { sizeBlocks } = image;
    const { records } = await view.snapshots(image);
    const snapshots = records.filter(({ deleted }) => !deleted).map((record) => record.name);
    const disk = { name: domain, image: name, isReadOnly: false, sizeBlocks };
    return { ...disk, wanted, isClone: false, snapshots };
  }
  const record = requireSnapshot(await view.snapshots(image), name, snapshot);
  const cloneName = `${SERVED_CLONE}${source.vdi}.${record.id}`;
  const { sizeBlocks } = record;
  if ((await view.images.registry.find(cloneName)) === null) {
    const policy = image.policy as Policy;
    await view.images.clone(source.vdi, record, { name: cloneName, sizeBlocks, policy, host });
  }
  const disk = { name: domain, image: cloneName, isReadOnly: true, sizeBlocks };
  return { ...disk, wanted, isClone: true, snapshots: [] };
}

/** The export as its clients see it. */
export function exportOf(
  planned: PlannedExport,
  disk: ExportDisk,
  host: ServeHost,
  tap: RequestTap | null,
): NbdExport {
  const { wanted, image, isReadOnly } = planned;
  const { snapshot } = wanted;
  const what = snapshot === null ? `image ${wanted.image}` : `snapshot ${wanted.image}@${snapshot}`;
  return {
    name: wanted.name,
    description: `${what} of a stordom store`,
    isReadOnly,
    get sizeBytes() {
      return planned.sizeBlocks * PAGE_BYTES;
    },
    disk,
    tap,
    get contexts() {
      const diffs = planned.snapshots.map((name) => `${DIFF_CONTEXT}${name}`);
      return [ALLOCATION_CONTEXT, DIRTY_CONTEXT, ...diffs];
    },
    extents: (context, offset, lengthBytes) =>
      extents(host, image, kindOf(context), offset, lengthBytes),
  };
}

function kindOf(context: string): ExtentKind {
  if (context === ALLOCATION_CONTEXT) return 'allocation';
  if (context === DIRTY_CONTEXT) return 'dirty';
  return { since: context.slice(DIFF_CONTEXT.length) };
}

async function extents(
  host: ServeHost,
  image: string,
  kind: ExtentKind,
  offset: number,
  lengthBytes: number,
): Promise<Extent[]> {
  const from = Math.floor(offset / PAGE_BYTES);
  const to = Math.ceil((offset + lengthBytes) / PAGE_BYTES);
  const runs = (await host.ask('extents', [image, kind, from, to], true)) as BlockRun[];
  let skipBytes = offset - from * PAGE_BYTES;
  return runs.map(({ blocks, isSet }) => {
    const bytes = blocks * PAGE_BYTES - skipBytes;
    skipBytes = 0;
    return { lengthBytes: bytes, flags: flagsOf(kind, isSet) };
  });
}

function flagsOf(kind: ExtentKind, isSet: boolean): number {
  if (kind === 'allocation') return isSet ? 0 : STATE_HOLE | STATE_ZERO;
  return isSet ? IS_SO : 0;
}
