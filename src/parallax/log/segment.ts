/**
 * A segment in one of its lives, and the handles under which its payloads are known.
 *
 * A handle (`Placement`) is what the map of dirty blocks keeps, so it must mean the same for as
 * long as anybody uses it. When an append fails, the groups in RAM move to another segment: then
 * the handle gets a cut, and what lies behind the cut is found under the next handle, moved by the
 * same distance, because groups keep their sizes and their order. Nobody has to be told.
 */
import { invariant, present } from '../../base/invariant.ts';
import type { Disk } from '../../world/world.ts';
import { SEGMENT_HEADER_BYTES } from '../formats/segment-header.ts';

export class LogSegment {
  readonly incarnation: number;
  readonly number: number;
  readonly serial: number;
  readonly salt: number;
  readonly disk: Disk;
  /** 0: no group was given a place in it yet. */
  firstGroupSeq = 0;
  /** Where the next group goes. */
  fillBytes: number = SEGMENT_HEADER_BYTES;
  /** Everything before this is durable; behind it, what is true is in RAM. */
  durableBytes: number = SEGMENT_HEADER_BYTES;
  /** Groups are, or will be, appended to it. */
  open = true;
  /** A write or a sync failed: its file is never used again. */
  abandoned = false;
  /** Groups up to this were in it when it was abandoned; until they are durable it may be read. */
  movedThrough = 0;
  /** Its chain has unaccepted damage in it or behind it: its file is not removed. */
  quarantined = false;
  /** Newest vdiSeq of each VDI in it. */
  readonly tops: Map<number, number> = new Map();
  /** Once it is retired: sequence of the first checkpoint that is sure not to name it. */
  omittedFrom = 0;

  constructor(incarnation: number, number: number, serial: number, salt: number, disk: Disk) {
    this.incarnation = incarnation;
    this.number = number;
    this.serial = serial;
    this.salt = salt;
    this.disk = disk;
  }

  addTop(vdi: number, vdiSeq: number): void {
    const top = this.tops.get(vdi);
    if (top === undefined || top < vdiSeq) this.tops.set(vdi, vdiSeq);
  }
}

export class Placement {
  readonly id: number;
  readonly segment: LogSegment;
  /** What lies from here on is at `nextBase` of `next`. */
  cutOffset: number = Number.POSITIVE_INFINITY;
  next: Placement | null = null;
  nextBase = 0;
  pins = 0;

  constructor(id: number, segment: LogSegment) {
    this.id = id;
    this.segment = segment;
  }
}

export class PlacementTable {
  readonly #placements = new Map<number, Placement>();
  #lastId = 0;
  /** Result of `resolve`: where a payload is now. */
  segment: LogSegment | null = null;
  offset = 0;

  place(segment: LogSegment): Placement {
    const placement = new Placement(++this.#lastId, segment);
    this.#placements.set(placement.id, placement);
    return placement;
  }

  /** Follows the cuts; the result is in `segment` and `offset`. */
  resolve(handle: number, offset: number): LogSegment {
    let placement = this.#get(handle);
    let at = offset;
    while (at >= placement.cutOffset) {
      at = at - placement.cutOffset + placement.nextBase;
      placement = present(placement.next, 'what lies behind a cut lies elsewhere');
    }
    this.segment = placement.segment;
    this.offset = at;
    return placement.segment;
  }

  pin(handle: number): void {
    this.#get(handle).pins++;
  }

  unpin(handle: number): void {
    const placement = this.#get(handle);
    invariant(placement.pins > 0, 'a pin is taken away once');
    placement.pins--;
  }

  /** Whether a pinned handle leads to the segment. */
  isPinned(segment: LogSegment): boolean {
    for (const placement of this.#placements.values()) {
      if (placement.pins > 0 && leadsTo(placement, segment)) return true;
    }
    return false;
  }

  /** Forgets the handles of which nothing is left but this segment, which is retired. */
  forget(segment: LogSegment): void {
    for (const placement of this.#placements.values()) {
      if (lastOf(placement) === segment) this.#placements.delete(placement.id);
    }
  }

  #get(handle: number): Placement {
    return present(this.#placements.get(handle), 'a payload is read before it is retired');
  }
}

function leadsTo(placement: Placement, segment: LogSegment): boolean {
  for (let at: Placement | null = placement; at !== null; at = at.next) {
    if (at.segment === segment) return true;
  }
  return false;
}

function lastOf(placement: Placement): LogSegment {
  let at = placement;
  while (at.next !== null) at = at.next;
  return at.segment;
}
