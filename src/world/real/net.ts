/**
 * Links over message ports.
 *
 * A thread with an event loop receives by the port's 'message' event (`PortLink`). A thread that
 * blocks on its bell has no event loop: its ports are polled between steps by a `PolledInbox`, and
 * whoever posts to one counts the message in the actor's shared words and rings the bell. The
 * count spares the inbox a look into each port at each step.
 *
 * A frame is copied once into a buffer of its own, which is then moved: a structured clone would
 * copy the whole buffer under a small view, and would not copy shared memory at all.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { invariant } from '../../base/invariant.ts';
import type { Link, Net } from '../world.ts';
import type { ActorWords } from './actor-words.ts';

export type Receive = (message: unknown) => void;

/** Where messages of one port come from: the port's own events, or polling. */
export interface MessageSource {
  readonly port: MessagePort;
  /** Hands over each message, in order; those that came before are kept until this is called. */
  listen(receive: Receive): void;
}

/** A port of a thread with an event loop. `onDelivered` is told after each message. */
export class EventSource implements MessageSource {
  readonly port: MessagePort;
  readonly #onDelivered: () => void;
  #receive: Receive | null = null;

  constructor(port: MessagePort, onDelivered: () => void) {
    this.port = port;
    this.#onDelivered = onDelivered;
  }

  listen(receive: Receive): void {
    this.#receive = receive;
    this.port.on('message', (message: unknown) => {
      receive(message);
      this.#onDelivered();
    });
  }

  /** Hands over at once what waits in the port, if anybody listens. */
  drain(): void {
    if (this.#receive === null) return;
    for (;;) {
      const entry = receiveMessageOnPort(this.port);
      if (entry === undefined) return;
      this.#receive(entry.message);
    }
  }
}

interface Polled {
  readonly port: MessagePort;
  readonly receive: Receive;
}

/** The ports of a thread that blocks. */
export class PolledInbox {
  readonly #words: ActorWords;
  readonly #ports: Polled[] = [];
  #taken: number;

  constructor(words: ActorWords) {
    this.#words = words;
    this.#taken = words.framesPosted - 1;
  }

  source(port: MessagePort): MessageSource {
    return {
      port,
      listen: (receive) => {
        this.#ports.push({ port, receive });
        // What came before has been counted already: make the next look find it.
        this.#taken = this.#words.framesPosted - 1;
      },
    };
  }

  /** True if something may wait for `deliver`. */
  get pending(): boolean {
    return this.#words.framesPosted !== this.#taken;
  }

  /** Hands over everything posted so far. True if anything was. */
  deliver(): boolean {
    if (!this.pending) return false;
    this.#taken = this.#words.framesPosted;
    let delivered = false;
    for (const { port, receive } of this.#ports) {
      for (;;) {
        const entry = receiveMessageOnPort(port);
        if (entry === undefined) break;
        delivered = true;
        receive(entry.message);
      }
    }
    return delivered;
  }
}

/** One end of a link. `afterSend` tells a receiver that polls; nothing for one with events. */
export class PortLink implements Link {
  readonly #source: MessageSource;
  readonly #afterSend: () => void;
  #receive: ((frame: Uint8Array) => void) | null = null;
  #closed = false;

  constructor(source: MessageSource, afterSend: () => void) {
    this.#source = source;
    this.#afterSend = afterSend;
  }

  send(frame: Uint8Array): void {
    if (this.#closed) return;
    const moved = new Uint8Array(frame.length);
    moved.set(frame);
    this.#source.port.postMessage(moved, [moved.buffer]);
    this.#afterSend();
  }

  onFrame(receive: (frame: Uint8Array) => void): void {
    const first = this.#receive === null;
    this.#receive = receive;
    if (first) this.#source.listen(this.#deliver);
  }

  /** Nothing is sent or received from here on; what was sent before still arrives. */
  close(): void {
    this.#closed = true;
    this.#source.port.close();
  }

  readonly #deliver = (message: unknown): void => {
    if (this.#closed) return;
    invariant(message instanceof Uint8Array, 'a link carries frames of bytes');
    this.#receive?.(message);
  };
}

export class NamedLinks implements Net {
  readonly #links: ReadonlyMap<string, Link>;

  constructor(links: ReadonlyMap<string, Link>) {
    this.#links = links;
  }

  link(name: string): Link {
    const link = this.#links.get(name);
    invariant(link !== undefined, 'an actor asks for the links it was started with');
    return link;
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
  }
}
