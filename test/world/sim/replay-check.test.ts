import test from 'ava';
import type { EventLog, TraceWindow } from '../../../src/world/sim/event-log.ts';
import { checkReplay, describeVerdict } from '../../../src/world/sim/replay-check.ts';
import { BELL, diskIo, filled, stage } from './helper-actors.ts';

/** Two actors that sleep, write, ring and log; `disturb` is asked at each turn for a number. */
function busyRun(disturb: (turn: number) => number, turns = 3_000) {
  return async (seed: number, trace: TraceWindow | null): Promise<EventLog> => {
    const { sim, host, spawn } = stage({ seed, ...(trace === null ? {} : { trace }) });
    host.addDisk('d', 1 << 20);
    for (const [index, name] of ['g0', 'g1'].entries()) {
      spawn(
        (world) => ({
          start: async () => {
            const disk = await world.disks.open('d', { writable: true });
            for (let turn = 0; turn < turns; turn++) {
              await world.timers.sleep(world.random.between(1, 1_000));
              world.log.event('turn', turn, index === 0 ? disturb(turn) : 0);
              if (turn % 10 !== 0) continue;
              const position = world.random.below(100) * 4_096;
              await diskIo((io) => disk.write(io), filled(4_096, turn & 0xff), position);
              world.wake.ring(BELL);
            }
          },
        }),
        { name, bellAddress: BELL + index * 64 },
      );
    }
    await sim.run();
    return sim.log;
  };
}

test('two runs of a seed are one run, two seeds are two', async (t) => {
  const hashes = new Set<string>();
  for (let seed = 0; seed < 5; seed++) {
    const verdict = await checkReplay(
      seed,
      busyRun(() => 0, 300),
    );
    t.true(verdict.same, describeVerdict(verdict));
    t.is(verdict.difference, null);
    hashes.add(verdict.hashes[0]);
  }
  t.is(hashes.size, 5);
});

test('the first event that differs is found and shown with its contexts', async (t) => {
  for (const faultyTurn of [0, 1, 57, 1_500, 2_999]) {
    let runs = 0;
    const disturbed = busyRun((turn) => {
      if (turn === 0) runs++;
      return turn === faultyTurn && runs % 2 === 0 ? 1 : 0;
    });
    const verdict = await checkReplay(11, disturbed);
    t.false(verdict.same);
    const found = verdict.difference;
    t.like(found?.first, { actor: 'g0', kind: 'turn', a: faultyTurn, b: 0 });
    t.like(found?.second, { actor: 'g0', kind: 'turn', a: faultyTurn, b: 1 });
    t.is(found?.first?.record, found?.record);
    t.is(found?.before.at(-1)?.record, (found?.record ?? 0) - 1);
    t.is(found?.before.length, Math.min(8, found?.record ?? 0));
    t.regex(describeVerdict(verdict), new RegExp(`first difference is record ${found?.record}`));
  }
});

test('a run that stops early differs from the longer one where it stopped', async (t) => {
  let runs = 0;
  const verdict = await checkReplay(5, async (seed, trace) => {
    runs++;
    return busyRun(() => 0, runs % 2 === 0 ? 1_000 : 1_001)(seed, trace);
  });
  t.false(verdict.same);
  t.not(verdict.difference?.first ?? null, null);
  t.is(verdict.records[0] > verdict.records[1], true);
});

test('the log keeps the last records if told to; notes are in the hash', async (t) => {
  const tail = async (text: string) => {
    const { sim, world } = stage({ trace: { last: 5 } });
    for (let i = 0; i < 12; i++) world.log.event('line', i);
    world.log.note(text);
    await sim.run();
    return sim.log;
  };
  const log = await tail('hello');
  t.deepEqual(
    log.kept().map((record) => record.record),
    [8, 9, 10, 11, 12],
  );
  t.deepEqual(log.notes, [{ timeNs: 0, actor: 'dom0', text: 'hello' }]);
  t.not(log.hash, (await tail('hullo')).hash);
  t.is(log.hash, (await tail('hello')).hash);
});
