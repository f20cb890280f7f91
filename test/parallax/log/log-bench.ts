/**
 * A dirty log in the simulator under a workload that knows what it was promised, over any number of
 * lives of its driver VM.
 *
 * `Ledger` is the model: all mutations in the order of append, each with what its owner was told.
 * Each recovery must find a contiguous piece of that order which ends not before the last mutation
 * that was promised to survive; what it does not find is then struck from the ledger for ever.
 */
import { present } from '../../../src/base/invariant.ts';
import type { Prng } from '../../../src/base/prng.ts';
import { nanos } from '../../../src/base/units.ts';
import { LogEntry, MutationKind } from '../../../src/parallax/formats/log-group.ts';
import { DirtyLog } from '../../../src/parallax/log/dirty-log.ts';
import type { LogOptions } from '../../../src/parallax/log/log-options.ts';
import { LogStatus, type Mutation } from '../../../src/parallax/log/mutation.ts';
import type { RecoveredLog } from '../../../src/parallax/log/recovered-log.ts';
import { recoverLog } from '../../../src/parallax/log/recovery.ts';
import type { ActorHandle } from '../../../src/world/actor.ts';
import { DiskOp } from '../../../src/world/sim/disk-timing.ts';
import type { SimHost } from '../../../src/world/sim/sim-host.ts';
import { Simulator } from '../../../src/world/sim/simulator.ts';
import { DiskStatus, type World } from '../../../src/world/world.ts';
import { check } from '../../helpers/property.ts';
import { scripted } from '../../world/sim/helper-actors.ts';

const PAYLOAD_ADDRESS = 4096;
const READ_ADDRESS = 16_384;
const ARENA_ADDRESS = 65_536;
const MEMORY_BYTES = 262_144;
/** For a second driver VM that lives at the same time. */
const OTHER_ARENA_ADDRESS = 131_072;

export const SMALL: LogOptions = {
  segmentBytes: 65_536,
  maxSegments: 6,
  reserveBytes: 8192,
  arena: { address: ARENA_ADDRESS, bytes: 49_152 },
  maxGroupBytes: 16_384,
  maxGroupEntries: 16,
  maxGroups: 8,
  maxVdis: 8,
  maxFronts: 4,
  windowDepth: 64,
  checkpointEveryBytes: 65_536,
  checkpointEveryNs: 3_000_000,
  retryNs: 500_000,
};

export interface Record {
  readonly vdi: number;
  readonly vdiSeq: number;
  readonly generation: number;
  readonly kind: MutationKind;
  readonly lba: number;
  readonly sectors: number;
  readonly frontId: number;
  readonly frontSeq: number;
  readonly partOffset: number;
  readonly writeIndex: number;
  readonly needsSync: boolean;
  status: 'waits' | 'logged' | 'failed';
  /** A sync that began after it has ended. */
  synced: boolean;
}

export class Ledger {
  records: Record[] = [];
  readonly published: Map<number, number> = new Map();
  generation = 0;
  frontSeq = 0;
  writeIndex = 0;

  isPublished({ vdi, vdiSeq }: Record): boolean {
    return vdiSeq <= (this.published.get(vdi) ?? 0);
  }

  /** As it is now, for somebody who goes on alone. */
  copy(): Ledger {
    const copy = new Ledger();
    copy.records = this.records.map((one) => ({ ...one }));
    for (const [vdi, vdiSeq] of this.published) copy.published.set(vdi, vdiSeq);
    return Object.assign(copy, {
      generation: this.generation,
      frontSeq: this.frontSeq,
      writeIndex: this.writeIndex,
    });
  }

  /** Judges what a recovery found, and takes it as the truth. */
  judge(found: readonly LogEntry[], powerLost: boolean): void {
    const { records } = this;
    const first = found[0];
    let last = -1;
    if (first !== undefined) {
      const start = records.findIndex((one) => sameNumber(one, first));
      check(start >= 0, `an entry that was never appended: ${first.vdi}/${first.vdiSeq}`);
      for (const one of records.slice(0, start)) {
        check(this.isPublished(one), `${one.vdi}/${one.vdiSeq} is missing at the beginning`);
      }
      for (const [at, entry] of found.entries()) {
        const one = records[start + at];
        check(one !== undefined && same(one, entry), `entry ${at} is not what was appended`);
      }
      last = start + found.length - 1;
    }
    for (const one of records.slice(last + 1)) {
      if (this.isPublished(one)) continue;
      const promised = one.synced || (one.status === 'logged' && (one.needsSync || !powerLost));
      check(!promised, `${one.vdi}/${one.vdiSeq} was promised and is lost`);
    }
    this.records = records.slice(0, last + 1);
  }
}

function sameNumber(one: Record, entry: LogEntry): boolean {
  return one.vdi === entry.vdi && one.vdiSeq === entry.vdiSeq;
}

function same(one: Record, entry: LogEntry): boolean {
  return (
    sameNumber(one, entry) &&
    one.generation === entry.generation &&
    one.kind === entry.kind &&
    one.lba === entry.lba &&
    one.sectors === entry.sectors &&
    one.frontId === entry.frontId &&
    one.frontSeq === entry.frontSeq &&
    one.partOffset === entry.partOffset &&
    one.writeIndex === entry.writeIndex
  );
}

/** What a visitor is given is filled again for the next one. */
export function copyOf(entry: LogEntry): LogEntry {
  return Object.assign(new LogEntry(), entry);
}

/** Fills a payload that nobody else has. */
export function fillPayload(bytes: Uint8Array, vdi: number, vdiSeq: number): void {
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = (vdi * 31 + vdiSeq * 7 + at + (at >> 9) * 13) & 0xff;
  }
}

/** One mutation and its owner. */
class Append implements Mutation {
  kind: MutationKind = MutationKind.write;
  vdi = 0;
  generation = 0;
  vdiSeq = 0;
  frontId = 0;
  frontSeq = 0;
  partOffset = 0;
  unitSectors = 0;
  writeIndex = 0;
  lba = 0;
  sectors = 0;
  address = PAYLOAD_ADDRESS;
  detail = 0;
  needsSync = false;
  segment = 0;
  offset = 0;
  readonly pieceCrcs: Uint32Array = new Uint32Array(512);
  readonly told: (status: LogStatus) => void;

  constructor(told: (status: LogStatus) => void) {
    this.told = told;
  }

  logged(status: LogStatus): void {
    this.told(status);
  }
}

export interface Workload {
  readonly mutations: number;
  /** How far publishing stays behind, in mutations of a VDI; Infinity: nothing is published. */
  readonly publishLag: number;
  readonly needsSync: (vdi: number, random: Prng) => boolean;
}

export const MIXED: Workload = {
  mutations: 60,
  publishLag: 8,
  needsSync: (vdi, random) => vdi === 1 || (vdi === 3 && random.chance(0.5)),
};

/** One life of the driver VM: recovery, then the workload, then silence. */
export class Life {
  readonly #world: World;
  readonly #options: LogOptions;
  #ledger: Ledger;
  #workload: Workload;
  readonly #random: Prng;
  readonly #next = new Map<number, number>();
  readonly #unanswered = new Map<number, number[]>();
  /** A mutation that found no room. */
  #parked: { mutation: Append; record: Record } | null = null;
  readonly found: { entry: LogEntry; payload: Uint8Array | null }[] = [];
  recovered: RecoveredLog | null = null;
  log: DirtyLog | null = null;
  appended = 0;
  done = false;

  constructor(world: World, options: LogOptions, ledger: Ledger, workload: Workload) {
    this.#world = world;
    this.#options = options;
    this.#ledger = ledger;
    this.#workload = workload;
    this.#random = world.random.fork('workload');
  }

  /** `wasPowerLost`: since the last recovery that was judged. */
  async start(wasPowerLost: () => boolean): Promise<void> {
    const entries: LogEntry[] = [];
    const recovered = await recoverLog(this.#world, this.#options, (entry) => {
      entries.push(copyOf(entry));
    });
    this.recovered = recovered;
    check(recovered.damage.length === 0, `damage: ${JSON.stringify(recovered.damage)}`);
    const log = new DirtyLog(this.#world, this.#options, recovered, () => this.#unpark());
    this.log = log;
    this.#checkFound(entries, log, recovered, wasPowerLost());
    for (const [vdi, vdiSeq] of this.#ledger.published) log.published(vdi, vdiSeq);
    this.#ledger.generation++;
    if (!(await log.start())) return;
    this.tick();
  }

  /** Told just before what was found is judged. */
  beforeJudge: () => void = () => {};

  stopPublishing(): void {
    this.#workload = { ...this.#workload, publishLag: Number.POSITIVE_INFINITY };
  }

  /** From now on a zombie: what it does is its own affair. */
  becomeZombie(ledger: Ledger): void {
    this.#ledger = ledger;
  }

  #checkFound(
    entries: readonly LogEntry[],
    log: DirtyLog,
    recovered: RecoveredLog,
    powerLost: boolean,
  ): void {
    this.beforeJudge();
    const before = this.#ledger.records;
    this.#ledger.judge(entries, powerLost);
    for (const entry of entries) {
      check(
        log.answered(entry.frontId, entry.frontSeq, entry.partOffset),
        `${entry.frontSeq} is in the log and would be executed again`,
      );
      // What is published may be retired as soon as the log looks at it.
      const published = this.#ledger.published.get(entry.vdi) ?? 0;
      if (entry.kind !== MutationKind.write || entry.vdiSeq <= published) continue;
      const { vdi, vdiSeq, segment, offset, sectors } = entry;
      check(this.payloadIs(vdi, vdiSeq, segment, offset, sectors), `payload of ${vdi}/${vdiSeq}`);
    }
    for (const lost of before.slice(this.#ledger.records.length)) {
      check(
        !log.answered(lost.frontId, lost.frontSeq, lost.partOffset),
        `${lost.frontSeq} is lost and would be answered`,
      );
    }
    for (const { vdi, lastVdiSeq, reservedVdiSeq, published } of recovered.vdis.values()) {
      const known = this.#ledger.published.get(vdi) ?? 0;
      this.#next.set(vdi, Math.max(lastVdiSeq, reservedVdiSeq, published, known) + 1);
    }
  }

  payloadIs(
    vdi: number,
    vdiSeq: number,
    segment: number,
    offset: number,
    sectors: number,
  ): boolean {
    const log = this.log as DirtyLog;
    const expected = new Uint8Array(sectors * 512);
    fillPayload(expected, vdi, vdiSeq);
    log.pin(segment);
    const status = log.readNow(segment, offset, expected.length, READ_ADDRESS);
    log.unpin(segment);
    const { u8 } = this.#world.memory;
    return status === 0 && expected.every((byte, at) => byte === u8[READ_ADDRESS + at]);
  }

  /** A step of the actor: a few requests, and what comes of them. */
  readonly tick = (): void => {
    const log = this.log as DirtyLog;
    const burst = this.#random.between(1, 5);
    for (let i = 0; i < burst && this.#parked === null; i++) {
      if (this.appended === this.#workload.mutations) break;
      this.#append(log);
    }
    if (this.#random.chance(0.15)) this.#sync(log);
    this.#publish(log);
    log.step();
    if (this.appended === this.#workload.mutations && this.#parked === null) {
      this.done = true;
      return;
    }
    const waitNs = this.#random.between(1_000, 200_000);
    this.#world.timers.at(nanos(this.#world.clock.nowNs() + waitNs), this.tick);
  };

  #append(log: DirtyLog): void {
    const ledger = this.#ledger;
    const random = this.#random;
    const vdi = random.between(1, 3);
    const vdiSeq = this.#next.get(vdi) ?? 1;
    const kinds = [MutationKind.write, MutationKind.write, MutationKind.discard];
    const record: Record = {
      vdi,
      vdiSeq,
      generation: ledger.generation,
      kind: random.pick(kinds),
      lba: random.below(100_000),
      sectors: random.between(1, 16),
      frontId: vdi,
      frontSeq: random.chance(0.9) ? ++ledger.frontSeq : (ledger.frontSeq += 3),
      partOffset: random.chance(0.1) ? 2048 : 0,
      writeIndex: ++ledger.writeIndex,
      needsSync: this.#workload.needsSync(vdi, random),
      status: 'waits',
      synced: false,
    };
    const mutation: Append = new Append((status) => {
      const first = this.#unanswered.get(vdi)?.shift();
      check(first === vdiSeq, `${vdi}/${vdiSeq} is acknowledged before ${first}`);
      record.status = status === LogStatus.ok ? 'logged' : 'failed';
      this.onLogged?.(mutation, status);
      if (record.kind !== MutationKind.write) return;
      const { segment, offset, sectors } = mutation;
      check(this.payloadIs(vdi, vdiSeq, segment, offset, sectors), 'read after logged');
    });
    Object.assign(mutation, record);
    this.#next.set(vdi, vdiSeq + 1);
    this.appended++;
    this.#offer(log, mutation, record);
  }

  /** A test may listen. */
  onLogged: ((mutation: Mutation, status: LogStatus) => void) | null = null;

  #offer(log: DirtyLog, mutation: Append, record: Record): void {
    const payload = new Uint8Array(record.sectors * 512);
    fillPayload(payload, record.vdi, record.vdiSeq);
    this.#world.memory.u8.set(payload, PAYLOAD_ADDRESS);
    const waiting = this.#unanswered.get(record.vdi) ?? [];
    waiting.push(record.vdiSeq);
    this.#unanswered.set(record.vdi, waiting);
    if (log.append(mutation)) {
      this.#world.memory.u8.fill(0xee, PAYLOAD_ADDRESS, PAYLOAD_ADDRESS + 8192);
      this.#ledger.records.push(record);
      return;
    }
    waiting.pop();
    this.#parked = { mutation, record };
  }

  #unpark(): void {
    const parked = this.#parked;
    if (parked === null || this.log === null) return;
    this.#parked = null;
    this.#offer(this.log, parked.mutation, parked.record);
  }

  #sync(log: DirtyLog): void {
    const covered = [...this.#ledger.records];
    const inLog = log.sync({
      groupSeq: 0,
      synced: (status) => {
        if (status === LogStatus.ok) for (const one of covered) one.synced = true;
      },
    });
    if (inLog) for (const one of covered) one.synced = true;
  }

  #publish(log: DirtyLog): void {
    const { records, published } = this.#ledger;
    for (const vdi of [1, 2, 3]) {
      const logged = records.filter((one) => one.vdi === vdi && one.status !== 'waits');
      const upTo = logged[logged.length - 1 - this.#workload.publishLag];
      if (upTo === undefined || upTo.vdiSeq <= (published.get(vdi) ?? 0)) continue;
      if (this.#random.chance(0.5)) continue;
      published.set(vdi, upTo.vdiSeq);
      log.published(vdi, upTo.vdiSeq);
    }
  }
}

export class LogBench {
  readonly sim: Simulator;
  readonly host: SimHost;
  readonly ledger: Ledger = new Ledger();
  readonly options: LogOptions;
  #powerLost = false;

  constructor(seed: number, options: Partial<LogOptions> = {}) {
    this.sim = new Simulator({
      seed,
      timing: { spawnNs: 1_000, teardownNs: 500, wakeNs: 100, callNs: 50 },
    });
    this.host = this.sim.addHost('h0', { memoryBytes: MEMORY_BYTES });
    this.options = { ...SMALL, ...options };
  }

  /** Cuts the power at the n-th event from now, or where a crash point is passed. */
  readonly powerCut = (): void => {
    this.#powerLost = true;
    this.host.powerCut();
  };

  spawn(
    workload: Workload,
    prepare: (life: Life) => void = () => {},
    name = 'd0',
  ): {
    handle: ActorHandle;
    life: () => Life | null;
  } {
    let life: Life | null = null;
    const wasPowerLost = (): boolean => {
      const was = this.#powerLost;
      this.#powerLost = false;
      return was;
    };
    const { arena } = this.options;
    const address = name === 'd0' ? arena.address : OTHER_ARENA_ADDRESS;
    const options = { ...this.options, arena: { ...arena, address } };
    const script = scripted((world) => {
      life = new Life(world, options, this.ledger, workload);
      prepare(life);
      const own = life;
      return { start: () => own.start(wasPowerLost) };
    });
    const handle = this.sim.spawner(script).spawn({
      kind: 'driver-vm',
      name,
      host: 'h0',
      bellAddress: name === 'd0' ? 64 : 128,
      links: [],
      config: null,
    });
    return { handle, life: () => life };
  }

  /** One life until nothing happens any more; killed at its end if it is not dead already. */
  async live(workload: Workload, prepare: (life: Life) => void = () => {}): Promise<Life> {
    const { handle, life } = this.spawn(workload, prepare);
    await this.sim.run({ maxEvents: 100_000 });
    this.noFailure();
    handle.kill();
    await this.sim.run();
    return present(life(), 'the driver VM has started');
  }

  /** As soon as the file is there, its n-th write or flush fails, once. */
  failOnce(name: string, op: DiskOp, nth: number, status: DiskStatus = DiskStatus.ioError): void {
    const world = this.sim.toolstackWorld('mischief', this.host);
    const look = (): void => {
      const disk = this.host.findDisk(name);
      if (disk === undefined) {
        world.timers.at(nanos(world.clock.nowNs() + 10_000), look);
      } else {
        disk.faults.add({ fault: { kind: 'error', status }, ops: [op], nth, once: true });
      }
    };
    look();
  }

  /** The disks are well again. */
  heal(): void {
    for (const name of this.host.diskNames()) this.host.disk(name).faults.clear();
    Reflect.deleteProperty(this.host, 'addDisk');
  }

  /** New files of segments cannot be allocated. */
  forbidNewFiles(): void {
    const add = this.host.addDisk.bind(this.host);
    this.host.addDisk = (name, sizeBytes, options) => {
      const disk = add(name, sizeBytes, options);
      disk.capacityBytes = 8192;
      return disk;
    };
  }

  noFailure(): void {
    const [failure] = this.sim.failures;
    if (failure !== undefined) throw new Error(`${failure.error.message}\n${failure.error.stack}`);
  }
}

export const RECOVER_ONLY: Workload = { ...MIXED, mutations: 0 };
