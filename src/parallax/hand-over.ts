/**
 * The planned move of an image: its host publishes all of it and names another one as its home.
 *
 * ```
 * 1 drain    everything that was acknowledged is published; nobody has the image as a disk
 * 2 close    the root says that nothing of it is in any log
 * 3 home     the directory names the other host, if this one is named still
 * 4 start    there, as every start: the generation is raised, and nothing is pinned
 * ```
 * At every moment the image is whole at one place. Up to 3 it is this host's: whoever dies leaves
 * an image that starts here again, from the log, or from the root if it was closed. From 3 on it is
 * the other one's, and this host's log needs nothing of it. A host that stood still between 2 and 3
 * while a third one took the image over finds another name there, and changes nothing.
 *
 * Each step may be done again, so a hand-over that was cut short is simply asked for again.
 *
 * Not done: moving a disk under a guest that goes on. A guest's memory does not move here, so it is
 * stopped first.
 */
import { StorageError, UsageError } from '../base/errors.ts';
import type { Nanos } from '../base/units.ts';
import type { PlantedBug } from '../world/faults.ts';
import type { World } from '../world/world.ts';
import { elsewhere, type Images } from './store/images.ts';
import type { ImageName } from './store/registry.ts';
import type { ServedImage } from './vdi/served-image.ts';

export interface HandOverParts {
  readonly world: World;
  readonly images: Images;
  readonly host: string;
  readonly plantedBug: PlantedBug;
}

/** So long the pool may take for what was acknowledged; then the image stays where it is. */
const DRAIN_NS = 30e9;

/**
 * Settles when the image is of host `to`, and whole there. Rejects with `UsageError` if a guest has
 * it as its disk, and with `StorageError` if it has lost something that nobody has accepted yet, if
 * another host has it, or if the pool does not take in time what is to be published: then it is
 * served here as before.
 */
export async function handOver(
  parts: HandOverParts,
  image: ServedImage,
  named: ImageName,
  to: string,
): Promise<void> {
  const { world, images, host, plantedBug } = parts;
  const { vdi } = image;
  if (vdi.state !== 'serving') throw notWhole(image);
  if (image.devices > 0) throw inUse(image);
  if (plantedBug === 'early-hand-over') {
    await images.registry.moveTo(vdi.id, host, to);
    await image.giveUp();
    return;
  }
  await drainWithin(world, image, DRAIN_NS);
  world.crashPoint('move.before-close');
  if (image.devices > 0) throw inUse(image);
  await image.close();
  world.crashPoint('move.after-close');
  if (!(await images.registry.moveTo(vdi.id, host, to))) throw elsewhere(vdi.id, named);
  world.crashPoint('move.after-home');
}

async function drainWithin(world: World, image: ServedImage, boundNs: number): Promise<void> {
  const isLate = await new Promise<boolean>((resolve, reject) => {
    const deadlineNs = (world.clock.nowNs() + boundNs) as Nanos;
    const timer = world.timers.at(deadlineNs, () => resolve(true));
    const drained = image.drain().finally(() => world.timers.cancel(timer));
    drained.then(() => resolve(false), reject);
  });
  if (!isLate) return;
  const { name, trouble } = image.status();
  const why = trouble === null ? '' : `: ${trouble}`;
  const text =
    `what ${name} had acknowledged is not published within ${boundNs / 1e9} s${why}. It stays ` +
    'where it is, and is served; see to the pool, then move it again';
  throw new StorageError('E_MOVE_LATE', text, { fields: { image: name } });
}

function notWhole({ vdi: { name, state } }: ServedImage): StorageError {
  const text =
    `image ${name} is ${state}: of what it had acknowledged not all is there. Accept that by ` +
    `stordom vdi accept-loss ${name}, then move it`;
  return new StorageError('E_IMAGE_LOST', text, { fields: { image: name, state } });
}

function inUse({ vdi: { name } }: ServedImage): UsageError {
  const text = `image ${name} is a guest's disk: stop the guest, or its export, then move it`;
  return new UsageError('E_IMAGE_IN_USE', text, { fields: { image: name } });
}
