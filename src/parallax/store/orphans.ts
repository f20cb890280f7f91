/**
 * Orphan suffixes: what a lost host had acknowledged and not published, kept as an image of its own
 * when the host's log comes back.
 *
 * ```
 * pin      a take-over keeps the root that it found, and the uuid of the log that went on there
 * return   the host with that log starts again, and the log has mutations behind the pinned root
 * number   one is given to the orphan, for ever the same for this pin: directory, one transaction
 * root     the pinned root, with the watermark of the pin: written once, under that number
 * name     NAME.orphan-<generation of the lost life>: from here on it is an image
 * publish  the mutations enter it from the log, by their numbers, and destage publishes them
 * claim    by command it is kept or dropped, and the pin goes; the log may forget the suffix
 * ```
 * A host that was cut off and never died has the suffix in memory too: if it takes the image back
 * itself, the orphan is made then, of what is there, because the image goes on with the same log
 * and would have it forget (`live-suffix.ts`).
 *
 * Each step finds what an earlier try has left and does only what is missing, so a host that dies
 * in any of them makes the same orphan, once, when it starts again. What it promises: under the
 * orphan's name there is the pinned root with a prefix of the suffix, never less than a start had
 * published before, and in the end all of it.
 */
import { StorageError, UsageError } from '../../base/errors.ts';
import type { World } from '../../world/world.ts';
import type { HiddenRoot } from '../formats/root-block.ts';
import { inspectLog } from '../log/recovery.ts';
import type { Images, Pin } from './images.ts';
import type { ImageName } from './registry.ts';

const NAME_MAX = 63;
const NAMES_TRIED = 20;

/** Whether a mutation in the log of a hidden root is of the suffix that follows that one. */
export function isOfSuffix(
  { generation, vdiSeq, suffix }: HiddenRoot,
  entry: { readonly generation: number; readonly vdiSeq: number },
): boolean {
  if (suffix === null) return false;
  const isOfLife = entry.generation >= suffix.logSince && entry.generation <= generation;
  return isOfLife && entry.vdiSeq > vdiSeq;
}

/** The image that the suffix of a pin has become; null: it has not. */
export async function findOrphan(images: Images, pin: Pin): Promise<ImageName | null> {
  const { registry } = images;
  const vdi = await registry.findOrphan(pin.image.vdi, pin.hidden.generation);
  return vdi === null ? null : registry.get(vdi);
}

/**
 * Makes the image of a suffix, if it is not there and the log on the disks of `world` has something
 * of it; null: there was nothing to do.
 */
export async function makeOrphan(
  world: World,
  images: Images,
  pin: Pin,
  host: string,
): Promise<ImageName | null> {
  if ((await findOrphan(images, pin)) !== null) return null;
  let isThere = false;
  await inspectLog(world, (entry) => {
    isThere ||= entry.vdi === pin.image.vdi && isOfSuffix(pin.hidden, entry);
  });
  return isThere ? await makeImage(world, images, pin, host) : null;
}

/** The image of a suffix that is known to be there; one that an earlier try has made is taken. */
export async function orphanOf(
  world: World,
  images: Images,
  pin: Pin,
  host: string,
): Promise<ImageName> {
  return (await findOrphan(images, pin)) ?? (await makeImage(world, images, pin, host));
}

async function makeImage(world: World, images: Images, pin: Pin, host: string): Promise<ImageName> {
  const vdi = await images.registry.orphanNumber(pin.image.vdi, pin.hidden.generation);
  await images.makeOrphan(pin, vdi);
  return nameOrphan(world, images, pin, { vdi, host });
}

async function nameOrphan(
  world: World,
  images: Images,
  pin: Pin,
  orphan: Pick<ImageName, 'vdi' | 'host'>,
): Promise<ImageName> {
  const end = `.orphan-${pin.hidden.generation}`;
  const createdMs = world.wallMs();
  for (let tries = 1; tries <= NAMES_TRIED; tries++) {
    const tail = tries === 1 ? end : `${end}-${tries}`;
    const name = `${pin.image.name.slice(0, NAME_MAX - tail.length)}${tail}`;
    const image = { ...orphan, name, createdMs };
    try {
      await images.registry.add(image);
      return image;
    } catch (thrown) {
      if (!(thrown instanceof UsageError) || thrown.code !== 'E_NAME_TAKEN') throw thrown;
    }
  }
  throw new StorageError(
    'E_ORPHAN_NAMES',
    `the suffix of ${pin.image.name} cannot be named: ${NAMES_TRIED} names that begin with ` +
      `${pin.image.name}${end} are taken; rename or remove one of them`,
    { fields: { image: pin.image.name } },
  );
}
