/**
 * Another size for an image while it is served: `stordom ctl resize`.
 *
 * Clients are told the size of an export when they choose it, and hear of no other one until they
 * connect again: the protocol has no message for it. So a bigger size is for those who come later,
 * and a smaller one is refused while somebody has been told more.
 *
 * A smaller size is told to new clients first, so that none can slip in who reaches beyond it; then
 * requests of clients that have left are waited for; then the image is made smaller. A bigger one
 * is told when the image has it.
 */
import { StorageError, UsageError } from '../base/errors.ts';
import { formatBytesExact } from '../base/format-units.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../base/units.ts';
import type { NbdServer } from '../exports/nbd/server.ts';
import { checkImageSize } from '../parallax/store/images.ts';
import type { PlannedExport } from './serve-exports.ts';
import type { ServeHost } from './serve-host.ts';
import { wouldShrink } from './vdi-change.ts';
import { parseImage } from './vdi-names.ts';

interface ResizeParts {
  readonly host: ServeHost;
  readonly server: NbdServer;
  readonly exports: readonly PlannedExport[];
}

export interface Resized {
  readonly image: string;
  readonly sizeBytes: number;
  readonly sizeBytesBefore: number;
  /** Clients that know another size. */
  readonly connected: number;
}

const IDLE_POLL_NS = 10e6;
const IDLE_POLLS = 500;

export async function resizeServed(
  parts: ResizeParts,
  given: string,
  sizeBytes: number,
  mayShrink: boolean,
): Promise<Resized> {
  const image = parseImage(given);
  checkImageSize(sizeBytes / PAGE_BYTES);
  const served = parts.exports.filter((one) => one.image === image && !one.isClone);
  const [first] = served;
  if (first === undefined) throw notServed(image);
  const sizeBytesBefore = first.sizeBlocks * PAGE_BYTES;
  const resize = (): Promise<void> => parts.host.resize(image, sizeBytes / SECTOR_BYTES);
  if (sizeBytes >= sizeBytesBefore) {
    await resize();
    offer(served, sizeBytes);
  } else {
    if (!mayShrink) throw wouldShrink(image, sizeBytesBefore, sizeBytes);
    requireNobodyBeyond(parts.server, served, image, sizeBytes);
    offer(served, sizeBytes);
    try {
      await untilIdle(parts.host, served, image);
      await resize();
    } catch (thrown) {
      offer(served, (await sizeOf(parts.host, image)) ?? sizeBytes);
      throw thrown;
    }
  }
  const others = told(parts.server, served).filter((bytes) => bytes !== sizeBytes);
  return { image, sizeBytes, sizeBytesBefore, connected: others.length };
}

function offer(served: readonly PlannedExport[], sizeBytes: number): void {
  for (const one of served) one.sizeBlocks = sizeBytes / PAGE_BYTES;
}

/** What each connected client of these exports was told. */
function told(server: NbdServer, served: readonly PlannedExport[]): number[] {
  const names = new Set(served.map(({ wanted }) => wanted.name));
  const clients = server.connections().filter(({ exportName }) => names.has(exportName ?? ''));
  return clients.map(({ sizeBytes }) => sizeBytes);
}

function requireNobodyBeyond(
  server: NbdServer,
  served: readonly PlannedExport[],
  image: string,
  sizeBytes: number,
): void {
  const count = told(server, served).filter((bytes) => bytes > sizeBytes).length;
  if (count === 0) return;
  const text =
    `${image}: clients that are connected and were told a bigger size than ` +
    `${formatBytesExact(sizeBytes)}: ${count}; disconnect them first`;
  throw new UsageError('E_SIZE_IN_USE', text, { fields: { image, sizeBytes, clients: count } });
}

/** No request is on its way that came from a client before the smaller size was told. */
async function untilIdle(
  host: ServeHost,
  served: readonly PlannedExport[],
  image: string,
): Promise<void> {
  for (const { name } of served) {
    for (let polls = 0; host.inFlight(name) > 0; polls++) {
      if (polls === IDLE_POLLS) throw busy(image);
      await host.world.timers.sleep(IDLE_POLL_NS);
    }
  }
}

/** null: that cannot be said now. */
async function sizeOf(host: ServeHost, image: string): Promise<number | null> {
  const status = await host.status().catch(() => null);
  return status?.images.find(({ name }) => name === image)?.sizeBytes ?? null;
}

function notServed(image: string): UsageError {
  const text =
    `${image}: no export serves this image; stordom ctl status shows those that are served, and ` +
    'stordom vdi resize changes one when the server has ended';
  return new UsageError('E_NOT_SERVED', text, { fields: { image } });
}

function busy(image: string): StorageError {
  const text = `${image} keeps its size, for it has requests in flight; try again in a while`;
  return new StorageError('E_IMAGE_BUSY', text, { fields: { image } });
}
