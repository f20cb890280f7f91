/**
 * The attacks of a hostile front end, B1 to B14 and B17, as moves.
 *
 * A move writes into the guest's own memory and returns; what the back end makes of it is seen when
 * that has had its turn. `outcome` says what a sound back end does with it:
 *
 * - `halt`: the ring is given up and its guest's requests are answered no more;
 * - `error`, `not-supported`, `okay`: every request the move made is answered just so;
 * - `harmless`: nothing is promised about the answers, except that there is no more than one for
 *   each request, that nobody else notices, and that the back end lives.
 *
 * The numbers are those of the list of attacks that this emulator's back end is held to; each
 * stands for a bug that some back end has had. Those that need several rings, a store or a death
 * (B15, B16, B18, B19) are no moves of a ring and are played by the guest or by the test.
 */
import { PAGE_BYTES, SECTORS_PER_PAGE } from '../../base/units.ts';
import {
  BlkifOp,
  type EntryWords,
  encodeDirect,
  encodeDiscard,
  encodeIndirect,
  encodeIndirectRef,
  encodeSegment,
  segmentRange,
} from '../entries.ts';
import {
  MAX_DIRECT_SEGMENTS,
  OFFERED_INDIRECT_SEGMENTS,
  REQ_EVENT_BYTES,
  REQ_PROD_BYTES,
  RSP_EVENT_BYTES,
  RSP_PROD_BYTES,
  SLOT_WORDS,
} from '../layout.ts';
import type { GrantedPage, HostileFront } from './hostile-front.ts';
import { ActionMutator, PageMutator, WordMutator } from './mutators.ts';

export type Outcome = 'halt' | 'error' | 'not-supported' | 'okay' | 'harmless';

export interface Move {
  /** `B5`, `G2`. */
  readonly attack: string;
  readonly name: string;
  readonly outcome: Outcome;
  apply(front: HostileFront): void;
}

const STORM_NOTIFICATIONS = 1000;
/** How many times its ring a racing front end goes round before it tires. */
const RACE_RINGS = 8;

function move(
  attack: string,
  name: string,
  outcome: Outcome,
  apply: (front: HostileFront) => void,
): Move {
  return { attack, name, outcome, apply };
}

/** A move that sends one request, made from an honest one. */
function forged(
  attack: string,
  name: string,
  outcome: Outcome,
  forge: (entry: EntryWords, front: HostileFront) => void,
): Move {
  return move(attack, name, outcome, (front) => {
    const entry = front.honest();
    forge(entry, front);
    front.send(entry);
  });
}

const INDEX_MOVES: readonly Move[] = [
  move('B1', 'req_prod jumps by n + 1', 'halt', (front) => {
    front.setIndex(REQ_PROD_BYTES, front.reqProd + front.slots + 1);
    front.means.notify();
  }),
  move('B1', 'req_prod jumps by 2^31', 'halt', (front) => {
    front.setIndex(REQ_PROD_BYTES, front.reqProd + 2 ** 31);
    front.means.notify();
  }),
  move("B1'", 'req_prod steps back by 1', 'halt', (front) => {
    front.setIndex(REQ_PROD_BYTES, front.reqProd - 1);
    front.means.notify();
  }),
  move('B2', 'req_prod races upward while the ring is drained', 'okay', (front) => {
    fill(front);
    let left = RACE_RINGS * front.slots;
    front.mutators.push(
      new ActionMutator(() => {
        front.collect();
        if (front.freeSlots > 0 && left-- > 0) front.send(front.honest());
      }),
    );
  }),
  move('B3', 'as many requests as the ring has slots', 'okay', fill),
  ...[0, 0x7fffffff, 0x80000000, 0xffffffff].map((value) =>
    move('B4', `both event indices are ${value}`, 'okay', (front) => {
      front.setIndex(REQ_EVENT_BYTES, value);
      front.setIndex(RSP_EVENT_BYTES, value);
      front.send(front.honest());
    }),
  ),
  move('B13', 'requests follow on responses that are not read', 'harmless', (front) => {
    for (let i = 0; i < front.slots; i++) front.put(front.honest());
    front.publish();
  }),
  move('B14', 'rsp_prod and the slots of responses are overwritten', 'harmless', (front) => {
    front.setIndex(RSP_PROD_BYTES, front.random.nextU32());
    const noise = Array.from({ length: SLOT_WORDS }, () => front.random.nextU32());
    for (let slot = 0; slot < front.slots; slot++) front.scribble(slot, noise);
    front.means.notify();
  }),
  move('B17', 'the doorbell of an empty ring rings on and on', 'harmless', (front) => {
    for (let i = 0; i < STORM_NOTIFICATIONS; i++) front.means.notify();
  }),
];

const SHAPE_MOVES: readonly Move[] = [
  ...[0, MAX_DIRECT_SEGMENTS + 1, 255].map((segments) =>
    forged('B5', `nr_segments is ${segments}`, 'error', (entry) => {
      entry[0] = (op(entry) | (segments << 8)) >>> 0;
    }),
  ),
  ...[0, OFFERED_INDIRECT_SEGMENTS + 1, 65535].map((segments) =>
    forged('B5', `indirect nr_segments is ${segments}`, 'error', (entry, front) => {
      indirect(entry, front, BlkifOp.write, segments);
    }),
  ),
  forged('B6', 'first_sect is after last_sect', 'error', (entry, front) => {
    encodeSegment(entry, 0, front.page(0).ref, 5, 2);
  }),
  ...[8, 9, 127, 255].map((last) =>
    forged('B6', `last_sect is ${last}`, 'error', (entry, front) => {
      encodeSegment(entry, 0, front.page(0).ref, 0, last);
    }),
  ),
  forged('B6', 'last_sect of an indirect segment is 255', 'error', (entry, front) => {
    const page = indirect(entry, front, BlkifOp.write, 1);
    describe(front, page, 0, front.page(0).ref, segmentRange(0, 255));
  }),
  forged('B7', 'the sector plus the length overflows 64 bits', 'error', (entry) => {
    entry[4] = 0xffffffff;
    entry[5] = 0xffffffff;
  }),
  forged('B7', 'the sector is just below 2^53', 'error', (entry) => {
    entry[4] = 0xfffffff8;
    entry[5] = 0x001fffff;
  }),
  forged('B7', 'the request ends one sector past the disk', 'error', (entry, front) => {
    entry[4] = front.means.diskSectors - SECTORS_PER_PAGE + 1;
    entry[5] = 0;
  }),
  forged('B7', 'a discard of 2^64 - 1 sectors', 'error', (entry) => {
    encodeDiscard(entry, 0, entry[2] as number, 0, 0);
    entry[6] = 0xffffffff;
    entry[7] = 0xffffffff;
  }),
  forged('B7', 'a discard of no sectors', 'error', (entry) => {
    encodeDiscard(entry, 0, entry[2] as number, 0, 0);
  }),
  ...[BlkifOp.flush, BlkifOp.indirect, BlkifOp.discard, 255].map((indirectOp) =>
    forged('B8', `indirect_op is ${indirectOp}`, 'error', (entry, front) => {
      indirect(entry, front, indirectOp, 1);
    }),
  ),
  forged('B8', 'the list of indirect pages is empty', 'error', (entry, front) => {
    indirect(entry, front, BlkifOp.write, 4);
    encodeIndirectRef(entry, 0, 0);
  }),
  forged('B8', 'an indirect page is listed twice', 'okay', (entry, front) => {
    const page = indirect(entry, front, BlkifOp.write, 1);
    encodeIndirectRef(entry, 1, page.ref);
  }),
  forged('B8', 'the indirect page is the ring itself', 'harmless', (entry, front) => {
    indirect(entry, front, BlkifOp.read, 8);
    encodeIndirectRef(entry, 0, front.means.ringRef);
  }),
  forged('B8', 'data is read into the ring itself', 'harmless', (entry, front) => {
    encodeDirect(entry, BlkifOp.read, 1, 0, entry[2] as number, 0);
    encodeSegment(entry, 0, front.means.ringRef, 0, 7);
  }),
  forged('B8', 'the indirect page describes itself', 'okay', (entry, front) => {
    const page = indirect(entry, front, BlkifOp.read, 1);
    describe(front, page, 0, page.ref, segmentRange(0, 7));
  }),
  forged('B8', 'segments change between count and use', 'harmless', (entry, front) => {
    const page = indirect(entry, front, BlkifOp.write, 4);
    const word = page.address / 4;
    const other = Array.from({ length: 8 }, () => front.random.nextU32());
    front.mutators.push(new WordMutator(front.means.view, word, other));
  }),
  ...[4, 7, 255].map((unknown) =>
    forged('B9', `operation ${unknown}`, 'not-supported', (entry) => {
      entry[0] = (unknown | (1 << 8)) >>> 0;
    }),
  ),
];

const RACE_MOVES: readonly Move[] = [
  move(
    'B10',
    'operation and segments of a slot swing between two requests',
    'harmless',
    (front) => {
      const entry = front.honest(BlkifOp.write);
      const other = front.honest(BlkifOp.read);
      other[2] = entry[2] as number;
      encodeSegment(other, 0, front.page(1).ref, 0, 255);
      const slot = front.send(entry);
      front.mutators.push(new WordMutator(front.means.view, front.slotWord(slot), other));
    },
  ),
  move('B11', 'the data of a write changes while it is written', 'okay', (front) => {
    const entry = front.honest(BlkifOp.write);
    const page = front.page(0);
    encodeSegment(entry, 0, page.ref, 0, 7);
    const fills: readonly [number, number] = [0x11, 0xee];
    front.mutators.push(new PageMutator(front.means.view, page.address, PAGE_BYTES, fills));
    front.tick();
    front.send(entry);
  }),
  move('B12', 'two requests in flight have one id', 'harmless', (front) => {
    const first = front.honest(BlkifOp.write);
    const second = front.honest(BlkifOp.write);
    second[2] = first[2] as number;
    front.put(first);
    front.send(second);
  }),
  move('B12', 'all segments of a read name one page', 'okay', (front) => {
    const entry = front.honest();
    encodeDirect(entry, BlkifOp.read, MAX_DIRECT_SEGMENTS, 0, entry[2] as number, 0);
    for (let i = 0; i < MAX_DIRECT_SEGMENTS; i++) encodeSegment(entry, i, front.page(0).ref, 0, 0);
    front.send(entry);
  }),
];

export const FRONT_MOVES: readonly Move[] = [...INDEX_MOVES, ...SHAPE_MOVES, ...RACE_MOVES];

function fill(front: HostileFront): void {
  while (front.freeSlots > 0) front.put(front.honest());
  front.publish();
}

function op(entry: EntryWords): number {
  return (entry[0] as number) & 0xff;
}

/** Makes `entry` indirect, with good descriptors of one sector each; returns the page of these. */
function indirect(
  entry: EntryWords,
  front: HostileFront,
  indirectOp: number,
  segments: number,
): GrantedPage {
  const page = front.page(1);
  encodeIndirect(entry, indirectOp, segments, 0, entry[2] as number, 0);
  encodeIndirectRef(entry, 0, page.ref);
  const described = Math.min(segments, OFFERED_INDIRECT_SEGMENTS);
  for (let i = 0; i < described; i++) {
    describe(front, page, i, front.page(0).ref, segmentRange(0, 0));
  }
  return page;
}

function describe(
  front: HostileFront,
  page: GrantedPage,
  segment: number,
  ref: number,
  range: number,
): void {
  const word = page.address / 4 + 2 * segment;
  front.means.view.u32[word] = ref;
  front.means.view.u32[word + 1] = range;
}
