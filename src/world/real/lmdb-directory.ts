/**
 * The embedded directory: a table in one lmdb file.
 *
 * Layout of the file (lmdb's own format) as this module uses it: one table, keys are the bytes of
 * the directory's keys, a value is
 *
 *   Offset  Size  Field (little-endian)
 *        0     4  magic, "SDVL"
 *        4     2  version of this format
 *        6     2  0
 *        8     8  number of the txn that wrote it, below 2^53
 *       16        the value
 *
 * and one key that no caller can have (a zero byte and "txn") holds the number of the last txn.
 *
 * Durability: lmdb is opened without `overlappingSync`, its default. With it a commit is visible,
 * and its promise settled, before it is on the disk. Without it a commit writes its pages, syncs
 * them with fdatasync, and only then writes the new meta page through a descriptor opened with
 * O_DSYNC; the promise settles after that. So there is one kind of settled, and it is durable. The
 * price is one sync a commit; lmdb makes one commit of what was asked in one turn of the loop.
 *
 * Each txn is a child of that commit: one that throws half way (a full disk) leaves nothing.
 *
 * lmdb's lock file may not be held by a thread that can be terminated: this belongs to the main
 * thread, and actors reach it over links. Hints come from this process alone.
 */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { UsageError } from '../../base/errors.ts';
import type { Change, Comparison, Directory, DirectoryEntry } from '../directory.ts';
import { checkKey, checkPrefix, checkTxn, directoryError } from '../directory-rules.ts';
import { lmdbFileProblem } from './lmdb-file-check.ts';

const MAGIC = 0x4c56_4453;
const FORMAT_VERSION = 1;
const HEADER_BYTES = 16;
const COUNTER_KEY: Buffer = Buffer.from('\0txn');
const FIRST_KEY: Buffer = Buffer.from([0x21]);

interface Watch {
  readonly prefix: string;
  readonly changed: (key: string) => void;
}

export class LmdbDirectory implements Directory {
  readonly #path: string;
  readonly #table: RootDatabase<Buffer, Buffer>;
  readonly #watches = new Set<Watch>();
  #closing: Promise<void> | null = null;

  /**
   * Opens the file, or creates it with its entry in the folder durable. `readOnly`: it is there,
   * may be in use by another process, and no `txn` is made.
   */
  constructor(path: string, readOnly: boolean = false) {
    this.#path = path;
    const problem = lmdbFileProblem(path);
    if (problem !== null) throw unusable(path, problem, undefined);
    try {
      this.#table = open<Buffer, Buffer>({
        path,
        noSubdir: true,
        readOnly,
        overlappingSync: false,
        encoding: 'binary',
        keyEncoding: 'binary',
      });
      if (!readOnly) syncFolder(dirname(path));
    } catch (cause) {
      throw unusable(path, (cause as Error).message, cause);
    }
  }

  get(key: string): Promise<DirectoryEntry | null> {
    checkKey(key);
    return this.#answer(() => {
      this.#table.resetReadTxn();
      return this.#entry(key);
    });
  }

  list(prefix: string): Promise<readonly DirectoryEntry[]> {
    checkPrefix(prefix);
    return this.#answer(() => {
      this.#table.resetReadTxn();
      const entries: DirectoryEntry[] = [];
      // One synchronous walk is one read transaction of lmdb: all of one moment.
      const start = prefix === '' ? FIRST_KEY : Buffer.from(prefix);
      for (const { key, value } of this.#table.getRange({ start })) {
        const text = key.toString('latin1');
        if (!text.startsWith(prefix)) break;
        entries.push(this.#decode(text, value));
      }
      return entries;
    });
  }

  txn(comparisons: readonly Comparison[], changes: readonly Change[]): Promise<boolean> {
    checkTxn(comparisons, changes);
    return this.#answer(async () => {
      const made = await this.#table.childTransaction(() => this.#decide(comparisons, changes));
      if (made) this.#hint(changes);
      return made;
    });
  }

  watch(prefix: string, changed: (key: string) => void): () => void {
    checkPrefix(prefix);
    const watch = { prefix, changed };
    this.#watches.add(watch);
    return () => this.#watches.delete(watch);
  }

  close(): Promise<void> {
    this.#watches.clear();
    this.#closing ??= this.#table.close();
    return this.#closing;
  }

  async #answer<T>(ask: () => T | Promise<T>): Promise<T> {
    if (this.#closing !== null) throw directoryError(`${this.#path} was closed`);
    try {
      return await ask();
    } catch (cause) {
      throw directoryError(`${this.#path} failed`, cause);
    }
  }

  /** Runs inside the transaction, which sees what the ones before it have written. */
  #decide(comparisons: readonly Comparison[], changes: readonly Change[]): boolean {
    const holds = comparisons.every(({ key, version }) => {
      return (this.#entry(key)?.version ?? 0) === version;
    });
    if (!holds) return false;
    if (changes.length === 0) return true;
    const stored = this.#table.get(COUNTER_KEY);
    const number = (stored === undefined ? 0 : this.#decode('\0txn', stored).version) + 1;
    for (const { key, value } of changes) {
      if (value === null) void this.#table.remove(Buffer.from(key));
      else void this.#table.put(Buffer.from(key), encode(number, value));
    }
    void this.#table.put(COUNTER_KEY, encode(number, new Uint8Array(0)));
    return true;
  }

  #entry(key: string): DirectoryEntry | null {
    const stored = this.#table.get(Buffer.from(key));
    return stored === undefined ? null : this.#decode(key, stored);
  }

  #decode(key: string, stored: Buffer): DirectoryEntry {
    const sound = stored.length >= HEADER_BYTES && stored.readUInt32LE(0) === MAGIC;
    const format = sound ? stored.readUInt16LE(4) : 0;
    if (!sound || format !== FORMAT_VERSION) {
      const what = sound ? `version ${format}, newer than this program reads` : 'no value of ours';
      throw new UsageError('E_DIRECTORY_FILE', `${this.#path}: "${key}" holds ${what}`, {
        fields: { path: this.#path, key },
      });
    }
    const version = stored.readUInt32LE(8) + stored.readUInt32LE(12) * 2 ** 32;
    return { key, version, value: new Uint8Array(stored.subarray(HEADER_BYTES)) };
  }

  /** In a turn of their own, so that no watcher runs inside somebody's txn. */
  #hint(changes: readonly Change[]): void {
    for (const watch of this.#watches) {
      for (const { key } of changes) {
        if (!key.startsWith(watch.prefix)) continue;
        setImmediate(() => {
          if (this.#watches.has(watch)) watch.changed(key);
        });
      }
    }
  }
}

function unusable(path: string, why: string, cause: unknown): UsageError {
  return new UsageError(
    'E_DIRECTORY_FILE',
    `${path} cannot be opened as a directory: ${why}. Expected a file that stordom made, or a ` +
      'new name in a folder that exists and can be written',
    { fields: { path }, cause },
  );
}

function encode(version: number, value: Uint8Array): Buffer {
  const stored = Buffer.alloc(HEADER_BYTES + value.length);
  stored.writeUInt32LE(MAGIC, 0);
  stored.writeUInt16LE(FORMAT_VERSION, 4);
  stored.writeUInt32LE(version % 2 ** 32, 8);
  stored.writeUInt32LE(Math.floor(version / 2 ** 32), 12);
  stored.set(value, HEADER_BYTES);
  return stored;
}

/** Makes the names in a folder durable. */
export function syncFolder(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
