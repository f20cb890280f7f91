/**
 * Messages by name: the codec over whatever carries frames by name.
 *
 * What is no frame, or of another version, is dropped and told once a peer: who sent it will ask
 * again, and a peer that speaks another language is no reason to stop.
 */
import { AddressedFrames, type NamedFrames } from '../../world/named-frames.ts';
import type { Link, World } from '../../world/world.ts';
import type { PeerNet } from '../server/ports.ts';
import { decodeFrame, encodeFrame, WireRefusal } from './codec.ts';
import type { Frame } from './messages.ts';

/** Name of an actor's link to the switch of its pool, where it has one. */
export const PETAL_LINK = 'petal';

/** Peers of which it is remembered that they have been told of; more are not told of. */
const TOLD_MAX = 64;

export class FrameNet implements PeerNet {
  readonly #frames: NamedFrames;
  readonly #world: Pick<World, 'digest' | 'log'>;
  readonly #told = new Set<string>();

  constructor(frames: NamedFrames, world: Pick<World, 'digest' | 'log'>) {
    this.#frames = frames;
    this.#world = world;
  }

  send(to: string, { message, payload }: Frame): void {
    this.#frames.send(to, encodeFrame(message, payload, this.#world.digest));
  }

  onFrame(receive: (from: string, frame: Frame) => void): void {
    this.#frames.onFrame((from, bytes) => {
      const frame = decodeFrame(bytes, this.#world.digest);
      if (frame instanceof WireRefusal) this.#refuse(from, frame);
      else receive(from, frame);
    });
  }

  #refuse(from: string, { why }: WireRefusal): void {
    if (this.#told.has(from) || this.#told.size >= TOLD_MAX) return;
    this.#told.add(from);
    this.#world.log.note(`a frame of ${from} is no message: ${why}`);
  }
}

/** Over one link to a switch (`switchboard.ts`). */
export class LinkNet extends FrameNet {
  constructor(link: Link, world: Pick<World, 'digest' | 'log'>) {
    super(new AddressedFrames(link), world);
  }
}
