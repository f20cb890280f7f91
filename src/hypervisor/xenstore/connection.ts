/**
 * One client of the server: its link, its requests that wait, its transactions, its events.
 *
 * A frame is decoded when it comes and waits until the server's turn reaches this connection. The
 * queue is bounded: a request beyond it is answered EBUSY at once, and a client that goes on
 * sending faster than it is refused is dropped, as is one whose frames are no messages. A dropped
 * connection holds nothing any more and hears nothing; only the toolstack can attach the domain
 * again. The domain counts as introduced until it is released.
 */
import type { ErrorFields } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { type Nanos, NEVER } from '../../base/units.ts';
import type { Link } from '../../world/world.ts';
import { Refusal, type XenstoreErrno } from './errno.ts';
import type { Requester } from './operations.ts';
import { RateBudget } from './quota.ts';
import { TransactionTable } from './transactions.ts';
import { EventQueue, type Watch, type WatchHolder } from './watches.ts';
import { decodeMessage, encodeMessage, joinTexts, type Message, MessageType } from './wire.ts';

/** What a connection needs of its server. */
export interface ConnectionHost {
  nowNs(): Nanos;
  /** Carries a request out and gives the payload of its reply. Throws `Refusal`. */
  handle(connection: Connection, request: Message): string;
  /** Something is there to be served. */
  ready(): void;
  /** The connection was dropped for misconduct: forget what it held. */
  dropped(connection: Connection): void;
}

export class Connection implements WatchHolder {
  readonly who: Requester;
  readonly transactions: TransactionTable = new TransactionTable();
  readonly events: EventQueue;
  readonly #link: Link;
  readonly #host: ConnectionHost;
  readonly #requests: Message[] = [];
  readonly #requestBudget: RateBudget;
  readonly #eventBudget: RateBudget;
  readonly #refusalBudget: RateBudget;
  #open = true;
  #droppedFor: string | null = null;
  #served = 0;
  #refused = 0;
  #told = 0;

  constructor(who: Requester, link: Link, host: ConnectionHost) {
    const { quota } = who;
    const nowNs = host.nowNs();
    this.who = who;
    this.events = new EventQueue(quota.pendingPathsPerWatch);
    this.#link = link;
    this.#host = host;
    this.#requestBudget = new RateBudget(quota.requestsPerSecond, quota.requestBurst, nowNs);
    this.#eventBudget = new RateBudget(quota.eventsPerSecond, quota.eventBurst, nowNs);
    this.#refusalBudget = new RateBudget(quota.refusalsPerSecond, quota.refusalBurst, nowNs);
  }

  /** Begins to receive. Frames that came before may be handed over, and be wrong, at once. */
  start(): void {
    this.#link.onFrame((frame) => this.#receive(frame));
  }

  get open(): boolean {
    return this.#open;
  }

  /** Serves up to `limit` requests; says how many. */
  serve(limit: number): number {
    let done = 0;
    while (done < limit && this.#open && this.#requests.length > 0) {
      if (!this.#requestBudget.tryTake(this.#host.nowNs())) break;
      const request = this.#requests.shift();
      invariant(request !== undefined, 'the queue is not empty');
      this.#answer(request);
      done++;
    }
    this.#served += done;
    return done;
  }

  /** Tells up to `limit` events; says how many. */
  tell(limit: number): number {
    let done = 0;
    while (done < limit && this.#open && !this.events.empty) {
      if (!this.#eventBudget.tryTake(this.#host.nowNs())) break;
      const event = this.events.take();
      invariant(event !== null, 'an event waits');
      this.#send(MessageType.watchEvent, 0, 0, joinTexts([shown(event), event.watch.token]));
      done++;
    }
    this.#told += done;
    return done;
  }

  /** When the next request can be served or event told; `NEVER` if nothing waits. */
  readyNs(): Nanos {
    if (!this.#open) return NEVER;
    const nowNs = this.#host.nowNs();
    const requestNs = this.#requests.length > 0 ? this.#requestBudget.nextTokenNs(nowNs) : NEVER;
    const eventNs = this.events.empty ? NEVER : this.#eventBudget.nextTokenNs(nowNs);
    return requestNs < eventNs ? requestNs : eventNs;
  }

  /** Ends it; nothing is sent or received any more. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#requests.length = 0;
    this.transactions.clear();
    this.events.clear();
    this.#link.close();
  }

  status(): ErrorFields {
    return {
      connected: this.#open,
      droppedFor: this.#droppedFor,
      requestsWaiting: this.#requests.length,
      eventsWaiting: this.events.size,
      transactions: this.transactions.size,
      served: this.#served,
      refused: this.#refused,
      told: this.#told,
    };
  }

  #receive(frame: Uint8Array): void {
    if (!this.#open) return;
    const request = decodeMessage(frame);
    if (request === null) {
      this.#drop('a frame was not one whole message');
    } else if (this.#requests.length < this.who.quota.outstandingRequests) {
      this.#requests.push(request);
      this.#host.ready();
    } else if (this.#refusalBudget.tryTake(this.#host.nowNs())) {
      this.#refuse(request, 'EBUSY');
    } else {
      this.#drop('it went on sending while its requests were refused');
    }
  }

  #answer(request: Message): void {
    let payload: string;
    try {
      payload = this.#host.handle(this, request);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      this.#refuse(request, thrown.errno);
      return;
    }
    this.#send(request.type, request.requestId, request.transactionId, payload);
  }

  #refuse(request: Message, errno: XenstoreErrno): void {
    this.#refused++;
    const { requestId, transactionId } = request;
    this.#send(MessageType.error, requestId, transactionId, joinTexts([errno]));
  }

  #send(type: number, requestId: number, transactionId: number, payload: string): void {
    if (!this.#open) return;
    this.#link.send(encodeMessage({ type, requestId, transactionId, payload }));
  }

  #drop(why: string): void {
    this.#droppedFor = why;
    this.close();
    this.#host.dropped(this);
  }
}

/** The path of an event as the holder of the watch names it. */
function shown(event: { readonly watch: Watch; readonly eventPath: string }): string {
  const { base } = event.watch;
  return base === '' ? event.eventPath : event.eventPath.slice(base.length);
}
