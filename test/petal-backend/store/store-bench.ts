/**
 * A chunk store in the simulator, under a workload that knows what it was promised, over any number
 * of lives of its server.
 */
import { present } from '../../../src/base/invariant.ts';
import type { Prng } from '../../../src/base/prng.ts';
import { nanos, type Term } from '../../../src/base/units.ts';
import { StoreStatus } from '../../../src/petal-backend/store/chunk-store.ts';
import {
  type FileChunkStore,
  openChunkStore,
} from '../../../src/petal-backend/store/file-chunk-store.ts';
import type { StoreOptions } from '../../../src/petal-backend/store/store-options.ts';
import { CHUNK_BLOCKS, MutationOp } from '../../../src/petal-backend/wire/messages.ts';
import type { ActorHandle } from '../../../src/world/actor.ts';
import type { DiskRule } from '../../../src/world/sim/disk-faults.ts';
import type { DiskOp } from '../../../src/world/sim/disk-timing.ts';
import type { SimHost } from '../../../src/world/sim/sim-host.ts';
import { Simulator } from '../../../src/world/sim/simulator.ts';
import { DiskStatus, type World } from '../../../src/world/world.ts';
import { check } from '../../helpers/property.ts';
import { scripted } from '../../world/sim/helper-actors.ts';
import { mutationOf, stampOf } from './store-blocks.ts';
import {
  BLOCKS_OF_DISK,
  EPOCHS,
  type Facts,
  type Found,
  GMAP,
  Ledger,
  Model,
  noteOf,
  type Step,
  VDISKS,
} from './store-model.ts';

const PAGE = 4096;
export const SEGMENT_BYTES: number = 24 * PAGE;

/** Two disks of six chunks each: less than the workload would like to have. */
export const SMALL: StoreOptions = {
  server: Uint8Array.from({ length: 16 }, (_, i) => i + 1),
  dataDisks: 2,
  dataBytes: 8192 + 4 * PAGE + 6 * 65_536,
  logBytes: 8192 + 2 * PAGE + 4 * SEGMENT_BYTES,
  segmentBytes: SEGMENT_BYTES,
  arenaBytes: 48 * PAGE,
  pairPages: 1,
  applyDelayNs: 300_000,
  retryNs: 400_000,
};

export interface Workload {
  readonly steps: number;
  /** Share of trims among mutations. */
  readonly trims: number;
  /** A clean end after the steps. */
  readonly close: boolean;
}

export const MIXED: Workload = { steps: 60, trims: 0.3, close: false };
export const LOOK_ONLY: Workload = { ...MIXED, steps: 0 };

/** One life of the server: opens its store, judges what it has, works, and is silent. */
export class Life {
  readonly #world: World;
  readonly #options: StoreOptions;
  readonly #ledger: Ledger;
  readonly #workload: Workload;
  readonly #random: Prng;
  store: FileChunkStore | null = null;
  steps = 0;
  open = 0;
  done = false;
  closed = false;
  noSpace = 0;
  failed = 0;
  reads = 0;
  damagedReads = 0;

  constructor(world: World, options: StoreOptions, ledger: Ledger, workload: Workload) {
    this.#world = world;
    this.#options = options;
    this.#ledger = ledger;
    this.#workload = workload;
    this.#random = world.random.fork('workload');
  }

  failure: unknown = null;
  readonly #fail = (thrown: unknown): void => {
    this.failure ??= thrown;
  };

  /** Judge what is found at the start; a test of damage judges for itself. */
  judges = true;
  /** What is found is not judged if the store says itself that something is lost. */
  mayBeLost = false;
  /** A read may fail, and must say so. */
  mayBeDamaged = false;

  async start(): Promise<void> {
    const store = await openChunkStore(this.#world, this.#options);
    this.store = store;
    const ledger = this.#ledger;
    check(store.incarnation > ledger.incarnation, `incarnation ${store.incarnation}`);
    if (this.judges && (store.intact || !this.mayBeLost)) {
      check(
        store.intact || ledger.steps.every(({ status }) => status === 'waits'),
        `lost: ${store.losses.join()}`,
      );
      const problem = ledger.judge(await this.found());
      check(problem === null, problem ?? '');
    }
    ledger.incarnation = store.incarnation;
    ledger.term++;
    this.tick();
  }

  readonly tick = (): void => {
    const burst = this.#random.between(1, 5);
    for (let i = 0; i < burst && this.steps < this.#workload.steps; i++) this.#step();
    this.store?.checkInvariants();
    if (this.steps >= this.#workload.steps) {
      this.done = true;
      if (this.#workload.close) void this.store?.close().then(() => (this.closed = true));
      return;
    }
    const waitNs = this.#random.between(1_000, 200_000);
    this.#world.timers.at(nanos(this.#world.clock.nowNs() + waitNs), this.tick);
  };

  #step(): void {
    const random = this.#random;
    this.steps++;
    const draw = random.nextUnit();
    if (draw < 0.62) this.submit(this.#mutation());
    else if (draw < 0.67) this.submit(this.#pairStep());
    else if (draw < 0.75) this.#commit();
    else if (draw < 0.82) this.#arrive();
    else if (draw < 0.86) this.store?.decommit();
    else if (draw < 0.88) void this.#scrub().catch(this.#fail);
    else void this.#read().catch(this.#fail);
  }

  #mutation(): Step {
    const random = this.#random;
    const ledger = this.#ledger;
    const vdisk = random.below(VDISKS);
    const isTrim = random.chance(this.#workload.trims);
    const op = isTrim
      ? MutationOp.trim
      : random.chance(0.1)
        ? MutationOp.writeIf
        : MutationOp.write;
    const chunk = random.below(BLOCKS_OF_DISK / CHUNK_BLOCKS);
    const isWhole = random.chance(0.25);
    const first = isWhole ? 0 : random.below(CHUNK_BLOCKS);
    const blocks =
      op === MutationOp.writeIf
        ? 1
        : isWhole
          ? CHUNK_BLOCKS
          : random.between(1, CHUNK_BLOCKS - first);
    const stamp = ledger.stamp + 1;
    ledger.stamp += CHUNK_BLOCKS;
    return {
      ...this.blankStep(vdisk),
      op,
      epoch: random.below(EPOCHS),
      block: chunk * CHUNK_BLOCKS + first,
      blocks,
      n: ++ledger.n,
      session: random.between(1, 3),
      seq: ++ledger.seq,
      conditional: op === MutationOp.writeIf ? random.between(1, 99) : 0,
      missing: random.chance(0.3) ? 2 : 0,
      dirty: random.chance(0.5),
      stamp,
    };
  }

  blankStep(group: number): Step {
    return {
      number: ++this.#ledger.number,
      kind: 'mutate',
      group,
      op: MutationOp.write,
      vdisk: group,
      epoch: 0,
      block: 0,
      blocks: 1,
      term: this.#ledger.term,
      n: 0,
      session: 1,
      seq: 0,
      conditional: 0,
      missing: 0,
      dirty: false,
      stamp: 0,
      member: 1,
      note: null,
      status: 'waits',
    };
  }

  #pairStep(): Step {
    const group = this.#random.below(VDISKS);
    if (this.#random.chance(0.5)) {
      return { ...this.blankStep(group), kind: 'markAll' };
    }
    const note = noteOf(this.#ledger.term, this.#random.below(5));
    return { ...this.blankStep(group), kind: 'setPair', note };
  }

  async sleep(durationNs: number): Promise<void> {
    await this.#world.timers.sleep(durationNs);
  }

  submit(step: Step): void {
    const store = this.store as FileChunkStore;
    this.#ledger.steps.push(step);
    this.open++;
    let isInside = true;
    const done = (status: StoreStatus): void => {
      check(!isInside, 'nobody is told inside the call');
      check(step.status === 'waits', 'it is told once');
      this.open--;
      step.status = status === StoreStatus.ok ? 'done' : 'failed';
      if (status === StoreStatus.noSpace) this.noSpace++;
      if (status === StoreStatus.ioError) this.failed++;
    };
    if (step.kind === 'mutate') store.mutate(mutationOf(step, done));
    else {
      const told =
        step.kind === 'markAll'
          ? store.markAll(GMAP, step.group, step.member)
          : store.setPair(GMAP, step.group, step.note ?? noteOf(0, 0));
      void this.#tell(told, done);
    }
    isInside = false;
  }

  async #tell(told: Promise<void>, done: (status: StoreStatus) => void): Promise<void> {
    let status: StoreStatus = StoreStatus.ok;
    try {
      await told;
    } catch {
      status = StoreStatus.ioError;
    }
    done(status);
  }

  /** Everything that was done for sure is clean now. */
  #commit(): void {
    const group = this.#random.below(VDISKS);
    const waiting = this.#ledger.steps.findIndex(({ status }) => status === 'waits');
    const steps = this.#ledger.steps.slice(0, waiting < 0 ? undefined : waiting);
    const last = steps.findLast((step) => step.group === group && step.kind === 'mutate');
    if (last === undefined) return;
    const version = { term: last.term as Term, n: last.n };
    this.#ledger.committed.set(group, version);
    this.store?.commit(GMAP, group, version);
    const left = this.store?.dirtyBlocks(GMAP, group) ?? [];
    check(
      left.every((one) => {
        const facts = this.store?.facts({ gmap: GMAP, group, ...one });
        return facts !== undefined && facts.version.n > version.n;
      }),
      'what is committed is clean',
    );
  }

  #arrive(): void {
    const group = this.#random.below(VDISKS);
    if (this.#ledger.steps.some(({ kind, status }) => kind === 'markAll' && status === 'waits'))
      return;
    const missing = this.store?.missingOf(GMAP, group, 1, 3) ?? [];
    check(missing.length <= 3, 'no more than the limit');
    for (const one of missing) {
      const place = { gmap: GMAP, group, ...one };
      const version = present(this.store, 'it is open').facts(place).version;
      const key = Model.key(group, one.vdisk, one.epoch, one.block);
      this.#ledger.arrived.set(key, { ...version, after: this.#ledger.number });
      this.store?.arrived(1, { ...place, blocks: 1 }, version);
    }
  }

  async #scrub(): Promise<void> {
    const step = await this.store?.scrub(3);
    check(this.mayBeDamaged || step?.damaged.length === 0, 'nothing is damaged');
  }

  /** Reads a chunk whose blocks nobody is writing, and compares. */
  async #read(): Promise<void> {
    const random = this.#random;
    const vdisk = random.below(VDISKS);
    const epoch = random.below(EPOCHS);
    const block = random.below(BLOCKS_OF_DISK / CHUNK_BLOCKS) * CHUNK_BLOCKS;
    const touches = (step: Step): boolean =>
      step.kind === 'mutate' &&
      step.vdisk === vdisk &&
      step.block >= block &&
      step.block < block + CHUNK_BLOCKS;
    const count = this.#ledger.steps.length;
    if (this.#ledger.steps.some((step) => step.status === 'waits' && touches(step))) return;
    const { data, damaged } = await this.readChunk(vdisk, epoch, block);
    // Somebody may have begun to write meanwhile.
    if (this.#ledger.steps.slice(count).some(touches)) return;
    this.reads++;
    const model = this.#ledger.model(count);
    for (let i = 0; i < CHUNK_BLOCKS; i++) {
      if ((damaged & (1 << i)) !== 0) {
        check(this.mayBeDamaged, `block ${block + i} is damaged`);
        this.damagedReads++;
        continue;
      }
      const want = model.seen(vdisk, vdisk, epoch, block + i)?.stamp ?? 0;
      const have = stampOf(data, i * PAGE);
      // What was lost may read as something older, never as what nobody wrote.
      if (this.store?.intact === false && have !== -1) continue;
      check(have === want, `read of ${vdisk}/${epoch}/${block + i}: ${have}, not ${want}`);
    }
  }

  readChunk(
    vdisk: number,
    epoch: number,
    block: number,
  ): Promise<{ data: Uint8Array; damaged: number; status: StoreStatus }> {
    const data = new Uint8Array(CHUNK_BLOCKS * PAGE).fill(0xee);
    const place = { gmap: GMAP, group: vdisk, vdisk, epoch, block, blocks: CHUNK_BLOCKS };
    return new Promise((resolve) => {
      this.store?.read({
        ...place,
        data,
        storeDone: (status, damaged) => resolve({ data, damaged, status }),
      });
    });
  }

  /** Everything that the store says of itself; a damaged block has stamp -1. */
  async found(): Promise<Found> {
    const store = present(this.store, 'it is open');
    const seen = new Map<string, Omit<Facts, 'dirty' | 'missing' | 'markedBy'>>();
    const dirty = new Set<string>();
    const missing = new Map<string, number>();
    for (let vdisk = 0; vdisk < VDISKS; vdisk++) {
      for (const one of store.dirtyBlocks(GMAP, vdisk))
        dirty.add(Model.key(vdisk, one.vdisk, one.epoch, one.block));
      for (let member = 0; member < 3; member++) {
        for (const one of store.missingOf(GMAP, vdisk, member, 1e6)) {
          const key = Model.key(vdisk, one.vdisk, one.epoch, one.block);
          missing.set(key, (missing.get(key) ?? 0) | (1 << member));
        }
      }
      for (let epoch = 0; epoch < EPOCHS; epoch++) {
        for (let block = 0; block < BLOCKS_OF_DISK; block += CHUNK_BLOCKS) {
          const { data, damaged } = await this.readChunk(vdisk, epoch, block);
          for (let i = 0; i < CHUNK_BLOCKS; i++) {
            const place = { gmap: GMAP, group: vdisk, vdisk, epoch, block: block + i };
            const facts = store.facts(place);
            if (facts.version.n === 0) {
              check(stampOf(data, i * PAGE) === 0, 'what was never written is zeros');
              continue;
            }
            seen.set(Model.key(vdisk, vdisk, epoch, block + i), {
              term: facts.version.term,
              n: facts.version.n,
              session: facts.origin.session,
              seq: facts.origin.seq,
              conditional: facts.conditionalVersion,
              stamp: (damaged & (1 << i)) !== 0 ? -1 : stampOf(data, i * PAGE),
            });
          }
        }
      }
    }
    return {
      seen,
      dirty,
      missing,
      note: (group) => store.pairNote(GMAP, group),
      lastN: (group, term) => store.lastN(GMAP, group, term as Term),
    };
  }
}

export class StoreBench {
  readonly sim: Simulator;
  readonly host: SimHost;
  readonly ledger: Ledger = new Ledger();
  readonly options: StoreOptions;

  constructor(seed: number, options: Partial<StoreOptions> = {}) {
    this.sim = new Simulator({
      seed,
      timing: { spawnNs: 1_000, teardownNs: 500, wakeNs: 100, callNs: 50 },
    });
    this.host = this.sim.addHost('h0', { memoryBytes: 65_536 });
    this.options = { ...SMALL, ...options };
  }

  readonly powerCut = (): void => this.host.powerCut();

  spawn(
    workload: Workload,
    prepare: (life: Life) => void = () => {},
  ): { handle: ActorHandle; life: () => Life | null } {
    let life: Life | null = null;
    const script = scripted((world) => {
      life = new Life(world, this.options, this.ledger, workload);
      prepare(life);
      const own = life;
      return { start: () => own.start() };
    });
    const handle = this.sim.spawner(script).spawn({
      kind: 'driver-vm',
      name: 'p0',
      host: 'h0',
      bellAddress: 64,
      links: [],
      config: null,
    });
    return { handle, life: () => life };
  }

  /** One life until nothing happens any more; killed at its end if it is not dead already. */
  async live(workload: Workload, prepare: (life: Life) => void = () => {}): Promise<Life> {
    const { handle, life } = this.spawn(workload, prepare);
    await this.sim.run({ maxEvents: 200_000 });
    this.noFailure();
    handle.kill();
    await this.sim.run();
    const made = present(life(), 'the server has started');
    if (made.failure !== null) throw made.failure;
    return made;
  }

  /** A life in which `story` is told, until it ends. */
  async serve(story: (store: FileChunkStore, life: Life) => Promise<void>): Promise<void> {
    const { handle, life } = this.spawn(LOOK_ONLY, (one) => {
      one.judges = false;
    });
    await this.sim.run();
    this.noFailure();
    const own = present(life(), 'the server has started');
    let isOver = false;
    const told = story(present(own.store, 'it is open'), own).finally(() => {
      isOver = true;
    });
    while (!isOver) await this.sim.run();
    handle.kill();
    await this.sim.run();
    await told;
  }

  /** As soon as the disk is there, its n-th such operation fails, once or from then on. */
  failOnce(name: string, op: DiskOp, nth: number, once = true): void {
    const fault = { kind: 'error', status: DiskStatus.ioError } as const;
    this.fault(name, { fault, ops: [op], nth, once });
  }

  fault(name: string, rule: DiskRule): void {
    const world = this.sim.toolstackWorld('mischief', this.host);
    const look = (): void => {
      const disk = this.host.findDisk(name);
      if (disk === undefined) world.timers.at(nanos(world.clock.nowNs() + 10_000), look);
      else disk.faults.add(rule);
    };
    look();
  }

  heal(): void {
    for (const name of this.host.diskNames()) this.host.disk(name).faults.clear();
  }

  noFailure(): void {
    const [failure] = this.sim.failures;
    if (failure !== undefined) throw new Error(`${failure.error.message}\n${failure.error.stack}`);
  }
}
