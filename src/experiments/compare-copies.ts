/**
 * Holds all copies of every block of a clean pool against each other, at the end of a run: the
 * stores are looked at from inside, whatever the protocol says of them.
 *
 * Two copies are the same if version, CRC and the version of a conditional block are; that the data
 * is what the CRC says is found by reading all of it, as a scrub does.
 */
import type { BlockFacts, ChunkStore } from '../petal-backend/store/chunk-store.ts';
import type { DirtyBlock } from '../petal-backend/wire/messages.ts';
import type { ServerLook } from './stage.ts';

export interface PoolComparison {
  /** Blocks of which any server knows. */
  readonly blocks: number;
  /** In words; the first few. */
  readonly differences: readonly string[];
}

const DIFFERENCES_MAX = 5;
const CHUNKS_AT_ONCE = 64;

/** The stores' marks of what others lack are used up by this: nobody may go on with them. */
export async function comparePool(looks: readonly ServerLook[]): Promise<PoolComparison> {
  const pairs = new Map<string, ChunkStore[]>();
  for (const { pairs: own, store } of looks) {
    for (const { gmap, group } of own) {
      const key = `${gmap}/${group}`;
      pairs.set(key, [...(pairs.get(key) ?? []), store]);
    }
  }
  const differences: string[] = [];
  let blocks = 0;
  for (const [key, stores] of pairs) {
    const [gmap, group] = key.split('/').map(Number) as [number, number];
    const known = new Map<string, DirtyBlock>();
    for (const store of stores) {
      for (const block of await blocksOf(store, gmap, group)) known.set(nameOf(block), block);
    }
    blocks += known.size;
    for (const [name, block] of known) {
      const facts = stores.map((store) => store.facts({ gmap, group, ...block }));
      if (facts.every((one) => isSame(one, facts[0] as BlockFacts))) continue;
      differences.push(`pair ${group}, ${name}: ${facts.map(wordsOf).join(' and ')}`);
    }
  }
  for (const { store } of looks) differences.push(...(await rotIn(store)));
  return { blocks, differences: differences.slice(0, DIFFERENCES_MAX) };
}

/** Every block of a pair that the store has heard of: as if a member lacked them all. */
async function blocksOf(
  store: ChunkStore,
  gmap: number,
  group: number,
): Promise<readonly DirtyBlock[]> {
  await store.markAll(gmap, group, 0);
  return store.missingOf(gmap, group, 0, Number.POSITIVE_INFINITY);
}

async function rotIn(store: ChunkStore): Promise<string[]> {
  const found: string[] = [];
  for (let isDone = false; !isDone; ) {
    const { damaged, isRoundDone } = await store.scrub(CHUNKS_AT_ONCE);
    for (const block of damaged) found.push(`${nameOf(block)} is not what was written`);
    isDone = isRoundDone;
  }
  return found;
}

function isSame(one: BlockFacts, other: BlockFacts): boolean {
  const isSameVersion =
    one.version.term === other.version.term && one.version.n === other.version.n;
  if (!isSameVersion || one.hasData !== other.hasData) return false;
  return one.crc === other.crc && one.conditionalVersion === other.conditionalVersion;
}

function nameOf({ vdisk, block }: DirtyBlock): string {
  return `block ${block} of virtual disk ${vdisk}`;
}

function wordsOf({ version, crc, conditionalVersion, hasData }: BlockFacts): string {
  const what = hasData ? `CRC ${crc.toString(16)}` : 'nothing';
  return `{${version.term}, ${version.n}} ${what} (${conditionalVersion})`;
}
