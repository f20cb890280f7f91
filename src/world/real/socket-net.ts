/**
 * Frames by name over sockets, for one server or client of a pool in a process of its own.
 *
 * ```
 * s1 ---- dialled by s1: frames of s1 for s2 ----> s2
 * s1 <--- dialled by s2: frames of s2 for s1 ----- s2
 * h0.7 -- dialled by h0.7: both ways ------------- s2
 * ```
 * Who has an address is dialled, and dialled again (`steady-link.ts`); who has none, a client, is
 * answered over the connection by which it came. Between two servers there are two connections, one
 * for each direction, so that nobody has to decide which of two that crossed is the one; until the
 * own one is open, the other one does.
 *
 * Nothing of a peer is believed before its hello is good, and its frames are those of the name in
 * its hello, never of a name inside a frame. Of two connections that came in under one name the
 * newer one is kept: the older one may be half open for long.
 *
 * Bounds: so many connections that come in, of which so many have not greeted; each queue has its
 * own (`socket-link.ts`). A client that does not read its answers is not read either, until it
 * does. Servers are always read: two who waited for each other would wait for ever.
 */
import type { Handshake } from '../handshake.ts';
import type { NamedFrames } from '../named-frames.ts';
import { greet } from './greeting.ts';
import type { SocketLink, SocketLinkOptions } from './socket-link.ts';
import { listenSockets, type SocketAddress, type SocketListener } from './sockets.ts';
import { SteadyLink, type SteadyLinkTimes } from './steady-link.ts';

export interface SocketNetOptions {
  /** Null: it only dials. */
  readonly listen: SocketAddress | null;
  readonly handshake: Handshake;
  /**
   * Where a peer can be dialled, asked before each dial; null: it comes by itself, or not at all.
   */
  readonly addressOf: (name: string) => (() => Promise<SocketAddress>) | null;
  readonly frameBytesMax: number;
  readonly onNote: (text: string) => void;
  readonly times?: Partial<SocketNetTimes>;
}

export interface SocketNetTimes extends SteadyLinkTimes {
  readonly helloMs: number;
}

const TIMES: SocketNetTimes = {
  helloMs: 2000,
  connectMs: 2000,
  retryMs: 20,
  retryMsMax: 1000,
  silenceMs: 5000,
};
const PRESSURE_BYTES = 2 ** 20;
const QUEUE_BYTES_MAX = 16 * 2 ** 20;
const WAITING_BYTES_MAX = 4 * 2 ** 20;
const CAME_IN_MAX = 256;
const STRANGERS_MAX = 32;

export class SocketNet implements NamedFrames {
  readonly #options: SocketNetOptions;
  readonly #times: SocketNetTimes;
  readonly #sockets: SocketLinkOptions;
  readonly #dialled = new Map<string, SteadyLink>();
  readonly #cameIn = new Map<string, SocketLink>();
  /** Came in, and have not greeted yet. */
  readonly #strangers = new Set<SocketLink>();
  /** What has been told of who came in: each text once. */
  readonly #told = new Set<string>();
  #receive: (from: string, frame: Uint8Array) => void = () => {};
  #listener: SocketListener | null = null;
  #listens = false;
  #isClosed = false;
  /** Settles with where it listens, with the port that was given; rejects if it cannot. */
  readonly listening: Promise<SocketAddress>;
  #settle: (address: SocketAddress | Promise<never>) => void = () => {};

  constructor(options: SocketNetOptions) {
    const { frameBytesMax, times } = options;
    this.#options = options;
    this.#times = { ...TIMES, ...times };
    this.#sockets = {
      frameBytesMax,
      pressureBytes: PRESSURE_BYTES,
      queueBytesMax: QUEUE_BYTES_MAX,
    };
    this.listening = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** Connections that came in and are open. */
  get cameIn(): number {
    return this.#cameIn.size + this.#strangers.size;
  }

  send(to: string, frame: Uint8Array): void {
    if (this.#isClosed) return;
    const dialled = this.#dialled.get(to) ?? this.#dial(to);
    if (dialled?.isOpen) return dialled.send(frame);
    const cameIn = this.#cameIn.get(to);
    if (cameIn !== undefined) cameIn.send(frame);
    else dialled?.send(frame);
  }

  /** Listens from the first call on: before it nobody could answer. */
  onFrame(receive: (from: string, frame: Uint8Array) => void): void {
    this.#receive = receive;
    const { listen } = this.#options;
    if (this.#listens || listen === null) return;
    this.#listens = true;
    listenSockets(listen, this.#sockets, (link) => this.#accept(link)).then(
      (listener) => this.#listenerReady(listener),
      (thrown: unknown) => this.#settle(Promise.reject(thrown)),
    );
  }

  /** Ends all connections. */
  close(): void {
    this.#isClosed = true;
    for (const link of this.#dialled.values()) link.close();
    void this.#listener?.close();
  }

  #listenerReady(listener: SocketListener): void {
    this.#listener = listener;
    if (this.#isClosed) void listener.close();
    this.#settle(listener.address);
  }

  #dial(name: string): SteadyLink | null {
    const { addressOf, handshake, onNote } = this.#options;
    const address = addressOf(name);
    if (address === null) return null;
    const link = new SteadyLink({
      peer: name,
      address,
      sockets: this.#sockets,
      times: this.#times,
      waitingBytesMax: WAITING_BYTES_MAX,
      greeting: { handshake, called: name, helloMs: this.#times.helloMs },
      onNote,
    });
    link.onFrame((frame) => this.#receive(name, frame));
    this.#dialled.set(name, link);
    return link;
  }

  #accept(link: SocketLink): void {
    if (this.#strangers.size >= STRANGERS_MAX || this.cameIn >= CAME_IN_MAX) {
      this.#tell(`more than ${this.cameIn} connections: some are refused`);
      return link.abort('too many connections');
    }
    this.#strangers.add(link);
    link.onEnd(() => this.#strangers.delete(link));
    const { handshake } = this.#options;
    greet(
      link,
      { handshake, called: null, helloMs: this.#times.helloMs },
      (name) => this.#welcome(link, name),
      (why) => this.#tell(`a connection was refused: ${why}`),
    );
  }

  #welcome(link: SocketLink, name: string): (frame: Uint8Array) => void {
    this.#strangers.delete(link);
    this.#cameIn.get(name)?.abort('a newer connection goes by its name');
    this.#cameIn.set(name, link);
    link.onEnd(() => {
      if (this.#cameIn.get(name) === link) this.#cameIn.delete(name);
    });
    if (this.#options.addressOf(name) === null) {
      link.onPressure((isFull) => (isFull ? link.pause() : link.resume()));
    }
    return (frame) => {
      this.#dialled.get(name)?.heard();
      this.#receive(name, frame);
    };
  }

  #tell(text: string): void {
    if (this.#told.has(text) || this.#told.size >= STRANGERS_MAX) return;
    this.#told.add(text);
    this.#options.onNote(text);
  }
}
