/**
 * What a host keeps on its own disk, looked at without a change: the dirty log as a recovery would
 * find it, and the table of the clean slab.
 *
 * The host may be running. Its log then moves under the look: what seems wrong is looked at again
 * after a while, and only what is so at the end is told. Slots of the slab are not read: each read
 * of one compares its CRC, and what does not hold is fetched from the pool again.
 */
import { UsageError } from '../../base/errors.ts';
import { formatUuid, sameBytes } from '../../base/formats/field-bytes.ts';
import { SECTOR_BYTES } from '../../base/units.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import { diskCall } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import { ChainState } from '../formats/checkpoint.ts';
import { type LogEntry, MutationKind } from '../formats/log-group.ts';
import {
  SlabFormat,
  type SlabSuperblock,
  SUPERBLOCKS,
  slotsOf,
  TABLE_SLOTS,
  type TableEntry,
  tableBlocksOf,
} from '../formats/slab-table.ts';
import { segmentName } from '../log/log-names.ts';
import type { InspectedLog } from '../log/recovered-log.ts';
import { inspectLog } from '../log/recovery.ts';
import type { Findings } from './findings.ts';
import type { HostReport, IncarnationReport, SlabReport, UnpublishedReport } from './report.ts';

export interface HostCheckParts {
  /** Its disks are those of the host. */
  readonly world: World;
  readonly host: string;
  readonly attached: boolean;
  /** Name of the slab among the disks. */
  readonly slabDisk: string;
  /** Of the store; null: it could not be found out. */
  readonly uuid: Uint8Array | null;
  /** Published, by image. */
  readonly watermarks: ReadonlyMap<number, number>;
  readonly findings: Findings;
}

const LOOKS_MAX = 5;
const PAUSE_NS = 200e6;

export async function checkHost(parts: HostCheckParts): Promise<HostReport> {
  const { host, attached } = parts;
  const { log, unpublished } = await lookAtLog(parts);
  const slab = await checkSlab(parts);
  const common = { host, attached, slab };
  if (log === null) return { ...common, incarnations: [], logBytes: 0, entries: 0, unpublished };
  const { scannedBytes, entries } = log.statistics;
  return {
    ...common,
    incarnations: incarnationsOf(log),
    logBytes: scannedBytes,
    entries,
    unpublished,
  };
}

interface FoundLog {
  /** null: it cannot be looked at. */
  readonly log: InspectedLog | null;
  readonly unpublished: readonly UnpublishedReport[];
}

async function lookAtLog(parts: HostCheckParts): Promise<FoundLog> {
  const { world, host, findings } = parts;
  for (let look = 1; ; look++) {
    const unpublished = new Map<number, { entries: number; bytes: number }>();
    const last = look === LOOKS_MAX || !parts.attached;
    try {
      const visit = (entry: LogEntry): void => countEntry(parts.watermarks, entry, unpublished);
      const log = await inspectLog(world, visit);
      if ((log.damage.length === 0 && log.remarks.length === 0) || last) {
        tellLog(parts, log);
        const counts = [...unpublished].sort(([one], [other]) => one - other);
        return { log, unpublished: counts.map(([vdi, count]) => ({ vdi, ...count })) };
      }
    } catch (thrown) {
      if (!(thrown instanceof UsageError)) throw thrown;
      if (last || thrown.code === 'E_FORMAT_NEWER') {
        const code = thrown.code === 'E_FORMAT_NEWER' ? 'log-newer' : 'log-damaged';
        findings.add(code, `host ${host}`, thrown.message);
        return { log: null, unpublished: [] };
      }
    }
    await world.timers.sleep(PAUSE_NS);
  }
}

function countEntry(
  watermarks: ReadonlyMap<number, number>,
  { vdi, vdiSeq, kind, sectors }: LogEntry,
  unpublished: Map<number, { entries: number; bytes: number }>,
): void {
  // Of an image that is not there any more nothing is awaited.
  if (vdiSeq <= (watermarks.get(vdi) ?? Number.POSITIVE_INFINITY)) return;
  const count = unpublished.get(vdi) ?? { entries: 0, bytes: 0 };
  count.entries++;
  if (kind === MutationKind.write) count.bytes += sectors * SECTOR_BYTES;
  unpublished.set(vdi, count);
}

function tellLog({ host, findings }: HostCheckParts, log: InspectedLog): void {
  for (const { file, position, reason, firstGroupSeq, lastGroupSeq, vdis } of log.damage) {
    const whose = vdis === null ? 'any image' : `images ${vdis.join(', ')}`;
    const groups = `groups ${firstGroupSeq} to ${lastGroupSeq} are lost, which may be of ${whose}`;
    findings.add('log-damaged', `host ${host}, ${file}, byte ${position}`, `${reason}: ${groups}`);
  }
  for (const remark of log.remarks) findings.add('log-remark', `host ${host}`, remark);
}

function incarnationsOf({ chains, newestIncarnation }: InspectedLog): IncarnationReport[] {
  return chains.map(({ incarnation, state, cutGroupSeq, segments }) => {
    const isOpen = incarnation === newestIncarnation;
    return {
      incarnation,
      state: state === ChainState.damaged ? 'damaged' : isOpen ? 'open' : 'cut',
      cutGroupSeq,
      segments: segments.map(({ number, serial, firstGroupSeq, fillBytes }) => ({
        file: segmentName(incarnation, number),
        serial,
        firstGroupSeq,
        usedBytes: fillBytes,
      })),
    };
  });
}

/** null: there is no slab, or nothing of it can be used. */
async function checkSlab(parts: HostCheckParts): Promise<SlabReport | null> {
  const { world, host, slabDisk, findings } = parts;
  if (!(await world.disks.list()).includes(slabDisk)) return null;
  const disk = await world.disks.open(slabDisk, { writable: false });
  try {
    return await new SlabCheck(parts, disk).run();
  } catch (thrown) {
    if (!(thrown instanceof UsageError)) throw thrown;
    findings.add('slab-damaged', `host ${host}, ${slabDisk}`, thrown.message);
    return null;
  } finally {
    await disk.close();
  }
}

class SlabCheck {
  readonly #parts: HostCheckParts;
  readonly #disk: Disk;
  readonly #bytes = new Uint8Array(BLOCK_BYTES);
  readonly #format: SlabFormat;
  #damagedSuperblocks = 0;
  #damagedTableBlocks = 0;
  #usedSlots = 0;

  constructor(parts: HostCheckParts, disk: Disk) {
    this.#parts = parts;
    this.#disk = disk;
    this.#format = new SlabFormat(this.#bytes, parts.world.digest);
  }

  async run(): Promise<SlabReport | null> {
    const superblock = await this.#superblock();
    if (superblock === null) return null;
    const { slots, store } = superblock;
    const { uuid } = this.#parts;
    if (uuid !== null && !sameBytes(store, uuid)) {
      this.#tell('slab-foreign', 0, `it caches store ${formatUuid(store)}`);
    }
    if (slots !== slotsOf(this.#disk.sizeBytes)) {
      this.#tell(
        'slab-damaged',
        0,
        `it has ${slots} slots, which is not what the file has room for`,
      );
      return null;
    }
    for (let at = 0; at < tableBlocksOf(slots); at++) await this.#table(at, slots);
    return {
      slots,
      usedSlots: this.#usedSlots,
      damagedSuperblocks: this.#damagedSuperblocks,
      damagedTableBlocks: this.#damagedTableBlocks,
    };
  }

  /** The newest one that holds. */
  async #superblock(): Promise<SlabSuperblock | null> {
    let newest: SlabSuperblock | null = null;
    let empty = 0;
    for (let copy = 0; copy < SUPERBLOCKS; copy++) {
      const verdict = (await this.#read(copy)) ? this.#format.judgeSuperblock(0) : 'unreadable';
      if (verdict === 'empty') empty++;
      else if (verdict !== 'ok') {
        this.#damagedSuperblocks++;
        this.#tell('slab-damaged', copy, `superblock ${copy} is ${verdict}`);
      } else {
        const found = this.#format.decodeSuperblock(0);
        if (newest === null || found.sequence > newest.sequence) newest = found;
      }
    }
    if (newest === null && empty < SUPERBLOCKS) {
      this.#tell('slab-damaged', 0, 'no superblock of it holds');
    }
    return newest;
  }

  async #table(at: number, slots: number): Promise<void> {
    const first = at * TABLE_SLOTS;
    const isRead = await this.#read(SUPERBLOCKS + at);
    const verdict = isRead ? this.#format.judgeTable(0, first) : 'unreadable';
    if (verdict === 'empty') return;
    if (verdict !== 'ok') {
      this.#damagedTableBlocks++;
      this.#tell('slab-damaged', SUPERBLOCKS + at, `table block ${at} is ${verdict}`);
      return;
    }
    const entry: TableEntry = { poolBlock: 0, crc: 0, space: 0, block: 0 };
    for (let slot = first; slot < Math.min(first + TABLE_SLOTS, slots); slot++) {
      this.#format.getEntry(0, slot - first, entry);
      if (entry.poolBlock !== 0) this.#usedSlots++;
    }
  }

  #tell(code: 'slab-damaged' | 'slab-foreign', block: number, what: string): void {
    const { host, findings } = this.#parts;
    findings.add(code, `host ${host}, ${this.#disk.name}, byte ${block * BLOCK_BYTES}`, what);
  }

  async #read(block: number): Promise<boolean> {
    const status = await diskCall(this.#disk, 'read', block * BLOCK_BYTES, this.#bytes);
    return status === DiskStatus.ok;
  }
}
