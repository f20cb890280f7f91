/**
 * Reads the groups of one incarnation, segment by segment, as far as they are whole.
 *
 * A group belongs to the chain if its header is whole, names this incarnation and the serial and
 * salt of its segment, has the next groupSeq, and its body is whole. The chain goes on in the next
 * segment when that one's first group is the next; it may be so before the end of a segment, when
 * the segment was abandoned and its last groups were appended again. What is in the newer segment
 * counts, because the older one's copy may be in the page cache alone. Should the newer one end
 * early, because the driver VM was killed while groups were appended again, the chain goes back to
 * the older one for the rest: what was acknowledged without a sync is there.
 *
 * Where the chain ends there is a bad place. `survey` looks behind it: whether anything proves that
 * it was durable, and who loses what.
 */
import { PAGE_BYTES } from '../../base/units.ts';
import type { Digest } from '../../world/world.ts';
import {
  checkGroupBody,
  decodeGroupHeader,
  forEachEntry,
  GROUP_HEADER_BYTES,
  GROUP_MAGIC,
  GroupHeader,
  LogEntry,
} from '../formats/log-group.ts';
import { SEGMENT_HEADER_BYTES } from '../formats/segment-header.ts';
import type { LogSegment } from './segment.ts';
import { ScanMemory, SegmentReader } from './segment-reader.ts';

/** A segment of the chain, and the first group that is in it, 0 if none can be read. */
interface ScanSegment {
  readonly segment: LogSegment;
  readonly reader: SegmentReader;
  firstGroupSeq: number;
}

/** Where in a segment to go on, and with which group. */
interface Cursor {
  readonly index: number;
  position: number;
  groupSeq: number;
}

export interface BadPlace {
  readonly segment: LogSegment;
  readonly position: number;
  readonly groupSeq: number;
  readonly reason: string;
  readonly unreadable: boolean;
}

export interface Survey {
  /** Groups from the bad place on of which at least the header is there. */
  readonly groups: number;
  /** Groups up to here were durable, says a later group. */
  readonly durableGroupSeq: number;
  /** Newest group that is there in any form. */
  readonly lastGroupSeq: number;
  /** VDIs of all groups from the bad place on; null if one of them cannot be read. */
  readonly vdis: readonly number[] | null;
}

export type GroupVisitor = (
  segment: LogSegment,
  position: number,
  header: GroupHeader,
  entry: LogEntry,
  /** The group, which begins at `at`; good until the visitor returns. */
  bytes: Uint8Array,
  at: number,
) => void;

/** A group counts its entries in 16 bits. */
const GROUP_ENTRIES_END = 2 ** 16;
const NO_GROUP = 'no group begins here';

export class ChainScan {
  readonly #digest: Digest;
  readonly #segments: ScanSegment[];
  readonly #limit: number;
  readonly #visit: GroupVisitor;
  readonly #trustsOldGroups: boolean;
  readonly #header = new GroupHeader();
  readonly #entry = new LogEntry();
  /** Of the payloads of the group that was checked last. */
  readonly #crcs = new Uint32Array(GROUP_ENTRIES_END);
  #next: number;
  #bad: BadPlace | null = null;
  groups = 0;

  /** Groups from `start` to `limit`, both included. `trustsOldGroups` is a planted bug. */
  constructor(
    digest: Digest,
    segments: readonly LogSegment[],
    start: number,
    limit: number,
    visit: GroupVisitor,
    trustsOldGroups: boolean,
  ) {
    this.#trustsOldGroups = trustsOldGroups;
    this.#digest = digest;
    const memory = new ScanMemory(segments.map(({ disk }) => disk));
    this.#segments = segments.map((segment) => {
      return { segment, reader: new SegmentReader(segment.disk, memory), firstGroupSeq: 0 };
    });
    this.#next = start;
    this.#limit = limit;
    this.#visit = visit;
  }

  /** Last group that was visited, or the one before the start. */
  get lastGroupSeq(): number {
    return this.#next - 1;
  }

  get scannedBytes(): number {
    return this.#segments.reduce((sum, { reader }) => sum + reader.scannedBytes, 0);
  }

  /** Visits the groups. Null if the limit was reached, else where the chain ends. */
  async run(): Promise<BadPlace | null> {
    for (const one of this.#segments) one.firstGroupSeq = await this.#firstGroupOf(one);
    const left: Cursor[] = [];
    for (let index = 0; index < this.#segments.length; index++) {
      const { firstGroupSeq } = this.#segments[index] as ScanSegment;
      if (firstGroupSeq === 0 && this.#hasGroupsAfter(index)) continue;
      if (firstGroupSeq > this.#next) {
        this.#bad ??= this.#firstMissing();
        break;
      }
      const cursor = { index, position: SEGMENT_HEADER_BYTES, groupSeq: firstGroupSeq };
      await this.#walk(cursor, this.#firstGroupAfter(index));
      left.push(cursor);
      if (this.#next > this.#limit) return null;
    }
    for (const cursor of left.reverse()) {
      if (this.#next > this.#limit) return null;
      if (cursor.groupSeq <= this.#next) await this.#walk(cursor, Number.POSITIVE_INFINITY);
    }
    return this.#next > this.#limit ? null : this.#bad;
  }

  /** The place where the next group would be: for damage that is known and not accepted. */
  end(reason: string): BadPlace | null {
    const last = this.#segments.findLast(({ segment }) => segment.firstGroupSeq > 0);
    const { segment } = last ?? this.#segments[0] ?? { segment: null };
    if (segment === null) return null;
    const position = segment.fillBytes;
    return { segment, position, groupSeq: this.#next, reason, unreadable: false };
  }

  /** Looks at everything behind a bad place. */
  async survey(bad: BadPlace): Promise<Survey> {
    const seen = new Map<number, readonly number[] | null>();
    let durableGroupSeq = 0;
    for (const one of this.#segments) {
      if (one.segment.serial < bad.segment.serial) continue;
      const here = one.segment === bad.segment;
      for (let at = here ? bad.position : SEGMENT_HEADER_BYTES; one.reader.holds(at, 1); ) {
        const found = await this.#headerAt(one, at);
        const header = this.#header;
        if (found !== null || header.groupSeq < bad.groupSeq) {
          at += found === null ? header.groupBytes : PAGE_BYTES;
          continue;
        }
        durableGroupSeq = Math.max(durableGroupSeq, header.durableGroupSeq);
        const whole = (await this.#bodyAt(one, at)) === null;
        if (whole || !seen.has(header.groupSeq)) {
          seen.set(header.groupSeq, whole ? this.#vdisAt(one, at) : null);
        }
        at += whole ? header.groupBytes : PAGE_BYTES;
      }
    }
    const lastGroupSeq = Math.max(bad.groupSeq, durableGroupSeq, ...seen.keys());
    const vdis = vdisOf(seen, bad.groupSeq, lastGroupSeq);
    return { groups: seen.size, durableGroupSeq, lastGroupSeq, vdis };
  }

  /** No group was found at all where the chain begins. */
  #firstMissing(): BadPlace {
    const { segment, reader } = this.#segments[0] as ScanSegment;
    const position = SEGMENT_HEADER_BYTES;
    const unreadable = reader.isUnreadable(position, PAGE_BYTES);
    const reason = 'the first group is not there';
    return { segment, position, groupSeq: this.#next, reason, unreadable };
  }

  /** Visits the groups of a segment that are next, up to `end`, which the next segment has. */
  async #walk(cursor: Cursor, end: number): Promise<void> {
    const one = this.#segments[cursor.index] as ScanSegment;
    const { segment, reader } = one;
    const header = this.#header;
    while (this.#next <= this.#limit) {
      const { position } = cursor;
      let reason = await this.#headerAt(one, position);
      let lengthBytes = PAGE_BYTES;
      if (reason === null) {
        lengthBytes = header.groupBytes;
        cursor.groupSeq = header.groupSeq;
        if (header.groupSeq >= end) return;
        if (header.groupSeq > this.#next) reason = `group ${header.groupSeq} instead`;
        else if (header.groupSeq < this.#next && !this.#trustsOldGroups) {
          cursor.position += header.groupBytes;
          continue;
        }
      }
      reason ??= await this.#bodyAt(one, position);
      if (reason !== null) {
        const unreadable = reader.isUnreadable(position, lengthBytes);
        const bad = { segment, position, groupSeq: this.#next, reason, unreadable };
        // A place where something is counts for more than the end of an older segment.
        if (this.#bad === null || this.#bad.groupSeq < bad.groupSeq || reason !== NO_GROUP) {
          this.#bad = bad;
        }
        return;
      }
      this.#visitGroup(one, position);
      cursor.position += header.groupBytes;
      cursor.groupSeq = ++this.#next;
    }
  }

  #visitGroup({ segment, reader }: ScanSegment, position: number): void {
    const header = this.#header;
    if (segment.firstGroupSeq === 0) segment.firstGroupSeq = header.groupSeq;
    segment.fillBytes = position + header.groupBytes;
    segment.durableBytes = segment.fillBytes;
    this.groups++;
    let count = 0;
    forEachEntry(reader.view, reader.indexOf(position), header, this.#entry, (entry) => {
      entry.crc = this.#crcs[count++] as number;
      segment.addTop(entry.vdi, entry.vdiSeq);
      this.#visit(segment, position, header, entry, reader.bytes, reader.indexOf(position));
    });
  }

  /** Reads the header at a position into `#header`: null if a group of the segment is there. */
  async #headerAt({ segment, reader }: ScanSegment, position: number): Promise<string | null> {
    if (!reader.holds(position, GROUP_HEADER_BYTES)) return NO_GROUP;
    if (!reader.has(position, PAGE_BYTES)) await reader.load(position, PAGE_BYTES);
    const at = reader.indexOf(position);
    if (reader.view.getUint32(at, true) !== GROUP_MAGIC) return NO_GROUP;
    const header = this.#header;
    const problem = decodeGroupHeader(reader.bytes, reader.view, at, header, this.#digest);
    if (problem !== null) return problem;
    const { incarnation, serial, salt, groupBytes } = header;
    const own = incarnation === segment.incarnation && serial === segment.serial;
    if ((!own || salt !== segment.salt) && !this.#trustsOldGroups) return NO_GROUP;
    return reader.holds(position, groupBytes) ? null : 'a group that is longer than its segment';
  }

  async #bodyAt({ reader }: ScanSegment, position: number): Promise<string | null> {
    const header = this.#header;
    const { groupBytes } = header;
    if (!reader.has(position, groupBytes)) await reader.load(position, groupBytes);
    const at = reader.indexOf(position);
    return checkGroupBody(reader.bytes, reader.view, at, header, this.#crcs, this.#digest);
  }

  #vdisAt({ reader }: ScanSegment, position: number): number[] {
    const vdis: number[] = [];
    forEachEntry(reader.view, reader.indexOf(position), this.#header, this.#entry, ({ vdi }) => {
      if (!vdis.includes(vdi)) vdis.push(vdi);
    });
    return vdis;
  }

  async #firstGroupOf(one: ScanSegment): Promise<number> {
    if (!one.reader.holds(SEGMENT_HEADER_BYTES, PAGE_BYTES)) return 0;
    await one.reader.loadAlone(SEGMENT_HEADER_BYTES, PAGE_BYTES);
    const problem = await this.#headerAt(one, SEGMENT_HEADER_BYTES);
    return problem === null ? this.#header.groupSeq : 0;
  }

  #hasGroupsAfter(index: number): boolean {
    return this.#firstGroupAfter(index) < Number.POSITIVE_INFINITY;
  }

  #firstGroupAfter(index: number): number {
    for (let i = index + 1; i < this.#segments.length; i++) {
      const { firstGroupSeq } = this.#segments[i] as ScanSegment;
      if (firstGroupSeq > 0) return firstGroupSeq;
    }
    return Number.POSITIVE_INFINITY;
  }
}

function vdisOf(
  seen: ReadonlyMap<number, readonly number[] | null>,
  first: number,
  last: number,
): number[] | null {
  const vdis = new Set<number>();
  for (let groupSeq = first; groupSeq <= last; groupSeq++) {
    const those = seen.get(groupSeq) ?? null;
    if (those === null) return null;
    for (const vdi of those) vdis.add(vdi);
  }
  return [...vdis].sort((one, other) => one - other);
}
