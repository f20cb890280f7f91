/** A snapshot, or what is published of an image: a tree that does not change while it is read. */
import { PAGE_BYTES } from '../base/units.ts';
import type { TreeRoot } from '../parallax/formats/tree-root.ts';
import { requireSnapshot } from '../parallax/store/store-view.ts';
import type { Target } from './vdi-names.ts';
import type { VdiSession } from './vdi-session.ts';

export interface Frozen {
  readonly root: TreeRoot;
  readonly sizeBytes: number;
  readonly mappedBlocks: number;
  /** Everything up to this number of the image's order is in it. */
  readonly watermark: number;
}

/**
 * Of a stopped store everything that was acknowledged is published before; of one that is in use
 * what has been published is taken, and a note says so.
 */
export async function frozen(session: VdiSession, target: Target): Promise<Frozen> {
  const source = await session.require(target.image);
  await session.recover(source);
  const view = await session.view();
  const { image } = await view.images.read(source.vdi);
  const { snapshot } = target;
  if (snapshot !== null) {
    const record = requireSnapshot(await view.snapshots(image), target.image, snapshot);
    const { root, sizeBlocks, mappedBlocks, vdiSeq } = record;
    return { root, sizeBytes: sizeBlocks * PAGE_BYTES, mappedBlocks, watermark: vdiSeq };
  }
  const owner = await session.owner();
  if (owner !== null) {
    session.note(
      `${target.image} as it is published, up to its mutation ${image.vdiSeq}: process ` +
        `${owner.pid} (${owner.command}) may have acknowledged more`,
    );
  }
  const { root, sizeBlocks, mappedBlocks, vdiSeq } = image;
  return { root, sizeBytes: sizeBlocks * PAGE_BYTES, mappedBlocks, watermark: vdiSeq };
}
