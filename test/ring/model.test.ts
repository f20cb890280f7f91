/** FrontRing and BackRing against the reference ring, over random interleavings. */
import test from 'ava';
import fc from 'fast-check';
import { BufferMemory } from '../../src/base/shared-memory.ts';
import { PAGE_BYTES } from '../../src/base/units.ts';
import { BackRing } from '../../src/ring/back-ring.ts';
import {
  BlkifOp,
  encodeDirect,
  entryIdLow,
  newEntry,
  responseId,
  responseOp,
  responsePadClean,
} from '../../src/ring/entries.ts';
import { FrontRing } from '../../src/ring/front-ring.ts';
import { ringSlots } from '../../src/ring/layout.ts';
import { ReferenceRing } from '../helpers/reference-ring.ts';

const STEPS = [
  'put-request',
  'push-requests',
  'take-request',
  'put-response',
  'push-responses',
  'take-response',
  'back-sleeps',
  'front-sleeps',
] as const;
type Step = (typeof STEPS)[number];

class Pair {
  readonly front: FrontRing;
  readonly back: BackRing;
  readonly model: ReferenceRing;
  readonly taken: bigint[] = [];
  #nextId = 1;
  /**
   * Asleep after a final check that found nothing; woken by a notification only. A front end that
   * sleeps may still submit, and a back end that sleeps may still complete: neither looks at the
   * ring.
   */
  frontAsleep = false;
  backAsleep = false;

  constructor(order: number, start: number) {
    const { u8, i32, u32 } = BufferMemory.ofBytes(PAGE_BYTES * (1 + 2 ** order));
    const view = { u8, i32, u32, baseBytes: PAGE_BYTES };
    this.front = new FrontRing(view, order, start);
    this.back = new BackRing(view, order);
    this.model = new ReferenceRing(ringSlots(order), start);
  }

  /** One step, if it can be taken now. Throws when the two disagree. */
  step(step: Step): void {
    const { front, back, model } = this;
    switch (step) {
      case 'put-request':
        if (model.freeSlots > 0) this.#putRequest();
        break;
      case 'push-requests':
        if (same(front.push(), model.pushRequests(), 'notify the back')) this.backAsleep = false;
        break;
      case 'take-request':
        if (model.unread > 0 && !this.backAsleep) this.#takeRequest();
        break;
      case 'put-response':
        if (this.taken.length > 0) this.#putResponse();
        break;
      case 'push-responses':
        if (same(back.push(), model.pushResponses(), 'notify the front')) this.frontAsleep = false;
        break;
      case 'take-response':
        if (model.unreadResponses > 0 && !this.frontAsleep) this.#takeResponse();
        break;
      case 'back-sleeps':
        if (this.backAsleep) break;
        this.backAsleep = !same(back.finalCheck(), model.finalCheckRequests(), 'back looks again');
        break;
      case 'front-sleeps':
        if (this.frontAsleep) break;
        this.frontAsleep = !same(front.finalCheck(), model.finalCheckResponses(), 'front looks');
        break;
    }
    this.#compare();
  }

  #putRequest(): void {
    const id = this.#nextId++;
    const entry = newEntry();
    encodeDirect(entry, BlkifOp.write, 1, 0, id, 0);
    this.front.put(entry);
    this.model.putRequest(BigInt(id));
  }

  #takeRequest(): void {
    const entry = newEntry();
    this.back.take(entry);
    const id = this.model.takeRequest();
    same(BigInt(entryIdLow(entry)), id, 'request id');
    this.taken.push(BigInt(entryIdLow(entry)));
  }

  /** Answers out of order: the newest first, every other time. */
  #putResponse(): void {
    const id = (this.#nextId % 2 === 0 ? this.taken.pop() : this.taken.shift()) as bigint;
    this.back.put(Number(id), 0, BlkifOp.write, 0);
    this.model.putResponse(id);
  }

  #takeResponse(): void {
    const entry = newEntry();
    this.front.take(entry);
    same(BigInt(responseId(entry)), this.model.takeResponse(), 'response id');
    same(responseOp(entry), BlkifOp.write, 'response operation');
    same(responsePadClean(entry), true, 'pad of a response');
  }

  #compare(): void {
    const { front, back, model } = this;
    same(front.freeSlots, model.freeSlots, 'free slots');
    same(back.unread(), model.unread, 'unread requests');
    same(back.inFlight, model.inFlight, 'in flight');
    same(front.unreadResponses(), model.unreadResponses, 'unread responses');
    same(front.reqProdPvt, Number(BigInt.asUintN(32, model.reqProdPvt)), 'req_prod_pvt');
    same(front.rspCons, Number(BigInt.asUintN(32, model.rspCons)), 'rsp_cons');
    same(back.reqCons, Number(BigInt.asUintN(32, model.reqCons)), 'req_cons');
    same(back.rspProdPvt, Number(BigInt.asUintN(32, model.rspProdPvt)), 'rsp_prod_pvt');
    same(front.answerable, Number(model.reqProd - model.rspCons), 'answerable');
    // No lost wake-up: whoever sleeps has nothing published to look at.
    if (this.backAsleep) same(model.unread, 0, 'requests before a sleeping back');
    if (this.frontAsleep) same(model.unreadResponses, 0, 'responses before a sleeping front');
  }
}

function same<T>(found: T, wanted: T, what: string): T {
  if (found !== wanted) throw new Error(`${what}: ${String(found)}, reference ${String(wanted)}`);
  return found;
}

const START = fc.oneof(
  fc.constantFrom(0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1),
  fc.integer({ min: 2 ** 32 - 600, max: 2 ** 32 - 1 }),
);

/** Runs of one step make full and empty rings; single steps make the interleavings. */
const SCRIPT = fc.array(
  fc.tuple(fc.constantFrom(...STEPS), fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 70 }))),
  { minLength: 1, maxLength: 300 },
);

for (const order of [0, 1, 2, 3, 4]) {
  test(`order ${order}: notifies as ring.h does, across 2^32, and loses no wake-up`, (t) => {
    fc.assert(
      fc.property(START, SCRIPT, (start, script) => {
        const pair = new Pair(order, start);
        for (const [step, times] of script) for (let i = 0; i < times; i++) pair.step(step);
      }),
      { numRuns: 300, seed: 1000 + order, endOnFailure: false },
    );
    t.pass();
  });
}

test('a ring that is always full passes 2^32: each request is answered once', (t) => {
  const pair = new Pair(0, 2 ** 32 - 100);
  for (let round = 0; round < 20; round++) {
    for (const step of STEPS.slice(0, 6)) {
      for (let i = 0; i < 32; i++) pair.step(step);
    }
  }
  t.is(pair.front.rspCons, (20 * 32 - 100) >>> 0);
  t.is(pair.front.freeSlots, 32);
});
