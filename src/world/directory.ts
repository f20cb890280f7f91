/**
 * The directory: the small state that all hosts of a store agree on. Who holds which extent, who is
 * attached and with which fence, what disks are called, and in an embedded store the root blocks.
 *
 * A set of keys with values; keys are `/`-separated text, values are bytes. Everything that must be
 * decided once is decided by `txn`: it compares versions and changes keys in one step, durably.
 * Bindings: a table in an lmdb file (`world/real`), a model in the simulator, and voters later; one
 * conformance suite holds for all.
 */
export interface DirectoryEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /**
   * Number of the `txn` that wrote this value: larger than that of every `txn` before it. What one
   * `txn` wrote has one number.
   */
  readonly version: number;
}

/** Holds if the key has this version; 0 stands for a key that is not there. */
export interface Comparison {
  readonly key: string;
  readonly version: number;
}

export interface Change {
  readonly key: string;
  /** null removes the key. */
  readonly value: Uint8Array | null;
}

/** Each call may reject with the `StorageError` `E_DIRECTORY`: the directory cannot answer now. */
export interface Directory {
  /** The newest value that any settled `txn` has written. */
  get(key: string): Promise<DirectoryEntry | null>;
  /** All entries whose keys begin with `prefix`, in order of their keys' bytes, of one moment. */
  list(prefix: string): Promise<readonly DirectoryEntry[]>;
  /**
   * Makes all changes if all comparisons hold, else none. True when they were made, and then they
   * are durable. After a rejection they may have been made or not, or will be made while the
   * directory recovers: look again, and let every `txn` compare what the next try will change, so
   * that one which comes late finds its comparison broken.
   */
  txn(comparisons: readonly Comparison[], changes: readonly Change[]): Promise<boolean>;
  /**
   * A hint that a key below `prefix` may have changed: it may come late, twice, for nothing, and
   * after a disturbance not at all. The function it gives back ends it.
   */
  watch(prefix: string, changed: (key: string) => void): () => void;
  close(): Promise<void>;
}

/** Largest value: a root block with room to spare. */
export const DIRECTORY_VALUE_BYTES = 16_384;
/** Longest key. Keys are made of printable ASCII without the space: a character is a byte. */
export const DIRECTORY_KEY_BYTES = 512;
/** Comparisons of one `txn` at the most, and changes. */
export const DIRECTORY_TXN_KEYS = 128;
