/**
 * A link over a socket that is opened again whenever it ends: to one peer, wherever that is now.
 *
 * ```
 * dialling --connected, hello is good--> open --it ends, or is silent--> waiting
 *    '--no address, no answer, no hello----------------------------------> waiting
 * waiting --longer each time--> dialling
 * ```
 * A frame that is sent while it is dialled the first time, or for the first time after it was open,
 * waits for it, up to `waitingBytesMax`; when a dial has failed what waited is dropped, and so is
 * everything until the link is open again. So nobody gets an old frame after a long absence, and a
 * peer that is down costs no memory. Whoever asks has deadlines and asks again.
 *
 * A peer that has vanished without a word is not told from a slow one by its socket, for minutes.
 * Here it is: if something was sent and nothing at all has been heard for `silenceMs`, the link is
 * ended and dialled anew. Whoever hears the peer in another way says so (`heard`).
 */
import type { Link } from '../world.ts';
import { type Greeting, greet } from './greeting.ts';
import type { SocketLink, SocketLinkOptions } from './socket-link.ts';
import { connectSocket, type SocketAddress } from './sockets.ts';

export interface SteadyLinkTimes {
  readonly connectMs: number;
  /** Between a failure and the next dial: at first, and at most after it has doubled each time. */
  readonly retryMs: number;
  readonly retryMsMax: number;
  readonly silenceMs: number;
}

export interface SteadyLinkOptions {
  /** For people: `s3`, `the directory`. */
  readonly peer: string;
  /** Asked before each dial; may reject: it is asked again. */
  readonly address: () => Promise<SocketAddress>;
  readonly sockets: SocketLinkOptions;
  readonly times: SteadyLinkTimes;
  readonly waitingBytesMax: number;
  /** Null: the protocol has no hello. */
  readonly greeting: Greeting | null;
  /** Why it is not open, once a cause; and that it is again. */
  readonly onNote: (text: string) => void;
}

export class SteadyLink implements Link {
  readonly #options: SteadyLinkOptions;
  #receive: ((frame: Uint8Array) => void) | null = null;
  /** Open, or being greeted. */
  #link: SocketLink | null = null;
  #isOpen = false;
  #isClosed = false;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #keepsWaiting = true;
  #retryMs: number;
  #timer: NodeJS.Timeout | null = null;
  #silence: NodeJS.Timeout | null = null;
  /** When what was sent first since the peer was heard was sent; 0: it has been heard since. */
  #unheardSinceMs = 0;
  #told: string | null = null;

  /** Is dialled at once. */
  constructor(options: SteadyLinkOptions) {
    this.#options = options;
    this.#retryMs = options.times.retryMs;
    this.#dial();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  send(frame: Uint8Array): void {
    if (this.#isOpen && this.#link !== null) {
      if (this.#unheardSinceMs === 0) this.#unheardSinceMs = performance.now();
      this.#link.send(frame);
    } else if (this.#keepsWaiting && !this.#isClosed) {
      if (this.#waitingBytes + frame.length > this.#options.waitingBytesMax) return;
      this.#waitingBytes += frame.length;
      this.#waiting.push(frame);
    }
  }

  onFrame(receive: (frame: Uint8Array) => void): void {
    this.#receive = receive;
  }

  /** The peer has been heard, here or elsewhere. */
  heard(): void {
    this.#unheardSinceMs = 0;
  }

  close(): void {
    this.#isClosed = true;
    this.#isOpen = false;
    this.#dropWaiting();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#silence !== null) clearInterval(this.#silence);
    this.#link?.close();
  }

  #dial(): void {
    this.#timer = null;
    const { address, sockets, times } = this.#options;
    address()
      .then((where) => connectSocket(where, sockets, times.connectMs))
      .then(
        (link) => this.#connected(link),
        (thrown: unknown) =>
          this.#failed(thrown instanceof Error ? thrown.message : String(thrown)),
      );
  }

  #connected(link: SocketLink): void {
    if (this.#isClosed) return link.close();
    this.#link = link;
    const { greeting } = this.#options;
    let refusal: string | null = null;
    link.onEnd((why) => this.#ended(refusal ?? why ?? 'it was closed there'));
    if (greeting === null) return link.onFrame(this.#opened());
    greet(
      link,
      greeting,
      () => this.#opened(),
      (why) => {
        refusal = why;
      },
    );
  }

  /** Everything that waited leaves. Gives who receives from now on. */
  #opened(): (frame: Uint8Array) => void {
    const { onNote, peer, times } = this.#options;
    this.#isOpen = true;
    this.#keepsWaiting = true;
    this.#retryMs = times.retryMs;
    this.#unheardSinceMs = 0;
    if (this.#told !== null) onNote(`${peer} answers again`);
    this.#told = null;
    this.#silence = setInterval(this.#checkSilence, times.silenceMs / 4);
    this.#silence.unref();
    const waiting = this.#waiting;
    this.#dropWaiting();
    for (const frame of waiting) this.send(frame);
    return (frame) => {
      this.#unheardSinceMs = 0;
      this.#receive?.(frame);
    };
  }

  readonly #checkSilence = (): void => {
    const { silenceMs } = this.#options.times;
    if (this.#unheardSinceMs === 0) return;
    if (performance.now() - this.#unheardSinceMs < silenceMs) return;
    // A peer that stands still takes nothing: to wait until it has taken what is queued is in vain.
    this.#link?.abort(`nothing was heard for ${silenceMs} ms`);
  };

  #ended(why: string): void {
    const wasOpen = this.#isOpen;
    this.#link = null;
    this.#isOpen = false;
    if (this.#silence !== null) clearInterval(this.#silence);
    if (this.#isClosed) return;
    if (!wasOpen) return this.#failed(why);
    this.#tell(why);
    this.#timer = setTimeout(() => this.#dial(), this.#retryMs);
  }

  #failed(why: string): void {
    if (this.#isClosed) return;
    this.#keepsWaiting = false;
    this.#dropWaiting();
    this.#tell(why);
    this.#timer = setTimeout(() => this.#dial(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, this.#options.times.retryMsMax);
  }

  #tell(why: string): void {
    const { onNote, peer } = this.#options;
    if (why === this.#told) return;
    this.#told = why;
    onNote(`no link to ${peer}: ${why}`);
  }

  #dropWaiting(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}
