/**
 * Passes frames on between the links of a pool's servers and clients, by the name in front of each
 * (`named-frames.ts`). It runs where the links end, in the toolstack's thread; it looks at names
 * only.
 *
 * A name has one link at a time: who is plugged in again has another life, and what still comes by
 * the link of the old one goes on under the same name, as it would on a network. What is for nobody
 * is dropped. Who may not hear whom can be cut, one way.
 */
import { addressed, addressOf, frameOf } from '../../world/named-frames.ts';
import type { Link } from '../../world/world.ts';

export class Switchboard {
  readonly #ends = new Map<string, Link>();
  readonly #cut = new Set<string>();
  /** Sees every frame that passes. */
  watch: ((from: string, to: string, frame: Uint8Array) => void) | null = null;

  /** `far`: the other end of the link of whoever has this name from now on. */
  plug(name: string, far: Link): void {
    this.#ends.set(name, far);
    far.onFrame((bytes) => {
      const to = addressOf(bytes);
      if (to === null || this.#cut.has(wayOf(name, to))) return;
      const frame = frameOf(bytes);
      this.watch?.(name, to, frame);
      this.deliver(name, to, frame);
    });
  }

  /** Nothing is passed on to this name any more. */
  unplug(name: string): void {
    this.#ends.delete(name);
  }

  /** A frame arrives as if `from` had sent it now. */
  deliver(from: string, to: string, frame: Uint8Array): void {
    this.#ends.get(to)?.send(addressed(from, frame));
  }

  cut(from: string, to: string): void {
    this.#cut.add(wayOf(from, to));
  }

  /** Ends what `cut` began. */
  join(from: string, to: string): void {
    this.#cut.delete(wayOf(from, to));
  }

  /** Neither hears the other, or `oneWay` the other one does not; returns what ends it. */
  part(one: string, other: string, oneWay: boolean): () => void {
    this.cut(one, other);
    if (!oneWay) this.cut(other, one);
    return () => {
      this.join(one, other);
      if (!oneWay) this.join(other, one);
    };
  }

  /** Ends all cuts. */
  heal(): void {
    this.#cut.clear();
  }
}

function wayOf(from: string, to: string): string {
  return `${from}>${to}`;
}
