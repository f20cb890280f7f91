/**
 * Where the copies of a virtual disk lie: chained declustering (Hsiao and DeWitt 1990, Petal '96
 * 2.4).
 *
 * A global map is a tuple of servers. Chunk c belongs to group c mod N; the copies of group g are
 * at the servers in places g, g + 1, ... of the tuple, round its end. Each server so holds a part
 * of what each of its neighbours holds, and when one has failed its reads can be spread over all:
 *
 * ```
 * place     0    1    2    3          place     0    1    2    3
 * copy 1    D0   D1   D2   D3         copy 1    D0    -   D2   D3
 * copy 2    D3   D0   D1   D2         copy 2    D3    -   D1   D2      D1: all reads at place 2
 * ```
 * With two copies and one server dead, the k-th server after it serves k/(N-1) of the reads of its
 * own group and its successor the rest; the first one also serves all of the dead one's group.
 * Everybody then has N/(N-1) of the load from before.
 *
 * Pure functions: maps never change, and a new map is another map.
 */
import { invariant } from '../base/invariant.ts';
import { CHUNK_BLOCKS } from './wire/messages.ts';

export interface GlobalMap {
  readonly gmap: number;
  /** Numbers of servers, each once. */
  readonly servers: readonly number[];
  /** 2 or 3, and not more than there are servers. */
  readonly copies: number;
}

export function checkGlobalMap({ servers, copies }: GlobalMap): void {
  invariant(copies >= 1 && copies <= 3, 'a block has one to three copies');
  invariant(copies <= servers.length, 'each copy is on a server of its own');
  invariant(new Set(servers).size === servers.length, 'a server is in a map once');
}

export function groupOf({ servers }: GlobalMap, block: number): number {
  return Math.floor(block / CHUNK_BLOCKS) % servers.length;
}

/** Servers that hold the group, the first choice for its primary first. */
export function membersOf({ servers, copies }: GlobalMap, group: number): readonly number[] {
  return Array.from({ length: copies }, (_, i) => servers[(group + i) % servers.length] as number);
}

/** Groups of which a server holds a copy. */
export function groupsOf(map: GlobalMap, server: number): readonly number[] {
  const at = map.servers.indexOf(server);
  if (at < 0) return [];
  const { length } = map.servers;
  return Array.from({ length: map.copies }, (_, i) => (at - i + length) % length);
}

/**
 * Which share of the reads of each group its first member should serve, the second one serving the
 * rest, when the servers in `down` do not serve; for two copies. Every server that is up then has
 * the same load if at most one is down; with more, what an even spread along each chain allows.
 * NaN: nobody serves the group.
 */
export function readShares(map: GlobalMap, down: ReadonlySet<number>): readonly number[] {
  invariant(map.copies === 2, 'shares are planned for two copies');
  const { servers } = map;
  const { length } = servers;
  const isDown = (place: number): boolean => down.has(servers[place % length] as number);
  const shares = Array.from({ length }, () => 0.5);
  const first = servers.findIndex((_, place) => isDown(place));
  if (first < 0) return shares;
  // Walk round the circle from each dead server to the next one: a chain of k live servers in
  // between carries the k - 1 groups inside it and the one or two whose other copy is dead.
  for (let start = first, walked = 0; walked < length; ) {
    let live = 0;
    while (live < length - 1 && !isDown(start + 1 + live)) live++;
    planChain(shares, length, start, live);
    start += live + 1;
    walked += live + 1;
  }
  return shares;
}

/** `live` servers follow the dead one at `dead`; behind them comes a dead one again. */
function planChain(shares: number[], length: number, dead: number, live: number): void {
  // The group of the dead server itself: its second copy is at the first live one.
  shares[dead % length] = live === 0 ? Number.NaN : 0;
  // Groups of the live servers; the last one's second copy is dead. live + 1 groups in all.
  const load = (live + 1) / live;
  let carried = 1;
  for (let k = 1; k <= live; k++) {
    const own = k === live ? 1 : load - carried;
    shares[(dead + k) % length] = own;
    carried = 1 - own;
  }
}
