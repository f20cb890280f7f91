/**
 * A request of a client while it is worked on: what was asked, how much of it is on its way, and
 * what is to be answered. Records are kept and used again.
 *
 * A request longer than a transfer is several. A structured reply gives each as it comes; a simple
 * one has a single header, after which there can be no error any more, and its data in order. So
 * there the transfers wait in `#inOrder` for those before them.
 */
import { Fifo } from '../../base/fifo.ts';
import { FrontStatus } from '../../guests/front-request.ts';
import type { Transfer, TransferOwner } from '../export-disk.ts';
import type { TappedCall } from '../request-tap.ts';
import { NbdError } from './protocol.ts';
import type { Judged } from './request-rules.ts';

/** Who answers it. */
export interface RequestHost {
  /** A transfer of the request has been answered, with success if `isOk`. */
  transferDone(request: NbdRequest, transfer: Transfer, isOk: boolean): void;
}

export class NbdRequest implements TransferOwner, Judged {
  readonly #host: RequestHost;
  command = 0;
  flags = 0;
  cookieHigh = 0;
  cookieLow = 0;
  offsetHigh = 0;
  offsetLow = 0;
  /** Infinity if it is no safe integer. */
  offset = 0;
  length = 0;
  /** Where the next transfer begins, from the beginning of the request. */
  nextBytes = 0;
  /** Nothing more is to be submitted for it. */
  isIssued = false;
  transfers = 0;
  error: NbdError = NbdError.ok;
  why = '';
  /** The header of a simple reply with data is out. */
  isHeaderOut = false;
  /** It is to be flushed when everything else of it is done. */
  needsFlush = false;
  /** For who hears of what clients ask for. */
  tapped: TappedCall | null = null;
  /** Of a read that is answered simply: its transfers, first to last. */
  readonly inOrder: Fifo<Transfer> = new Fifo();

  constructor(host: RequestHost) {
    this.#host = host;
  }

  begin(command: number, flags: number): void {
    this.command = command;
    this.flags = flags;
    this.nextBytes = 0;
    this.isIssued = false;
    this.transfers = 0;
    this.error = NbdError.ok;
    this.why = '';
    this.isHeaderOut = false;
    this.needsFlush = false;
    this.tapped = null;
  }

  /** Bytes for which there is no transfer yet. */
  get leftBytes(): number {
    return this.length - this.nextBytes;
  }

  get isDone(): boolean {
    return this.isIssued && this.transfers === 0;
  }

  /** The first failure is the one that is told. */
  fail(error: NbdError, why: string): void {
    if (this.error !== NbdError.ok) return;
    this.error = error;
    this.why = why;
  }

  transferDone(transfer: Transfer, status: FrontStatus): void {
    const isOk = status === FrontStatus.ok;
    if (!isOk) this.fail(NbdError.io, 'the disk has failed');
    this.transfers--;
    this.#host.transferDone(this, transfer, isOk);
  }
}
