/**
 * The names of a store's images against their entries and their root blocks.
 *
 * A store may be in use while it is looked at, so what seems wrong is looked at again at the end:
 * only what is still wrong then is told.
 */
import { StorageError } from '../../base/errors.ts';
import type { Directory } from '../../world/directory.ts';
import { type ImageName, Registry } from '../store/registry.ts';
import type { Findings } from './findings.ts';

export interface FoundNames {
  /** By number. */
  readonly images: ReadonlyMap<number, ImageName>;
  /** The highest number that was given; 0: none, or the counter is damaged. */
  readonly lastNumber: number;
  /** What is wrong, by a key that a second look can be compared with. */
  readonly troubles: ReadonlyMap<string, Trouble>;
}

interface Trouble {
  readonly code: 'image-counter' | 'image-entry' | 'name-entry';
  readonly where: string;
  readonly what: string;
}

export async function readNames(directory: Directory, store: string): Promise<FoundNames> {
  const registry = new Registry(directory, store);
  const images = new Map<number, ImageName>();
  const troubles = new Map<string, Trouble>();
  const tell = (code: Trouble['code'], where: string, what: string): void => {
    troubles.set(`${code} ${where}`, { code, where, what });
  };
  const imagePrefix = `image/${store}/`;
  for (const { key } of await directory.list(imagePrefix)) {
    const vdi = Number(key.slice(imagePrefix.length));
    const image = await told(registry.get(vdi), (what) => tell('image-entry', key, what));
    if (image !== null) images.set(vdi, image);
  }
  const namePrefix = `name/${store}/`;
  const named = new Map<string, number>();
  for (const { key } of await directory.list(namePrefix)) {
    const name = key.slice(namePrefix.length);
    const image = await told(registry.find(name), (what) => tell('name-entry', key, what));
    if (troubles.has(`name-entry ${key}`)) continue;
    if (image === null) tell('name-entry', key, 'it leads to an image that has no entry');
    else if (image.name !== name) {
      tell('name-entry', key, `it leads to image ${image.vdi}, whose name is ${image.name}`);
    } else named.set(name, image.vdi);
  }
  for (const { vdi, name } of images.values()) {
    if (named.get(name) === vdi) continue;
    const what = `image ${vdi} is called ${name}, but that name does not lead to it`;
    tell('image-entry', `${imagePrefix}${vdi}`, what);
  }
  const counterKey = `images/${store}`;
  const last = await told(registry.lastNumber(), (what) => tell('image-counter', counterKey, what));
  const highest = Math.max(0, ...images.keys());
  if (last !== null && highest > last) {
    const what = `it says that ${last} numbers were given, but there is an image ${highest}`;
    tell('image-counter', counterKey, what);
  }
  return { images, lastNumber: last ?? 0, troubles };
}

/** Tells what two looks have both found. */
export function tellNames(findings: Findings, one: FoundNames, other: FoundNames): void {
  for (const [key, { code, where, what }] of one.troubles) {
    if (other.troubles.has(key)) findings.add(code, where, what);
  }
}

/** Damage is told and gives null; a directory that does not answer ends the check. */
async function told<T>(asked: Promise<T>, tell: (what: string) => void): Promise<T | null> {
  try {
    return await asked;
  } catch (thrown) {
    if (!(thrown instanceof StorageError) || thrown.code === 'E_DIRECTORY') throw thrown;
    tell(thrown.message);
    return null;
  }
}
