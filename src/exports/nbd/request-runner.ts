/**
 * Does the requests of one connection: makes their transfers, and answers them.
 *
 * A request that needs more transfers than there is room for is made as far as it goes; who asked
 * is told what it must wait for, and asks again. Room is: a buffer of the export's disk, and what
 * the connection may owe its client.
 *
 * No order is kept between requests in flight, as the protocol has it; the front end keeps that of
 * what overlaps. A flush covers what was answered before it came.
 */
import { StorageError } from '../../base/errors.ts';
import { FrontOp } from '../../guests/front-request.ts';
import { RequestKind } from '../../world/history.ts';
import {
  type BufferWaiter,
  type ExportDisk,
  TRANSFER_BYTES_MAX,
  type Transfer,
} from '../export-disk.ts';
import type { Agreement } from './handshake.ts';
import type { OutBudget } from './out-budget.ts';
import type { OutStream } from './out-stream.ts';
import { Command, CommandFlag, NbdError } from './protocol.ts';
import {
  type Extent,
  fitExtents,
  putBlockStatus,
  putDataChunk,
  putDone,
  putEnd,
  putError,
  putSimple,
} from './replies.ts';
import { NbdRequest, type RequestHost } from './request.ts';

export interface RunnerHost extends BufferWaiter {
  /** Bytes that were given to the stream and have not left. */
  readonly unsentBytes: number;
  /** A request was answered, or a part of it, outside of any call to the runner. */
  answered(): void;
  /** A reply that was begun cannot be finished. */
  broken(why: string): void;
  /** A bug. */
  readonly failed: (thrown: unknown) => void;
}

/**
 * What is in the way of a request: no buffer is free; it holds its share of them; too much is not
 * sent.
 */
export type Shortage = 'no-buffer' | 'no-share' | 'no-answers';
export type Issued = 'all' | Shortage;

/** By command: what a trace calls it. */
const TAPPED: Readonly<Record<number, RequestKind>> = {
  [Command.read]: RequestKind.read,
  [Command.write]: RequestKind.write,
  [Command.flush]: RequestKind.flush,
  [Command.trim]: RequestKind.discard,
  [Command.writeZeroes]: RequestKind.zero,
};
const REQUESTS_MAX = 128;
const EXTENTS_MAX = 2048;
/** Shorter data are copied: many of them leave in one piece. */
const LENT_BYTES_MIN = 65_536;
/** What a connection may have to send, and still be lent more buffers. */
const LENT_BYTES_MAX = 8 * TRANSFER_BYTES_MAX;

export class RequestRunner implements RequestHost {
  readonly #agreement: Agreement;
  readonly #disk: ExportDisk;
  readonly #out: OutStream;
  readonly #budget: OutBudget;
  readonly #host: RunnerHost;
  readonly #spare: NbdRequest[] = [];
  #inFlight = 0;
  #bufferBytes = 0;
  /** Of reads that are on their way. */
  #readBytes = 0;
  #accountedBytes = 0;
  #isClosed = false;
  /** Something was submitted that the front end may not have published. */
  #isUnpublished = false;

  constructor(agreement: Agreement, out: OutStream, budget: OutBudget, host: RunnerHost) {
    this.#agreement = agreement;
    this.#disk = agreement.exported.disk;
    this.#out = out;
    this.#budget = budget;
    this.#host = host;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get isFull(): boolean {
    return this.#inFlight >= REQUESTS_MAX;
  }

  /** A record for a new request; it comes back by itself when it is answered. */
  take(): NbdRequest {
    this.#inFlight++;
    return this.#spare.pop() ?? new NbdRequest(this);
  }

  /** It was no request after all. */
  drop(request: NbdRequest): void {
    this.#inFlight--;
    this.#spare.push(request);
  }

  /** Answers a request with an error, and does nothing of it. */
  refuse(request: NbdRequest, error: NbdError, why: string): void {
    request.fail(error, why);
    request.isIssued = true;
    this.#settle(request);
  }

  /** A valid request: who hears of what clients ask for does now. */
  tap(request: NbdRequest): void {
    const { tap } = this.#agreement.exported;
    const { command, flags, offset, length } = request;
    const op = TAPPED[command];
    if (tap === null || op === undefined || (length === 0 && op !== RequestKind.flush)) return;
    const isFlush = op === RequestKind.flush;
    request.tapped = tap.begun({
      op,
      offset: isFlush ? 0 : offset,
      lengthBytes: isFlush ? 0 : length,
      fua: (flags & CommandFlag.fua) !== 0,
    });
  }

  /** Makes what transfers there is room for, of a request without a payload. */
  issue(request: NbdRequest): Issued {
    const { command, flags } = request;
    switch (command) {
      case Command.read:
      case Command.cache:
        return this.#issuePieces(request, FrontOp.read);
      case Command.flush:
        return this.#issueOne(request, FrontOp.flush);
      case Command.blockStatus:
        request.isIssued = true;
        request.transfers = 1;
        this.#status(request).catch(this.#host.failed);
        return 'all';
      default:
        request.needsFlush = (flags & CommandFlag.fua) !== 0;
        if ((flags & CommandFlag.noHole) !== 0) return this.#issuePieces(request, FrontOp.write);
        return this.#issueOne(request, FrontOp.discard);
    }
  }

  /** A transfer with a buffer for the next piece of a request, or why there is none. */
  piece(request: NbdRequest): Transfer | Shortage {
    const bytes = Math.min(request.leftBytes, TRANSFER_BYTES_MAX);
    if (!this.#disk.mayHold(this.#bufferBytes, bytes)) return 'no-share';
    const transfer = this.#disk.takeWithBuffer(bytes, request, this.#host);
    if (transfer === null) return 'no-buffer';
    this.#bufferBytes += bytes;
    transfer.offsetBytes = request.nextBytes;
    request.nextBytes += bytes;
    return transfer;
  }

  /** The buffer of a piece is full of what is to be written. */
  write(request: NbdRequest, transfer: Transfer): void {
    transfer.fua = (request.flags & CommandFlag.fua) !== 0;
    request.isIssued = request.leftBytes === 0;
    this.#submit(request, transfer, FrontOp.write);
  }

  /** The piece is not used. */
  giveBack(transfer: Transfer): void {
    this.#bufferBytes -= transfer.lengthBytes;
    this.#disk.give(transfer);
  }

  /** After a batch of calls: publishes what was submitted, and says what is owed now. */
  settleAccounts(): void {
    if (this.#isUnpublished) this.#disk.kick();
    this.#isUnpublished = false;
    const owedBytes = this.#isClosed ? 0 : this.#owedBytes;
    this.#budget.change(owedBytes - this.#accountedBytes);
    this.#accountedBytes = owedBytes;
  }

  /** The connection is gone: nothing is answered any more. */
  close(): void {
    this.#isClosed = true;
    this.settleAccounts();
  }

  transferDone(request: NbdRequest, transfer: Transfer, isOk: boolean): void {
    if (request.command !== Command.read) this.giveBack(transfer);
    else if (this.#agreement.mode === 'simple') this.#giveInOrder(request);
    else this.#giveChunk(request, transfer, isOk);
    if (request.isIssued && request.transfers === 0) this.#settle(request);
    if (!this.#isClosed) this.#host.answered();
  }

  get #owedBytes(): number {
    return this.#readBytes + this.#out.queuedBytes + this.#host.unsentBytes;
  }

  #issueOne(request: NbdRequest, op: FrontOp): Issued {
    request.isIssued = true;
    if (op !== FrontOp.flush && request.length === 0) this.#settle(request);
    else this.#submit(request, this.#disk.take(request), op);
    return 'all';
  }

  #issuePieces(request: NbdRequest, op: FrontOp): Issued {
    const isRead = request.command === Command.read;
    while (request.leftBytes > 0) {
      const bytes = Math.min(request.leftBytes, TRANSFER_BYTES_MAX);
      if (isRead && !this.#budget.allows(this.#owedBytes, bytes)) return 'no-answers';
      const transfer = this.piece(request);
      if (typeof transfer === 'string') return transfer;
      if (isRead) {
        this.#readBytes += bytes;
        if (this.#agreement.mode === 'simple') request.inOrder.push(transfer);
      } else if (op === FrontOp.write) {
        this.#disk.memory.clear(transfer.address, bytes);
      }
      request.isIssued = request.leftBytes === 0;
      this.#submit(request, transfer, op);
    }
    if (request.length === 0) {
      request.isIssued = true;
      this.#settle(request);
    }
    return 'all';
  }

  #submit(request: NbdRequest, transfer: Transfer, op: FrontOp): void {
    const { offsetBytes, lengthBytes } = transfer;
    request.transfers++;
    this.#isUnpublished = true;
    if (transfer.frame === null) this.#disk.submit(transfer, op, request.offset, request.length);
    else this.#disk.submit(transfer, op, request.offset + offsetBytes, lengthBytes);
  }

  /** A simple reply: the data that is there, as far as all before it is out. */
  #giveInOrder(request: NbdRequest): void {
    const { inOrder } = request;
    for (let head = inOrder.peek(); head?.isDone === true; head = inOrder.peek()) {
      inOrder.shift();
      if (request.error === NbdError.ok && !this.#isClosed) {
        if (!request.isHeaderOut) putSimple(this.#out, request, NbdError.ok);
        request.isHeaderOut = true;
        this.#giveData(head);
        continue;
      }
      if (request.isHeaderOut && !this.#isClosed) {
        this.#host.broken('a read has failed after its reply was begun');
      }
      this.#drop(head);
    }
  }

  #giveChunk(request: NbdRequest, transfer: Transfer, isOk: boolean): void {
    if (!isOk || this.#isClosed) return this.#drop(transfer);
    const { mode } = this.#agreement;
    const isLast = request.isIssued && request.transfers === 0 && request.error === NbdError.ok;
    const offset = request.offset + transfer.offsetBytes;
    putDataChunk(this.#out, mode, request, offset, transfer.lengthBytes, isLast);
    this.#giveData(transfer);
  }

  /**
   * Data that were read go out, and their buffer comes back: at once, or of long data when they
   * have left. A client that does not read what it has asked for is lent nothing more.
   */
  #giveData(transfer: Transfer): void {
    const { address, lengthBytes } = transfer;
    const { u8 } = this.#disk.memory;
    const isKeepingUp = this.#out.queuedBytes + this.#host.unsentBytes <= LENT_BYTES_MAX;
    if (lengthBytes < LENT_BYTES_MIN || !isKeepingUp || !this.#disk.hasPlenty) {
      this.#out.bytes(u8, address, address + lengthBytes);
      return this.#drop(transfer);
    }
    this.#readBytes -= lengthBytes;
    this.#out.lend(u8, address, address + lengthBytes, () => this.giveBack(transfer));
  }

  #drop(transfer: Transfer): void {
    this.#readBytes -= transfer.lengthBytes;
    this.giveBack(transfer);
  }

  /** Everything of the request is done. */
  #settle(request: NbdRequest): void {
    if (request.needsFlush && request.error === NbdError.ok && request.length > 0) {
      request.needsFlush = false;
      return this.#submit(request, this.#disk.take(request), FrontOp.flush);
    }
    request.tapped?.ended(request.error === NbdError.ok);
    if (!this.#isClosed) this.#answer(request);
    this.#inFlight--;
    this.#spare.push(request);
  }

  #answer(request: NbdRequest): void {
    const { mode } = this.#agreement;
    const { command, error, why } = request;
    if (error !== NbdError.ok) {
      if (!request.isHeaderOut) putError(this.#out, mode, request, error, why);
    } else if (command !== Command.read) {
      if (command !== Command.blockStatus) putDone(this.#out, mode, request);
    } else if (request.length === 0) {
      if (mode === 'simple') putSimple(this.#out, request, NbdError.ok);
      else putEnd(this.#out, mode, request);
    }
  }

  /** The one answer that the disk does not give: it is asked of who knows the image. */
  async #status(request: NbdRequest): Promise<void> {
    const { exported, contexts, mode } = this.#agreement;
    const found: (readonly [number, Extent[]])[] = [];
    const isOne = (request.flags & CommandFlag.reqOne) !== 0;
    try {
      for (const [id, context] of contexts) {
        const extents = await exported.extents(context, request.offset, request.length);
        const fitting = fitExtents(extents, mode, isOne ? 1 : EXTENTS_MAX, request.length);
        found.push([id, fitting]);
      }
    } catch (thrown) {
      if (!(thrown instanceof StorageError)) throw thrown;
      request.fail(NbdError.io, thrown.message);
    }
    request.transfers--;
    if (request.error === NbdError.ok && !this.#isClosed) {
      found.forEach(([id, extents], at) => {
        const isLast = at === found.length - 1;
        putBlockStatus(this.#out, mode, request, id, extents, isLast);
      });
    }
    this.#settle(request);
    if (this.#isClosed) return;
    this.#host.answered();
    this.#disk.kick();
  }
}
