/**
 * A connection as a stream of bytes, for protocols that are not ours: what a server of such a
 * protocol sees of a socket.
 *
 * Bytes that come in are lent: the user consumes what it can within the call, and says how many.
 * If it did not take all of them, the stream stops reading and offers the rest again after
 * `resume`. So a user that has no room for more holds its peer up, and keeps nothing.
 *
 * ```
 * open --end()--------> closing --what was sent has left--> closed
 *   |--destroy()------------------------------------------> closed
 *   '--the peer closed, or failed ------------------------> closed
 * ```
 * `closed` is told once. After it nothing is received, and what was lent is not used any more.
 *
 * A protocol may begin in the clear and go on inside TLS. The keys, and the library that has them,
 * are the listener's; the user says when, and sees plain bytes before and after.
 */
export interface ByteStream {
  /** Who is on the other side, for people. */
  readonly peer: string;
  /**
   * Sends the first `lengthBytes`, which are borrowed until `done`; that is called once, never
   * inside the call, and also if the stream closes first. What is sent in one turn leaves in one
   * system call.
   */
  send(bytes: Uint8Array, lengthBytes: number, done: () => void): void;
  /** Offers again what was not taken, and reads on. */
  resume(): void;
  /**
   * What is sent and received from here on travels inside TLS; `done` gets null when that has been
   * agreed on, or why it was not. The caller has nothing on its way, and sends nothing until then.
   * Only streams of a listener that has keys can be asked.
   */
  encrypt(done: (problem: string | null) => void): void;
  /** Closes when everything that was sent has left; nothing is received any more. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

export interface StreamUser {
  /**
   * Takes bytes from `from` up to `to` and returns the place of the first that was not taken. It
   * may keep none of them.
   */
  received(bytes: Uint8Array, from: number, to: number): number;
  closed(): void;
}
