/** Reads and writes maps of extents in the pool: which copy, and whether it is the right one. */

import { isDamage } from '../../base/formats/sealed.ts';
import { type BlockPool, EXTENT_BLOCKS, PoolStatus } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';
import type { ExtentRecord } from '../formats/directory-records.ts';
import {
  decodeExtentMap,
  type ExtentMap,
  encodeExtentMap,
  MAP_COPY_BLOCKS,
  MAP_COPY_BYTES,
} from '../formats/extent-map.ts';
import { poolCall } from '../story-io.ts';
import { type FenceGuard, fencedError } from './attach.ts';
import type { ExtentSpace } from './extent-space.ts';

export interface FoundMap {
  readonly map: ExtentMap;
  /** 0 or 1. */
  readonly copy: number;
}

export class ExtentMapIo {
  readonly #pool: BlockPool;
  readonly #digest: Digest;
  readonly #uuid: Uint8Array;
  readonly #guard: FenceGuard;

  constructor(pool: BlockPool, digest: Digest, uuid: Uint8Array, guard: FenceGuard) {
    this.#pool = pool;
    this.#digest = digest;
    this.#uuid = uuid;
    this.#guard = guard;
  }

  /** The map that the record names; null if neither copy is that map. */
  async read(extent: number, record: ExtentRecord): Promise<FoundMap | null> {
    for (let copy = 0; copy < 2; copy++) {
      const bytes = new Uint8Array(MAP_COPY_BYTES);
      if (!(await this.#call('read', extent, copy, bytes))) continue;
      const map = decodeExtentMap(this.#digest, bytes, this.#uuid, extent);
      if (isDamage(map) || map.sequence !== record.mapSequence) continue;
      if (map.freeBlocks === record.freeBlocks) return { map, copy };
    }
    return null;
  }

  /**
   * Writes the map as it is now, with the next sequence, to the copy that does not hold. True: that
   * one holds from now on. The states are those of the moment of the call.
   */
  async write(space: ExtentSpace): Promise<boolean> {
    const { extent } = space;
    const copy = 1 - space.mapCopy;
    space.mapSequence += 1;
    const bytes = new Uint8Array(MAP_COPY_BYTES);
    const { session } = this.#guard.attachment;
    const header = { extent, store: this.#uuid, session, sequence: space.mapSequence };
    encodeExtentMap(this.#digest, header, space.states, bytes);
    const ok = await this.#call('write', extent, copy, bytes);
    if (ok) space.mapCopy = copy;
    return ok;
  }

  async #call(
    op: 'read' | 'write',
    extent: number,
    copy: number,
    bytes: Uint8Array,
  ): Promise<boolean> {
    const block = extent * EXTENT_BLOCKS + copy * MAP_COPY_BLOCKS;
    const status = await poolCall(this.#pool, op, block, bytes);
    if (status === PoolStatus.fenced) throw fencedError(this.#guard.attachment);
    return status === PoolStatus.ok;
  }
}
