import test from 'ava';
import {
  type GlobalMap,
  groupOf,
  groupsOf,
  membersOf,
  readShares,
} from '../../src/petal-backend/placement.ts';

function mapOf(count: number, copies = 2): GlobalMap {
  return { gmap: 1, servers: Array.from({ length: count }, (_, i) => 10 + i), copies };
}

/** Reads that each server gets if every group gets one. */
function loads(map: GlobalMap, down: ReadonlySet<number>): Map<number, number> {
  const shares = readShares(map, down);
  const load = new Map(map.servers.map((server) => [server, 0]));
  shares.forEach((share, group) => {
    if (Number.isNaN(share)) return;
    const [one = 0, other = 0] = membersOf(map, group);
    load.set(one, (load.get(one) ?? 0) + share);
    load.set(other, (load.get(other) ?? 0) + 1 - share);
  });
  return load;
}

test('chunks go round the servers, their copies to the next ones', (t) => {
  const map = mapOf(4, 3);
  t.deepEqual(
    [0, 15, 16, 63, 64].map((block) => groupOf(map, block)),
    [0, 0, 1, 3, 0],
  );
  t.deepEqual(membersOf(map, 2), [12, 13, 10]);
  t.deepEqual(groupsOf(map, 10), [0, 3, 2]);
  for (const server of map.servers) {
    for (const group of groupsOf(map, server)) t.true(membersOf(map, group).includes(server));
  }
});

test('Petal 2.4: the k-th server after a failed one serves k/(N-1) of its own group, and all N/(N-1)', (t) => {
  for (let count = 2; count <= 9; count++) {
    for (let dead = 0; dead < count; dead++) {
      const map = mapOf(count);
      const down = new Set([10 + dead]);
      const shares = readShares(map, down);
      for (let k = 1; k < count; k++) {
        const share = shares[(dead + k) % count] as number;
        t.true(Math.abs(share - k / (count - 1)) < 1e-9, `${count} servers, ${dead} dead, k ${k}`);
      }
      for (const [server, load] of loads(map, down)) {
        const expected = down.has(server) ? 0 : count / (count - 1);
        t.true(Math.abs(load - expected) < 1e-9, `server ${server} of ${count}`);
      }
    }
  }
});

test('two that are no neighbours: each chain between them carries its own; neighbours: one group is gone', (t) => {
  const map = mapOf(6);
  const apart = loads(map, new Set([10, 13]));
  for (const server of [11, 12, 14, 15]) t.true(Math.abs((apart.get(server) ?? 0) - 1.5) < 1e-9);
  const shares = readShares(map, new Set([10, 11]));
  t.true(Number.isNaN(shares[0] as number), 'the group whose copies are both down');
  const beside = loads(map, new Set([10, 11]));
  for (const server of [12, 13, 14, 15]) t.true(Math.abs((beside.get(server) ?? 0) - 1.25) < 1e-9);
});

test('all are up: half and half; all are down: nobody serves', (t) => {
  t.deepEqual(readShares(mapOf(3), new Set()), [0.5, 0.5, 0.5]);
  t.true(readShares(mapOf(3), new Set([10, 11, 12])).every((share) => Number.isNaN(share)));
});
