/**
 * The transmission phase of a connection, as its client sends it: headers and payloads.
 *
 * ```
 * header --a write--------------> payload --complete--> header
 *   |  '---refused, with payload--> passing by ---------> header
 *   '--no record, no buffer, too much to be sent--> parked --there is room--> where it was
 * ```
 * The payload of a write is copied once, from the socket's buffer to where the front end takes it
 * from, and a transfer is submitted as soon as its buffer is full: a write of 32 MiB needs no more
 * memory than one of 1 MiB. A parked connection takes no more bytes, so its client is held up.
 */
import { present } from '../../base/invariant.ts';
import type { BufferWaiter, Transfer } from '../export-disk.ts';
import type { Agreement } from './handshake.ts';
import type { OutBudget } from './out-budget.ts';
import type { OutStream } from './out-stream.ts';
import {
  Command,
  CommandFlag,
  EXTENDED_REQUEST_BYTES,
  EXTENDED_REQUEST_MAGIC,
  NbdError,
  REQUEST_BYTES,
  REQUEST_MAGIC,
} from './protocol.ts';
import type { NbdRequest } from './request.ts';
import { refusalOf, type Terms } from './request-rules.ts';
import { RequestRunner, type RunnerHost, type Shortage } from './request-runner.ts';

/** What a transmission asks of its connection. */
export interface TransmissionHost extends Omit<RunnerHost, keyof BufferWaiter> {
  /** What was not taken can be taken now. */
  unparked(): void;
}

/** What it waits for: a record for a request, or what the runner has too little of. */
type Parked = 'no' | 'no-record' | Shortage;

/**
 * So long a payload may take to fill a buffer while others wait for one. A client that sends a byte
 * now and then is never silent, and a few dozen of them would have all the buffers for ever.
 */
const FILLING_TICKS = 5;

export class Transmission implements RunnerHost {
  readonly #agreement: Agreement;
  readonly #host: TransmissionHost;
  readonly #runner: RequestRunner;
  readonly #magic: number;
  /** A header that is not complete yet. */
  readonly #held: DataView;
  #heldBytes = 0;
  /** Over the bytes that are being received. */
  #view: DataView;
  #parked: Parked = 'no';
  /** A request without a payload that is not wholly issued. */
  #issuing: NbdRequest | null = null;
  #payloadOf: NbdRequest | null = null;
  /** Where the payload goes, and how much of it is there. */
  #filling: Transfer | null = null;
  #filledBytes = 0;
  #fillingTicks = 0;
  #passingBytes = 0;
  #isShuttingDown = false;
  #isDisconnecting = false;
  #isClosed = false;

  constructor(agreement: Agreement, out: OutStream, budget: OutBudget, host: TransmissionHost) {
    const isExtended = agreement.mode === 'extended';
    this.#agreement = agreement;
    this.#host = host;
    this.#runner = new RequestRunner(agreement, out, budget, this);
    this.#magic = isExtended ? EXTENDED_REQUEST_MAGIC : REQUEST_MAGIC;
    this.#held = new DataView(new ArrayBuffer(isExtended ? EXTENDED_REQUEST_BYTES : REQUEST_BYTES));
    this.#view = this.#held;
  }

  /** In a message that the client has not finished, though nothing keeps it from that. */
  get isMidMessage(): boolean {
    const begun = this.#heldBytes > 0 || this.#payloadOf !== null || this.#passingBytes > 0;
    return begun && this.#parked === 'no';
  }

  /** Once a second. True: it has kept a buffer for too long for which others wait. */
  tick(): boolean {
    const isInTheWay = this.#filling !== null && this.#agreement.exported.disk.isShort;
    this.#fillingTicks = isInTheWay ? this.#fillingTicks + 1 : 0;
    return this.#fillingTicks > FILLING_TICKS;
  }

  get unsentBytes(): number {
    return this.#host.unsentBytes;
  }

  /** The client wants no more, or gets no more, and everything was answered. */
  get isFinished(): boolean {
    if (this.#runner.inFlight > 0) return false;
    return this.#isDisconnecting || (this.#isShuttingDown && !this.isMidMessage);
  }

  /** As `StreamUser.received`. */
  received(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to && this.#parked === 'no' && !this.#isOver) {
      if (this.#passingBytes > 0) at += this.#passBy(to - at);
      else if (this.#payloadOf !== null) at += this.#fill(bytes, at, to);
      else at += this.#takeHeader(bytes, at, to);
    }
    this.#runner.settleAccounts();
    return this.#isOver ? to : at;
  }

  /** New requests are refused from now on. */
  shutDown(): void {
    this.#isShuttingDown = true;
  }

  /** The connection is gone: nothing is answered any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#filling !== null) this.#runner.giveBack(this.#filling);
    this.#filling = null;
    this.#runner.close();
  }

  /** Some replies have left, or requests were answered: looks whether there is room again. */
  look(): void {
    this.#runner.settleAccounts();
    // Who is in line for a buffer is asked when there is one.
    if (this.#parked !== 'no' && this.#parked !== 'no-buffer') this.#goOn();
  }

  buffersFreed(): boolean {
    if (this.#isOver) return false;
    this.#goOn();
    return this.#isInLine;
  }

  answered(): void {
    this.#host.answered();
  }

  broken(why: string): void {
    this.#host.broken(why);
  }

  readonly failed = (thrown: unknown): void => {
    this.#host.failed(thrown);
  };

  get #isInLine(): boolean {
    return this.#parked === 'no-buffer';
  }

  get #isOver(): boolean {
    return this.#isClosed || this.#isDisconnecting;
  }

  /** Goes on where it was parked, and takes bytes again if nothing is in the way any more. */
  #goOn(): void {
    this.#parked = 'no';
    const issuing = this.#issuing;
    if (issuing !== null) this.#issue(issuing);
    else if (this.#payloadOf !== null && this.#filling === null) this.#takeBuffer(this.#payloadOf);
    this.#runner.settleAccounts();
    if (this.#parked === 'no') this.#host.unparked();
  }

  #takeHeader(bytes: Uint8Array, from: number, to: number): number {
    const held = this.#held;
    if (this.#runner.isFull) {
      this.#parked = 'no-record';
      return 0;
    }
    const length = held.byteLength;
    if (this.#heldBytes === 0 && to - from >= length) {
      if (this.#view.buffer !== bytes.buffer) this.#view = new DataView(bytes.buffer);
      this.#takeRequest(this.#view, bytes.byteOffset + from);
      return length;
    }
    const run = Math.min(to - from, length - this.#heldBytes);
    for (let i = 0; i < run; i++) held.setUint8(this.#heldBytes + i, bytes[from + i] as number);
    this.#heldBytes += run;
    if (this.#heldBytes === length) {
      this.#heldBytes = 0;
      this.#takeRequest(held, 0);
    }
    return run;
  }

  #takeRequest(view: DataView, at: number): void {
    if (view.getUint32(at) !== this.#magic) {
      return this.#host.broken('what should be a request does not begin with its magic');
    }
    const request = this.#runner.take();
    request.begin(view.getUint16(at + 6), view.getUint16(at + 4));
    request.cookieHigh = view.getUint32(at + 8);
    request.cookieLow = view.getUint32(at + 12);
    request.offsetHigh = view.getUint32(at + 16);
    request.offsetLow = view.getUint32(at + 20);
    request.offset = wholeNumber(request.offsetHigh, request.offsetLow);
    request.length =
      this.#agreement.mode === 'extended'
        ? wholeNumber(view.getUint32(at + 24), view.getUint32(at + 28))
        : view.getUint32(at + 24);
    if (request.command === Command.disconnect) {
      this.#isDisconnecting = true;
      return this.#runner.drop(request);
    }
    this.#begin(request);
  }

  #begin(request: NbdRequest): void {
    const { command, flags, length } = request;
    const says = this.#agreement.mode === 'extended' && (flags & CommandFlag.payloadLength) !== 0;
    const payloadBytes = command === Command.write || says ? length : 0;
    if (!Number.isFinite(payloadBytes)) {
      this.#runner.drop(request);
      return this.#host.broken('a payload is longer than any disk');
    }
    if (this.#isShuttingDown) {
      this.#passingBytes = payloadBytes;
      return this.#runner.refuse(request, NbdError.shutdown, 'the server is being shut down');
    }
    const refusal = refusalOf(request, this.#terms());
    if (refusal !== null) {
      this.#passingBytes = payloadBytes;
      this.#runner.refuse(request, refusal.error, refusal.why);
      return;
    }
    this.#runner.tap(request);
    if (payloadBytes > 0) this.#payloadOf = request;
    else this.#issue(request);
  }

  #terms(): Terms {
    const { exported, mode, sizeBytes, contexts } = this.#agreement;
    const { features } = exported.disk;
    // Who may not write is told so, and not that there is no such command.
    const canDiscard = exported.isReadOnly || features?.discard === true;
    const { isReadOnly } = exported;
    return { mode, sizeBytes, isReadOnly, canDiscard, contexts: contexts.size };
  }

  #issue(request: NbdRequest): void {
    const issued = this.#runner.issue(request);
    this.#issuing = issued === 'all' ? null : request;
    if (issued !== 'all') this.#parked = issued;
  }

  #passBy(availableBytes: number): number {
    const run = Math.min(availableBytes, this.#passingBytes);
    this.#passingBytes -= run;
    return run;
  }

  #fill(bytes: Uint8Array, from: number, to: number): number {
    const request = present(this.#payloadOf, 'a payload belongs to a request');
    const transfer = this.#filling ?? this.#takeBuffer(request);
    if (transfer === null) return 0;
    const run = Math.min(to - from, transfer.lengthBytes - this.#filledBytes);
    const { memory } = this.#agreement.exported.disk;
    memory.u8.set(bytes.subarray(from, from + run), transfer.address + this.#filledBytes);
    this.#filledBytes += run;
    if (this.#filledBytes < transfer.lengthBytes) return run;
    this.#filling = null;
    if (request.leftBytes === 0) this.#payloadOf = null;
    this.#runner.write(request, transfer);
    return run;
  }

  #takeBuffer(request: NbdRequest): Transfer | null {
    const transfer = this.#runner.piece(request);
    this.#filledBytes = 0;
    this.#fillingTicks = 0;
    if (typeof transfer === 'string') this.#parked = transfer;
    else this.#filling = transfer;
    return this.#filling;
  }
}

/** Infinity if it is no safe integer, so that no comparison with it goes wrong. */
function wholeNumber(high: number, low: number): number {
  return high < 2 ** 21 ? high * 2 ** 32 + low : Number.POSITIVE_INFINITY;
}
