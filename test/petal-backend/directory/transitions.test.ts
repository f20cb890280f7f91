/** What may become of a pair and of a pool, and what may not. */
import test from 'ava';
import { StorageError } from '../../../src/base/errors.ts';
import {
  decodeSessionRecord,
  encodeSessionRecord,
  SessionRecordKind,
} from '../../../src/base/formats/session-record.ts';
import { type Incarnation, type MapVersion, type Term, u32 } from '../../../src/base/units.ts';
import {
  forcedKey,
  gmapKey,
  pairKey,
  pairsPrefix,
  poolKey,
  serverKey,
  vdiskKey,
} from '../../../src/petal-backend/directory/keys.ts';
import {
  checkPairOrder,
  dropMembers,
  forceIsr,
  handBack,
  isRefusal,
  newPair,
  type PairTransition,
  rejoin,
  resume,
  takeOver,
} from '../../../src/petal-backend/directory/pair-transitions.ts';
import {
  addServer,
  createGmap,
  createVdisk,
  deleteVdisk,
  forcedPairPlan,
  raiseIncarnation,
  resizeVdisk,
} from '../../../src/petal-backend/directory/pool-transitions.ts';
import {
  decodeRecord,
  forcedKind,
  gmapKind,
  type PairRecord,
  PoolState,
  pairKind,
  poolKind,
  serverKind,
  VdiskMode,
  vdiskKind,
} from '../../../src/petal-backend/directory/records.ts';
import {
  beginRestore,
  endRestore,
  type PairReport,
  raiseAbove,
  type Seen,
} from '../../../src/petal-backend/directory/restore.ts';
import { simDigest as digest } from '../../../src/world/sim/sim-digest.ts';
import { runStory, simDirectoryBench } from '../../helpers/directory-bench.ts';
import { make, makePool, member, POOL, stored } from '../../helpers/petal-pool.ts';
import { check, forSeeds } from '../../helpers/property.ts';

const PAIR = newPair(1, 0, [member(1, 1), member(2, 1)]);

/** The record after some transitions; throws the reason of the first that is refused. */
function after(...steps: PairTransition[]): PairRecord {
  return steps.reduce((pair, step) => {
    const next = step(pair);
    if (isRefusal(next)) throw new Error(next.refused);
    return next;
  }, PAIR);
}

function whyNot(step: PairTransition, pair: PairRecord = PAIR): string {
  const next = step(pair);
  return isRefusal(next) ? next.refused : '';
}

test('a secondary takes over alone, brings the other one back, and hands back', (t) => {
  const alone = after(takeOver(member(2, 1), [1]));
  t.like(alone, { term: 2, primary: 2, inSync: [member(2, 1)], members: [1, 2] });
  const both = after(takeOver(member(2, 1), [1]), rejoin(member(2, 1), member(1, 2)));
  t.like(both, { term: 3, primary: 2, inSync: [member(2, 1), member(1, 2)] });
  const back = handBack(member(2, 1), 1)(both);
  t.like(back, { term: 4, primary: 1, inSync: [member(2, 1), member(1, 2)] });
});

test('who is not in sync, or started since, changes nothing', (t) => {
  t.regex(whyNot(takeOver(member(2, 2), [1])), /not in sync/);
  t.regex(whyNot(takeOver(member(3, 1), [1])), /not in sync/);
  t.regex(whyNot(takeOver(member(1, 1), [2])), /is its primary/);
  t.regex(whyNot(takeOver(member(2, 1), [])), /server 1 is its primary/);
  t.regex(whyNot(dropMembers(member(2, 1), [1])), /server 1 is its primary/);
  t.regex(whyNot(dropMembers(member(1, 2), [2])), /has started since/);
  t.regex(whyNot(dropMembers(member(1, 1), [1])), /cannot drop itself/);
  t.regex(whyNot(dropMembers(member(1, 1), [3])), /not in sync/);
  t.regex(whyNot(rejoin(member(1, 1), member(3, 1))), /no member/);
  t.regex(whyNot(rejoin(member(1, 1), member(2, 1))), /is in sync as incarnation 1/);
  t.regex(whyNot(handBack(member(1, 1), 3)), /not in sync/);
  const dropped = after(dropMembers(member(1, 1), [2]));
  t.regex(whyNot(takeOver(member(2, 1), [1]), dropped), /not in sync/, 'lost stale bits');
  t.regex(whyNot(handBack(member(1, 1), 2), dropped), /not in sync/);
});

test('a server that restarts with whole disks resumes, and one that was dropped does not', (t) => {
  const one = u32<Incarnation>(1);
  const two = u32<Incarnation>(2);
  t.like(after(resume(1, one, two)), { term: 2, inSync: [member(1, 2), member(2, 1)] });
  t.regex(whyNot(resume(1, two, two)), /does not follow/);
  t.regex(whyNot(resume(1, two, u32<Incarnation>(3))), /not in sync as incarnation 2/);
  const dropped = after(dropMembers(member(1, 1), [2]));
  t.regex(whyNot(resume(2, one, two), dropped), /not in sync/);
});

test('an operator who says lossy makes any member the only one, and it is written for ever', (t) => {
  t.regex(whyNot(forceIsr(member(2, 5), 1, false)), /say lossy/);
  t.regex(whyNot(forceIsr(member(3, 5), 1, true)), /no member/);
  const forced = after(dropMembers(member(1, 1), [2]), forceIsr(member(2, 5), 1, true));
  t.like(forced, { term: 3, primary: 2, inSync: [member(2, 5)] });
  t.deepEqual(forced.forced, [{ forced: 1, term: u32<Term>(3) }]);
  const later = rejoin(member(2, 5), member(1, 2))(forced);
  t.deepEqual((later as PairRecord).forced, forced.forced);
});

test('no terms are left: the pair is not changed', (t) => {
  const last = { ...PAIR, term: u32<Term>(2 ** 32 - 1) };
  t.regex(whyNot(takeOver(member(2, 1), [1]), last), /used up/);
});

test('whatever is done in whatever order, the laws of a pair hold', (t) => {
  let made = 0;
  forSeeds(300, (random) => {
    let pair = newPair(1, 0, [member(1, 1), member(2, 1), member(3, 1)]);
    for (let i = 0; i < 60; i++) {
      const anybody = member(random.between(1, 4), random.between(1, 3));
      const self = random.chance(0.7) ? random.pick(pair.inSync) : anybody;
      const other = member(random.between(1, 4), random.between(1, 3));
      const step = random.pick([
        takeOver(self, [other.server, random.between(1, 3)]),
        dropMembers(self, [other.server]),
        rejoin(self, other),
        resume(self.server, self.incarnation, other.incarnation),
        handBack(self, other.server),
        forceIsr(self, i + 1, random.chance(0.1)),
      ]);
      const next = step(pair);
      if (isRefusal(next)) continue;
      checkPairOrder(pair, next);
      check(next.term === pair.term + 1, 'one term more');
      pair = next;
      made += 1;
    }
  });
  t.true(made > 1000);
});

test('a pool is made with servers, a map, its pairs and virtual disks, each once', async (t) => {
  const { simulator, directory } = simDirectoryBench(21);
  await runStory(simulator, async () => {
    await makePool(directory, 4);
    const pairs = await directory.list(pairsPrefix('p'));
    t.deepEqual(
      pairs.map((entry) => decodeRecord(digest, pairKind, entry).members),
      [
        [1, 2],
        [2, 3],
        [3, 4],
        [4, 1],
      ],
    );
    const pool = await stored(directory, poolKind, poolKey('p'));
    const gmap = await stored(directory, gmapKind, gmapKey('p', 1));
    const facts = { name: 'a', mode: VdiskMode.shared, sizeBlocks: 1000 };
    const first = createVdisk(POOL, pool, gmap, facts);
    await make(directory, first.txn);
    await t.throwsAsync(make(directory, first.txn), undefined, 'made already');
    const now = await stored(directory, poolKind, poolKey('p'));
    await t.throwsAsync(
      make(directory, createVdisk(POOL, now, gmap, facts).txn),
      undefined,
      'name',
    );
    const vdisk = await stored(directory, vdiskKind, vdiskKey('p', 1));
    t.is(resizeVdisk(POOL, vdisk, 2000).next.mapVersion, u32<MapVersion>(2));
    await make(directory, deleteVdisk(POOL, vdisk));
    const again = createVdisk(POOL, now, gmap, facts);
    await make(directory, again.txn);
    t.is(again.next.vdisk, 2, 'no number is given twice');
  });
});

test('a server whose disks are older than what the directory knows of it is refused', async (t) => {
  const { simulator, directory } = simDirectoryBench(22);
  await runStory(simulator, async () => {
    await makePool(directory, 3);
    const server = await stored(directory, serverKind, serverKey('p', 2));
    const facts = { address: 'x', site: 'y', disks: [1] };
    const raised = raiseIncarnation(POOL, server, u32<Incarnation>(4), facts);
    await make(directory, raised.txn);
    await t.throwsAsync(make(directory, raised.txn), undefined, 'only once');
    const now = await stored(directory, serverKind, serverKey('p', 2));
    t.throws(() => raiseIncarnation(POOL, now, u32<Incarnation>(4), facts), { code: 'E_OLD_DISK' });
    const pool = await stored(directory, poolKind, poolKey('p'));
    t.throws(() => addServer(POOL, pool, { ...facts, site: 'ü' }), { code: 'E_PETAL_TEXT' });
    t.throws(() => createGmap(POOL, pool, [now], 2), { code: 'E_PETAL_MAP' });
  });
});

const SEEN: Seen = {
  pairs: [],
  stores: [{ store: 's', session: 40, fence: 50 }],
  mapVersions: new Map([[1, u32<MapVersion>(8)]]),
  incarnations: new Map([[1, u32<Incarnation>(6)]]),
  lastServer: 5,
  lastGmap: 3,
  lastVdisk: 7,
  lastForced: 2,
};
const ACT = { atMs: 5, operator: 'ada', reason: 'the voters burnt' };

function report(server: number, group: number, termSeen: number, lastTerm: number): PairReport {
  const terms = { termSeen: u32<Term>(termSeen), lastTerm: u32<Term>(lastTerm) };
  return { ...member(server, 6), gmap: 1, group, ...terms };
}

test('a directory that came from a copy goes on above all that was seen', async (t) => {
  const { simulator, directory } = simDirectoryBench(23);
  await runStory(simulator, async () => {
    await makePool(directory, 3);
    const session = { session: 3, fence: 4 };
    const keys = [
      ['next/s', SessionRecordKind.next],
      ['attach/s/h0', SessionRecordKind.attachment],
    ] as const;
    for (const [key, kind] of keys) {
      const value = encodeSessionRecord(digest, kind, session);
      await make(directory, { comparisons: [], changes: [{ key, value }] });
    }
    const before = await stored(directory, poolKind, poolKey('p'));
    await make(directory, beginRestore(POOL, before, SEEN, ACT));
    const pool = await stored(directory, poolKind, poolKey('p'));
    t.like(pool.record, { state: PoolState.restoring, lastVdisk: 7, lastForced: 3 });
    const pairs = await Promise.all(
      [0, 1, 2].map((group) => stored(directory, pairKind, pairKey('p', 1, group))),
    );
    const servers = [await stored(directory, serverKind, serverKey('p', 1))];
    const sessions = [...(await directory.list('next/')), ...(await directory.list('attach/'))];
    const restored = { pool, pairs, servers, vdisks: [], sessions };
    const some = [report(1, 0, 9, 8), report(2, 0, 9, 9), report(2, 1, 4, 4), report(3, 1, 4, 4)];
    const undecided = { code: 'E_RESTORE_UNDECIDED', message: /pair 2 of map 1.*server 3, 1/ };
    t.throws(() => raiseAbove(POOL, restored, { ...SEEN, pairs: some }, false), undecided);
    const reports = [...some, report(3, 2, 7, 6)];
    t.throws(() => raiseAbove(POOL, restored, { ...SEEN, pairs: reports }, false));
    for (const txn of raiseAbove(POOL, restored, { ...SEEN, pairs: reports }, true)) {
      await make(directory, txn);
    }
    t.like((await stored(directory, pairKind, pairKey('p', 1, 0))).record, {
      term: 10,
      primary: 2,
      inSync: [member(2, 6)],
      forced: [{ forced: 3, term: 10 }],
    });
    t.like((await stored(directory, pairKind, pairKey('p', 1, 1))).record, {
      term: 5,
      inSync: [member(2, 6), member(3, 6)],
    });
    t.like((await stored(directory, pairKind, pairKey('p', 1, 2))).record, { term: 8, primary: 3 });
    t.is((await stored(directory, serverKind, serverKey('p', 1))).record.incarnation as number, 6);
    const next = (await directory.get('next/s'))?.value as Uint8Array;
    const raised = { session: 41, fence: 51 };
    t.deepEqual(decodeSessionRecord(digest, SessionRecordKind.next, next), raised);
    t.is(await directory.get('attach/s/h0'), null, 'every host attaches anew');
    await make(directory, endRestore(POOL, pool));
    const ready = await stored(directory, poolKind, poolKey('p'));
    t.is(ready.record.state, PoolState.ready);
    t.throws(() => raiseAbove(POOL, { ...restored, pool: ready }, SEEN, true), {
      code: 'E_NOT_RESTORING',
    });
    const act = await stored(directory, forcedKind, forcedKey('p', 3));
    t.like(act.record, { operator: 'ada', reason: 'the voters burnt' });
  });
});

test('an act that is forced upon a pair has a record of its own, made with it or not at all', async (t) => {
  const { simulator, directory } = simDirectoryBench(24);
  await runStory(simulator, async () => {
    await makePool(directory, 2);
    const pool = await stored(directory, poolKind, poolKey('p'));
    const pair = await stored(directory, pairKind, pairKey('p', 1, 0));
    const plan = forcedPairPlan(POOL, pool, pair, ACT, (n) => forceIsr(member(2, 1), n, true));
    if (isRefusal(plan)) throw new StorageError('E', plan.refused);
    await make(directory, plan.txn);
    await t.throwsAsync(make(directory, plan.txn));
    const act = await stored(directory, forcedKind, forcedKey('p', 1));
    t.like(act.record, { termBefore: 1, termAfter: 2, kept: 2, lost: [1], ...ACT });
  });
});
