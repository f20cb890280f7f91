/**
 * Frames over a stream of bytes, which keeps no bounds: each goes behind a prefix of its own.
 *
 * Offset  Size  Field (little-endian)
 *      0     4  magic, "SDF1"; the last character is the version
 *      4     4  length of the frame, at most what the receiver was told
 *      8        the frame
 *
 * The magic is for whoever dials a wrong port: what another protocol sends first is seen after four
 * bytes, and never waited upon as a long frame. After a prefix that is none, nothing in the stream
 * can be trusted to be the next one: the receiver does not look for it, it closes.
 *
 * A frame that lies in one chunk is handed over where it lies, one that does not in bytes of its
 * own. Both are the receiver's: nobody writes to a chunk again. So a frame that is kept for long
 * keeps its chunk (64 KiB from a socket); what is held between two chunks is at most one frame.
 */
import { invariant } from '../base/invariant.ts';

export const FRAME_PREFIX_BYTES = 8;
/** "SDF1". */
const MAGIC = [0x53, 0x44, 0x46, 0x31];

/** What goes into the stream before a frame of this length. */
export function framePrefix(lengthBytes: number): Uint8Array {
  const prefix = new Uint8Array(FRAME_PREFIX_BYTES);
  putFramePrefix(prefix, 0, lengthBytes);
  return prefix;
}

export function putFramePrefix(into: Uint8Array, at: number, lengthBytes: number): void {
  for (let i = 0; i < MAGIC.length; i++) into[at + i] = MAGIC[i] as number;
  for (let i = 0; i < 4; i++) into[at + MAGIC.length + i] = lengthBytes >>> (8 * i);
}

export class StreamFramer {
  readonly #frameBytesMax: number;
  readonly #deliver: (frame: Uint8Array) => void;
  readonly #prefix = new Uint8Array(FRAME_PREFIX_BYTES);
  #prefixBytes = 0;
  /** Null while the prefix is not complete. */
  #frame: Uint8Array | null = null;
  #frameBytes = 0;
  #stopped = false;

  /** `deliver` may stop the framer. */
  constructor(frameBytesMax: number, deliver: (frame: Uint8Array) => void) {
    invariant(frameBytesMax < 2 ** 32, 'the length of a frame fits its field');
    this.#frameBytesMax = frameBytesMax;
    this.#deliver = deliver;
  }

  /**
   * Takes the next bytes of the stream, which are the framer's from now on, and delivers each frame
   * that they complete. Says why no more can be taken, once: from then on nothing is.
   */
  push(chunk: Uint8Array): string | null {
    let at = 0;
    while (!this.#stopped && at < chunk.length) {
      if (this.#frame !== null) at = this.#fill(this.#frame, chunk, at);
      else if (this.#isWholeAt(chunk, at)) at = this.#deliverAt(chunk, at);
      else at = this.#takePrefix(chunk, at);
      if (this.#prefixBytes === 0 || this.#frame !== null) continue;
      const problem = this.#prefixProblem();
      if (problem === null) continue;
      this.stop();
      return problem;
    }
    return null;
  }

  /** Nothing is delivered any more; what was held is dropped. */
  stop(): void {
    this.#stopped = true;
    this.#frame = null;
    this.#prefixBytes = 0;
  }

  /** What to say if the stream ends here; null at the bounds of a frame. */
  get cut(): string | null {
    if (this.#frame !== null) {
      return `it ended ${this.#frameBytes} bytes into a frame of ${this.#frame.length}`;
    }
    return this.#prefixBytes === 0 ? null : 'it ended inside the prefix of a frame';
  }

  /** A prefix that holds begins here, and all of its frame is here too. */
  #isWholeAt(chunk: Uint8Array, at: number): boolean {
    if (this.#prefixBytes > 0 || chunk.length - at < FRAME_PREFIX_BYTES) return false;
    for (let i = 0; i < MAGIC.length; i++) if (chunk[at + i] !== MAGIC[i]) return false;
    const length = lengthAt(chunk, at);
    return length <= this.#frameBytesMax && at + FRAME_PREFIX_BYTES + length <= chunk.length;
  }

  #deliverAt(chunk: Uint8Array, at: number): number {
    const length = lengthAt(chunk, at);
    const from = at + FRAME_PREFIX_BYTES;
    // Not `subarray`: of a Buffer it gives a Buffer, whose `slice` does not copy.
    this.#deliver(new Uint8Array(chunk.buffer, chunk.byteOffset + from, length));
    return from + length;
  }

  #fill(frame: Uint8Array, chunk: Uint8Array, from: number): number {
    const taken = Math.min(chunk.length - from, frame.length - this.#frameBytes);
    frame.set(chunk.subarray(from, from + taken), this.#frameBytes);
    this.#frameBytes += taken;
    if (this.#frameBytes === frame.length) this.#complete(frame);
    return from + taken;
  }

  #complete(frame: Uint8Array): void {
    this.#frame = null;
    this.#prefixBytes = 0;
    this.#deliver(frame);
  }

  #takePrefix(chunk: Uint8Array, from: number): number {
    let at = from;
    while (this.#prefixBytes < FRAME_PREFIX_BYTES && at < chunk.length) {
      this.#prefix[this.#prefixBytes++] = chunk[at++] as number;
    }
    return at;
  }

  /** Judges as much of the prefix as is there; when all of it is, makes room for the frame. */
  #prefixProblem(): string | null {
    const prefix = this.#prefix;
    for (let at = 0; at < MAGIC.length && at < this.#prefixBytes; at++) {
      if (prefix[at] !== MAGIC[at]) return this.#strangeProblem();
    }
    if (this.#prefixBytes < FRAME_PREFIX_BYTES) return null;
    const length = lengthAt(prefix, 0);
    if (length > this.#frameBytesMax) {
      return `a frame of ${length} bytes; expected at most ${this.#frameBytesMax}`;
    }
    const frame = new Uint8Array(length);
    this.#frameBytes = 0;
    if (length === 0) this.#complete(frame);
    else this.#frame = frame;
    return null;
  }

  #strangeProblem(): string {
    const begin = this.#prefix.subarray(0, Math.min(this.#prefixBytes, MAGIC.length));
    const shown = Array.from(begin, printable).join('');
    return `frames begin with SDF1, these bytes with ${shown}: another program or version?`;
  }
}

/** Of the frame behind a whole prefix. */
function lengthAt(bytes: Uint8Array, at: number): number {
  const low = (bytes[at + 4] as number) | ((bytes[at + 5] as number) << 8);
  const high = (bytes[at + 6] as number) | ((bytes[at + 7] as number) << 8);
  return low + high * 65_536;
}

function printable(byte: number): string {
  return byte > 0x20 && byte < 0x7f
    ? String.fromCharCode(byte)
    : `\\x${byte.toString(16).padStart(2, '0')}`;
}
