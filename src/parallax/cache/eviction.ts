/**
 * Which slot of a cache gives way to a new entry: the interface of the policies.
 *
 * A policy knows slots by number. It keeps those that were `inserted` until it names them as
 * `victim` or hears that they were `removed`. It reads the keys of slots from the index of the
 * cache it serves, and remembers by key some of the entries that it has sent away (*ghosts*): an
 * entry that comes back soon was sent away too early.
 *
 * All memory is taken when a policy is made. Each call takes a bounded time.
 */
export interface EvictionPolicy {
  /** The entry with this key is now in the slot. */
  inserted(slot: number, high: number, low: number): void;
  /** The entry in the slot was used. */
  hit(slot: number): void;
  /**
   * The slot that gives way to an entry with this key, -1 if the policy has none. It is the
   * policy's no more; its own key is still in the index.
   */
  victim(high: number, low: number): number;
  /** The entry in the slot is gone for another reason; nothing of it is remembered. */
  removed(slot: number): void;
  /** Bytes of its arrays. */
  readonly sizeBytes: number;
}

export const EVICTION_KINDS = ['s3-fifo', 'arc', 'lru'] as const;
export type EvictionKind = (typeof EVICTION_KINDS)[number];
