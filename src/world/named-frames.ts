/**
 * Frames to and from others by name: what a pool's servers and clients have of the network. Frames
 * keep their bounds; they may be lost, late, doubled and out of order.
 *
 * `AddressedFrames` is this over one link to a switch, which reads the name that a frame is for and
 * puts in its place the name that it is from:
 *
 * ```
 * 0   1   length of the name, n
 * 1   n   the name, ASCII
 * 1+n     the frame
 * ```
 */
import { invariant } from '../base/invariant.ts';
import type { Link } from './world.ts';

export interface NamedFrames {
  /** Its bytes are copied or moved: the caller must not write to them again. */
  send(to: string, frame: Uint8Array): void;
  /** Sets who receives; `from` is true as far as the carrier of the frames is trusted. */
  onFrame(receive: (from: string, frame: Uint8Array) => void): void;
}

const NAME_BYTES_MAX = 255;

export class AddressedFrames implements NamedFrames {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  send(to: string, frame: Uint8Array): void {
    this.#link.send(addressed(to, frame));
  }

  onFrame(receive: (from: string, frame: Uint8Array) => void): void {
    this.#link.onFrame((bytes) => {
      const from = addressOf(bytes);
      if (from !== null) receive(from, frameOf(bytes));
    });
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
