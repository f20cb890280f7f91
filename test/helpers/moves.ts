/**
 * Plays one attack against a back end, beside a guest that is honest, and says what became of it.
 */
import { BlkifStatus } from '../../src/ring/entries.ts';
import type { Move } from '../../src/ring/hostile/front-moves.ts';
import { BackBench, type BenchRing, type RingOptions, statuses } from './back-bench.ts';

export interface Played {
  readonly bench: BackBench;
  readonly ring: BenchRing;
  readonly honest: BenchRing;
  readonly requests: number;
}

/** Steps that no single attack may exceed before the back end is idle again. */
const STEPS_MAX = 200;

export function play(move: Move, options: RingOptions = {}): Played {
  const bench = new BackBench();
  const ring = bench.connect(options);
  const honest = bench.connect();
  const before = ring.front.reqProd;
  bench.world.atCrashPoint = () => ring.front.tick();
  move.apply(ring.front);
  const steps = bench.turn(STEPS_MAX + 1);
  if (steps > STEPS_MAX) throw new Error(`${move.name}: the back end did not come to rest`);
  bench.world.atCrashPoint = () => undefined;
  ring.front.calm();
  ring.front.collect();
  return { bench, ring, honest, requests: (ring.front.reqProd - before) >>> 0 };
}

/** What of the promised outcome does not hold; empty when all does. */
export function faultsOf(move: Move, played: Played): string[] {
  const { ring, honest, bench, requests } = played;
  const faults: string[] = [];
  const { tally } = ring.front;
  const answers = tally.okay + tally.error + tally.notSupported + tally.other;
  const said = JSON.stringify(tally);
  if (move.outcome === 'halt') {
    if (ring.queue.halted === null) faults.push('the ring goes on');
    if (answers > requests) faults.push(`${answers} answers to ${requests} requests`);
  } else if (move.outcome !== 'harmless') {
    if (ring.queue.halted !== null) faults.push(`halted: ${ring.queue.halted}`);
    const wanted = move.outcome === 'not-supported' ? 'notSupported' : move.outcome;
    if (tally[wanted] !== requests || answers !== requests || requests === 0) {
      faults.push(`${requests} requests should be ${wanted}: ${said}`);
    }
    faults.push(...serves(bench, ring, 'the ring of the attack'));
  }
  faults.push(...serves(bench, honest, 'the other guest'));
  return faults;
}

/** An honest request is served, within one turn. */
export function serves(bench: BackBench, ring: BenchRing, who: string): string[] {
  ring.front.send(ring.front.honest());
  bench.turn();
  const got = statuses(ring);
  return got.length === 1 && got[0] === BlkifStatus.okay ? [] : [`${who} got [${got.join()}]`];
}

export function movesOf(moves: readonly Move[], attack: string): readonly Move[] {
  return moves.filter((move) => move.attack === attack);
}
