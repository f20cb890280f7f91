/** What `stordom vdi ls` says of a store. */
import { toErrorRecord } from '../base/errors.ts';
import { PAGE_BYTES } from '../base/units.ts';
import type { LogLook } from '../parallax/log/look.ts';
import type { LogDamage } from '../parallax/log/recovered-log.ts';
import type { ImageName } from '../parallax/store/registry.ts';
import { clausesOf, type Policy } from '../parallax/vdi/policy.ts';
import type { OwnerRecord } from './store-owner.ts';
import type { VdiSession } from './vdi-session.ts';

export interface StoreReport {
  readonly store: {
    readonly path: string;
    readonly uuid: string;
    readonly sizeBytes: number;
    /** What the pool's file takes on this machine's disk. */
    readonly usedBytes: number;
    readonly owner: OwnerRecord | null;
  };
  readonly images: readonly ImageReport[];
}

/** What the root block of an image says. */
interface RootReport {
  readonly sizeBytes: number;
  readonly policy: string;
  readonly snapshots: number;
  readonly mappedBytes: number;
  readonly supersededBytes: number;
  readonly watermark: number;
  readonly generation: number;
  readonly publishedMs: number;
  readonly origin: { readonly vdi: number; readonly snapshot: number } | null;
}

export interface ImageReport {
  readonly name: string;
  readonly vdi: number;
  readonly host: string;
  readonly state: 'stopped' | 'in use' | 'damaged';
  /** null: it cannot be read. */
  readonly root: RootReport | null;
  /**
   * What would be lost if the host were lost now: acknowledged, in its log, not published.
   * `seconds` is known to a running driver VM only. null: not known here.
   */
  readonly loss: {
    readonly requests: number;
    readonly bytes: number;
    readonly seconds: number | null;
  } | null;
  readonly problem: string | null;
}

/** Looks at all images of a store. Changes nothing, and disturbs nobody who serves it. */
export async function reportImages(session: VdiSession): Promise<StoreReport> {
  const { store } = session;
  const view = await session.view();
  const owner = await session.owner();
  const named = await view.images.registry.list();
  const logs = new Map<string, LogLook | string | null>();
  for (const host of new Set(named.map((image) => image.host))) {
    logs.set(host, await session.lookAtLog(host).catch((thrown) => toErrorRecord(thrown).message));
  }
  const images: ImageReport[] = [];
  for (const one of named.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    images.push(await reportImage(session, one, logs.get(one.host) ?? null));
  }
  return {
    store: {
      path: store.path,
      uuid: view.uuid,
      sizeBytes: view.superblock.sizeBlocks * PAGE_BYTES,
      usedBytes: await store.poolBytes(),
      owner,
    },
    images,
  };
}

/** `log`: a text if it cannot be looked at, null if it is in use. */
async function reportImage(
  session: VdiSession,
  { name, vdi, host }: ImageName,
  log: LogLook | string | null,
): Promise<ImageReport> {
  const base = { name, vdi, host };
  let root: RootReport;
  try {
    root = await reportRoot(session, vdi);
  } catch (thrown) {
    const problem = toErrorRecord(thrown).message;
    return { ...base, state: 'damaged', root: null, loss: null, problem };
  }
  if (log === null) return { ...base, state: 'in use', root, loss: null, problem: null };
  if (typeof log === 'string') {
    return { ...base, state: 'damaged', root, loss: null, problem: `its log: ${log}` };
  }
  const { requests, bytes } = log.unpublished.get(vdi) ?? { requests: 0, bytes: 0 };
  const loss = { requests, bytes, seconds: requests === 0 ? 0 : null };
  const hit = log.damage.find(({ vdis }) => vdis === null || vdis.includes(vdi));
  if (hit === undefined) return { ...base, state: 'stopped', root, loss, problem: null };
  return { ...base, state: 'damaged', root, loss, problem: damageText(hit) };
}

async function reportRoot(session: VdiSession, vdi: number): Promise<RootReport> {
  const view = await session.view();
  const { image } = await view.images.read(vdi);
  const { records, damage } = await view.snapshots(image);
  const unreadable = damage.reduce((sum, { firstId, lastId }) => sum + lastId - firstId + 1, 0);
  const superseded = image.supersededPrivateBlocks + image.supersededSharedBlocks;
  return {
    sizeBytes: image.sizeBlocks * PAGE_BYTES,
    policy: clausesOf(image.policy as Policy).name,
    snapshots: records.filter(({ deleted }) => !deleted).length + unreadable,
    mappedBytes: image.mappedBlocks * PAGE_BYTES,
    supersededBytes: superseded * PAGE_BYTES,
    watermark: image.vdiSeq,
    generation: image.generation,
    publishedMs: image.publishedMs,
    origin: image.origin,
  };
}

function damageText({ file, position, reason }: LogDamage): string {
  return (
    `its log is damaged at byte ${position} of ${file} (${reason}); it serves nothing until the ` +
    'loss is accepted with stordom vdi accept-loss'
  );
}
