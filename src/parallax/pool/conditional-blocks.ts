/**
 * Conditional blocks in the directory: one key a block, whose value carries the block's own version
 * beside the bytes, so that versions count 1, 2, 3 whatever else the directory does.
 *
 * `writeIf` looks, and then decides by one txn that compares the key with what it saw, and the
 * attachment with itself: a fenced writer is refused in the same step.
 */
import { StorageError } from '../../base/errors.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import { BLOCK_BYTES, type ConditionalBlock, type WriteIfResult } from '../../world/block-pool.ts';
import type { Comparison, Directory, DirectoryEntry } from '../../world/directory.ts';
import type { Digest } from '../../world/world.ts';
import { decodeConditionalRecord, encodeConditionalRecord } from '../formats/directory-records.ts';
import { type FenceGuard, fencedError, stillAttached } from './attach.ts';
import { conditionalKey } from './keys.ts';

export class ConditionalBlocks {
  readonly #directory: Directory;
  readonly #digest: Digest;
  readonly #store: string;
  /** null: of a store that is being created or only looked at. */
  readonly #guard: FenceGuard | null;

  constructor(directory: Directory, digest: Digest, store: string, guard: FenceGuard | null) {
    this.#directory = directory;
    this.#digest = digest;
    this.#store = store;
    this.#guard = guard;
  }

  async readConditional(block: number): Promise<ConditionalBlock> {
    if (this.#guard?.fenced === true) throw fencedError(this.#guard.attachment);
    return this.#decode(block, await this.#directory.get(conditionalKey(this.#store, block)));
  }

  async writeIf(block: number, expectedVersion: number, data: Uint8Array): Promise<WriteIfResult> {
    const guard = this.#guard;
    const key = conditionalKey(this.#store, block);
    const version = expectedVersion + 1;
    const value = encodeConditionalRecord(this.#digest, { version, data });
    for (;;) {
      if (guard?.fenced === true) throw fencedError(guard.attachment);
      const entry = await this.#directory.get(key);
      const found = this.#decode(block, entry);
      if (found.version !== expectedVersion) return { written: false, version: found.version };
      const comparisons: Comparison[] = [{ key, version: entry?.version ?? 0 }];
      if (guard !== null) comparisons.push(stillAttached(guard.attachment));
      if (await this.#directory.txn(comparisons, [{ key, value }])) {
        return { written: true, version };
      }
      // Either the block has changed, which the next look finds, or the attachment has.
      await guard?.check();
    }
  }

  #decode(block: number, entry: DirectoryEntry | null): ConditionalBlock {
    if (entry === null) return { version: 0, data: new Uint8Array(BLOCK_BYTES) };
    const record = decodeConditionalRecord(this.#digest, entry.value);
    if (!isDamage(record)) return record;
    throw new StorageError(
      'E_POOL_DAMAGED',
      `block ${block} of store ${this.#store} is damaged in the directory: ${record.problem}`,
      { fields: { store: this.#store, block } },
    );
  }
}
