/**
 * The replay workload over real rings and the real back end, in one thread: the checker itself is
 * tested here. A sound disk gives no violation; a disk that loses, mixes up or tears is caught.
 */
import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { MemoryDevice } from '../../src/driver-vm/devices/memory-device.ts';
import { Blkfront } from '../../src/guests/blkfront.ts';
import { DiskModel } from '../../src/guests/disk-model.ts';
import { FrontPages } from '../../src/guests/front-pages.ts';
import { FrontQueue } from '../../src/guests/front-queue.ts';
import { GuestPhase, GuestStats, guestStatsBuffer } from '../../src/guests/guest-stats.ts';
import type { Pace } from '../../src/guests/pace.ts';
import { Replay, type ReplayResult } from '../../src/guests/replay.ts';
import { syntheticTrace } from '../../src/traces/synthetic.ts';
import { type BlockDevice, DeviceOp, type DeviceRequest } from '../../src/world/block-device.ts';
import { Findings, findingsBufferFor } from '../../src/world/findings.ts';
import { History, HistoryStatus, OrderTap, recordBufferFor } from '../../src/world/history.ts';
import { FEATURES } from '../helpers/crash-bench.ts';
import { TwoDomains } from '../helpers/domains.ts';
import { BackServer, makeRing } from '../helpers/ring-bench.ts';

const BLOCKS = 128;
const SECTORS = BLOCKS * 8;
const REQUESTS = 400;

interface RunOptions {
  readonly seed?: number;
  readonly queues?: number;
  readonly pace?: Pace;
  readonly wrap?: (device: BlockDevice) => BlockDevice;
  /** Share of the requests that go to few blocks, and write over each other. */
  readonly hotShare?: number;
}

interface Ran extends ReplayResult {
  readonly history: History;
  readonly tap: OrderTap;
  readonly stats: GuestStats;
}

function run(options: RunOptions): Ran {
  const { seed = 1, queues = 1, pace = { kind: 'closed', depth: 16 }, hotShare = 0.7 } = options;
  const domains = new TwoDomains(1024, 512, 1024, seed);
  const { world, grants, frames, driver, machine } = domains;
  const diskFrames = machine.createDomain(SECTORS * 512, 0);
  const tap = new OrderTap(recordBufferFor(4 * REQUESTS));
  const findings = new Findings(findingsBufferFor(64 * REQUESTS));
  const history = new History(recordBufferFor(4 * REQUESTS), findings);
  const stats = new GuestStats(guestStatsBuffer());
  const device = new MemoryDevice(world.memory, diskFrames.heapFrame * 4096, SECTORS);
  const server = new BackServer(domains);
  const vbd = server.disk(options.wrap?.(device) ?? device, { tap });
  const rings = Array.from({ length: queues }, () => makeRing(domains));
  for (const made of rings) server.serve(made, vbd, { persistent: true });
  const front = { policy: 'stall', deadlineNs: 1e9, plantedBug: 'none' } as const;
  const blkfront = new Blkfront(world, front);
  const features = { ...FEATURES, sectors: SECTORS, maxIndirectSegments: 32 };
  const trust = { persistent: true, trusted: true };
  const pages = new FrontPages(world.memory, grants, frames, driver.domain, trust);
  const partDone: Blkfront['partDone'] = (request, status) => blkfront.partDone(request, status);
  const fronts = rings.map(
    ({ ring, side, channel }) =>
      new FrontQueue({ world, ring, side, channel, pages, features, publish: 'each', partDone }),
  );
  const workload = new Replay({
    world,
    frames,
    trace: syntheticTrace(new Prng(seed, 'trace'), {
      requests: REQUESTS,
      blocks: BLOCKS,
      hotShare,
    }),
    pace,
    history,
    model: new DiskModel(SECTORS, history),
    stats,
    stampSource: { disk: 1, writer: 1, flushes: 0 },
    resumed: false,
    recordResponse: () => undefined,
  });
  blkfront.connect(fronts, features);
  workload.begin(blkfront);
  for (let turn = 0; !workload.finished(); turn++) {
    if (turn > 200_000) throw new Error(`seed ${seed}: the replay never ends`);
    const moved = blkfront.step(world.clock.nowNs());
    const submitted = workload.pump(16, world.clock.nowNs());
    server.rounds.step(8, world.clock.nowNs());
    for (const queue of vbd.queues) queue.checkInvariants();
    blkfront.checkInvariants();
    workload.checkInvariants();
    if (!moved && submitted === 0) world.advance(10_000);
  }
  return { ...workload.result(), history, tap, stats };
}

test('a sound disk shows no violation, whatever the depth, pace and number of queues', (t) => {
  for (let seed = 1; seed <= 6; seed++) {
    const timed: Pace = { kind: 'timed', speed: 4, depth: 32 };
    const pace: Pace = seed % 3 === 0 ? timed : { kind: 'closed', depth: 4 ** (seed % 4) };
    const { violations, stats, sectorsVerified, history } = run({
      seed,
      pace,
      queues: seed % 4 || 1,
    });
    t.deepEqual(violations, [], `seed ${seed}`);
    t.is(stats.phase, GuestPhase.done);
    t.is(stats.get('cursor'), REQUESTS);
    t.true(sectorsVerified > 1000);
    for (let at = 0; at < history.length; at++) {
      t.is(history.record(at).status, HistoryStatus.ok, `seed ${seed}, record ${at}`);
    }
  }
});

test('the order tap has every mutation once, in the order of the ring', (t) => {
  const { tap, history } = run({ seed: 2 });
  const submitted: number[] = [];
  for (let at = 0; at < history.length; at++) {
    const { kind, index } = history.record(at);
    if (kind === 1) submitted.push(index);
  }
  const tapped: number[] = [];
  for (let at = 0; at < tap.length; at++) {
    t.is(tap.record(at).vdiSeq, at + 1);
    const { writeIndex } = tap.record(at);
    if (writeIndex > 0 && tapped[tapped.length - 1] !== writeIndex) tapped.push(writeIndex);
  }
  t.deepEqual(tapped, submitted);
});

/** Changes what happens to some of the writes of a sound device. */
class Liar implements BlockDevice {
  readonly #inner: BlockDevice;
  readonly #lie: (request: DeviceRequest) => boolean;

  constructor(inner: BlockDevice, lie: (request: DeviceRequest) => boolean) {
    this.#inner = inner;
    this.#lie = lie;
  }

  get info(): BlockDevice['info'] {
    return this.#inner.info;
  }

  submit(request: DeviceRequest): void {
    if (request.op === DeviceOp.write && this.#lie(request)) request.deviceDone(0);
    else this.#inner.submit(request);
  }

  resize(sectors: number): Promise<void> {
    return this.#inner.resize(sectors);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** Runs with the `nth` write treated by `lie`; true when the checker noticed. */
function caught(
  nth: number,
  lie: (request: DeviceRequest, inner: BlockDevice) => boolean,
): boolean {
  let writes = 0;
  const wrap = (inner: BlockDevice): BlockDevice =>
    new Liar(inner, (request) => ++writes === nth && lie(request, inner));
  return run({ seed: nth, wrap, hotShare: 0 }).violations.length > 0;
}

test('a disk that loses, misplaces or tears a write is caught unless it was written over', (t) => {
  const lies: [string, (request: DeviceRequest, inner: BlockDevice) => boolean][] = [
    ['loses', () => true],
    [
      'misplaces',
      (request, inner) => {
        const { sectors, address } = request;
        const lba = (request.lba + SECTORS / 2) % (SECTORS - sectors);
        inner.submit({ ...request, lba, sectors, address, deviceDone: () => undefined });
        return false;
      },
    ],
    [
      'writes all but the last sector',
      (request, inner) => {
        const sectors = request.sectors - 1;
        const { lba, address } = request;
        inner.submit({ ...request, lba, sectors, address, deviceDone: () => undefined });
        return true;
      },
    ],
  ];
  for (const [what, lie] of lies) {
    let found = 0;
    for (let nth = 180; nth < 190; nth++) if (caught(nth, lie)) found++;
    t.true(found >= 6, `${what}: ${found} of 10 found; the others were written over unread`);
  }
});
