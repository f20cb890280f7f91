/** The back end against a guest that forges its grant table: every attack, by the number it has. */
import test from 'ava';
import { type DomainId, type GrantRef, PAGE_BYTES, SECTOR_BYTES } from '../../src/base/units.ts';
import { PersistentGrants } from '../../src/driver-vm/persistent-grants.ts';
import {
  BlkifOp,
  BlkifStatus,
  encodeDirect,
  encodeSegment,
  newEntry,
} from '../../src/ring/entries.ts';
import { GrantFlag } from '../../src/ring/grant-table.ts';
import { GRANT_MOVES } from '../../src/ring/hostile/hostile-grants.ts';
import { type GrantMapper, GrantStatus } from '../../src/ring/ports.ts';
import { BackBench, type BenchRing, fillPage, statuses } from '../helpers/back-bench.ts';
import { faultsOf, movesOf, play } from '../helpers/moves.ts';

for (const move of GRANT_MOVES) {
  test(`${move.attack}: ${move.name}: ${move.outcome}, and nobody else notices`, (t) => {
    for (const persistent of [true, false]) {
      const played = play(move, { persistent });
      t.deepEqual(faultsOf(move, played), [], persistent ? 'persistent' : 'one request each');
      if (move.attack === 'G2' || move.attack === 'G4')
        t.is(played.ring.device.writes, writesOf(played.ring));
    }
  });
}

/** The honest request that follows an attack may have been a write. */
function writesOf(ring: BenchRing): number {
  return ring.queue.counters.sectorsWritten > 0 ? 1 : 0;
}

function onePage(ring: BenchRing, op: number, ref: number, id: number): void {
  const entry = newEntry();
  encodeDirect(entry, op, 1, 0, id, 0);
  encodeSegment(entry, 0, ref, 0, 7);
  ring.front.send(entry);
}

test('G1: what another domain granted to the back end is not for this guest to name', (t) => {
  const bench = new BackBench();
  const thief = bench.connect();
  const owner = bench.connect();
  fillPage(bench, owner.front.page(0), 0x5e);
  const { ref } = owner.front.page(0);
  thief.front.means.forger.wipe(ref);
  onePage(thief, BlkifOp.write, ref, 1);
  bench.turn();
  t.deepEqual(statuses(thief), [BlkifStatus.error]);
  t.true(thief.device.bytes.every((byte) => byte === 0));
});

test('G3: a grant that is mapped cannot be ended, and can be once it is given back', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  ring.device.holds = true;
  const ref = ring.front.page(0).ref as GrantRef;
  onePage(ring, BlkifOp.read, ref, 1);
  bench.turn();
  t.false(ring.grants.end(ref), 'while the request is in flight');
  ring.device.release();
  t.true(ring.grants.end(ref), 'after its answer');
});

test.serial(
  'G3: a grant is wiped between the look at it and the mapping: the mapping fails',
  (t) => {
    const bench = new BackBench();
    const ring = bench.connect();
    const { ref } = ring.front.page(0);
    const original = Atomics.compareExchange;
    t.teardown(() => {
      Atomics.compareExchange = original;
    });
    let raced = false;
    Atomics.compareExchange = ((...args: Parameters<typeof original>) => {
      if (!raced) {
        raced = true;
        ring.front.means.forger.wipe(ref);
      }
      return original(...args);
    }) as typeof original;
    onePage(ring, BlkifOp.read, ref, 1);
    bench.turn();
    t.true(raced);
    t.deepEqual(statuses(ring), [BlkifStatus.error]);
    t.is(ring.entries.head(ref), 0, 'no use bit stands in a wiped entry');
  },
);

test.serial('G3: a grant that changes at every try does not hold the back end up', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const { ref } = ring.front.page(0);
  const original = Atomics.compareExchange;
  t.teardown(() => {
    Atomics.compareExchange = original;
  });
  let tries = 0;
  Atomics.compareExchange = ((...args: Parameters<typeof original>) => {
    tries++;
    if (tries > 1000) throw new Error('the back end tries for ever');
    ring.entries.setHead(ref, ring.entries.head(ref) ^ GrantFlag.readonly);
    return original(...args);
  }) as typeof original;
  onePage(ring, BlkifOp.write, ref, 1);
  bench.turn();
  t.deepEqual(statuses(ring), [BlkifStatus.error]);
  t.true(tries < 100);
});

test('G4: the last of 11 grants is bad: the others are given back, nothing is written', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const before = bench.mapper.mappedCount;
  const [move] = movesOf(GRANT_MOVES, 'G4').slice(-1);
  move?.apply(ring.front);
  bench.turn();
  t.deepEqual(statuses(ring), [BlkifStatus.error]);
  t.is(bench.mapper.mappedCount, before);
  t.is(ring.device.writes, 0);
});

for (const persistent of [true, false]) {
  const how = persistent ? 'kept mapping' : 'mapping of one request';
  test(`G5: the frame changes under a ${how}: all bytes are of one page`, (t) => {
    const bench = new BackBench();
    const ring = bench.connect({ persistent });
    const [first, second] = [ring.front.page(0), ring.front.page(1)];
    fillPage(bench, first, 0x11);
    fillPage(bench, second, 0x22);
    if (persistent) {
      onePage(ring, BlkifOp.write, first.ref, 1);
      bench.turn();
      ring.entries.setFrame(first.ref, second.address / PAGE_BYTES);
    } else {
      ring.device.holds = true;
    }
    onePage(ring, persistent ? BlkifOp.write : BlkifOp.read, first.ref, 2);
    bench.turn();
    if (persistent) {
      t.is(new Set(ring.device.bytes.slice(0, PAGE_BYTES)).size, 1);
      t.is(ring.device.bytes[0], 0x11, 'the page that was mapped, not the one named now');
    } else {
      ring.entries.setFrame(first.ref, second.address / PAGE_BYTES);
      ring.device.release();
      t.is(bench.world.memory.u8[first.address], 0, 'data arrives where it was mapped');
      t.is(bench.world.memory.u8[second.address], 0x22);
    }
  });
}

test('G6: one sector of a page of 0xA5 is written: no other byte reaches the disk', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const page = ring.front.page(0);
  fillPage(bench, page, 0xa5);
  bench.world.memory.u8.fill(
    0x3c,
    page.address + 3 * SECTOR_BYTES,
    page.address + 4 * SECTOR_BYTES,
  );
  const entry = newEntry();
  encodeDirect(entry, BlkifOp.write, 1, 0, 1, 40);
  encodeSegment(entry, 0, page.ref, 3, 3);
  ring.front.send(entry);
  bench.turn();
  t.false(ring.device.bytes.includes(0xa5));
  t.is(ring.device.bytes.filter((byte) => byte === 0x3c).length, SECTOR_BYTES);
});

test('G6: a read of one sector leaves every other byte of the page alone', (t) => {
  const bench = new BackBench();
  const other = bench.connect();
  const ring = bench.connect();
  // What another guest had in the driver VM's staging memory must not come along.
  fillPage(bench, other.front.page(0), 0xa5);
  onePage(other, BlkifOp.write, other.front.page(0).ref, 1);
  bench.turn();
  const page = ring.front.page(0);
  fillPage(bench, page, 0x77);
  const entry = newEntry();
  encodeDirect(entry, BlkifOp.read, 1, 0, 1, 40);
  encodeSegment(entry, 0, page.ref, 3, 3);
  ring.front.send(entry);
  bench.turn();
  const bytes = bench.world.memory.u8.slice(page.address, page.address + PAGE_BYTES);
  t.false(bytes.includes(0xa5));
  t.is(bytes.filter((byte) => byte === 0x77).length, PAGE_BYTES - SECTOR_BYTES);
});

test('a page that 65,536 segments name at once stays mapped until the last lets go', (t) => {
  let mapped = 0;
  const mapper: Pick<GrantMapper, 'map' | 'unmap'> = {
    map: () => mapped++,
    unmap: () => {
      mapped--;
      return GrantStatus.okay;
    },
  };
  const kept = new PersistentGrants(mapper as GrantMapper, 1 as DomainId, 4);
  const uses = 65_536;
  for (let i = 0; i < uses; i++) kept.acquire(9, true, 0);
  kept.purgeIdle(1e12);
  t.is(mapped, 1, 'a mapping in use is not given back');
  for (let i = 0; i < uses; i++) kept.release(9, 0);
  kept.purgeIdle(1e12);
  t.is(mapped, 0);
});

test('every attack on grants is in the catalogue', (t) => {
  for (let n = 1; n <= 6; n++) t.true(movesOf(GRANT_MOVES, `G${n}`).length > 0, `G${n}`);
});
