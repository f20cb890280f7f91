/**
 * The suffix of an image that a living host lost to another one and takes back.
 *
 * What this host had acknowledged and not published is pinned (`store/orphans.ts`) and lies in its
 * log, and the image will go on with the same log, by numbers that were given before. So the suffix
 * becomes its own image now:
 * ```
 * settle   the old life is given up, and the log has answered all it was given of it
 * hold     the log keeps everything of the image's number, as after a start
 * image    orphan number, root and name, each found again by a later try or a later start
 * move     pieces and batches go over from the old life: they are where they were, in the log
 * ```
 * A host that dies in any of this finds the same suffix in its log when it starts, and the same
 * orphan. If the old life is not the one that was pinned, or had no log, there is nothing to move.
 */
import type { World } from '../world/world.ts';
import type { RootBlock } from './formats/root-block.ts';
import type { DirtyLog } from './log/dirty-log.ts';
import type { Images } from './store/images.ts';
import { orphanOf } from './store/orphans.ts';
import type { ImageName } from './store/registry.ts';
import { Vdi } from './vdi/vdi.ts';

export interface LiveSuffixParts {
  readonly world: World;
  readonly images: Images;
  readonly log: DirtyLog;
  readonly logUuid: string;
  readonly host: string;
}

/** `old` has been given up and is settled. null: nothing of it is to be kept. */
export async function keepLiveSuffix(
  parts: LiveSuffixParts,
  named: ImageName,
  old: Vdi,
): Promise<{ readonly vdi: Vdi; readonly before: RootBlock } | null> {
  const { world, images, log, logUuid, host } = parts;
  const pin = await images.pinOf(named);
  if (pin === null || pin.hidden.suffix.logUuid !== logUuid) return null;
  const { generation, vdiSeq } = pin.hidden;
  const isOfThisLife = old.image.generation === generation && old.clauses.logged;
  if (!isOfThisLife || old.dirtySeq <= vdiSeq) return null;
  log.holdVdi(named.vdi);
  const orphan = await orphanOf(world, images, pin, host);
  const { image, version, before } = await images.start(orphan.vdi, host, logUuid);
  // The last publish of the old life may have been made without its knowing.
  for (const batch of old.batches.publishedBy(vdiSeq)) old.dirty.dropBatch(batch.number);
  old.batches.renumberSnapshots(image.snapshotCount + 1);
  const vdi = new Vdi(orphan.name, image, version, old);
  vdi.clauses = old.clauses;
  vdi.dirtySeq = old.dirtySeq;
  vdi.nextSeq = old.dirtySeq + 1;
  log.beginVdi(vdi.id, vdi.watermark);
  world.log.note(`${named.name} was taken over: what the log has of it becomes ${orphan.name}`);
  return { vdi, before };
}
