/**
 * A run as the crash demo leaves it: g0 and g1 on h0, g2 on h1; the driver VM of h0 is killed at
 * 8 s of 20 s and serves again 180 ms later. Every number is made from `Prng`, so that pictures
 * of it look like a run and tests of it always see the same one.
 */
import { formatCount } from '../../src/base/format-units.ts';
import { Prng } from '../../src/base/prng.ts';
import { MS, SECOND } from '../../src/base/units.ts';
import type {
  GuestResult,
  LatencySummary,
  RunResult,
  Series,
} from '../../src/experiments/result.ts';

const DURATION_NS: number = 20 * SECOND;
const KILLED_AT_NS: number = 8 * SECOND;
const SERVING_AT_NS: number = 8 * SECOND + 180 * MS;
const BUCKET_NS = 100 * MS;

/** The run of the crash demo, with any part replaced. */
export function crashRun(changes: Partial<RunResult> = {}): RunResult {
  const guests = [guest('g0', 'h0', 11_800), guest('g1', 'h0', 7_400), guest('g2', 'h1', 9_600)];
  const reads = guests.reduce((sum, one) => sum + one.requests.reads, 0);
  const writes = guests.reduce((sum, one) => sum + one.requests.writes, 0);
  return {
    format: 'stordom-result',
    version: 1,
    title: 'Driver VM crash',
    summary:
      'Three guests on two hosts write and read back while the driver VM of host h0 is killed at ' +
      '8s and restarted.',
    world: 'threads',
    seed: 7,
    machine: { node: 'v20.20.2', cpu: 'AMD EPYC 7B13', cores: 2, os: 'linux 6.1' },
    startedAtIso: '2026-01-15T09:30:00.000Z',
    durationNs: DURATION_NS,
    ok: true,
    checks: [
      check('read-your-writes', `each of ${formatCount(reads)} reads returned the newest write`),
      check('full-read-back', '98,304 sectors read back at the end, all as last written'),
      check('order-tap', `${formatCount(writes)} writes numbered in ring order and in real time`),
      check('fate-sharing', 'stalled: g0, g1, which are all guests of h0 with requests; h1: none'),
      check('liveness', 'every request was answered within 184ms of the restart'),
    ],
    guests,
    outages: [
      {
        host: 'h0',
        killedAtNs: KILLED_AT_NS,
        servingAtNs: SERVING_AT_NS,
        stalled: [
          { guest: 'g0', longestNs: 183.4 * MS },
          { guest: 'g1', longestNs: 181.9 * MS },
        ],
        idle: [],
        replayedRequests: 60,
      },
    ],
    story: [
      { atNs: 0, text: 'hosts h0 and h1 start; each has a driver VM of its own' },
      { atNs: 42 * MS, text: 'g0, g1 and g2 connect: 2 rings each, 32 requests deep' },
      { atNs: KILLED_AT_NS, text: 'the driver VM of h0 is killed in the middle of a log write' },
      { atNs: KILLED_AT_NS + 11 * MS, text: 'its worker is gone; the toolstack starts another' },
      { atNs: KILLED_AT_NS + 173 * MS, text: 'log scanned; g0 and g1 replay 30 requests each' },
      { atNs: SERVING_AT_NS, text: 'the driver VM of h0 serves again; g0 and g1 go on' },
      { atNs: DURATION_NS, text: 'guests stop and read back everything they wrote' },
    ],
    limits: ['the disk is memory: latencies are those of rings and threads, not of a device'],
    command: 'stordom demo crash --seed 7',
    ...changes,
  };
}

/** A guest that stalls in the outage if it is one of h0's. */
export function guest(name: string, host: string, perSecond: number): GuestResult {
  const series = seriesOf(name, host === 'h0', perSecond);
  const total = series.requests.reduce((sum, one) => sum + one, 0);
  const reads = Math.round(total * 0.52);
  const flushes = Math.round(total * 0.02);
  const writes = total - reads - flushes;
  const latency = latencyOf(total, host === 'h0' ? 183.4 * MS : 2.9 * MS);
  return {
    name,
    host,
    requests: { reads, writes, flushes, discards: 0, errors: 0 },
    bytesRead: reads * 4096,
    bytesWritten: writes * 4096,
    sectorsVerified: reads * 8,
    readBackSectors: 32_768,
    replayedRequests: host === 'h0' ? 30 : 0,
    violations: [],
    latency,
    responseLatency: latency,
    series,
  };
}

function check(name: string, text: string): RunResult['checks'][number] {
  return { name, ok: true, text };
}

function latencyOf(count: number, maxNs: number): LatencySummary {
  return {
    count,
    meanNs: 310_000,
    p50Ns: 262_000,
    p90Ns: 540_000,
    p99Ns: 1_310_000,
    p999Ns: 2_600_000,
    maxNs,
  };
}

/** Nothing completes while the driver VM is away; the answer after it waited for all of it. */
function seriesOf(name: string, stalls: boolean, perSecond: number): Series {
  const random = new Prng(7, name);
  const buckets = Array.from({ length: DURATION_NS / BUCKET_NS }, (_, i) => {
    const startNs = i * BUCKET_NS;
    const awayNs = Math.min(SERVING_AT_NS, startNs + BUCKET_NS) - Math.max(KILLED_AT_NS, startNs);
    const up = stalls && awayNs > 0 ? 1 - awayNs / BUCKET_NS : 1;
    const warm = Math.min(1, 0.4 + i / 8);
    const wave = 1 + 0.06 * Math.sin(i / 9 + perSecond) + 0.09 * (random.nextUnit() - 0.5);
    const requests = Math.round(((perSecond * BUCKET_NS) / SECOND) * up * warm * wave);
    const p50 = (230_000 + 60_000 * random.nextUnit()) / warm;
    const back = stalls && SERVING_AT_NS >= startNs && SERVING_AT_NS < startNs + BUCKET_NS;
    const slow = back ? 182 * MS : p50 * (7 + 4 * random.nextUnit());
    return requests === 0
      ? { requests, p50: null, p99: null, max: null }
      : { requests, p50, p99: back ? 178 * MS : p50 * (3 + random.nextUnit()), max: slow };
  });
  return {
    bucketNs: BUCKET_NS,
    requests: buckets.map((one) => one.requests),
    bytes: buckets.map((one) => one.requests * 4096),
    p50Ns: buckets.map((one) => one.p50),
    p99Ns: buckets.map((one) => one.p99),
    maxNs: buckets.map((one) => one.max),
  };
}
