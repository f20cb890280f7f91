/**
 * blkfront: a guest's disk, over as many rings as were negotiated.
 *
 * ```
 *            connect()                         suspend()
 *  waiting ------------> connected ----------------------> waiting (policy stall)
 *     ^                      |                   |-------> waiting, failing (policy error)
 *     |      replay done     v                   '-------> failed (policy fail)
 *     '----------------- replaying
 * ```
 *
 * `submit` always accepts: while there is no ring, or no room on it, requests wait in order. Each
 * gets its `frontSeq` at submit, over all queues; a queue sends its requests in that order.
 *
 * When the driver VM is gone (its exit has been observed by the toolstack, which then says so in
 * the store), `suspend` first reads the responses that are already on the old rings and then
 * collects what is unanswered. After the next `connect` that is sent again in `frontSeq` order, on
 * one queue, with what was submitted meanwhile behind it; new requests wait until the last of it is
 * answered, because queues have no order among themselves. Sizes are cut anew: the new back end may
 * offer less.
 *
 * Not done: cancelling. A request that was sent is answered, replayed, or reported as an error
 * whose outcome is unknown.
 */
import { Fifo } from '../base/fifo.ts';
import { invariant, present } from '../base/invariant.ts';
import { MS, type Nanos, NEVER } from '../base/units.ts';
import type { PlantedBug, ProtocolEvent } from '../world/faults.ts';
import type { World } from '../world/world.ts';
import type { BackFeatures, FrontQueue, UnansweredPart } from './front-queue.ts';
import { FrontOp, type FrontRequest, FrontStatus } from './front-request.ts';

/** What a guest sees while its driver VM is gone (the choice that ublk offers). */
export type LossPolicy = 'stall' | 'error' | 'fail';

export type FrontState = 'waiting' | 'replaying' | 'connected' | 'failed';

export interface BlkfrontOptions {
  readonly policy: LossPolicy;
  /** A request older than this is counted as late, and under policy `error` ended with an error. */
  readonly deadlineNs: number;
  readonly plantedBug: PlantedBug;
}

export interface FrontCounters {
  submitted: number;
  completed: number;
  errors: number;
  replayedRequests: number;
  /** Requests that were found older than the deadline, each once. */
  late: number;
  /** Times the back end was found silent: requests waited and its heartbeat stood still. */
  silences: number;
  violations: string[];
}

/** By operation. */
const SUBMITTED: Readonly<Record<FrontOp, ProtocolEvent>> = {
  [FrontOp.read]: 'read-submitted',
  [FrontOp.write]: 'write-submitted',
  [FrontOp.flush]: 'flush-submitted',
  [FrontOp.discard]: 'discard-submitted',
  [FrontOp.barrier]: 'write-submitted',
};
const ACKNOWLEDGED: Readonly<Record<FrontOp, ProtocolEvent>> = {
  [FrontOp.read]: 'read-acknowledged',
  [FrontOp.write]: 'write-acknowledged',
  [FrontOp.flush]: 'flush-acknowledged',
  [FrontOp.discard]: 'discard-acknowledged',
  [FrontOp.barrier]: 'write-acknowledged',
};

const LATE_CHECK_NS = 100 * MS;
/** A back end beats every 50 ms; one that misses ten beats is silent. */
const SILENCE_NS = 500 * MS;

export class Blkfront {
  readonly counters: FrontCounters = {
    submitted: 0,
    completed: 0,
    errors: 0,
    replayedRequests: 0,
    late: 0,
    silences: 0,
    violations: [],
  };
  readonly #world: World;
  readonly #options: BlkfrontOptions;
  #queues: FrontQueue[] = [];
  #features: BackFeatures | null = null;
  #state: FrontState = 'waiting';
  /** Policy `error`: the driver VM is gone and requests fail until it is back. */
  #failing = false;
  #nextFrontSeq = 1;
  /** Requests that are not, or not wholly, on a ring yet: one line a queue. */
  readonly #lines: Fifo<FrontRequest>[] = [];
  #replay: UnansweredPart[] = [];
  #replayAt = 0;
  #replayOffset = 0;
  #replayInFlight = 0;
  /** Of what is replayed, something had been sent to a driver VM that died. */
  #repeats = false;
  #nextLateCheckNs: Nanos = 0 as Nanos;
  #lastBeat = -1;
  #lastBeatNs: Nanos = 0 as Nanos;
  #inFlight = 0;
  #nowNs: Nanos = 0 as Nanos;

  constructor(world: World, options: BlkfrontOptions) {
    this.#world = world;
    this.#options = options;
  }

  get state(): FrontState {
    return this.#state;
  }

  /** What the connected back end offers; null before the first connection. */
  get features(): BackFeatures | null {
    return this.#features;
  }

  /** Requests submitted and not yet done. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get queueCount(): number {
    return Math.max(1, this.#queues.length);
  }

  submit(request: FrontRequest): void {
    request.frontSeq = this.#nextFrontSeq++;
    request.submittedNs = this.#nowNs;
    request.sentSectors = 0;
    request.partsInFlight = 0;
    request.allSent = false;
    request.replayed = false;
    request.late = false;
    request.status = FrontStatus.ok;
    this.counters.submitted++;
    this.#inFlight++;
    if (this.#state === 'failed' || this.#failing) {
      request.allSent = true;
      this.#world.protocolEvent(SUBMITTED[request.op]);
      this.#complete(request, FrontStatus.error);
      return;
    }
    const line = this.#lineOf(request.queue);
    if (this.#state !== 'connected' || line.length > 0 || !this.#send(request)) line.push(request);
    this.#world.protocolEvent(SUBMITTED[request.op]);
  }

  /** Reads responses and sends what waits. True when anything moved. */
  step(nowNs: Nanos): boolean {
    this.#nowNs = nowNs;
    let moved = false;
    for (const queue of this.#queues) {
      if (queue.poll() > 0) moved = true;
      if (queue.violation !== null) this.#broken(queue.violation);
    }
    if (this.#state === 'replaying' && this.#pumpReplay()) moved = true;
    if (this.#state === 'connected' && this.#pumpLines()) moved = true;
    this.kick();
    return moved;
  }

  /** Publishes what a batch of `submit` put on the rings. */
  kick(): void {
    for (const queue of this.#queues) queue.flush();
  }

  /** Asks for a doorbell on every ring. True when a response came meanwhile. */
  finalCheck(): boolean {
    let work = false;
    for (const queue of this.#queues) if (queue.finalCheck()) work = true;
    return work;
  }

  nextDeadlineNs(): Nanos {
    return this.#inFlight > 0 && this.#queues.length > 0 ? this.#nextLateCheckNs : NEVER;
  }

  /**
   * Looks for requests over their deadline and for a back end that shows no life; call it when
   * `nextDeadlineNs` has come. Policy `stall` only counts; policy `error` ends late requests with
   * an error, whose outcome is unknown.
   */
  checkDeadlines(nowNs: Nanos): void {
    if (nowNs < this.#nextLateCheckNs) return;
    this.#nextLateCheckNs = (nowNs + LATE_CHECK_NS) as Nanos;
    this.#listen(nowNs);
    for (const queue of this.#queues) {
      for (const request of queue.olderThan(nowNs, this.#options.deadlineNs)) {
        if (!request.late) this.counters.late++;
        request.late = true;
        if (this.#options.policy === 'error' && request.allSent) this.#expire(queue, request);
      }
    }
  }

  #expire(queue: FrontQueue, request: FrontRequest): void {
    queue.expire(request);
    if (this.#state === 'replaying') this.#replayInFlight -= request.partsInFlight;
    request.partsInFlight = 0;
    this.#complete(request, FrontStatus.error);
  }

  /** Follows the heartbeat of the back end while something is asked of it. */
  #listen(nowNs: Nanos): void {
    const beat = this.#queues[0]?.heartbeat ?? -1;
    if (beat !== this.#lastBeat || this.#inFlight === 0) {
      this.#lastBeat = beat;
      this.#lastBeatNs = nowNs;
    } else if (beat >= 0 && nowNs - this.#lastBeatNs > SILENCE_NS) {
      this.counters.silences++;
      this.#lastBeatNs = nowNs;
      this.#world.log.event('front.silence', this.#inFlight, this.counters.silences);
    }
  }

  /** New rings are connected: replays what is unanswered, then goes on. */
  connect(queues: FrontQueue[], features: BackFeatures): void {
    invariant(this.#state === 'waiting', 'rings are connected when there are none');
    invariant(queues.length > 0, 'a connected disk has a ring');
    this.#queues = queues;
    this.#features = features;
    this.#failing = false;
    this.#joinReplay();
    this.#replayAt = 0;
    this.#replayOffset = this.#replay[0]?.offset ?? 0;
    this.#state = 'replaying';
    this.#world.protocolEvent('ring-connected');
    this.#repeats = this.#replay.some(({ request }) => request.replayed);
    if (this.#repeats) this.#world.protocolEvent('replay-begun');
    this.#pumpReplay();
  }

  /**
   * What had not reached a ring goes with the replay, in the order of all queues together. It
   * stands in lines of queues that are no more: dealt out to the new ones, of which there may be
   * another number, it could be overtaken by what is submitted from now on.
   */
  #joinReplay(): void {
    for (const request of this.#lines.flatMap((line) => line.drain())) {
      this.#replay.push({ request, offset: 0, sectors: request.sectors });
    }
    if (this.#options.plantedBug !== 'unordered-replay') inOrder(this.#replay);
  }

  /** The back end changed the size or its features while connected. */
  refreshFeatures(features: BackFeatures): void {
    this.#features = features;
  }

  /**
   * The driver VM is gone and its exit was observed: reads the last responses, gives up the rings
   * and keeps what is unanswered for the next `connect`, or fails it.
   */
  suspend(): void {
    if (this.#state === 'failed' || this.#state === 'waiting') return;
    const unsentReplay = this.#unsentReplay();
    this.#state = 'waiting';
    for (const queue of this.#queues) queue.poll();
    const parts: UnansweredPart[] = [];
    for (const queue of this.#queues) parts.push(...queue.abandon());
    for (const line of this.#lines) takePartlySent(line, parts);
    this.#queues = [];
    for (const { request } of parts) request.replayed = true;
    for (const { request, offset } of unsentReplay) if (offset > 0) request.replayed = true;
    parts.push(...unsentReplay);
    for (const { request } of parts) request.partsInFlight = 0;
    this.#replay = this.#options.plantedBug === 'unordered-replay' ? parts : inOrder(parts);
    if (this.#options.plantedBug === 'forgotten-replay') this.#replay.pop();
    this.#replayInFlight = 0;
    const again = parts.filter(({ request }) => request.replayed);
    this.counters.replayedRequests += new Set(again.map(({ request }) => request)).size;
    this.#world.protocolEvent('driver-lost');
    if (this.#options.policy !== 'stall') this.#failEverything();
  }

  /** The disk will not come back: everything fails, now and later. */
  fail(): void {
    this.suspend();
    this.#failEverything();
    this.#state = 'failed';
  }

  checkInvariants(): void {
    for (const queue of this.#queues) queue.checkInvariants();
    invariant(
      this.counters.submitted === this.counters.completed + this.#inFlight,
      'each request that was submitted is in flight or completed, once',
    );
  }

  /** A part was answered by a ring. */
  partDone(request: FrontRequest, status: FrontStatus): void {
    request.partsInFlight--;
    if (this.#state === 'replaying') this.#replayInFlight--;
    if (status !== FrontStatus.ok) request.status = status;
    if (request.allSent && request.partsInFlight === 0) this.#complete(request, request.status);
  }

  #complete(request: FrontRequest, status: FrontStatus): void {
    this.#inFlight--;
    this.counters.completed++;
    const failed = status !== FrontStatus.ok;
    if (failed) this.counters.errors++;
    const event = failed ? 'request-failed' : ACKNOWLEDGED[request.op];
    request.frontDone(status);
    this.#world.protocolEvent(event);
  }

  #lineOf(queue: number): Fifo<FrontRequest> {
    const at = queue % this.queueCount;
    while (this.#lines.length <= at) this.#lines.push(new Fifo<FrontRequest>());
    return present(this.#lines[at], 'each queue has a line');
  }

  /** Sends what is left of a request. True when all of it is on the ring. */
  #send(request: FrontRequest): boolean {
    const queue = present(this.#queues[request.queue % this.#queues.length], 'a ring is there');
    while (!request.allSent) {
      const sent = queue.send(request, request.sentSectors, request.sectors);
      if (sent < 0) return false;
      request.sentSectors += sent;
      request.partsInFlight++;
      request.allSent = request.sentSectors === request.sectors;
    }
    return true;
  }

  #pumpLines(): boolean {
    let moved = false;
    for (const line of this.#lines) {
      for (let head = line.peek(); head !== undefined; head = line.peek()) {
        const before = head.sentSectors;
        const whole = this.#send(head);
        if (whole || head.sentSectors > before) moved = true;
        if (!whole) break;
        line.shift();
      }
    }
    return moved;
  }

  /** Sends what is to be replayed, in order, on the first queue. */
  #pumpReplay(): boolean {
    const queue = present(this.#queues[0], 'a ring is there');
    let moved = false;
    while (this.#replayAt < this.#replay.length) {
      const part = present(this.#replay[this.#replayAt], 'the part is in the list');
      const end = part.offset + part.sectors;
      part.request.allSent = false;
      const sent = queue.send(part.request, this.#replayOffset, end);
      if (sent < 0) break;
      moved = true;
      part.request.partsInFlight++;
      this.#replayInFlight++;
      this.#replayOffset += sent;
      if (this.#replayOffset < end) continue;
      this.#replayAt++;
      const next = this.#replay[this.#replayAt];
      this.#replayOffset = next?.offset ?? 0;
      part.request.allSent = !this.#hasPartAhead(part.request);
    }
    if (this.#replayAt === this.#replay.length && this.#replayInFlight === 0) {
      this.#replay = [];
      this.#state = 'connected';
      this.#world.log.event('front.connected', this.#queues.length, this.counters.replayedRequests);
      if (this.#repeats) this.#world.protocolEvent('replay-done');
      moved = true;
    }
    return moved;
  }

  #hasPartAhead(request: FrontRequest): boolean {
    for (let i = this.#replayAt; i < this.#replay.length; i++) {
      if (this.#replay[i]?.request === request) return true;
    }
    return false;
  }

  /** What a replay that is itself interrupted had not sent yet. */
  #unsentReplay(): UnansweredPart[] {
    if (this.#state !== 'replaying') return [];
    const [head, ...rest] = this.#replay.slice(this.#replayAt);
    if (head === undefined) return [];
    const done = this.#replayOffset - head.offset;
    return [{ ...head, offset: this.#replayOffset, sectors: head.sectors - done }, ...rest];
  }

  #failEverything(): void {
    this.#failing = true;
    const doomed = new Set(this.#replay.map((part) => part.request));
    this.#replay = [];
    for (const line of this.#lines) for (const request of line.drain()) doomed.add(request);
    for (const request of [...doomed].sort((a, b) => a.frontSeq - b.frontSeq)) {
      request.allSent = true;
      this.#complete(request, FrontStatus.error);
    }
    if (this.#options.policy === 'fail') this.#state = 'failed';
  }

  #broken(violation: string): void {
    if (violation === 'abandoned' || this.counters.violations.includes(violation)) return;
    this.counters.violations.push(violation);
  }
}

/** Requests of which some parts were sent: their rest is replayed with those parts. */
function takePartlySent(line: Fifo<FrontRequest>, parts: UnansweredPart[]): void {
  const head = line.peek();
  if (head === undefined || head.sentSectors === 0) return;
  line.shift();
  const sectors = head.sectors - head.sentSectors;
  parts.push({ request: head, offset: head.sentSectors, sectors });
}

function inOrder(parts: UnansweredPart[]): UnansweredPart[] {
  return parts.sort((a, b) => a.request.frontSeq - b.request.frontSeq || a.offset - b.offset);
}
