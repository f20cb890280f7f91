/**
 * The judgement of a run from its histories alone, after it has ended: the guests' own checks are
 * quicker, these are the ones that decide. Each checker sees all disks of the run.
 */

import { type History, HistoryKind, isLossRecord } from '../world/history.ts';
import { broken, type Verdict } from './checkers/check.ts';
import { judgeConservation, type Ledger } from './checkers/conservation.ts';
import { judgeFlushDurability } from './checkers/flush-durability.ts';
import { judgeLinearizability } from './checkers/linearizability.ts';
import { judgeLiveness } from './checkers/liveness.ts';
import { judgeNoInvention } from './checkers/no-invention.ts';
import { type JudgedDisk, OperationTable } from './checkers/operations.ts';
import type { Recovery } from './checkers/recovery.ts';
import { judgeRingOrder } from './checkers/ring-order.ts';
import { judgeStability } from './checkers/stability.ts';
import type { GuestTrack } from './guest-track.ts';
import type { Run } from './runner.ts';
import { lossOf } from './scenario.ts';

/** Faults have stopped: a request may take as long as a front end waits before it calls it late. */
const ANSWER_NS = 30e9;

export function judgeOffline(run: Run): Verdict[] {
  const disks = run.guests.map((guest) => {
    const table = new OperationTable(diskOf(guest));
    return { guest, table, recoveries: recoveriesOf(run, guest) };
  });
  const outages = disks.map(({ table, recoveries }) => ({
    table,
    recoveries: recoveries.filter(({ successorRecord, losing }) => successorRecord === 0 || losing),
  }));
  // Nobody answers a guest that was ejected, nor waits for it to finish.
  const answerable = disks.filter(({ guest }) => guest.struckAtNs === null);
  const tables = disks.map(({ table }) => table);
  return [
    judgeLiveness(
      answerable.map(({ guest, table }) => ({
        disk: table.disk,
        finished: guest.finished,
        phase: guest.stats.phaseName,
      })),
      {
        quietSinceNs: quietSinceNs(disks.flatMap(({ recoveries }) => recoveries)),
        withinNs: ANSWER_NS,
      },
    ),
    judgeNoInvention(disks),
    judgeLinearizability(disks),
    judgeRingOrder(outages),
    judgeFlushDurability(outages),
    judgeStability(disks),
    judgeConservation(
      tables.map(({ disk }) => disk),
      run.guests.flatMap(ledgersOf),
    ),
    ...unrecordedOf(tables),
  ];
}

function diskOf(guest: GuestTrack): JudgedDisk {
  const { name, scenario, lives } = guest;
  return { name, sectors: scenario.diskSectors, history: guest.judgedHistory(), lives };
}

/** What a guest's disk recovered from: outages of its driver VM, and its own deaths. */
function recoveriesOf(run: Run, guest: GuestTrack): Recovery[] {
  const { scenario, history, lives, losses } = guest;
  const recoveries: Recovery[] = [];
  for (const { name, outages } of run.hosts) {
    for (const { killedAtNs, servingAtNs, crash } of outages) {
      if (!guest.wasOn(name, killedAtNs)) continue;
      // Its guests died with it, or gave up what it had: theirs is the recovery that is judged.
      if (crash !== 'driver-death' || lossOf(scenario, 'driver-death') !== 'nothing') continue;
      // A driver VM that never came back: its outage outlasts every request.
      const servingNs = servingAtNs ?? Number.POSITIVE_INFINITY;
      recoveries.push({ lostNs: killedAtNs, servingNs, successorRecord: 0, losing: false });
    }
  }
  for (const { firstRecord } of lives.slice(1)) {
    if (firstRecord === 0 || firstRecord >= history.length) continue;
    const { invokeNs: servingNs } = history.record(firstRecord);
    const next = { servingNs, successorRecord: firstRecord };
    const lost = lossesBefore(history, firstRecord);
    if (lost.length === 0) recoveries.push({ ...next, lostNs: servingNs, losing: false });
    for (const at of lost) {
      const { kind, invokeNs: lostNs } = history.record(at);
      const isDeep = kind === HistoryKind.loss;
      const loss = losses.find(({ record }) => record === at);
      const keepsFlushed = loss?.clause === 'by-cut-keeping-flushed';
      recoveries.push({
        ...next,
        lostNs,
        losing: true,
        ...(isDeep ? { deep: { keepsFlushed } } : {}),
      });
    }
  }
  return recoveries;
}

/** Losses that no life of the guest came between: its host may be struck again while it waits. */
function lossesBefore(history: History, firstRecord: number): number[] {
  const lost: number[] = [];
  for (let at = firstRecord - 1; at >= 0 && isLossRecord(history.record(at).kind); at--) {
    lost.unshift(at);
  }
  return lost;
}

function quietSinceNs(recoveries: readonly Recovery[]): number {
  const ends = recoveries.map(({ servingNs }) => servingNs).filter(Number.isFinite);
  return ends.reduce((latest, end) => Math.max(latest, end), 0);
}

/** A guest that has ended has nothing under way, and none of its pages is lent. */
function ledgersOf({ name, result }: GuestTrack): Ledger[] {
  if (result === null) return [];
  const { submitted, completed } = result.front;
  return [
    { name: `requests of ${name}'s last incarnation`, total: submitted, parts: { completed } },
    { name: `pages that ${name} lent`, total: 0, parts: { kept: result.stuckPages } },
  ];
}

/** Reads that nobody can judge any more are said to be so, not passed over. */
function unrecordedOf(tables: readonly OperationTable[]): Verdict[] {
  return tables
    .filter(({ unrecorded }) => unrecorded > 0)
    .map(({ disk, unrecorded }) =>
      broken(
        'records',
        `what ${unrecorded} reads of ${disk.name} found had no room in the history`,
      ),
    );
}
