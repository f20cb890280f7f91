/** How much RAM the hosts of a scenario need, so that whoever makes one need not guess. */
import { PAGE_BYTES, SECTOR_BYTES } from '../base/units.ts';
import { ramBytes } from '../parallax/vdi/sizes.ts';
import { GRANT_ENTRY_BYTES } from '../ring/grant-table.ts';
import type { Fault } from '../world/faults.ts';
import { GUEST_GRANT_ENTRIES, type GuestScenario, type StoreScenario } from './scenario.ts';

/** RAM comes in pieces of this size. */
const GRANULE_BYTES = 65_536;
/** Frame 0, the directory, event pages, grant tables of driver VMs, and what rounding takes. */
const SPARE_BYTES = 2 ** 20;

export interface HostLoad {
  readonly guests: readonly GuestScenario[];
  readonly driverHeapBytes: number;
  /** Of the images that its driver VM serves; none unless said. */
  readonly store?: StoreScenario;
  readonly faults: readonly Fault[];
}

/** Bytes for the host that needs most; all hosts of a scenario have the same. */
export function hostMemoryBytes(hosts: readonly string[], load: HostLoad): number {
  const most = Math.max(...hosts.map((host) => bytesOf(host, load)));
  return Math.ceil(most / GRANULE_BYTES) * GRANULE_BYTES;
}

function bytesOf(host: string, { guests, driverHeapBytes, store, faults }: HostLoad): number {
  const heapBytes = driverHeapBytes + (store === undefined ? 0 : ramBytes(store.sizes));
  const kills = faults.filter((fault) => fault.kind === 'kill-driver' && fault.host === host);
  // A dead driver VM keeps its frames until every guest has met its successor, which may die first.
  const drivers = kills.length + 2;
  let bytes = SPARE_BYTES + drivers * (heapBytes + 4 * PAGE_BYTES);
  for (const guest of guests) {
    if (guest.host !== host && !mayGet(host, guest, faults)) continue;
    bytes += guest.heapBytes + GUEST_GRANT_ENTRIES * GRANT_ENTRY_BYTES + 4 * PAGE_BYTES;
    if (guest.device === 'memory') bytes += guest.diskSectors * SECTOR_BYTES + 2 * PAGE_BYTES;
  }
  return bytes;
}

/** Whether the guest may go on there, because its own host is lost. */
function mayGet(host: string, guest: GuestScenario, faults: readonly Fault[]): boolean {
  return faults.some(
    (fault) =>
      (fault.kind === 'take-over' || fault.kind === 'move' || fault.kind === 'host-loss') &&
      fault.host === guest.host &&
      fault.by === host,
  );
}
