/**
 * Two ends of a link inside one actor: what one end sends, the other receives in order, in a
 * microtask of its own, never inside `send`.
 */
import type { Link } from '../../world/world.ts';

export function linkPair(): readonly [Link, Link] {
  const first = new End();
  const second = new End();
  first.peer = second;
  second.peer = first;
  return [first, second];
}

class End implements Link {
  peer: End | null = null;
  #inbox: Uint8Array[] = [];
  #receive: ((frame: Uint8Array) => void) | null = null;
  #delivering = false;
  #open = true;

  send(frame: Uint8Array): void {
    if (this.#open && this.peer !== null) this.peer.#arrive(frame);
  }

  onFrame(receive: (frame: Uint8Array) => void): void {
    this.#receive = receive;
    this.#deliverSoon();
  }

  /** Nothing goes through the link any more, in either direction. */
  close(): void {
    this.#end();
    if (this.peer !== null) this.peer.#end();
  }

  #end(): void {
    this.#open = false;
    this.#inbox = [];
    this.#receive = null;
  }

  #arrive(frame: Uint8Array): void {
    if (!this.#open) return;
    this.#inbox.push(frame);
    this.#deliverSoon();
  }

  #deliverSoon(): void {
    if (this.#delivering || this.#receive === null || this.#inbox.length === 0) return;
    this.#delivering = true;
    void Promise.resolve().then(() => {
      this.#delivering = false;
      const frames = this.#inbox;
      this.#inbox = [];
      for (const frame of frames) this.#receive?.(frame);
    });
  }
}
