/**
 * Messages by name over one link: to a switch, which reads the name that a frame is for and puts in
 * its place the name that it is from.
 *
 * ```
 * 0   1   length of the name, n
 * 1   n   the name, ASCII
 * 1+n     the frame, as `codec.ts` makes it
 * ```
 * What is no frame, or of another version, is dropped and told once a peer: who sent it will ask
 * again, and a peer that speaks another language is no reason to stop.
 */
import { invariant } from '../../base/invariant.ts';
import type { Link, World } from '../../world/world.ts';
import type { PeerNet } from '../server/ports.ts';
import { decodeFrame, encodeFrame, WireRefusal } from './codec.ts';
import type { Frame } from './messages.ts';

const NAME_BYTES_MAX = 255;

export class LinkNet implements PeerNet {
  readonly #link: Link;
  readonly #world: Pick<World, 'digest' | 'log'>;
  readonly #told = new Set<string>();

  constructor(link: Link, world: Pick<World, 'digest' | 'log'>) {
    this.#link = link;
    this.#world = world;
  }

  send(to: string, { message, payload }: Frame): void {
    this.#link.send(addressed(to, encodeFrame(message, payload, this.#world.digest)));
  }

  onFrame(receive: (from: string, frame: Frame) => void): void {
    this.#link.onFrame((bytes) => {
      const from = addressOf(bytes);
      if (from === null) return;
      const frame = decodeFrame(frameOf(bytes), this.#world.digest);
      if (frame instanceof WireRefusal) this.#refuse(from, frame);
      else receive(from, frame);
    });
  }

  #refuse(from: string, { why }: WireRefusal): void {
    if (this.#told.has(from)) return;
    this.#told.add(from);
    this.#world.log.note(`a frame of ${from} is no message: ${why}`);
  }
}

/** A frame with the name in front of it. */
export function addressed(name: string, frame: Uint8Array): Uint8Array {
  invariant(name.length > 0 && name.length <= NAME_BYTES_MAX, 'a name has 1 to 255 characters');
  const bytes = new Uint8Array(1 + name.length + frame.length);
  bytes[0] = name.length;
  for (let at = 0; at < name.length; at++) bytes[1 + at] = name.charCodeAt(at) & 0x7f;
  bytes.set(frame, 1 + name.length);
  return bytes;
}

/** The name in front of a frame; null: there is none. */
export function addressOf(bytes: Uint8Array): string | null {
  const length = bytes[0] ?? 0;
  if (length === 0 || bytes.length < 1 + length) return null;
  return String.fromCharCode(...bytes.subarray(1, 1 + length));
}

export function frameOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(1 + (bytes[0] ?? 0));
}
