/**
 * The hands of a front end that keeps no rule.
 *
 * It has what any guest has, its ring's page, its own pages and their grants, and writes into them
 * whatever it likes: `put` copies all 28 words of a slot as they are, `setIndex` stores any value
 * in any of the four indices, `tick` lets its mutators write while the back end is at work. What to
 * do with these hands is a catalogue of its own (`front-moves.ts`, `hostile-grants.ts`), one entry
 * an attack; a hostile front end is these hands and a seed.
 *
 * It can also be good: `honest` makes a request that a back end must serve. A guest that is only
 * ever bad is halted at its first move and tests nothing else.
 *
 * It never throws and believes nothing: a back end that lies to it is not its concern.
 */
import type { Prng } from '../../base/prng.ts';
import { SECTORS_PER_PAGE } from '../../base/units.ts';
import {
  BlkifOp,
  BlkifStatus,
  type EntryWords,
  encodeDirect,
  encodeSegment,
  newEntry,
  responseOp,
  responseStatus,
} from '../entries.ts';
import {
  REQ_PROD_BYTES,
  RING_HEADER_BYTES,
  RSP_PROD_BYTES,
  ringSlots,
  SLOT_WORDS,
} from '../layout.ts';
import type { RingView } from '../ports.ts';
import type { GrantForger } from './grant-forger.ts';
import type { Mutator } from './mutators.ts';

/** A page of the guest's own and the grant it made for it. */
export interface GrantedPage {
  readonly ref: number;
  readonly address: number;
}

export interface FrontMeans {
  /** The ring, and with it the guest's whole RAM. */
  readonly view: RingView;
  readonly order: number;
  readonly random: Prng;
  readonly notify: () => void;
  readonly diskSectors: number;
  /** Granted to the back end for reading and writing; at least two. */
  readonly pages: readonly GrantedPage[];
  /** Granted for reading only. */
  readonly readonlyPage: GrantedPage;
  readonly ringRef: number;
  readonly forger: GrantForger;
}

export interface Answer {
  readonly id: number;
  readonly op: number;
  readonly status: number;
}

export class HostileFront {
  readonly means: FrontMeans;
  readonly slots: number;
  /** Act at each `tick`, until `calm`. */
  readonly mutators: Mutator[] = [];
  /** Responses read, by status; anything but the three known ones is `other`. */
  readonly tally: { okay: number; error: number; notSupported: number; other: number } = {
    okay: 0,
    error: 0,
    notSupported: 0,
    other: 0,
  };
  #reqProd: number;
  #rspCons: number;
  #nextId = 1;

  /** Takes over a ring whose page was initialised with all indices at `startIndex`. */
  constructor(means: FrontMeans, startIndex: number) {
    this.means = means;
    this.slots = ringSlots(means.order);
    this.#reqProd = startIndex >>> 0;
    this.#rspCons = startIndex >>> 0;
  }

  get random(): Prng {
    return this.means.random;
  }

  get reqProd(): number {
    return this.#reqProd;
  }

  /** Slots that hold neither a request nor a response it has not read. */
  get freeSlots(): number {
    return this.slots - ((this.#reqProd - this.#rspCons) >>> 0);
  }

  page(at: number): GrantedPage {
    return this.means.pages[at % this.means.pages.length] as GrantedPage;
  }

  /** A direct request of one whole page that is right in every field. */
  honest(op: number = this.random.pick([BlkifOp.read, BlkifOp.write])): EntryWords {
    const entry = newEntry();
    const blocks = Math.floor(this.means.diskSectors / SECTORS_PER_PAGE);
    const sector = this.random.below(blocks) * SECTORS_PER_PAGE;
    encodeDirect(entry, op, 1, 0, this.#nextId++, sector);
    encodeSegment(entry, 0, this.page(this.random.below(this.means.pages.length)).ref, 0, 7);
    return entry;
  }

  /** Writes a whole slot at the producer's place, full ring or not, and steps over it. */
  put(entry: EntryWords): number {
    const slot = this.#reqProd & (this.slots - 1);
    this.scribble(slot, entry);
    this.#reqProd = (this.#reqProd + 1) >>> 0;
    return slot;
  }

  /** Overwrites a slot, whoever it belongs to now. */
  scribble(slot: number, words: ArrayLike<number>): void {
    const at = this.slotWord(slot);
    const length = Math.min(words.length, SLOT_WORDS);
    for (let i = 0; i < length; i++) this.means.view.u32[at + i] = words[i] as number;
  }

  slotWord(slot: number): number {
    return (this.means.view.baseBytes + RING_HEADER_BYTES) / 4 + slot * SLOT_WORDS;
  }

  /** Publishes what was put and rings, whether it was asked to or not. */
  publish(): void {
    this.setIndex(REQ_PROD_BYTES, this.#reqProd);
    this.means.notify();
  }

  setIndex(byte: number, value: number): void {
    Atomics.store(this.means.view.i32, (this.means.view.baseBytes + byte) / 4, value | 0);
  }

  /** Puts one request and publishes it. */
  send(entry: EntryWords): number {
    const slot = this.put(entry);
    this.publish();
    return slot;
  }

  /** Reads the responses that are there, at most a ring of them. */
  collect(): Answer[] {
    const { view } = this.means;
    const produced = Atomics.load(view.i32, (view.baseBytes + RSP_PROD_BYTES) / 4);
    const claimed = (produced - this.#rspCons) >>> 0;
    // More than it asked for is its own scribbling over rsp_prod, not an answer.
    const asked = (this.#reqProd - this.#rspCons) >>> 0;
    const waiting = claimed > asked ? 0 : Math.min(claimed, this.slots);
    const answers: Answer[] = [];
    const entry = newEntry();
    for (let i = 0; i < waiting; i++) {
      const at = this.slotWord((this.#rspCons + i) & (this.slots - 1));
      for (let word = 0; word < 4; word++) entry[word] = view.u32[at + word] as number;
      const id = entry[0] as number;
      const status = responseStatus(entry);
      this.#count(status);
      answers.push({ id, op: responseOp(entry), status });
    }
    this.#rspCons = (this.#rspCons + waiting) >>> 0;
    return answers;
  }

  /** Lets the mutators write once. Called while the back end is at work, wherever that can be. */
  tick(): void {
    for (const mutator of this.mutators) mutator.tick();
  }

  calm(): void {
    this.mutators.length = 0;
  }

  #count(status: number): void {
    if (status === BlkifStatus.okay) this.tally.okay++;
    else if (status === BlkifStatus.error) this.tally.error++;
    else if (status === BlkifStatus.notSupported) this.tally.notSupported++;
    else this.tally.other++;
  }
}
