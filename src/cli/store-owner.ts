/**
 * Who may change the store in a folder: one process at a time.
 *
 * The claim is an entry of the store's directory, `owner/<store>`: it is made, taken over and given
 * back by transactions that compare its version, so of two processes that find the same dead owner
 * one wins, and no file is left lying about to be removed by hand. An owner is dead when the
 * process of that number does not run or was started at another time than the claim says.
 *
 * The claim is a courtesy that makes clear errors; data does not depend on it. Who attaches to a
 * store fences an older attachment of the same host, and a generation is raised before anything is
 * published. So it does not matter that a process of another container is not seen from here.
 */
import { StorageError, UsageError } from '../base/errors.ts';
import { present } from '../base/invariant.ts';
import type { Directory, DirectoryEntry } from '../world/directory.ts';
import { identityOf, isRunning } from '../world/real/process-identity.ts';

export interface OwnerRecord {
  readonly pid: number;
  readonly started: string;
  /** What it was started as, for people: `stordom vdi import`. */
  readonly command: string;
  /** It serves the store to others, and does not end by itself. */
  readonly serves: boolean;
}

export interface OwnerClaim {
  readonly command: string;
  readonly serves: boolean;
  /** How long to wait for another command that has the store. */
  readonly patienceMs: number;
}

const FORMAT = 1;
const LOOK_AGAIN_MS = 50;

export class StoreOwner {
  readonly #directory: Directory;
  readonly #key: string;
  readonly #version: number;

  /**
   * Claims the store for this process. While another command has it, tries again for `patienceMs`:
   * most are short. Throws `UsageError` with the owner's number after that, and at once if the
   * owner serves the store.
   */
  static async claim(
    directory: Directory,
    store: string,
    { command, serves, patienceMs }: OwnerClaim,
  ): Promise<StoreOwner> {
    const key = ownerKey(store);
    const self = present(identityOf(process.pid), 'this process runs');
    const value = Buffer.from(JSON.stringify({ v: FORMAT, ...self, command, serves }));
    const untilMs = Date.now() + patienceMs;
    for (;;) {
      const entry = await directory.get(key);
      const owner = entry === null ? null : livingOwner(entry);
      if (owner === null) {
        const version = entry?.version ?? 0;
        if (await directory.txn([{ key, version }], [{ key, value }])) {
          const made = await directory.get(key);
          return new StoreOwner(directory, key, made?.version ?? 0);
        }
      } else if (owner.serves || Date.now() >= untilMs) {
        throw inUse(owner);
      } else {
        await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
      }
    }
  }

  /** The process that has the store now; null if it is stopped. */
  static async find(directory: Directory, store: string): Promise<OwnerRecord | null> {
    const entry = await directory.get(ownerKey(store));
    return entry === null ? null : livingOwner(entry);
  }

  private constructor(directory: Directory, key: string, version: number) {
    this.#directory = directory;
    this.#key = key;
    this.#version = version;
  }

  /** Gives the store back. */
  async release(): Promise<void> {
    const own = { key: this.#key, version: this.#version };
    await this.#directory.txn([own], [{ key: this.#key, value: null }]);
  }
}

function ownerKey(store: string): string {
  return `owner/${store}`;
}

function livingOwner(entry: DirectoryEntry): OwnerRecord | null {
  const owner = decode(entry);
  return isRunning(owner) ? owner : null;
}

function decode({ key, value }: DirectoryEntry): OwnerRecord {
  let fields: Partial<OwnerRecord & { v: number }> = {};
  try {
    fields = JSON.parse(Buffer.from(value).toString()) as typeof fields;
  } catch {
    // Told below, with whatever else it is not.
  }
  const { v, pid, started, command, serves } = fields;
  if (typeof v === 'number' && v > FORMAT) {
    const text = `entry ${key} of the directory has format ${v}, newer than ${FORMAT}`;
    throw new UsageError('E_STORE_VERSION', `${text}: use a newer release`, { fields: { key } });
  }
  const named = typeof pid === 'number' && typeof started === 'string';
  if (!named || typeof command !== 'string' || typeof serves !== 'boolean') {
    const text = `entry ${key} of the directory is damaged: it names no owner`;
    throw new StorageError('E_DIRECTORY_DAMAGED', text, { fields: { key } });
  }
  return { pid, started, command, serves };
}

function inUse({ pid, command }: OwnerRecord): UsageError {
  return new UsageError(
    'E_STORE_IN_USE',
    `--store: process ${pid} (${command}) has this store open, and one process at a time may ` +
      'change it; wait until it has ended, or end it',
    { fields: { pid, command } },
  );
}
