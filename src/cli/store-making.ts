/** The flags of commands that make a store where there is none, and what they do. */
import type { Command } from 'commander';
import { formatBytesExact } from '../base/format-units.ts';
import { readCount } from './flags.ts';
import { PETAL_SERVERS_MAX } from './petal-folder.ts';
import { hasStore, StoreFolder, type StoreUser } from './store-folder.ts';

export interface MakingFlags {
  readonly store: string;
  /** Keep the blocks of a new store on so many Petal servers. */
  readonly petal?: number;
}

const STORE_BYTES: number = 2 ** 40;
/**
 * A new server writes what it says of each chunk of its disk, a thirtieth of the disk, and reads
 * that whenever it starts: more room makes every command slower.
 */
const PETAL_STORE_BYTES: number = 4 * 2 ** 30;
const SIZES = [STORE_BYTES, PETAL_STORE_BYTES].map(formatBytesExact);
export const DEFAULT_SIZES_TEXT: string = SIZES.join(', and with --petal ');

export function readServers(text: string): number {
  return readCount('--petal', { from: 2, to: PETAL_SERVERS_MAX })(text);
}

export function addPetalFlag(command: Command): Command {
  return command.option(
    '--petal <n>',
    'keep the blocks of a new store on so many Petal servers, each twice, instead of in a file',
    readServers,
  );
}

/** Makes a store in a new or empty folder. */
export function createStoreIn(
  { store, petal = null }: { readonly store: string; readonly petal?: number | null },
  user: StoreUser,
  sizeBytes: number = petal === null ? STORE_BYTES : PETAL_STORE_BYTES,
): Promise<StoreFolder> {
  return StoreFolder.create(store, { sizeBytes, petal }, user);
}

/** Opens the store of a folder, or makes one if the folder is new or empty, and says so. */
export async function openOrCreate(flags: MakingFlags, user: StoreUser): Promise<StoreFolder> {
  if (!(await hasStore(flags.store))) {
    const store = await createStoreIn(flags, user);
    user.onNote(`${store.path} is a new store`);
    return store;
  }
  return openOn(flags, user);
}

/** Opens a store; `--petal`, if it is given, must be what the store is on. */
export async function openOn({ store, petal }: MakingFlags, user: StoreUser): Promise<StoreFolder> {
  const folder = await StoreFolder.open(store, user);
  try {
    if (petal !== undefined) folder.checkServers(petal);
    return folder;
  } catch (thrown) {
    await folder.close();
    throw thrown;
  }
}
