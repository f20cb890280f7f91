/**
 * A guest over all its incarnations: the buffers that outlive it, and what became of each.
 */
import { StorageError } from '../base/errors.ts';
import { HISTOGRAM_BYTES } from '../base/histogram.ts';
import { type FrontId, SECTOR_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';
import type { WorkloadConfig } from '../guests/create-guest.ts';
import type { GuestConfig, GuestResult } from '../guests/guest.ts';
import { GuestStats, guestStatsBuffer } from '../guests/guest-stats.ts';
import type { ReplayResult } from '../guests/replay.ts';
import { VIRTUAL_DEVICE } from '../hypervisor/disk-keys.ts';
import type { DomainLayout } from '../hypervisor/machine.ts';
import type { ExitReport } from '../world/actor.ts';
import type { PlantedBug } from '../world/faults.ts';
import { Findings, findingsBufferFor } from '../world/findings.ts';
import {
  History,
  HistoryKind,
  HistoryStatus,
  type OrderTap,
  recordBufferFor,
} from '../world/history.ts';
import { historyNow, joinedTaps, tapPart } from './judged-records.ts';
import { type Crash, type GuestScenario, type LossClause, lossOf } from './scenario.ts';

/** Room for reads that are tried again while a disk answers with errors. */
const SPARE_RECORDS = 32_768;
/** Times a guest may be restarted with room in its history for another full read back. */
const READ_BACKS = 6;
/** Most runs of findings that are kept: 512 MiB of address space, touched only as it is needed. */
const FINDING_RUNS_MAX = 2 ** 25;

export interface Life {
  readonly frontId: FrontId;
  /** First history record of this incarnation. */
  readonly firstRecord: number;
}

/** A crash that may have lost what was acknowledged. */
export interface Loss {
  readonly crash: Crash;
  readonly clause: LossClause;
  /** Its record in the history. */
  readonly record: number;
  /** Records of the order tap before it: of the tap that `tapOf` gives. */
  readonly tapLength: number;
  readonly atNs: number;
}

/**
 * Another host has taken the image of a guest over. The guest's life on the old host goes on in the
 * records that it had; its successor on the other one has a copy of them.
 */
export interface TakeOver {
  readonly atNs: number;
  readonly from: string;
  readonly to: string;
  readonly history: History;
  /** Records of that history when it was copied. */
  readonly firstRecord: number;
  /** By plan: everything had been published, and no guest went on there. */
  readonly isPlanned: boolean;
  /** Of the old host, and how long it was. */
  readonly tap: OrderTap;
  readonly tapLength: number;
  /** The old host was found to know that it serves the image no more. */
  fenced: boolean;
  /** What came back of the old host's log holds, when all was over; null: nothing came back. */
  orphan: Int32Array | null;
}

export class GuestTrack {
  readonly scenario: GuestScenario;
  stats: GuestStats;
  history: History;
  responses: SharedArrayBuffer = new SharedArrayBuffer(HISTOGRAM_BYTES);
  readonly lives: Life[] = [];
  readonly losses: Loss[] = [];
  readonly problems: string[] = [];
  /** While faults held up the guest itself, its disk or its driver VM. */
  readonly troubles: { readonly fromNs: number; readonly toNs: number }[] = [];
  /** Number of its disk. */
  readonly disk: number;
  readonly #plantedBug: PlantedBug;
  #statsBuffer = guestStatsBuffer();
  #findingsBuffer: SharedArrayBuffer;
  /** null: its host is the one that the scenario says. */
  takeOver: TakeOver | null = null;
  /** When a planned move of its image began: it is stopped, and is started on the other host. */
  moveBeganNs: number | null = null;
  /** Its image is of the other host by now: what becomes of this one is nothing to it. */
  isHandedOver: boolean = false;
  result: GuestResult | null = null;
  replayedRequests = 0;
  kills = 0;
  /** Garbage was written into its rings: it is ejected, and judged by what it did before. */
  struckAtNs: number | null = null;
  /** It is destroyed, and nothing of it is held any more. */
  ejectedAtNs: number | null = null;
  #violationsBefore = 0;
  #historyBefore: History | null = null;
  #tapBefore: OrderTap | null = null;

  constructor(scenario: GuestScenario, disk: number, plantedBug: PlantedBug) {
    this.scenario = scenario;
    this.disk = disk;
    this.#plantedBug = plantedBug;
    this.stats = new GuestStats(this.#statsBuffer);
    const { requests, facts } = scenario.trace;
    const cuts = Math.ceil((facts.bytes.write + facts.bytes.read + facts.bytes.zero) / 2 ** 20);
    const touched = Math.ceil(scenario.diskSectors / SECTORS_PER_PAGE);
    const readBacks = Math.min(touched, facts.distinctBlocks + requests) * READ_BACKS;
    const readSectors = facts.bytes.read / SECTOR_BYTES + readBacks * SECTORS_PER_PAGE;
    const runs = Math.min(readSectors + SPARE_RECORDS, FINDING_RUNS_MAX);
    this.#findingsBuffer = findingsBufferFor(runs);
    this.history = new History(
      recordBufferFor(requests + cuts + readBacks + SPARE_RECORDS),
      new Findings(this.#findingsBuffer),
    );
  }

  get name(): string {
    return this.scenario.name;
  }

  /** The host that it is on now. */
  get host(): string {
    return this.takeOver?.to ?? this.scenario.host;
  }

  /** Its name as a domain: a life that goes on elsewhere keeps the one that it had. */
  get domain(): string {
    return this.takeOver === null ? this.name : `${this.name}-on-${this.takeOver.to}`;
  }

  /** The host that it was on at that time. */
  hostAt(atNs: number): string {
    const { takeOver, scenario } = this;
    return takeOver !== null && atNs >= takeOver.atNs ? takeOver.to : scenario.host;
  }

  wasOn(host: string, atNs: number): boolean {
    return this.hostAt(atNs) === host;
  }

  /** The numbers of its mutations, from all hosts that it was on; `tapOfHost`: of the last one. */
  tapOf(tapOfHost: OrderTap): OrderTap {
    const { takeOver } = this;
    if (takeOver === null) return tapOfHost;
    return joinedTaps(takeOver.tap, takeOver.tapLength, tapOfHost);
  }

  /** It has read its disk back, and its account has arrived: that comes a moment later. */
  get finished(): boolean {
    return this.result !== null;
  }

  /** It is on its way to another host, which has not started it yet. */
  get isMoving(): boolean {
    return this.moveBeganNs !== null && this.takeOver === null;
  }

  /** Nothing more is to be expected of it: it has finished, or it is gone for good. */
  get isOver(): boolean {
    return this.struckAtNs === null ? this.finished : this.ejectedAtNs !== null;
  }

  /** Sectors that disagreed with what it wrote, as far as it is answerable for them. */
  get violations(): number {
    return this.struckAtNs === null ? this.stats.get('violations') : this.#violationsBefore;
  }

  /** What it is judged by: its history, or the part from before its rings were struck. */
  judgedHistory(): History {
    return this.#historyBefore ?? this.history;
  }

  /** The same of the order tap of its host. */
  judgedTap(tap: OrderTap): OrderTap {
    return this.#tapBefore ?? this.tapOf(tap);
  }

  /** Garbage will be written into its rings now. */
  struck(atNs: number, tap: OrderTap): void {
    this.#historyBefore = historyNow(this.history);
    const all = this.tapOf(tap);
    this.#tapBefore = tapPart(all, this.disk, all.length);
    this.#violationsBefore = this.stats.get('violations');
    this.struckAtNs = atNs;
  }

  /** Share of the trace that was issued. */
  get progress(): number {
    const { requests } = this.scenario.trace;
    return requests === 0 ? 1 : this.stats.get('cursor') / requests;
  }

  get workload(): ReplayResult | null {
    return this.result === null ? null : (this.result.workload as ReplayResult);
  }

  /** Configuration of the next incarnation. */
  config(layout: DomainLayout, frontId: FrontId): GuestConfig<WorkloadConfig> {
    const { scenario } = this;
    const resumed = this.lives.length > 0;
    this.lives.push({ frontId, firstRecord: this.history.length });
    return {
      layout,
      disk: {
        virtualDevice: VIRTUAL_DEVICE,
        policy: scenario.policy,
        deadlineNs: 30e9,
        front: scenario.front,
      },
      plantedBug: this.#plantedBug,
      workload: {
        kind: 'replay',
        trace: columnsOnly(scenario),
        pace: scenario.pace,
        diskSectors: scenario.diskSectors,
        disk: this.disk,
        writer: this.lives.length,
        resumed,
        // No life on another host has written as many as there is room for.
        writesFrom: this.takeOver === null ? 1 : this.history.capacity + 1,
        history: this.history.buffer,
        findings: this.#findingsBuffer,
        stats: this.#statsBuffer,
        responses: this.responses,
      },
    };
  }

  /**
   * Another host has its image now. What lives on the old one goes on in the records that it has;
   * from here on they are not those of this guest.
   */
  takenOver(to: string, atNs: number, tap: OrderTap, isPlanned: boolean): void {
    const { history, responses, host: from } = this;
    const { length: firstRecord } = history;
    const taken = { atNs, from, to, isPlanned, history, firstRecord, tap, tapLength: tap.length };
    this.takeOver = { ...taken, fenced: false, orphan: null };
    const found = new Findings(this.#findingsBuffer).bytes();
    this.#findingsBuffer = copyOf(this.#findingsBuffer, found.byteOffset + found.byteLength);
    this.history = historyNow(history, history.capacity, new Findings(this.#findingsBuffer));
    this.#statsBuffer = copyOf(this.#statsBuffer);
    this.stats = new GuestStats(this.#statsBuffer);
    this.responses = copyOf(responses);
    // It may have been done on the old host while that stood still: its successor is not.
    this.result = null;
    if (!isPlanned) this.lost('take-over', atNs, tap);
  }

  /** It lives no more, and by its disk some of what was acknowledged may be gone. */
  lost(crash: Crash, atNs: number, tap: OrderTap): void {
    const clause = lossOf(this.scenario, crash);
    if (clause === 'nothing') return;
    const kind = clause === 'unflushed' ? HistoryKind.powerCut : HistoryKind.loss;
    const record = this.history.invoke(kind, 0, 0, 0, atNs, 0);
    this.history.acknowledge(record, HistoryStatus.ok, atNs, 0);
    const before = tap === this.takeOver?.tap ? 0 : (this.takeOver?.tapLength ?? 0);
    this.losses.push({ crash, clause, record, tapLength: before + tap.length, atNs });
  }

  /** An incarnation is gone. How one with struck rings ended says nothing. */
  ended(report: ExitReport): void {
    if (this.struckAtNs !== null) return;
    if (report.reason === 'finished') {
      this.result = report.result as GuestResult;
      this.replayedRequests += this.result.front.replayedRequests;
      this.problems.push(...this.result.front.violations);
      if (this.result.stuckPages > 0) {
        this.problems.push(`${this.result.stuckPages} pages are still mapped by the driver VM`);
      }
    } else if (report.reason === 'failed') {
      this.problems.push(`the guest failed: ${report.error.message}\n${report.error.stack}`);
    } else {
      this.kills++;
    }
  }
}

/** A buffer of the same size that begins with the same bytes. */
function copyOf(buffer: SharedArrayBuffer, bytes: number = buffer.byteLength): SharedArrayBuffer {
  const copy = new SharedArrayBuffer(buffer.byteLength);
  new Uint8Array(copy).set(new Uint8Array(buffer, 0, bytes));
  return copy;
}

/** A trace without its facts: what travels to the guest's thread. */
function columnsOnly(scenario: GuestScenario): GuestScenario['trace'] {
  const { requests, t, op, offset, length, latency, device, flags, facts } = scenario.trace;
  return { requests, t, op, offset, length, latency, device, flags, facts };
}

const MOVED = 'E_GUEST_MOVED';

/** Another host has taken its image over while it was to be started. */
export function guestMoved({ name, host }: Pick<GuestTrack, 'name' | 'host'>): StorageError {
  return new StorageError(MOVED, `${name} is of host ${host} now`);
}

export function unlessMoved(thrown: unknown): void {
  if (!(thrown instanceof StorageError) || thrown.code !== MOVED) throw thrown;
}
