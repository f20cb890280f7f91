/**
 * A link over a stream socket of Node, TCP or Unix: frames behind their lengths
 * (`world/stream-framer.ts`).
 *
 * What is sent in one round of the event loop leaves as one piece: to copy 4 KiB costs less than
 * what a stream of Node does for each chunk. Bytes that the socket cannot take are queued here, and
 * the owner is told (`onPressure`) when they are more than `pressureBytes` and when they are gone
 * again: meanwhile it should send less. If it does not, or the peer has stopped reading, the queue
 * ends the link at `queueBytesMax`: memory is bounded, and a peer that is this far behind is as
 * good as dead. Reading does not stop by itself when sending does: two peers who both did that
 * would wait for each other for ever. In the other direction `pause` stops reading, and the peer's
 * queue fills in turn.
 *
 * ```
 * open --close()------------------------> closing --all has left, or it took too long--> closed
 *   |     or the peer has closed          (nothing is received from here on)
 *   '--an error, a bad prefix, a full queue--> closed
 * ```
 * `onEnd` is called once, in `closed`, also for an end by `close()`. Nothing reconnects by itself.
 * A peer that has vanished without a word (half open) is not noticed here: whoever waits for an
 * answer has a deadline, and probes. So is the end of a peer while this side does not read.
 */
import type { Socket } from 'node:net';
import { invariant } from '../../base/invariant.ts';
import { FRAME_PREFIX_BYTES, putFramePrefix, StreamFramer } from '../stream-framer.ts';
import type { Link } from '../world.ts';

export interface SocketLinkOptions {
  /** Longest frame that is sent or received. */
  readonly frameBytesMax: number;
  /** Bytes in the queue above which the owner is told. */
  readonly pressureBytes: number;
  /** Bytes in the queue that end the link: more than `pressureBytes` by what one step may send. */
  readonly queueBytesMax: number;
}

/** After so long without a byte the kernel looks whether the peer's machine is there still. */
const KEEP_ALIVE_MS = 30_000;
/** How long after `close` the peer may take nothing of what was sent before. */
const CLOSE_IDLE_MS = 5000;
/** How long it has for all of it, and to close too. */
const CLOSE_MAX_MS = 30_000;

export class SocketLink implements Link {
  readonly #socket: Socket;
  readonly #options: SocketLinkOptions;
  readonly #framer: StreamFramer;
  #receive: ((frame: Uint8Array) => void) | null = null;
  #tellPressure: (isFull: boolean) => void = () => {};
  #tellEnd: ((why: string | null) => void) | null = null;
  #state: 'open' | 'closing' | 'closed' = 'open';
  /** Why it ended: the first cause that was seen. */
  #why: string | null = null;
  #isFull = false;
  /** Sent in this round of the event loop. */
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #giveUp: NodeJS.Timeout | null = null;

  /** Takes a connected socket, which nobody has read from yet, for its own. */
  constructor(socket: Socket, options: SocketLinkOptions) {
    invariant(
      options.pressureBytes >= socket.writableHighWaterMark,
      'pressure is told of queues that the socket calls full too: it tells when they are empty',
    );
    this.#socket = socket;
    this.#options = options;
    this.#framer = new StreamFramer(options.frameBytesMax, (frame) => this.#receive?.(frame));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('drain', this.#onDrain);
    socket.on('error', (error) => this.#endNow(error.message));
    socket.on('end', this.#onPeerEnd);
    socket.on('close', this.#onClose);
  }

  /** Bytes that wait to leave. */
  get queuedBytes(): number {
    return this.#socket.writableLength + this.#gatheredBytes;
  }

  /** Keeps `frame` until it has left: the caller must not write to it again. */
  send(frame: Uint8Array): void {
    if (this.#state !== 'open') return;
    const { frameBytesMax, pressureBytes, queueBytesMax } = this.#options;
    invariant(frame.length <= frameBytesMax, 'a frame is as long as its receiver takes them');
    if (this.queuedBytes + FRAME_PREFIX_BYTES + frame.length > queueBytesMax) {
      return this.#endNow(`the peer reads too slowly: ${this.queuedBytes} bytes wait for it`);
    }
    if (this.#gatheredBytes === 0) setImmediate(this.#flush);
    this.#gathered.push(frame);
    this.#gatheredBytes += FRAME_PREFIX_BYTES + frame.length;
    if (this.#isFull || this.queuedBytes <= pressureBytes) return;
    this.#isFull = true;
    this.#tellPressure(true);
  }

  /** The socket is read from the first call on. */
  onFrame(receive: (frame: Uint8Array) => void): void {
    const first = this.#receive === null;
    this.#receive = receive;
    if (first && this.#state === 'open') this.#socket.on('data', this.#onData);
  }

  /** `tell` gets true when the queue grows beyond `pressureBytes`, false when it is empty again. */
  onPressure(tell: (isFull: boolean) => void): void {
    this.#tellPressure = tell;
  }

  /** `tell` gets why the link ended, null if one of the two sides closed it in order. Once. */
  onEnd(tell: (why: string | null) => void): void {
    this.#tellEnd = tell;
    if (this.#state === 'closed') setImmediate(tell, this.#why);
  }

  /** Reads no more; what has been read already (up to 64 KiB) is still received. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Nothing is sent or received from here on; what was sent before still arrives. */
  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#framer.stop();
    this.#flush();
    // What the peer still sends is read and dropped: to close over unread bytes resets the
    // connection, and the reset overtakes what was sent before.
    this.#socket.removeListener('data', this.#onData);
    this.#socket.resume();
    this.#socket.end();
    const giveUp = (): void => void this.#socket.destroy();
    this.#socket.setTimeout(CLOSE_IDLE_MS, giveUp);
    this.#giveUp = setTimeout(giveUp, CLOSE_MAX_MS);
  }

  /** Ends it now, with what was sent and has not left. */
  abort(why: string): void {
    this.#endNow(why);
  }

  readonly #onData = (chunk: Uint8Array): void => {
    const problem = this.#framer.push(chunk);
    if (problem !== null) this.#endNow(problem);
  };

  readonly #onDrain = (): void => {
    if (!this.#isFull) return;
    this.#isFull = false;
    if (this.#state === 'open') this.#tellPressure(false);
  };

  readonly #onPeerEnd = (): void => {
    const { cut } = this.#framer;
    if (cut !== null) this.#why ??= `the stream was cut: ${cut}`;
    this.close();
  };

  readonly #onClose = (): void => {
    this.#state = 'closed';
    this.#framer.stop();
    if (this.#giveUp !== null) clearTimeout(this.#giveUp);
    this.#tellEnd?.(this.#why);
  };

  #endNow(why: string): void {
    if (this.#state === 'closed') return;
    // After `close` an error is no more than the peer's way to close too.
    if (this.#state === 'open') this.#why ??= why;
    this.#state = 'closing';
    this.#framer.stop();
    this.#socket.destroy();
  }

  readonly #flush = (): void => {
    if (this.#gatheredBytes === 0) return;
    const piece = Buffer.allocUnsafeSlow(this.#gatheredBytes);
    let at = 0;
    for (const frame of this.#gathered) {
      putFramePrefix(piece, at, frame.length);
      piece.set(frame, at + FRAME_PREFIX_BYTES);
      at += FRAME_PREFIX_BYTES + frame.length;
    }
    this.#gathered = [];
    this.#gatheredBytes = 0;
    if (!this.#socket.destroyed) this.#socket.write(piece);
  };
}
