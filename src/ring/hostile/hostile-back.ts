/**
 * The hands of a back end that keeps no rule, and what it does with them: F1 to F8 and F12.
 *
 * It reads requests as a good one does, so that it knows what is in flight and can come as close to
 * the truth as it likes, and answers anything. `answer` writes a response where the next one goes
 * and `publish` moves `rsp_prod`; `setRspProd` moves it anywhere.
 *
 * `outcome` is what a sound front end does: `violation`, it stops using the ring and says why;
 * `error`, the request fails; `okay`, it is as if nothing had been; `flagged`, the request is
 * served and the oddity is counted. A back end that acknowledges what it did not do (F9) keeps the
 * protocol: only whoever reads the data back can tell, so F9 is `answerUndone`, and no move has an
 * outcome for it.
 */
import type { Prng } from '../../base/prng.ts';
import {
  BlkifOp,
  BlkifStatus,
  type EntryWords,
  entryByte1,
  entryIdLow,
  entryOp,
  meaningfulWords,
  newEntry,
} from '../entries.ts';
import {
  REQ_PROD_BYTES,
  RING_HEADER_BYTES,
  RSP_PROD_BYTES,
  ringSlots,
  SLOT_WORDS,
} from '../layout.ts';
import type { RingView } from '../ports.ts';
import { type Mutator, WordMutator } from './mutators.ts';

export interface BackMeans {
  readonly view: RingView;
  readonly order: number;
  readonly random: Prng;
  readonly notify: () => void;
}

export interface TakenRequest {
  readonly id: number;
  /** What a response must echo. */
  readonly op: number;
  readonly entry: EntryWords;
}

export class HostileBack {
  readonly means: BackMeans;
  readonly slots: number;
  /** Requests taken and not answered. */
  readonly open: TakenRequest[] = [];
  readonly mutators: Mutator[] = [];
  #reqCons: number;
  #rspProd: number;

  constructor(means: BackMeans, startIndex: number) {
    this.means = means;
    this.slots = ringSlots(means.order);
    this.#reqCons = startIndex >>> 0;
    this.#rspProd = startIndex >>> 0;
  }

  get rspProd(): number {
    return this.#rspProd;
  }

  /** Copies out every request that is there. */
  take(): number {
    const { view } = this.means;
    const produced = Atomics.load(view.i32, (view.baseBytes + REQ_PROD_BYTES) / 4);
    const waiting = Math.min((produced - this.#reqCons) >>> 0, this.slots);
    for (let i = 0; i < waiting; i++) {
      const at = this.#slotWord(this.#reqCons);
      const entry = newEntry();
      const words = meaningfulWords(view.u32[at] as number);
      for (let word = 0; word < words; word++) entry[word] = view.u32[at + word] as number;
      const op = entryOp(entry);
      const echo = op === BlkifOp.indirect ? entryByte1(entry) : op;
      this.open.push({ id: entryIdLow(entry), op: echo, entry });
      this.#reqCons = (this.#reqCons + 1) >>> 0;
    }
    return waiting;
  }

  /** Writes a response; returns its slot. `pad` goes into every byte that should be zero. */
  answer(id: number, op: number, status: number, pad = 0, idHigh = 0): number {
    const slot = this.#rspProd & (this.slots - 1);
    const at = this.#slotWord(this.#rspProd);
    const { u32 } = this.means.view;
    u32[at] = id;
    u32[at + 1] = idHigh;
    u32[at + 2] = (op | (pad << 8) | (status << 16)) >>> 0;
    u32[at + 3] = pad * 0x01010101;
    this.#rspProd = (this.#rspProd + 1) >>> 0;
    return slot;
  }

  /** Answers the oldest open request as a good back end would, without having done anything. */
  answerUndone(status: number = BlkifStatus.okay): number {
    const request = this.open.shift();
    return request === undefined ? -1 : this.answer(request.id, request.op, status);
  }

  publish(): void {
    this.setRspProd(this.#rspProd);
    this.means.notify();
  }

  setRspProd(value: number): void {
    const { view } = this.means;
    Atomics.store(view.i32, (view.baseBytes + RSP_PROD_BYTES) / 4, value | 0);
  }

  slotAddress(slot: number): number {
    return this.means.view.baseBytes + RING_HEADER_BYTES + slot * SLOT_WORDS * 4;
  }

  tick(): void {
    for (const mutator of this.mutators) mutator.tick();
  }

  #slotWord(index: number): number {
    return this.slotAddress(index & (this.slots - 1)) / 4;
  }
}

export type BackOutcome = 'violation' | 'error' | 'okay' | 'flagged';

/** Applied when at least one request is open and at least one id is not in flight. */
export interface BackMove {
  readonly attack: string;
  readonly name: string;
  readonly outcome: BackOutcome;
  apply(back: HostileBack): void;
}

const STORM_NOTIFICATIONS = 1000;

/** A move that answers the oldest open request in a wrong way. */
function wrongAnswer(
  attack: string,
  name: string,
  outcome: BackOutcome,
  answer: (back: HostileBack, request: TakenRequest) => void,
): BackMove {
  return {
    attack,
    name,
    outcome,
    apply: (back) => {
      const request = back.open.shift();
      if (request !== undefined) answer(back, request);
      back.publish();
    },
  };
}

function wrongIndex(attack: string, name: string, index: (back: HostileBack) => number): BackMove {
  return {
    attack,
    name,
    outcome: 'violation',
    apply: (back) => {
      back.setRspProd(index(back));
      back.means.notify();
    },
  };
}

export const BACK_MOVES: readonly BackMove[] = [
  wrongIndex('F1', 'rsp_prod jumps by n + 1', (back) => back.rspProd + back.slots + 1),
  wrongIndex('F1', 'rsp_prod jumps by 2^31', (back) => back.rspProd + 2 ** 31),
  wrongIndex('F1', 'rsp_prod steps back by 1', (back) => back.rspProd - 1),
  wrongAnswer('F2', 'the id is n', 'violation', (back, { op }) => {
    back.answer(back.slots, op, BlkifStatus.okay);
  }),
  wrongAnswer('F2', 'the id is 2^32 too high', 'violation', (back, { id, op }) => {
    back.answer(id, op, BlkifStatus.okay, 0, 1);
  }),
  wrongAnswer('F2', 'the id is not in flight', 'violation', (back, { id, op }) => {
    const busy = new Set(back.open.map((other) => other.id)).add(id);
    let free = 0;
    while (busy.has(free)) free++;
    back.answer(free, op, BlkifStatus.okay);
  }),
  wrongAnswer('F2', 'one id is answered twice', 'violation', (back, { id, op }) => {
    back.answer(id, op, BlkifStatus.okay);
    back.answer(id, op, BlkifStatus.okay);
  }),
  wrongAnswer('F3', 'the operation is not the one asked for', 'violation', (back, { id, op }) => {
    back.answer(id, op === BlkifOp.read ? BlkifOp.write : BlkifOp.read, BlkifStatus.okay);
  }),
  wrongAnswer('F3', 'the operation is "indirect"', 'violation', (back, { id }) => {
    back.answer(id, BlkifOp.indirect, BlkifStatus.okay);
  }),
  ...[1, 32767, -3, -32768].map((status) =>
    wrongAnswer('F4', `the status is ${status}`, 'error', (back, { id, op }) => {
      back.answer(id, op, status);
    }),
  ),
  wrongIndex('F5', 'responses to requests that were not made', (back) => {
    while (back.open.length > 0) back.answerUndone();
    back.answer(0, BlkifOp.read, BlkifStatus.okay);
    return back.rspProd;
  }),
  wrongAnswer('F6', 'a response changes after it was published', 'okay', (back, { id, op }) => {
    const slot = back.answer(id, op, BlkifStatus.okay);
    const word = back.slotAddress(slot) / 4;
    back.mutators.push(new WordMutator(back.means.view, word, [0xffff, 0xffff, 0xffffffff, 1]));
  }),
  wrongAnswer('F7', 'the doorbell rings on and on', 'okay', (back, { id, op }) => {
    for (let i = 0; i < STORM_NOTIFICATIONS; i++) back.means.notify();
    back.answer(id, op, BlkifStatus.okay);
  }),
  wrongAnswer('F12', 'pad bytes of a response are not zero', 'flagged', (back, { id, op }) => {
    back.answer(id, op, BlkifStatus.okay, 0xa5);
  }),
];
