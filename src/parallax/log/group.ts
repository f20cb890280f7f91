/**
 * One group in RAM: it fills, is sealed, is written, and stays until it is durable.
 *
 * While it is open the payload lies where it will be on the disk and the entries are the mutations
 * themselves, borrowed. Sealing writes the tables behind the payload. From then on the image is
 * complete but for the header, which names the segment and is written last, before each attempt: a
 * group whose attempt failed goes to another segment as it is, also when its mutations were
 * acknowledged and given back long ago.
 */
import { crc32Append } from '../../base/crc32.ts';
import { invariant } from '../../base/invariant.ts';
import type { SharedMemory } from '../../base/shared-memory.ts';
import { SECTOR_BYTES, SECTORS_PER_PAGE } from '../../base/units.ts';
import type { Digest } from '../../world/world.ts';
import {
  EXTENT_BYTES,
  EXTENT_SAME_PART,
  encodeExtent,
  encodeGroupHeader,
  encodeRun,
  forEachEntry,
  GROUP_HEADER_BYTES,
  GroupHeader,
  groupBytesOf,
  type LogEntry,
  payloadBytesOf,
  RUN_BYTES,
} from '../formats/log-group.ts';
import type { LogStatus, Mutation } from './mutation.ts';
import type { LogSegment, Placement } from './segment.ts';

export type GroupState = 'open' | 'sealed' | 'written';

export class Group {
  readonly #memory: SharedMemory;
  readonly #digest: Digest;
  readonly #view: DataView;
  readonly #header = new GroupHeader();
  readonly #mutations: (Mutation | null)[];
  readonly #maxEntries: number;
  state: GroupState = 'open';
  /** In RAM. */
  address = 0;
  /** Bytes it may grow to. */
  capacity = 0;
  payloadBytes = 0;
  entries = 0;
  runs = 0;
  groupSeq = 0;
  placement: Placement | null = null;
  /** In its segment. */
  offset = 0;
  /** Some member is acknowledged only when the group is durable. */
  needsSync = false;
  #unanswered = 0;
  #payloadCrc = 0;

  constructor(memory: SharedMemory, digest: Digest, view: DataView, maxEntries: number) {
    this.#memory = memory;
    this.#digest = digest;
    this.#view = view;
    this.#maxEntries = maxEntries;
    this.#mutations = Array.from({ length: maxEntries }, () => null);
  }

  open(address: number, capacity: number): void {
    this.state = 'open';
    this.address = address;
    this.capacity = capacity;
    this.payloadBytes = 0;
    this.entries = 0;
    this.runs = 0;
    this.needsSync = false;
    this.#unanswered = 0;
    this.#payloadCrc = 0;
  }

  /** Size of its image as it is now. */
  get bytes(): number {
    return groupBytesOf(this.payloadBytes, this.runs, this.entries);
  }

  get segment(): LogSegment {
    invariant(this.placement !== null, 'a group has a place from its first entry on');
    return this.placement.segment;
  }

  fits(mutation: Mutation, payloadBytes: number): boolean {
    if (this.entries === this.#maxEntries) return false;
    const runs = this.runs + (this.#continuesRun(mutation) ? 0 : 1);
    return groupBytesOf(this.payloadBytes + payloadBytes, runs, this.entries + 1) <= this.capacity;
  }

  /** Takes a mutation that fits, and copies its payload. */
  add(mutation: Mutation, payloadBytes: number): void {
    invariant(this.placement !== null, 'a group has a place before its first entry');
    if (!this.#continuesRun(mutation)) this.runs++;
    mutation.segment = this.placement.id;
    mutation.offset = this.offset + GROUP_HEADER_BYTES + this.payloadBytes;
    const target = this.address + GROUP_HEADER_BYTES + this.payloadBytes;
    if (payloadBytes > 0) {
      this.#memory.copy(target, mutation.address, payloadBytes);
      this.#sumPieces(mutation, target);
    }
    this.#mutations[this.entries++] = mutation;
    this.payloadBytes += payloadBytes;
    this.#unanswered++;
    if (mutation.needsSync) this.needsSync = true;
  }

  /** Ends the group: writes its tables and tells the segment what is in it. */
  seal(): void {
    invariant(this.state === 'open' && this.entries > 0, 'a group with entries is sealed once');
    const header = this.#header;
    header.groupSeq = this.groupSeq;
    header.payloadBytes = this.payloadBytes;
    header.runs = this.runs;
    header.extents = this.entries;
    header.groupBytes = this.bytes;
    const tablesAt = this.address + GROUP_HEADER_BYTES + this.payloadBytes;
    const end = this.address + header.groupBytes;
    this.#memory.clear(tablesAt, end - tablesAt);
    this.#writeTables(tablesAt);
    header.payloadCrc = this.#payloadCrc;
    header.tablesCrc = this.#digest.crc32(this.#memory.u8, tablesAt, end - tablesAt);
    this.state = 'sealed';
    this.countTops();
  }

  /** Tells the segment in which the group lies which numbers are in it. */
  countTops(): void {
    const { segment } = this;
    let at = this.address + GROUP_HEADER_BYTES + this.payloadBytes;
    for (let run = 0; run < this.runs; run++, at += RUN_BYTES) {
      const first =
        this.#view.getUint16(at + 12, true) * 2 ** 32 + this.#view.getUint32(at + 8, true);
      const count = this.#view.getUint16(at + 14, true);
      segment.addTop(this.#view.getUint32(at, true), first + count - 1);
    }
  }

  /** Makes the image ready for an attempt to write it where it now belongs. */
  writeHeader(durableGroupSeq: number): void {
    const header = this.#header;
    const { segment } = this;
    header.incarnation = segment.incarnation;
    header.serial = segment.serial;
    header.salt = segment.salt;
    header.durableGroupSeq = durableGroupSeq;
    encodeGroupHeader(this.#memory.u8, this.#view, this.address, header, this.#digest);
  }

  /** Acknowledges, in order, the members that need no sync and overtake none of their VDI. */
  answerUnsynced(blocked: Set<number>): void {
    for (let i = 0; i < this.entries; i++) {
      const mutation = this.#mutations[i] as Mutation | null;
      if (mutation === null) continue;
      if (mutation.needsSync) blocked.add(mutation.vdi);
      else if (!blocked.has(mutation.vdi)) this.#answer(i, mutation, 0);
    }
  }

  /** Acknowledges, in order, all that are left. */
  answerAll(status: LogStatus): void {
    for (let i = 0; i < this.entries && this.#unanswered > 0; i++) {
      const mutation = this.#mutations[i] as Mutation | null;
      if (mutation !== null) this.#answer(i, mutation, status);
    }
  }

  /** Entries of a sealed group, as a recovery would read them. */
  forEach(entry: LogEntry, visit: (entry: LogEntry) => void): void {
    forEachEntry(this.#view, this.address, this.#header, entry, visit);
  }

  #answer(index: number, mutation: Mutation, status: LogStatus): void {
    this.#mutations[index] = null;
    this.#unanswered--;
    mutation.logged(status);
  }

  /** Sums up the copy, a block at a time: for the group, and for whoever reads the blocks. */
  #sumPieces({ lba, sectors, pieceCrcs }: Mutation, copy: number): void {
    const { u8 } = this.#memory;
    let piece = 0;
    for (let done = 0; done < sectors; ) {
      const left = SECTORS_PER_PAGE - ((lba + done) % SECTORS_PER_PAGE);
      const count = Math.min(left, sectors - done);
      const crc = this.#digest.crc32(u8, copy + done * SECTOR_BYTES, count * SECTOR_BYTES);
      pieceCrcs[piece++] = crc;
      this.#payloadCrc = crc32Append(this.#payloadCrc, crc, count);
      done += count;
    }
  }

  #continuesRun(mutation: Mutation): boolean {
    if (this.entries === 0) return false;
    return follows(this.#mutations[this.entries - 1] as Mutation, mutation);
  }

  #writeTables(tablesAt: number): void {
    const view = this.#view;
    let runAt = tablesAt;
    let extentAt = tablesAt + this.runs * RUN_BYTES;
    let first = 0;
    for (let i = 0; i < this.entries; i++, extentAt += EXTENT_BYTES) {
      const mutation = this.#mutations[i] as Mutation;
      const next = i + 1 < this.entries ? (this.#mutations[i + 1] as Mutation) : null;
      const same = i > first && (this.#mutations[i - 1] as Mutation).frontSeq === mutation.frontSeq;
      encodeExtent(view, extentAt, mutation, same ? EXTENT_SAME_PART : 0);
      if (next !== null && follows(mutation, next)) continue;
      encodeRun(view, runAt, this.#mutations[first] as Mutation, i + 1 - first);
      runAt += RUN_BYTES;
      first = i + 1;
    }
    invariant(
      runAt === tablesAt + this.runs * RUN_BYTES,
      'as many runs are written as were counted',
    );
  }
}

/** Whether an entry goes into the run of the one before it. */
function follows(before: Mutation, next: Mutation): boolean {
  return (
    next.vdi === before.vdi &&
    next.generation === before.generation &&
    next.vdiSeq === before.vdiSeq + 1 &&
    next.frontId === before.frontId &&
    (next.frontSeq === before.frontSeq || next.frontSeq === before.frontSeq + 1)
  );
}

/** Bytes of payload that the log copies for a mutation. */
export function payloadOf(mutation: Mutation): number {
  return payloadBytesOf(mutation.kind, mutation.sectors);
}
