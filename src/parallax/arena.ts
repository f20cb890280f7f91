/** A range of the host's RAM that belongs to its user alone: buffers of caches, log and stories. */
export interface Arena {
  /** Byte address, on a page bound. */
  readonly address: number;
  readonly bytes: number;
}
