/**
 * The names of a store's images: what they are called, and which host may start them.
 *
 * All of it lies in the directory, and each change is one transaction, so that two hosts never give
 * the same number or the same name. What an image holds is in its root block and not here.
 *
 * ```
 * images/<store>            the highest number given so far
 * image/<store>/<number>    {"v":1,"name","host","createdMs"}: host "" is none
 * name/<store>/<name>       {"v":1,"vdi"}
 * orphan/<store>/<number>/<generation>
 *                           {"v":1,"vdi"}: what the image's pin of that generation becomes
 * ```
 * The number is given before the root block is written, and the name after it: a crash between
 * leaves a number that nobody uses, or an image without a name, which `fsck` reports.
 */
import { StorageError, UsageError } from '../../base/errors.ts';
import { decodeUtf8, encodeUtf8 } from '../../base/formats/utf8.ts';
import type { Change, Comparison, Directory, DirectoryEntry } from '../../world/directory.ts';

export interface ImageName {
  readonly vdi: number;
  readonly name: string;
  /** The only host that may start it; empty: any. */
  readonly host: string;
  readonly createdMs: number;
}

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$/;
const FORMAT = 1;
/** Transactions that lose against another one are tried again. */
const TRIES = 20;

export class Registry {
  readonly #directory: Directory;
  readonly #store: string;

  constructor(directory: Directory, store: string) {
    this.#directory = directory;
    this.#store = store;
  }

  /** All images with a name, in the order of their numbers. */
  async list(): Promise<readonly ImageName[]> {
    const entries = await this.#directory.list(`image/${this.#store}/`);
    const images = entries.map((entry) => this.#decode(entry));
    return images.toSorted((a, b) => a.vdi - b.vdi);
  }

  async find(name: string): Promise<ImageName | null> {
    checkImageName(name);
    const entry = await this.#directory.get(this.#nameKey(name));
    if (entry === null) return null;
    const { vdi } = parse(entry);
    return typeof vdi === 'number' ? this.get(vdi) : this.#refuse(entry);
  }

  /** The image of that name. Throws `UsageError` with the nearest names if there is none. */
  async byName(name: string): Promise<ImageName> {
    const found = await this.find(name);
    if (found !== null) return found;
    const names = (await this.list()).map((image) => image.name);
    const known = names.length === 0 ? 'the store has no images' : `there are: ${names.join(', ')}`;
    throw new UsageError('E_NO_IMAGE', `there is no image "${name}"; ${known}`, {
      fields: { name },
    });
  }

  async get(vdi: number): Promise<ImageName | null> {
    const entry = await this.#directory.get(this.#imageKey(vdi));
    return entry === null ? null : this.#decode(entry);
  }

  /** The highest number that was given; 0: none was. */
  async lastNumber(): Promise<number> {
    return this.#lastOf(await this.#directory.get(this.#counterKey));
  }

  /** A number that no image of the store ever had. */
  async newNumber(): Promise<number> {
    for (let tries = 0; tries < TRIES; tries++) {
      const next = await this.#giveNumber(() => ({ comparisons: [], changes: [] }));
      if (next !== null) return next;
    }
    throw busy();
  }

  /**
   * The number of the image that a pin's suffix becomes: the same one whoever asks, however often,
   * until it is forgotten.
   */
  async orphanNumber(vdi: number, generation: number): Promise<number> {
    const key = this.#orphanKey(vdi, generation);
    for (let tries = 0; tries < TRIES; tries++) {
      const known = await this.findOrphan(vdi, generation);
      if (known !== null) return known;
      const next = await this.#giveNumber((number) => ({
        comparisons: [{ key, version: 0 }],
        changes: [{ key, value: encode({ vdi: number }) }],
      }));
      if (next !== null) return next;
    }
    throw busy();
  }

  /** null: the suffix has no number yet. */
  async findOrphan(vdi: number, generation: number): Promise<number | null> {
    const entry = await this.#directory.get(this.#orphanKey(vdi, generation));
    if (entry === null) return null;
    const { vdi: orphan } = parse(entry);
    return typeof orphan === 'number' ? orphan : this.#refuse(entry);
  }

  async forgetOrphan(vdi: number, generation: number): Promise<void> {
    await this.#directory.txn([], [{ key: this.#orphanKey(vdi, generation), value: null }]);
  }

  /** Gives the next number together with what else is to be written; null: others were faster. */
  async #giveNumber(
    also: (number: number) => {
      readonly comparisons: readonly Comparison[];
      readonly changes: readonly Change[];
    },
  ): Promise<number | null> {
    const key = this.#counterKey;
    const entry = await this.#directory.get(key);
    const next = this.#lastOf(entry) + 1;
    const { comparisons, changes } = also(next);
    const made = await this.#directory.txn(
      [{ key, version: entry?.version ?? 0 }, ...comparisons],
      [{ key, value: encode({ last: next }) }, ...changes],
    );
    return made ? next : null;
  }

  /** Names a new image. Throws `UsageError` if the name is taken. */
  async add(image: ImageName): Promise<void> {
    checkImageName(image.name);
    const nameKey = this.#nameKey(image.name);
    const imageKey = this.#imageKey(image.vdi);
    const comparisons: Comparison[] = [
      { key: nameKey, version: 0 },
      { key: imageKey, version: 0 },
    ];
    const changes: Change[] = [
      { key: nameKey, value: encode({ vdi: image.vdi }) },
      { key: imageKey, value: encodeImage(image) },
    ];
    if (await this.#directory.txn(comparisons, changes)) return;
    // A transaction whose answer was lost may have been done before.
    const there = await this.find(image.name);
    if (there?.vdi !== image.vdi) throw taken(image.name);
  }

  async rename(name: string, to: string): Promise<void> {
    checkImageName(to);
    const image = await this.byName(name);
    const old = await this.#directory.get(this.#nameKey(name));
    const entry = await this.#directory.get(this.#imageKey(image.vdi));
    if (old === null || entry === null) throw busy();
    const made = await this.#directory.txn(
      [versionOf(old), versionOf(entry), { key: this.#nameKey(to), version: 0 }],
      [
        { key: old.key, value: null },
        { key: this.#nameKey(to), value: encode({ vdi: image.vdi }) },
        { key: entry.key, value: encodeImage({ ...image, name: to }) },
      ],
    );
    if (!made) throw taken(to);
  }

  /** Lets a host start the image, if the one that may now is `from`. False: it is another one. */
  async moveTo(vdi: number, from: string, host: string): Promise<boolean> {
    const entry = await this.#directory.get(this.#imageKey(vdi));
    if (entry === null) return false;
    const image = this.#decode(entry);
    if (image.host === host) return true;
    if (image.host !== from) return false;
    const change = { key: entry.key, value: encodeImage({ ...image, host }) };
    return this.#directory.txn([versionOf(entry)], [change]);
  }

  /** The image has no name any more; removing twice does nothing. */
  async remove(vdi: number): Promise<void> {
    for (let tries = 0; tries < TRIES; tries++) {
      const entry = await this.#directory.get(this.#imageKey(vdi));
      if (entry === null) return;
      const nameKey = this.#nameKey(this.#decode(entry).name);
      const changes = [
        { key: entry.key, value: null },
        { key: nameKey, value: null },
      ];
      if (await this.#directory.txn([versionOf(entry)], changes)) return;
    }
    throw busy();
  }

  get #counterKey(): string {
    return `images/${this.#store}`;
  }

  #lastOf(entry: DirectoryEntry | null): number {
    if (entry === null) return 0;
    const { last } = parse(entry);
    return typeof last === 'number' ? last : this.#refuse(entry);
  }

  #nameKey(name: string): string {
    return `name/${this.#store}/${name}`;
  }

  #orphanKey(vdi: number, generation: number): string {
    return `orphan/${this.#store}/${vdi}/${generation}`;
  }

  #imageKey(vdi: number): string {
    return `image/${this.#store}/${String(vdi).padStart(10, '0')}`;
  }

  #decode(entry: DirectoryEntry): ImageName {
    const vdi = Number(entry.key.slice(entry.key.lastIndexOf('/') + 1));
    const { name, host, createdMs } = parse(entry);
    if (typeof name !== 'string' || typeof host !== 'string' || typeof createdMs !== 'number') {
      return this.#refuse(entry);
    }
    return { vdi, name, host, createdMs };
  }

  #refuse(entry: DirectoryEntry): never {
    throw damaged(entry.key, 'it lacks a field');
  }
}

/** Throws `UsageError` unless the text can be the name of an image or a snapshot. */
export function checkImageName(name: string): void {
  if (NAME.test(name)) return;
  throw new UsageError(
    'E_IMAGE_NAME',
    `"${name}" cannot be the name of an image: expected 1 to 63 letters, digits, ".", "_" or ` +
      '"-", beginning with a letter, a digit or "_"',
    { fields: { name } },
  );
}

function encodeImage({ name, host, createdMs }: ImageName): Uint8Array {
  return encode({ name, host, createdMs });
}

function encode(fields: Readonly<Record<string, string | number>>): Uint8Array {
  return encodeUtf8(JSON.stringify({ v: FORMAT, ...fields })) as Uint8Array;
}

function parse(entry: DirectoryEntry): Readonly<Record<string, unknown>> {
  const text = decodeUtf8(entry.value, 0, entry.value.length);
  let value: unknown = null;
  try {
    value = text === null ? null : JSON.parse(text);
  } catch {
    throw damaged(entry.key, 'it is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw damaged(entry.key, 'it is not an object');
  const fields = value as Readonly<Record<string, unknown>>;
  const version = fields['v'];
  if (typeof version === 'number' && version > FORMAT) {
    throw new StorageError(
      'E_FORMAT_NEWER',
      `entry ${entry.key} of the directory has format ${version}, newer than ${FORMAT}: ` +
        'update stordom',
    );
  }
  if (version !== FORMAT) throw damaged(entry.key, `it has format ${String(version)}`);
  return fields;
}

function versionOf({ key, version }: DirectoryEntry): Comparison {
  return { key, version };
}

function damaged(key: string, why: string): StorageError {
  const text = `entry ${key} of the directory is damaged: ${why}`;
  return new StorageError('E_DIRECTORY_DAMAGED', text, { fields: { key } });
}

function taken(name: string): UsageError {
  return new UsageError('E_NAME_TAKEN', `there is an image "${name}" already`, {
    fields: { name },
  });
}

function busy(): StorageError {
  return new StorageError('E_BUSY', 'others kept changing the names of the store: try again');
}
