/**
 * The extents of a store as the directory has them, changed in the name of one attachment.
 *
 * Every change compares the attachment with itself, so a fenced session claims nothing, gives
 * nothing back and marks nothing, whatever it still believes.
 */
import { StorageError } from '../../base/errors.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import type { Directory, DirectoryEntry } from '../../world/directory.ts';
import type { Digest } from '../../world/world.ts';
import {
  decodeExtentRecord,
  type ExtentRecord,
  encodeExtentRecord,
} from '../formats/directory-records.ts';
import { type FenceGuard, fencedError, stillAttached } from './attach.ts';
import { extentKey, extentPrefix } from './keys.ts';

export interface ListedExtent {
  readonly extent: number;
  /** null: the record is damaged, so nobody may allocate there. */
  readonly record: ExtentRecord | null;
  readonly version: number;
}

export class ExtentTable {
  readonly #directory: Directory;
  readonly #digest: Digest;
  readonly #guard: FenceGuard;

  constructor(directory: Directory, digest: Digest, guard: FenceGuard) {
    this.#directory = directory;
    this.#digest = digest;
    this.#guard = guard;
  }

  /** All extents that have a record, in the order of their numbers. */
  async list(): Promise<readonly ListedExtent[]> {
    const prefix = extentPrefix(this.#guard.attachment.store);
    const entries = await this.#directory.list(prefix);
    return entries
      .map((entry) => this.#decode(Number(entry.key.slice(prefix.length)), entry))
      .sort((one, other) => one.extent - other.extent);
  }

  async get(extent: number): Promise<ListedExtent> {
    const entry = await this.#directory.get(extentKey(this.#guard.attachment.store, extent));
    return entry === null ? { extent, record: null, version: 0 } : this.#decode(extent, entry);
  }

  /**
   * Writes the record of an extent, or removes it, if it has still that version. False: somebody
   * else has changed it. Rejects with `E_FENCED` if this attachment is over.
   */
  async change(extent: number, version: number, record: ExtentRecord | null): Promise<boolean> {
    const { attachment } = this.#guard;
    const key = extentKey(attachment.store, extent);
    const value = record === null ? null : encodeExtentRecord(this.#digest, record);
    const comparisons = [{ key, version }, stillAttached(attachment)];
    if (await this.#directory.txn(comparisons, [{ key, value }])) return true;
    if (await this.#guard.check()) throw fencedError(attachment);
    return false;
  }

  #decode(extent: number, entry: DirectoryEntry): ListedExtent {
    if (!Number.isSafeInteger(extent) || extent < 1) {
      throw new StorageError('E_DIRECTORY_DAMAGED', `"${entry.key}" names no extent`, {
        fields: { key: entry.key },
      });
    }
    const record = decodeExtentRecord(this.#digest, entry.value);
    return { extent, record: isDamage(record) ? null : record, version: entry.version };
  }
}
