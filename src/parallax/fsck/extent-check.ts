/**
 * The extents of a store: their records in the directory, their maps in the pool, and whether these
 * agree with what is reachable.
 *
 * What a map is good for depends on the state of its extent:
 * ```
 * partial       the record names the map by its sequence: exactly that one holds, whoever claims
 *               the extent goes on from it, so a block that it calls free may be written over
 * full          the same, or a later one: marks of shared blocks come after the record
 * open, closed  allocation is known to the owner alone; a map tells of shared blocks, no more
 * ```
 * Extents are read after all trees: a store that is in use claims an extent before it writes to it,
 * so whatever a tree has named by then has its record. A map that does not hold is looked at again
 * as long as its record changes.
 */

import { isDamage } from '../../base/formats/sealed.ts';
import { type BlockPool, EXTENT_BLOCKS, PoolStatus } from '../../world/block-pool.ts';
import type { Directory, DirectoryEntry } from '../../world/directory.ts';
import type { Digest } from '../../world/world.ts';
import { decodeExtentRecord, type ExtentRecord } from '../formats/directory-records.ts';
import {
  BlockState,
  decodeExtentMap,
  EXTENT_DATA_BLOCKS,
  type ExtentMap,
  MAP_BLOCKS,
  MAP_COPY_BLOCKS,
  MAP_COPY_BYTES,
} from '../formats/extent-map.ts';
import { extentPrefix } from '../pool/keys.ts';
import { poolCall } from '../story-io.ts';
import type { BlockMarks, ExtentMarks } from './block-marks.ts';
import type { Findings } from './findings.ts';
import type { ExtentTotals } from './report.ts';
import { lastGiven, type Sessions } from './sessions-check.ts';

export interface ExtentCheckParts {
  readonly directory: Directory;
  readonly store: string;
  readonly pool: BlockPool;
  readonly digest: Digest;
  readonly uuid: Uint8Array;
  readonly marks: BlockMarks;
  readonly sessions: Sessions;
  readonly findings: Findings;
}

export interface ExtentFacts {
  readonly totals: ExtentTotals;
  readonly leakedBlocks: number;
  readonly undecidedBlocks: number;
}

/** The copies of a map that hold by themselves, the newest first. */
type Maps = readonly ExtentMap[];

const LOOKS_MAX = 5;

export class ExtentCheck {
  readonly #parts: ExtentCheckParts;
  readonly #states = { open: 0, closed: 0, full: 0, partial: 0 };
  #leakedBlocks = 0;
  #undecidedBlocks = 0;

  constructor(parts: ExtentCheckParts) {
    this.#parts = parts;
  }

  async run(): Promise<ExtentFacts> {
    const { directory, store, marks } = this.#parts;
    const prefix = extentPrefix(store);
    const entries = await directory.list(prefix);
    const listed = new Set<number>();
    for (const entry of entries) {
      const extent = Number(entry.key.slice(prefix.length));
      listed.add(extent);
      await this.#extent(extent, entry);
    }
    for (const extent of marks.extents()) {
      if (!listed.has(extent)) this.#unclaimed(extent, 'nobody has claimed it');
    }
    return {
      totals: { claimed: entries.length, ...this.#states },
      leakedBlocks: this.#leakedBlocks,
      undecidedBlocks: this.#undecidedBlocks,
    };
  }

  async #extent(extent: number, first: DirectoryEntry): Promise<void> {
    const { directory, pool, digest, findings } = this.#parts;
    const end = Math.floor(pool.sizeBlocks / EXTENT_BLOCKS);
    if (!Number.isInteger(extent) || extent < 1 || extent >= end) {
      findings.add('extent-record', first.key, `the pool has extents 1 to ${end - 1}`);
      return;
    }
    let entry = first;
    for (let look = 1; ; look++) {
      const record = decodeExtentRecord(digest, entry.value);
      if (isDamage(record)) {
        findings.add('extent-record', entry.key, record.problem);
        this.#judgeTwice(extent, []);
        return;
      }
      const maps = await this.#readMaps(extent);
      const now = await directory.get(entry.key);
      if (now !== null && now.version !== entry.version && look < LOOKS_MAX) {
        entry = now;
        continue;
      }
      await this.#judgeSession(entry.key, record);
      this.#judge(extent, record, maps);
      return;
    }
  }

  async #readMaps(extent: number): Promise<Maps> {
    const { pool, digest, uuid } = this.#parts;
    const maps: ExtentMap[] = [];
    for (let copy = 0; copy < 2; copy++) {
      const bytes = new Uint8Array(MAP_COPY_BYTES);
      const block = extent * EXTENT_BLOCKS + copy * MAP_COPY_BLOCKS;
      const status = await poolCall(pool, 'read', block, bytes, 0, MAP_COPY_BLOCKS);
      if (status !== PoolStatus.ok) continue;
      const map = decodeExtentMap(digest, bytes, uuid, extent);
      if (!isDamage(map)) maps.push(map);
    }
    return maps.sort((one, other) => other.sequence - one.sequence);
  }

  /** Looked up after the record: a session is given before it claims anything. */
  async #judgeSession(key: string, { session }: ExtentRecord): Promise<void> {
    const { directory, digest, store, findings } = this.#parts;
    const last = await lastGiven(directory, digest, store);
    if (last === null || session <= last.session) return;
    const what = `session ${session} has claimed it, but ${last.session} was the last one`;
    findings.add('extent-record', key, what);
  }

  #judge(extent: number, record: ExtentRecord, maps: Maps): void {
    const { marks, sessions, findings } = this.#parts;
    this.#states[record.state]++;
    this.#judgeTwice(extent, maps);
    if (record.state === 'open' || record.state === 'closed') {
      this.#undecidedBlocks += EXTENT_DATA_BLOCKS - reachableIn(marks.of(extent));
      if (record.state === 'open' && !sessions.isAttached(record.host, record.session)) {
        const what = `it is open for session ${record.session} of ${record.host}, which is over`;
        findings.add('extent-left-open', `extent ${extent}`, what);
      }
      return;
    }
    const { state, mapSequence, freeBlocks } = record;
    const map = maps.find(({ sequence }) =>
      state === 'partial' ? sequence === mapSequence : sequence >= mapSequence,
    );
    if (map === undefined) {
      const what = `it is ${state} by map ${mapSequence}, but no copy of that map holds`;
      findings.add('extent-map', `extent ${extent}`, what);
      this.#undecidedBlocks += EXTENT_DATA_BLOCKS - reachableIn(marks.of(extent));
      return;
    }
    if (map.freeBlocks !== freeBlocks || (state === 'full' && freeBlocks !== 0)) {
      const what = `it is ${state}, ${freeBlocks} blocks free, but its map has ${map.freeBlocks}`;
      findings.add('extent-map', `extent ${extent}`, what);
    }
    this.#compare(extent, map);
  }

  /** What is reachable against what is free. */
  #compare(extent: number, map: ExtentMap): void {
    const marks = this.#parts.marks.of(extent);
    for (let index = 0; index < EXTENT_DATA_BLOCKS; index++) {
      const isFree = stateIn(map, index) === BlockState.free;
      const isReachable = marks?.reachable(index + MAP_BLOCKS) === true;
      if (isReachable === !isFree) continue;
      if (!isReachable) {
        this.#leakedBlocks++;
        continue;
      }
      const block = extent * EXTENT_BLOCKS + MAP_BLOCKS + index;
      const what = `pool block ${block} is in use, but the map of its extent has it as free`;
      this.#parts.findings.add('free-in-use', `extent ${extent}`, what);
    }
  }

  /** Blocks that were met in two places must be marked as shared. */
  #judgeTwice(extent: number, maps: Maps): void {
    const marks = this.#parts.marks.of(extent);
    if (marks === undefined) return;
    const newest = maps[0];
    for (let index = 0; index < EXTENT_DATA_BLOCKS; index++) {
      if (!marks.isTwice(index + MAP_BLOCKS)) continue;
      if (newest !== undefined && stateIn(newest, index) === BlockState.shared) continue;
      const block = extent * EXTENT_BLOCKS + MAP_BLOCKS + index;
      const what =
        `pool block ${block} is in two images, in two places of one, or has two births, and is ` +
        'not marked as shared';
      this.#parts.findings.add('two-places', `extent ${extent}`, what);
    }
  }

  #unclaimed(extent: number, why: string): void {
    const blocks = reachableIn(this.#parts.marks.of(extent));
    const what = `${blocks} blocks of it are in use, but ${why}`;
    this.#parts.findings.add('extent-unclaimed', `extent ${extent}`, what);
    this.#judgeTwice(extent, []);
  }
}

function reachableIn(marks: ExtentMarks | undefined): number {
  if (marks === undefined) return 0;
  let count = 0;
  for (const place of marks.places) if (place !== 0) count++;
  return count;
}

function stateIn({ states }: ExtentMap, index: number): number {
  return ((states[index >>> 2] as number) >>> ((index & 3) << 1)) & 3;
}
