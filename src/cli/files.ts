/**
 * Files that commands read and write: traces in, run folders out.
 *
 * A run folder is made when everything the user gave has been checked, and only if it is new or
 * empty: nothing that is already stored is touched.
 */
import { createHash } from 'node:crypto';
import { access, mkdir, open, readdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { UsageError } from '../base/errors.ts';
import { encodeHistory } from '../experiments/history-file.ts';
import type { RunResult } from '../experiments/result.ts';
import type { Run } from '../experiments/runner.ts';
import { renderHtml } from '../report/html.ts';
import { stringifyResult } from '../report/result-file.ts';
import { renderTerminal } from '../report/terminal.ts';
import { readTrace } from '../traces/read-trace.ts';
import type { Trace, TraceFileFormat } from '../traces/trace.ts';

export interface TraceFile {
  readonly path: string;
  readonly trace: Trace;
  /** Of the file as it is stored. */
  readonly sha256: string;
  readonly storedBytes: number;
}

const GZIP_MAGIC = [0x1f, 0x8b];

/** Reads a trace of any known format, compressed by gzip or not. */
export async function readTraceFile(
  path: string,
  format: TraceFileFormat | undefined,
): Promise<TraceFile> {
  const stored = await readWhole(path);
  const packed = stored[0] === GZIP_MAGIC[0] && stored[1] === GZIP_MAGIC[1];
  const bytes = packed ? unpack(stored, path) : stored;
  const trace = readTrace(bytes, path, {
    shared: true,
    ...(format === undefined ? {} : { format }),
  });
  const sha256 = createHash('sha256').update(stored).digest('hex');
  return { path, trace, sha256, storedBytes: stored.length };
}

async function readWhole(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    throw new UsageError(
      'E_TRACE_FILE',
      `${path}: cannot be read (${code ?? String(thrown)}); expected a file with a block trace; ` +
        'correct the path, or see which formats are known with stordom trace info --help',
      { fields: { path, errno: code ?? null }, cause: thrown },
    );
  }
}

function unpack(stored: Uint8Array, path: string): Uint8Array {
  try {
    return gunzipSync(stored);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(
      'E_TRACE_GZIP',
      `${path}: damaged gzip data (${why}) in ${stored.length} bytes, expected it whole; ` +
        'copy it again or unpack what is left with gzip -dc',
      { fields: { path, storedBytes: stored.length }, cause },
    );
  }
}

/**
 * Makes the folder of a run, `given` or a new one under `runs/`, and takes it away again if nothing
 * is written to it.
 */
export async function withRunFolder<T>(
  given: string | undefined,
  name: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  const folder = resolve(given ?? join('runs', `${name}-${stamp}-${process.pid}`));
  const entries = await entriesOf(folder);
  if (entries !== null && entries > 0) {
    throw new UsageError(
      'E_OUT_NOT_EMPTY',
      `--out: ${folder} holds ${entries} files, expected a folder that is new or empty; name ` +
        'another one, or remove this one first',
      { fields: { folder, entries } },
    );
  }
  await makeFolder(folder, '--out');
  try {
    return await use(folder);
  } finally {
    if ((await entriesOf(folder)) === 0) await rmdir(folder);
  }
}

async function entriesOf(folder: string): Promise<number | null> {
  try {
    return (await readdir(folder)).length;
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new UsageError(
      'E_OUT_FOLDER',
      `--out: ${folder} cannot be used (${code ?? String(thrown)}); expected a folder of yours, ` +
        'or a name that is free; name another one',
      { fields: { folder, errno: code ?? null }, cause: thrown },
    );
  }
}

/** Refuses a file to write that is there. */
export async function mustBeFree(path: string): Promise<void> {
  try {
    await access(path);
  } catch {
    return;
  }
  throw new UsageError(
    'E_OUT_EXISTS',
    `${path}: there is a file of this name, expected a name that is free; name another one, or ` +
      'remove the file first',
    { fields: { path } },
  );
}

/** Makes a folder that a flag names. */
export async function makeFolder(folder: string, flag: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    throw new UsageError(
      'E_FOLDER',
      `${flag}: ${folder} cannot be made (${code ?? String(thrown)}); expected a place where ` +
        'this user may write; name another one',
      { fields: { folder, errno: code ?? null }, cause: thrown },
    );
  }
}

/** Writes everything a run leaves behind. */
export async function writeRunFolder(
  folder: string,
  run: Run,
  result: RunResult,
  manifest: object,
): Promise<void> {
  await writeFile(join(folder, 'result.json'), stringifyResult(result));
  await writeFile(join(folder, 'summary.txt'), renderTerminal(result));
  await writeFile(join(folder, 'report.html'), renderHtml(result, await reportAssets()));
  await writeFile(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const history = await open(join(folder, 'history.bin'), 'w');
  try {
    for (const piece of encodeHistory(run)) await history.writeFile(piece);
  } finally {
    await history.close();
  }
}

async function reportAssets(): Promise<{ script: string; style: string }> {
  const { resolve: locate } = createRequire(import.meta.url);
  return {
    script: await readFile(locate('uplot/dist/uPlot.iife.min.js'), 'utf8'),
    style: await readFile(locate('uplot/dist/uPlot.min.css'), 'utf8'),
  };
}

/**
 * Checks the file of a disk in a folder the user named: large enough, writable, and nothing but
 * zeros, because a replay begins on an empty disk and would write over what is there. No file is
 * fine: it will be made.
 */
export async function checkDiskFile(path: string, sizeBytes: number): Promise<void> {
  let sizeOfFile: number;
  try {
    const facts = await stat(path);
    if (!facts.isFile()) throw refusedDisk(path, 'is not a regular file', sizeBytes);
    sizeOfFile = facts.size;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw thrown;
  }
  if (sizeOfFile < sizeBytes) {
    throw refusedDisk(path, `has ${sizeOfFile} bytes, which is too small`, sizeBytes);
  }
  const file = await open(path, 'r+').catch((thrown: NodeJS.ErrnoException) => {
    throw refusedDisk(path, `cannot be opened for writing (${thrown.code})`, sizeBytes);
  });
  try {
    const buffer = new Uint8Array(2 ** 20);
    for (let at = 0; at < sizeBytes; at += buffer.length) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, sizeBytes - at), at);
      const found = buffer.subarray(0, bytesRead).findIndex((byte) => byte !== 0);
      if (found >= 0) throw refusedDisk(path, `holds data at byte ${at + found}`, sizeBytes);
    }
  } finally {
    await file.close();
  }
}

function refusedDisk(path: string, why: string, sizeBytes: number): UsageError {
  return new UsageError(
    'E_DISK_FILE',
    `--disks: ${path} ${why}; expected no file, or a writable one of at least ${sizeBytes} bytes ` +
      'with nothing but zeros; remove it, or name another folder',
    { fields: { path, sizeBytes } },
  );
}
