/**
 * Names of snapshots between their taking and their publishing.
 *
 * A snapshot's record in the log has its number only. Its name waits in the directory, written
 * before the record, so that a recovery finds it: `snapshot/<store>/<image>/<number>`. What a root
 * has published is removed now and then; a name that is left over does nothing.
 */
import { StorageError } from '../../base/errors.ts';
import { decodeUtf8, encodeUtf8 } from '../../base/formats/utf8.ts';
import type { Directory } from '../../world/directory.ts';

export class SnapshotNames {
  readonly #directory: Directory;
  readonly #store: string;

  constructor(directory: Directory, store: string) {
    this.#directory = directory;
    this.#store = store;
  }

  /** Keeps a name; a snapshot that was given up before may have left another one there. */
  async put(vdi: number, id: number, name: string): Promise<void> {
    const key = this.#key(vdi, id);
    const value = encodeUtf8(name);
    if (value === null) throw new StorageError('E_SNAPSHOT_NAME', 'a name is Unicode');
    const there = await this.#directory.get(key);
    const made = await this.#directory.txn(
      [{ key, version: there?.version ?? 0 }],
      [{ key, value }],
    );
    if (!made) {
      throw new StorageError('E_BUSY', `another snapshot ${id} of image ${vdi} is being taken`);
    }
  }

  /** All names, by `<image>/<number>`. */
  async all(): Promise<ReadonlyMap<string, string>> {
    const prefix = `snapshot/${this.#store}/`;
    const entries = await this.#directory.list(prefix);
    return new Map(
      entries.map(({ key, value }) => {
        const name = decodeUtf8(value, 0, value.length) ?? key;
        return [key.slice(prefix.length), name];
      }),
    );
  }

  /** The snapshots of an image up to this one are published. */
  async dropThrough(vdi: number, id: number): Promise<void> {
    const prefix = `snapshot/${this.#store}/${vdi}/`;
    for (const { key } of await this.#directory.list(prefix)) {
      if (Number(key.slice(prefix.length)) > id) continue;
      await this.#directory.txn([], [{ key, value: null }]);
    }
  }

  #key(vdi: number, id: number): string {
    return `snapshot/${this.#store}/${vdi}/${id}`;
  }
}
