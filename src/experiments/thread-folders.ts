/** Where a run of threads keeps what: the folders of hosts, of the store, of the pool's servers. */
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isParallaxDisk } from '../parallax/disk-names.ts';
import { serverNames } from './petal-scenario.ts';
import { diskName, type Scenario } from './scenario.ts';

const DIRECTORY_FILE = 'directory.lmdb';

/** Makes what is not there. */
export async function makeFolders(scenario: Scenario, folder: string): Promise<void> {
  const folders = scenario.hosts.map((host) => diskFolder(folder, host));
  if (scenario.store !== undefined) folders.push(poolFolder(folder));
  for (const name of serversOf(scenario)) folders.push(serverFolder(folder, name));
  for (const path of folders) await mkdir(path, { recursive: true });
}

export function directoryFile(folder: string): string {
  return join(storeFolder(folder), DIRECTORY_FILE);
}

/** Where the store of a run is: its pool in a folder of its own, its directory in a file. */
export function storeFolder(folder: string): string {
  return join(folder, 'store');
}

export function poolFolder(folder: string): string {
  return join(storeFolder(folder), 'pool');
}

/** Where the disks of a server of the pool are. */
export function serverFolder(folder: string, server: string): string {
  return join(storeFolder(folder), server);
}

/** Servers of the pool that the store is in, if it has one. */
export function serversOf({ store }: Scenario): readonly string[] {
  return store?.petal === undefined ? [] : serverNames(store.petal);
}

/** Where the disks of a host are. */
export function diskFolder(folder: string, host: string): string {
  return join(folder, host);
}

/** Only what a run makes: a folder the user named may hold other things. */
export async function removeDisks(scenario: Scenario, folder: string): Promise<void> {
  for (const { host, name } of scenario.guests) {
    await rm(join(diskFolder(folder, host), diskName(name)), { force: true });
  }
  if (scenario.store !== undefined) await removeStore(scenario, folder);
  for (const host of scenario.hosts) await removeIfEmpty(diskFolder(folder, host));
  await removeIfEmpty(folder);
}

/** The store, and what Parallax keeps on the hosts' own disks. */
async function removeStore({ hosts }: Scenario, folder: string): Promise<void> {
  await rm(storeFolder(folder), { recursive: true, force: true });
  for (const host of hosts) {
    const path = diskFolder(folder, host);
    for (const name of await readdir(path)) {
      if (isParallaxDisk(name)) await rm(join(path, name), { force: true });
    }
  }
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw thrown;
  }
}
