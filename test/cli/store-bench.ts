/** Stores to run commands on, and what can happen to them. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Prng } from '../../src/base/prng.ts';
import { PAGE_BYTES } from '../../src/base/units.ts';
import { StoreFolder } from '../../src/cli/store-folder.ts';
import { SEGMENT_HEADER_BYTES } from '../../src/parallax/formats/segment-header.ts';
import { parseLogName, segmentName } from '../../src/parallax/log/log-names.ts';

const NOBODY = { command: 'a test', serves: false, patienceMs: 0, onNote: () => {} };
const WORKER = fileURLToPath(new URL('./fixtures/store-worker.js', import.meta.url));

/** Blocks of random bytes and, four of five, of zeros. */
export function rawImage(seed: number, blocks: number): Uint8Array {
  const random = new Prng(seed, 'raw-image');
  const bytes = new Uint8Array(blocks * PAGE_BYTES);
  for (let block = 0; block < blocks; block++) {
    if (random.below(5) > 0) continue;
    const words = new Uint32Array(bytes.buffer, block * PAGE_BYTES, PAGE_BYTES / 4);
    for (let i = 0; i < words.length; i++) words[i] = random.nextU32() | 1;
  }
  return bytes;
}

/** As ava's `deepEqual`, in a moment also for large ones. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** Blocks that are not zeros. */
export function dataBlocks(bytes: Uint8Array): number {
  let blocks = 0;
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    if (bytes.subarray(at, at + PAGE_BYTES).some((byte) => byte !== 0)) blocks++;
  }
  return blocks;
}

/**
 * A driver VM of that host acknowledges 64 blocks of `fill` to each image, and is killed before it
 * has published them.
 */
export async function writeAndDie(
  store: string,
  host: string,
  fill: number,
  images: readonly string[],
): Promise<void> {
  const args = [WORKER, 'write', store, host, String(fill), ...images];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const signal = await new Promise((resolve) => {
    child.on('close', (_, by) => resolve(by));
  });
  if (signal !== 'SIGKILL') throw new Error('the driver VM ended by itself');
}

/** A process that serves the store; settles when it has claimed it. */
export async function holdStore(
  store: string,
): Promise<{ pid: number; kill: () => Promise<void> }> {
  const child = spawn(process.execPath, [WORKER, 'hold', store]);
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('close', () => reject(new Error('it did not claim the store')));
  });
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  const kill = (): Promise<void> => {
    child.kill('SIGKILL');
    return closed;
  };
  return { pid: child.pid ?? 0, kill };
}

/** Changes a byte of the root block of an image. */
export async function damageRoot(store: string, vdi: number): Promise<void> {
  const folder = await StoreFolder.open(store, NOBODY);
  const view = await folder.view();
  const { data, version } = await view.pool.readConditional(vdi);
  data[100] = (data[100] as number) ^ 1;
  await view.pool.writeIf(vdi, version, data);
  await view.close();
  await folder.close();
}

/** Lets go what an image has pinned, as a claim does that is cut short afterwards. */
export async function dropPin(store: string, vdi: number, generation: number): Promise<void> {
  const folder = await StoreFolder.open(store, NOBODY);
  const view = await folder.view();
  await view.images.releasePin(vdi, generation);
  await view.close();
  await folder.close();
}

/**
 * Changes a byte of the `group`th group (from 0) that the newest driver VM of a host has logged.
 */
export function corruptLog(store: string, host: string, group: number): void {
  const folder = join(store, 'hosts', host);
  const incarnations = readdirSync(folder).map((name) => parseLogName(name)?.incarnation ?? 0);
  const fd = openSync(join(folder, segmentName(Math.max(...incarnations), 1)), 'r+');
  // A group of one write of a block has 8 KiB: its header, the payload, and tables from byte 4160
  // on.
  const position = SEGMENT_HEADER_BYTES + group * 2 * PAGE_BYTES + PAGE_BYTES + 100;
  const byte = new Uint8Array(1);
  readSync(fd, byte, 0, 1, position);
  byte[0] = (byte[0] as number) ^ 0xff;
  writeSync(fd, byte, 0, 1, position);
  closeSync(fd);
}
