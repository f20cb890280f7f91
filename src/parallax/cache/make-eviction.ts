/** Makes the eviction policy of a cache from its name. */
import { unreachable } from '../../base/invariant.ts';
import { ArcPolicy } from './arc.ts';
import type { BlockIndex } from './block-index.ts';
import type { EvictionKind, EvictionPolicy } from './eviction.ts';
import { LruPolicy } from './lru.ts';
import { S3FifoPolicy } from './s3-fifo.ts';

/** `index`: of the cache that the policy will serve; `salt`: for hashing, unknown to guests. */
export function makeEviction(kind: EvictionKind, index: BlockIndex, salt: number): EvictionPolicy {
  switch (kind) {
    case 'lru':
      return new LruPolicy(index.slots);
    case 's3-fifo':
      return new S3FifoPolicy(index, salt);
    case 'arc':
      return new ArcPolicy(index, salt);
    default:
      return unreachable(kind);
  }
}
