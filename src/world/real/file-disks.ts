/**
 * The disks of a host: files directly in its folder.
 *
 * A disk's name is a plain file name: no `/`, no `..`, no leading dot, and the file may not be a
 * symbolic link, so that no name leads out of the folder. A new disk appears under its name only
 * when it has its full size: it is made under a name of its own (with a leading dot, which no disk
 * can have), sized (sparse), synced and then linked, and the folder entry is synced. Whoever finds
 * the name therefore finds the whole disk, also after a power cut in between.
 */
import fs, { constants } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { threadId } from 'node:worker_threads';
import { UsageError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import type { Disk, DiskOpenOptions, Disks } from '../world.ts';
import { FileDisk, forever } from './file-disk.ts';

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/;
const FILE_MODE = 0o644;

// Plain descriptors, not the FileHandle of fs/promises: a handle closes its file when it is
// collected, and its methods make a promise an operation.
const openFile: (path: string, flags: number, mode: number) => Promise<number> = promisify(fs.open);
const closeFile: (fd: number) => Promise<void> = promisify(fs.close);
const statFile: (fd: number) => Promise<fs.Stats> = promisify(fs.fstat);
const truncateFile: (fd: number, sizeBytes: number) => Promise<void> = promisify(fs.ftruncate);
const syncFile: (fd: number) => Promise<void> = promisify(fs.fsync);
const linkFile: (from: string, to: string) => Promise<void> = promisify(fs.link);
const readFolder: (path: string) => Promise<string[]> = promisify(fs.readdir);
const unlinkFile: (path: string) => Promise<void> = promisify(fs.unlink);

let createdByThread = 0;

export class FileDisks implements Disks {
  readonly #folder: string;
  readonly #onCompletion: () => void;
  readonly #disks = new Set<FileDisk>();
  readonly #openings = new Set<Promise<unknown>>();
  #dead = false;

  /** `onCompletion` is told after each completion: the actor may have work now. */
  constructor(folder: string, onCompletion: () => void) {
    this.#folder = folder;
    this.#onCompletion = onCompletion;
  }

  async open(name: string, options: DiskOpenOptions): Promise<Disk> {
    return this.#metadata(() => this.#open(name, options));
  }

  async list(): Promise<readonly string[]> {
    return this.#metadata(async () => {
      const names = await readFolder(this.#folder);
      return names.filter((name) => NAME.test(name)).sort();
    });
  }

  async remove(name: string): Promise<void> {
    checkName(name);
    const open = [...this.#disks].some((disk) => disk.name === name && !disk.closed);
    invariant(!open, 'a disk is closed before it is removed');
    return this.#metadata(async () => {
      try {
        await unlinkFile(join(this.#folder, name));
      } catch (thrown) {
        const cause = thrown as NodeJS.ErrnoException;
        if (cause.code !== 'ENOENT') throw refusal(join(this.#folder, name), cause);
      }
      await syncFolder(this.#folder);
    });
  }

  /** Runs something that an incarnation's death makes unheard of, and that `bury` waits for. */
  async #metadata<T>(run: () => Promise<T>): Promise<T> {
    if (this.#dead) return forever();
    const running = run();
    this.#openings.add(running);
    try {
      const value = await running;
      return this.#dead ? forever() : value;
    } catch (thrown) {
      if (this.#dead) return forever();
      throw thrown;
    } finally {
      this.#openings.delete(running);
      if (!this.#dead) this.#onCompletion();
    }
  }

  /** Operations in flight, opening and closing included. */
  get inFlight(): number {
    let count = this.#openings.size;
    for (const disk of this.#disks) count += disk.inFlight;
    return count;
  }

  /** The incarnation is dead: no completion reaches it; settles when all its I/O is over. */
  async bury(): Promise<void> {
    this.#dead = true;
    await Promise.allSettled([...this.#disks].map((disk) => disk.bury()));
    await Promise.allSettled(this.#openings);
    await Promise.all([...this.#disks].map((disk) => disk.bury()));
  }

  async #open(name: string, options: DiskOpenOptions): Promise<FileDisk> {
    checkName(name);
    const path = join(this.#folder, name);
    const fd = await openOrCreate(path, this.#folder, name, options);
    try {
      const sizeBytes = await checkedSize(fd, path, options);
      const disk = new FileDisk(name, path, fd, sizeBytes, options, this.#onCompletion);
      for (const old of this.#disks) if (old.closed) this.#disks.delete(old);
      this.#disks.add(disk);
      return disk;
    } catch (thrown) {
      await closeFile(fd);
      throw thrown;
    }
  }
}

function checkName(name: string): void {
  if (!NAME.test(name)) {
    throw new UsageError(
      'E_DISK_NAME',
      `"${name}" is not a name of a disk: expected letters, digits, "_", "-" and "." (not ` +
        'first), at most 200, without "/": a disk is a file directly in the folder of its host',
      { fields: { name } },
    );
  }
}

async function openOrCreate(
  path: string,
  folder: string,
  name: string,
  options: DiskOpenOptions,
): Promise<number> {
  const access = options.writable ? constants.O_RDWR : constants.O_RDONLY;
  // O_NONBLOCK: opening a named pipe that nobody writes must be refused, not wait for ever.
  const flags = access | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    return await openFile(path, flags, FILE_MODE);
  } catch (thrown) {
    const cause = thrown as NodeJS.ErrnoException;
    if (cause.code !== 'ENOENT' || options.createBytes === undefined) throw refusal(path, cause);
  }
  try {
    await createWhole(folder, name, options.createBytes);
    return await openFile(path, flags, FILE_MODE);
  } catch (thrown) {
    throw refusal(path, thrown as NodeJS.ErrnoException);
  }
}

async function createWhole(folder: string, name: string, sizeBytes: number): Promise<void> {
  invariant(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0, 'a size is a whole number');
  const unfinished = join(folder, `.${name}.new-${process.pid}-${threadId}-${createdByThread++}`);
  const fd = await openFile(
    unfinished,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
    FILE_MODE,
  );
  try {
    try {
      await truncateFile(fd, sizeBytes);
      await syncFile(fd);
    } finally {
      await closeFile(fd);
    }
    // Another thread may have made the disk meanwhile; then its disk is the one.
    await linkFile(unfinished, join(folder, name)).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST') throw cause;
    });
  } finally {
    await unlinkFile(unfinished);
  }
  await syncFolder(folder);
}

async function syncFolder(folder: string): Promise<void> {
  const fd = await openFile(folder, constants.O_RDONLY | constants.O_DIRECTORY, 0);
  try {
    await syncFile(fd);
  } finally {
    await closeFile(fd);
  }
}

async function checkedSize(fd: number, path: string, options: DiskOpenOptions): Promise<number> {
  const stats = await statFile(fd);
  if (!stats.isFile()) throw notAFile(path);
  const wantedBytes = options.createBytes ?? 0;
  if (stats.size < wantedBytes) {
    throw new UsageError(
      'E_DISK_TOO_SMALL',
      `${path} has ${stats.size} bytes, expected at least ${wantedBytes}: ask for a smaller ` +
        `disk, grow the file (truncate -s ${wantedBytes} FILE), or remove it to have a new one ` +
        'made',
      { fields: { path, sizeBytes: stats.size, wantedBytes } },
    );
  }
  return stats.size;
}

function notAFile(path: string, cause?: unknown): UsageError {
  return new UsageError(
    'E_DISK_NOT_A_FILE',
    `${path} is not a regular file (a folder, a link or a device): expected the file of a disk; ` +
      'move it away or name another disk',
    { fields: { path }, cause },
  );
}

function refusal(path: string, cause: NodeJS.ErrnoException): UsageError {
  const fields = { path, errno: cause.code ?? 'unknown' };
  switch (cause.code ?? '') {
    case 'ENOENT':
      return new UsageError(
        'E_DISK_MISSING',
        `${path} is missing: expected the file of a disk; create the disk first, or correct its ` +
          'name or the folder of the host',
        { fields, cause },
      );
    case 'EISDIR':
    case 'ELOOP':
    case 'ENXIO':
      return notAFile(path, cause);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new UsageError(
        'E_DISK_NOT_WRITABLE',
        `${path} may not be opened (${cause.code}): expected a file that this user may read and, ` +
          'unless the disk is read-only, write; change its mode or its owner',
        { fields, cause },
      );
    default:
      return new UsageError(
        'E_DISK_OPEN',
        `${path} cannot be opened (${cause.message}): expected a readable file with room for the ` +
          'disk on its file system',
        { fields, cause },
      );
  }
}
