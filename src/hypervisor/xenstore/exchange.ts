/**
 * The client's end of a link: requests out, replies matched to them, events handed to watches.
 *
 * Each request has a number of its own, and only a reply with that number, the request's type (or
 * ERROR) and its transaction counts. Anything else is flagged and otherwise ignored: a message that
 * no request asked for changes nothing. A reply that names a request but does not fit it fails that
 * request, since no better answer will come.
 *
 * Only so many requests are out at once, fewer than the server allows; the others wait here, in
 * order. Callers that await what they ask for bound that list.
 */
import { invariant } from '../../base/invariant.ts';
import type { Link } from '../../world/world.ts';
import { U32_MAX } from './decimal.ts';
import { isXenstoreErrno, xenstoreError } from './errno.ts';
import {
  decodeMessage,
  encodeMessage,
  type Message,
  MessageType,
  PAYLOAD_MAX_BYTES,
  splitTexts,
} from './wire.ts';

export type ViolationKind =
  | 'not-a-message'
  | 'unknown-request'
  | 'wrong-type'
  | 'wrong-transaction'
  | 'unknown-error'
  | 'malformed-event';

export type OnViolation = (kind: ViolationKind) => void;

/** One request as its caller describes it; `operation` and `path` are for error messages. */
export interface Call {
  readonly type: number;
  readonly transactionId: number;
  readonly payload: string;
  readonly operation: string;
  readonly path: string;
}

interface Pending extends Call {
  readonly resolve: (payload: string) => void;
  readonly reject: (error: Error) => void;
}

/** Below the server's limit, so that a burst of calls is never refused. */
const WINDOW = 16;

export class Exchange {
  readonly #link: Link;
  readonly #onViolation: OnViolation;
  readonly #waiting: Pending[] = [];
  readonly #sent = new Map<number, Pending>();
  readonly #listeners = new Map<string, (path: string) => void>();
  #lastRequestId = 0;
  #lastToken = 0;
  #open = true;

  constructor(link: Link, onViolation: OnViolation) {
    this.#link = link;
    this.#onViolation = onViolation;
    link.onFrame((frame) => this.#receive(frame));
  }

  /** Resolves with the payload of the reply. */
  call(call: Call): Promise<string> {
    return new Promise((resolve, reject) => {
      const refused = this.#refusal(call);
      if (refused !== null) {
        reject(refused);
        return;
      }
      this.#waiting.push({ ...call, resolve, reject });
      this.#sendMore();
    });
  }

  /** From now on events with the token given back are handed to `listener`. */
  listen(listener: (path: string) => void): string {
    this.#lastToken++;
    const token = String(this.#lastToken);
    this.#listeners.set(token, listener);
    return token;
  }

  forget(token: string): void {
    this.#listeners.delete(token);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#listeners.clear();
    this.#link.close();
    const lost = [...this.#sent.values(), ...this.#waiting];
    this.#sent.clear();
    this.#waiting.length = 0;
    for (const call of lost) call.reject(closedError(call));
  }

  #refusal(call: Call): Error | null {
    if (!this.#open) return closedError(call);
    if (call.payload.length <= PAYLOAD_MAX_BYTES) return null;
    return xenstoreError('E2BIG', call.operation, call.path, 'it does not fit one message');
  }

  #sendMore(): void {
    while (this.#sent.size < WINDOW) {
      const call = this.#waiting.shift();
      if (call === undefined) return;
      const requestId = this.#nextRequestId();
      this.#sent.set(requestId, call);
      const { type, transactionId, payload } = call;
      this.#link.send(encodeMessage({ type, requestId, transactionId, payload }));
    }
  }

  /** Never 0, which is the number of events, and never one that is out. */
  #nextRequestId(): number {
    do {
      this.#lastRequestId = this.#lastRequestId >= U32_MAX ? 1 : this.#lastRequestId + 1;
    } while (this.#sent.has(this.#lastRequestId));
    return this.#lastRequestId;
  }

  #receive(frame: Uint8Array): void {
    if (!this.#open) return;
    const message = decodeMessage(frame);
    if (message === null) this.#onViolation('not-a-message');
    else if (message.type === MessageType.watchEvent) this.#event(message);
    else this.#reply(message);
  }

  /** An event of a watch that was given up meanwhile is late, not wrong. */
  #event(message: Message): void {
    const [path, token, ...more] = splitTexts(message.payload) ?? [];
    const fits = message.requestId === 0 && message.transactionId === 0 && more.length === 0;
    if (!fits || path === undefined || token === undefined) {
      this.#onViolation('malformed-event');
      return;
    }
    this.#listeners.get(token)?.(path);
  }

  #reply(message: Message): void {
    const call = this.#sent.get(message.requestId);
    if (call === undefined) {
      this.#onViolation('unknown-request');
      return;
    }
    this.#sent.delete(message.requestId);
    invariant(this.#sent.size < WINDOW, 'no more requests are out than the window holds');
    this.#settle(call, message);
    this.#sendMore();
  }

  #settle(call: Pending, message: Message): void {
    if (message.transactionId !== call.transactionId) {
      this.#mismatch(call, 'wrong-transaction');
    } else if (message.type === call.type) {
      call.resolve(message.payload);
    } else if (message.type !== MessageType.error) {
      this.#mismatch(call, 'wrong-type');
    } else {
      const [errno = ''] = splitTexts(message.payload) ?? [];
      if (isXenstoreErrno(errno)) {
        call.reject(xenstoreError(errno, call.operation, call.path, errno));
      } else {
        this.#mismatch(call, 'unknown-error');
      }
    }
  }

  #mismatch(call: Pending, kind: ViolationKind): void {
    this.#onViolation(kind);
    call.reject(
      xenstoreError('PROTOCOL', call.operation, call.path, `the reply does not fit: ${kind}`),
    );
  }
}

function closedError(call: Call): Error {
  return xenstoreError('CLOSED', call.operation, call.path, 'the link was closed');
}
