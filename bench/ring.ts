/**
 * `bench ring`: the ring, through everything a request passes, against other ways to cross threads.
 *
 * A round measures every configuration once: each peer and each mode of the ring, with one guest
 * and with two, at four depths, and the neighbour test. Rounds are repeated, so that what is
 * compared is measured in turn, and a target's value is the median over the rounds of a ratio
 * inside one round.
 *
 * `ring` alone means the default: adaptive waiting, publishing each entry. A measurement that
 * others disturbed is taken again, a few times; rounds that stayed disturbed are left out of a
 * ratio unless most of them are. Polling needs a core for each thread: where most rounds were
 * disturbed, or there is one core only, nothing decides its target (`ok` is null).
 *
 * The neighbour test is judged in blocking mode. A guest that is alone at depth 1 and may spin has
 * a core for itself, and its latency is then no measure for what is possible beside a second busy
 * guest on two cores; both modes are in the samples.
 */

import type { BenchTarget } from '../src/cli/bench-output.ts';
import type { WaitMode } from '../src/world/real/bell-watch.ts';
import { type BenchOptions, type BenchResult, medianOf, spreadOf, target } from './bench-result.ts';
import { awaitQuiet, describeMachine, ForeignLoad, sleepMs } from './machine.ts';
import { PeerRig, peerMemory } from './peer-rig.ts';
import { PEER_KINDS, type PeerKind } from './peers/peer.ts';
import { type RigConfig, RingRig, rigMemory } from './ring-rig.ts';

const DEPTHS = [1, 8, 32, 128] as const;
const GUESTS = [1, 2] as const;
const MODES = ['block', 'adaptive', 'poll'] as const;
const NEIGHBOUR_MODES = ['block', 'adaptive'] as const;
const PUBLISH = ['each', 'batch'] as const;
const ROUNDS = 5;
const FLOOD_DEPTH = 128;
/** Cores that others may use while a measurement counts as undisturbed. */
const FOREIGN_CORES_MAX = 0.3;
const MICROS = 1000;

interface Times {
  /** How long to wait at most for others to leave the machine alone. */
  readonly quietMs: number;
  readonly warmMs: number;
  readonly settleMs: number;
  readonly measureMs: number;
}

const FULL: Times = { quietMs: 1000, warmMs: 200, settleMs: 40, measureMs: 200 };
const QUICK: Times = { quietMs: 0, warmMs: 20, settleMs: 5, measureMs: 20 };
/** A measurement that others disturbed is taken again, so often; the least disturbed one counts. */
const TRIES = 3;

interface Reading {
  readonly requestsPerSecond: number;
  readonly guestKicks: number;
  readonly driverKicks: number;
  readonly foreignCores: number;
}

interface Ratio {
  readonly value: number;
  /** Whether most of its rounds were. */
  readonly undisturbed: boolean;
}

interface NeighbourReading {
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Readings by configuration, one a round. */
class Cells<T> {
  readonly #readings = new Map<string, T[]>();

  add(key: string, reading: T): void {
    const readings = this.#readings.get(key);
    if (readings === undefined) this.#readings.set(key, [reading]);
    else readings.push(reading);
  }

  of(key: string): readonly T[] {
    const readings = this.#readings.get(key);
    if (readings === undefined) throw new Error(`nothing was measured for ${key}`);
    return readings;
  }

  entries(): Iterable<[string, readonly T[]]> {
    return this.#readings;
  }
}

export async function run(options: BenchOptions = {}): Promise<BenchResult> {
  const quick = options.quick === true;
  const rounds = quick ? 1 : ROUNDS;
  const machine = describeMachine();
  const bench = new RingBench(quick ? QUICK : FULL);
  for (let round = 0; round < rounds; round++) await bench.round();
  const targets = bench.targets(machine.cores);
  return { bench: 'ring', machine, runs: rounds, targets, samples: bench.samples() };
}

class RingBench {
  readonly #times: Times;
  readonly #memory = rigMemory();
  readonly #peerMemories = GUESTS.map(() => peerMemory());
  readonly #speeds = new Cells<Reading>();
  readonly #neighbours = new Cells<NeighbourReading>();

  constructor(times: Times) {
    this.#times = times;
  }

  async round(): Promise<void> {
    for (const guests of GUESTS) {
      for (const kind of PEER_KINDS) await this.#measurePeer(kind, guests);
      for (const mode of MODES) {
        for (const publish of PUBLISH) await this.#measureRing(mode, publish, guests);
      }
    }
    for (const mode of NEIGHBOUR_MODES) await this.#measureNeighbour(mode);
  }

  targets(cores: number): BenchTarget[] {
    const ring32 = ringKey('adaptive', 'each', 1, 32);
    const over = (peer: PeerKind): number => this.#ratio(ring32, peerKey(peer, 1, 32)).value;
    const port1 = peerKey('port', 1, 1);
    const poll = this.#ratio(ringKey('poll', 'each', 1, 1), port1);
    const two = this.#ratio(ringKey('adaptive', 'each', 2, 32), ring32);
    const kicks = this.#speeds.of(ring32).map(kicksOf);
    return [
      target('ring.qd32.vs-port', over('port'), 'higher', 5),
      target('ring.qd32.vs-port-shared', over('port-shared'), 'higher', 2),
      target('ring.qd32.vs-comlink', over('comlink'), 'higher', 10),
      target('ring.qd32.vs-piscina', over('piscina'), 'higher', 7),
      target(
        'ring.qd1.block.vs-port',
        this.#ratio(ringKey('block', 'each', 1, 1), port1).value,
        'higher',
        1,
      ),
      target('ring.qd1.poll.vs-port', poll.value, 'higher', 15, poll.undisturbed && cores >= 2),
      target('ring.qd32.kicks', medianOf(kicks), 'lower', 0.1),
      target('ring.guests2.ratio', two.value, 'higher', 0.6),
      target('ring.neighbour.p99-ratio', medianOf(this.#neighbourRatios()), 'lower', 5),
    ];
  }

  samples(): unknown[] {
    const speeds = [...this.#speeds.entries()].map(([configuration, readings]) => ({
      configuration,
      requestsPerSecond: spreadOf(readings.map(({ requestsPerSecond }) => requestsPerSecond)),
      guestKicksPerRequest: spreadOf(readings.map(({ guestKicks }) => guestKicks)),
      driverKicksPerRequest: spreadOf(readings.map(({ driverKicks }) => driverKicks)),
      foreignCores: spreadOf(readings.map(({ foreignCores }) => foreignCores)),
    }));
    const neighbours = [...this.#neighbours.entries()].map(([configuration, readings]) => ({
      configuration,
      p50Us: spreadOf(readings.map(({ p50Us }) => p50Us)),
      p99Us: spreadOf(readings.map(({ p99Us }) => p99Us)),
    }));
    return [...speeds, ...neighbours];
  }

  async #measurePeer(kind: PeerKind, guests: number): Promise<void> {
    const { quietMs, warmMs, settleMs, measureMs } = this.#times;
    await awaitQuiet(quietMs);
    const rig = new PeerRig(kind, this.#peerMemories.slice(0, guests));
    rig.setDepth(32);
    await rig.ready();
    await sleepMs(warmMs);
    for (const depth of DEPTHS) {
      rig.setDepth(depth);
      await sleepMs(settleMs);
      const reading = await leastDisturbed(async () => ({
        requestsPerSecond: await rig.measure(measureMs),
        guestKicks: 1,
        driverKicks: 1,
      }));
      this.#speeds.add(peerKey(kind, guests, depth), reading);
    }
    await rig.close();
  }

  async #measureRing(mode: WaitMode, publish: RigConfig['publish'], guests: number): Promise<void> {
    const { quietMs, warmMs, settleMs, measureMs } = this.#times;
    await awaitQuiet(quietMs);
    const rig = await RingRig.open({ guests, mode, publish, sampleLatency: false }, this.#memory);
    const all = (depth: number): number[] => Array.from({ length: guests }, () => depth);
    rig.setDepths(all(32));
    await rig.ready();
    await sleepMs(warmMs);
    for (const depth of DEPTHS) {
      rig.setDepths(all(depth));
      await sleepMs(settleMs);
      const reading = await leastDisturbed(() => rig.measure(measureMs));
      this.#speeds.add(ringKey(mode, publish, guests, depth), reading);
    }
    await rig.close();
  }

  async #measureNeighbour(mode: WaitMode): Promise<void> {
    const { quietMs, warmMs, settleMs, measureMs } = this.#times;
    await awaitQuiet(quietMs);
    const rig = await RingRig.open(
      { guests: 2, mode, publish: 'each', sampleLatency: true },
      this.#memory,
    );
    rig.setDepths([1, FLOOD_DEPTH]);
    await rig.ready();
    await sleepMs(warmMs);
    for (const depth of [0, FLOOD_DEPTH]) {
      rig.setDepths([1, depth]);
      await sleepMs(settleMs);
      const latencies = (await rig.latencies(0, 2 * measureMs)).sort();
      const at = (share: number): number =>
        (latencies[Math.floor(share * (latencies.length - 1))] ?? Number.NaN) / MICROS;
      const reading: NeighbourReading = { p50Us: at(0.5), p99Us: at(0.99) };
      this.#neighbours.add(neighbourKey(mode, depth), reading);
    }
    await rig.close();
  }

  /**
   * Speed of one configuration over that of another in the same round, as the median over the
   * rounds in which nobody disturbed either; over all rounds when most were disturbed.
   */
  #ratio(of: string, over: string): Ratio {
    const all: number[] = [];
    const quiet: number[] = [];
    const others = this.#speeds.of(over);
    this.#speeds.of(of).forEach((one, round) => {
      const other = others[round];
      if (other === undefined) return;
      const ratio = one.requestsPerSecond / other.requestsPerSecond;
      all.push(ratio);
      const foreignCores = Math.max(one.foreignCores, other.foreignCores);
      if (foreignCores < FOREIGN_CORES_MAX) quiet.push(ratio);
    });
    const undisturbed = 2 * quiet.length > all.length;
    return { value: medianOf(undisturbed ? quiet : all), undisturbed };
  }

  #neighbourRatios(): number[] {
    const idle = this.#neighbours.of(neighbourKey('block', 0));
    return this.#neighbours
      .of(neighbourKey('block', FLOOD_DEPTH))
      .map(({ p99Us }, round) => p99Us / (idle[round]?.p99Us ?? Number.NaN));
  }
}

async function leastDisturbed(
  measure: () => Promise<Omit<Reading, 'foreignCores'>>,
): Promise<Reading> {
  let best: Reading | null = null;
  for (let i = 0; i < TRIES; i++) {
    const load = new ForeignLoad();
    const measured = await measure();
    const reading = { ...measured, foreignCores: load.cores() };
    if (best === null || reading.foreignCores < best.foreignCores) best = reading;
    if (best.foreignCores < FOREIGN_CORES_MAX) break;
  }
  return best as Reading;
}

function ringKey(mode: WaitMode, publish: string, guests: number, depth: number): string {
  return `ring ${mode} publish-${publish} guests=${guests} depth=${depth}`;
}

function peerKey(kind: PeerKind, guests: number, depth: number): string {
  return `${kind} guests=${guests} depth=${depth}`;
}

function neighbourKey(mode: WaitMode, depth: number): string {
  return `ring ${mode} latency at depth 1 beside depth ${depth}`;
}

function kicksOf({ guestKicks, driverKicks }: Reading): number {
  return guestKicks + driverKicks;
}
