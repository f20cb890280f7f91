/** A client of a pool whose servers are processes: its virtual disk as a `BlockPool`. */
import { randomInt } from 'node:crypto';
import { openPetalPool } from '../driver-vm/petal-opener.ts';
import { attach } from '../parallax/pool/attach.ts';
import {
  DEFAULT_PETAL_POOL_OPTIONS,
  type PetalPool,
  type PetalPoolOptions,
} from '../petal-backend/client/petal-pool.ts';
import { FrameNet } from '../petal-backend/wire/link-net.ts';
import { DirectoryClient } from '../world/directory-client.ts';
import { startClock } from '../world/real/clock.ts';
import { type RealWorld, toolstackWorld } from '../world/real/real-world.ts';
import { createHostMemory, WASM_PAGE_BYTES } from '../world/real/wasm-memory.ts';
import { type PetalFolder, POOL_NAME, VDISK_NAME } from './petal-folder.ts';
import { directoryLink, poolNet } from './petal-links.ts';

export interface PetalClient {
  readonly pool: PetalPool;
  readonly world: RealWorld;
  close(): Promise<void>;
}

const SEED_END = 2 ** 32;

/** Attaches a host to the pool's virtual disk; an older attachment of it is fenced. */
export async function openPetalClient(
  folder: PetalFolder,
  host: string,
  onNote: (text: string) => void,
  options: Partial<PetalPoolOptions> = {},
): Promise<PetalClient> {
  const world = toolstackWorld({
    name: host,
    memory: createHostMemory(WASM_PAGE_BYTES),
    seed: randomInt(SEED_END),
    clockZero: startClock(),
    folder: folder.path,
    onNote,
  });
  const link = directoryLink(folder.directoryAddress, onNote);
  const directory = new DirectoryClient(link, world);
  const attachment = await attach(directory, world.digest, VDISK_NAME, host);
  const name = `${host}.${attachment.session}`;
  const incarnation = (): number => 0;
  const net = await poolNet({ folder, directory, name, incarnation, listen: null, onNote });
  const place = { pool: POOL_NAME, options: { ...DEFAULT_PETAL_POOL_OPTIONS, ...options } };
  const pool = await openPetalPool(world, new FrameNet(net, world), directory, place, attachment);
  const close = async (): Promise<void> => {
    await pool.close();
    net.close();
    await directory.close();
    await world.bury();
  };
  return { pool, world, close };
}
