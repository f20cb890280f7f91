/**
 * Numbers of front ends, none of which a host of a store ever uses twice.
 *
 * The log knows a mutation that is sent again by the number of its front end and its number there.
 * A server that began with 1 at each start would send, as new, what the log has from a client of
 * the server before: it would be answered and not done. So the next number lies in the directory,
 * `fronts/<store>/<host>`, and is raised before one is used.
 */
import { StorageError } from '../base/errors.ts';
import type { Directory } from '../world/directory.ts';

const FORMAT = 1;
const TRIES = 16;

/** Reserves `count` numbers, one after the other; gives the first. */
export async function reserveFrontIds(
  directory: Directory,
  store: string,
  host: string,
  count: number,
): Promise<number> {
  const key = `fronts/${store}/${host}`;
  for (let tries = 0; tries < TRIES; tries++) {
    const entry = await directory.get(key);
    const next = entry === null ? 1 : decode(key, entry.value);
    const value = Buffer.from(JSON.stringify({ v: FORMAT, next: next + count }));
    const version = entry?.version ?? 0;
    if (await directory.txn([{ key, version }], [{ key, value }])) return next;
  }
  throw new StorageError('E_DIRECTORY_BUSY', `entry ${key} of the directory changes all the time`);
}

function decode(key: string, value: Uint8Array): number {
  try {
    const { v, next } = JSON.parse(Buffer.from(value).toString()) as { v: unknown; next: unknown };
    if (v === FORMAT && Number.isSafeInteger(next)) return next as number;
  } catch {
    // Told below.
  }
  const text = `entry ${key} of the directory is damaged, or of a newer release: it has no number`;
  throw new StorageError('E_DIRECTORY_DAMAGED', text, { fields: { key } });
}
