/**
 * Recovery: what the log of dead incarnations holds, found without changing a byte of it.
 *
 *  1. The number of this incarnation: one more than that of any file there is. It is taken,
 *     durably, by creating a checkpoint file, before anything else is looked at.
 *  2. The newest valid checkpoint names the chains of groups, oldest incarnation first, and the
 *     segments of each. Its own chain may go on in segments it does not name, if the newer one of
 *     the two checkpoint files is damaged; they are found by their headers.
 *  3. Each segment is synced, so that what is read now is there for every later recovery too, and
 *     scanned in order (`chain-scan.ts`). Chains that were cut by an earlier recovery end where it
 *     cut them, whatever an old incarnation has appended since.
 *  4. Where a chain ends early: a torn tail is cut; but a group that any checkpoint or later group
 *     says was durable, or that lies in blocks which cannot be read, is damage. It is reported,
 *     nothing behind it is recovered, in this or any later chain, and the files are kept.
 *     All the while the file of this incarnation's first segment is made, with nothing in it yet.
 *  5. `DirtyLog.start` writes all this into the first checkpoint of the new incarnation. Until that
 *     is durable the old one counts, and a recovery that dies is repeated from the beginning.
 *
 * The caller has raised the generation of each VDI in the pool before this, so that nobody else
 * can publish and so retire a segment meanwhile. It drops entries that its roots have already.
 *
 * Not done: a predecessor that runs on and recycles, during this scan, a segment that it had
 * retired before the generation was raised, makes that segment look damaged: reported, never
 * wrong. Both worlds observe the predecessor's exit first.
 */
import { StorageError } from '../../base/errors.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import { diskCall, flushDisk } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import {
  ChainState,
  type Checkpoint,
  type CheckpointChain,
  type CheckpointSegment,
} from '../formats/checkpoint.ts';
import {
  decodeGroupHeader,
  GroupHeader,
  type LogEntry,
  MutationKind,
  payloadBytesOf,
} from '../formats/log-group.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../formats/segment-header.ts';
import { AnsweredWindow } from './answered-window.ts';
import { type BadPlace, ChainScan, type GroupVisitor } from './chain-scan.ts';
import { findCheckpoint, unreadable } from './find-checkpoint.ts';
import { checkpointName, parseLogName, segmentName } from './log-names.ts';
import {
  checkpointFileBytes,
  DEFAULT_LOG_OPTIONS,
  LOG_ARENA_BYTES,
  type LogOptions,
} from './log-options.ts';
import { preallocate } from './preallocate.ts';
import type {
  InspectedLog,
  LogDamage,
  RecoveredChain,
  RecoveredLog,
  RecoveredVdi,
  RecoveryStatistics,
} from './recovered-log.ts';
import { LogSegment, PlacementTable } from './segment.ts';
import { createSegmentFile, FIRST_SEGMENT, isBlank, removeSegmentFile } from './segment-file.ts';

const NOTHING_AFTER = Number.POSITIVE_INFINITY;

/**
 * Sees an entry. Of a write, its payload is in `bytes` from `at` on. Both are the log's, and are
 * filled again for the next one.
 */
export type EntryVisitor = (entry: LogEntry, bytes: Uint8Array, at: number) => void;

/**
 * Finds the log on the host's disks. `visit` is called for each entry in log order. Rejects with a
 * `StorageError` if the disk cannot be read or synced at all, or, if `strict`, when anything of the
 * log cannot be read; nothing is changed then, and it can be tried again. If not `strict`, what
 * cannot be read is damage.
 */
export function recoverLog(
  world: RecoveryWorld,
  options: LogOptions,
  visit: EntryVisitor,
  strict = false,
): Promise<RecoveredLog> {
  return new Recovery(world, options, visit, strict).run();
}

/** What of the world a recovery uses. */
export type RecoveryWorld = Pick<World, 'clock' | 'digest' | 'disks' | 'log' | 'crashPoint'>;

/**
 * Looks at the log as a recovery would, and takes nothing: no incarnation, no file, no sync. The
 * log may be in use meanwhile; then a file that is retired under it rejects with `UsageError`
 * E_DISK_MISSING, and one that is used again may look damaged: look again.
 */
export function inspectLog(world: RecoveryWorld, visit: EntryVisitor): Promise<InspectedLog> {
  const options = { ...DEFAULT_LOG_OPTIONS, arena: { address: 0, bytes: LOG_ARENA_BYTES } };
  return new Recovery(world, options, visit, false).inspect();
}

class Recovery {
  readonly #world: RecoveryWorld;
  readonly #options: LogOptions;
  readonly #visit: EntryVisitor;
  readonly #strict: boolean;
  readonly #table = new PlacementTable();
  readonly #window: AnsweredWindow;
  readonly #vdis = new Map<number, RecoveredVdi>();
  readonly #chains: RecoveredChain[] = [];
  readonly #live: LogSegment[] = [];
  readonly #damage: LogDamage[] = [];
  readonly #remarks: string[] = [];
  readonly #handles = new Map<LogSegment, number>();
  readonly #statistics: RecoveryStatistics = {
    groups: 0,
    entries: 0,
    payloadBytes: 0,
    scannedBytes: 0,
    durationNs: 0,
  };
  #names: readonly string[] = [];
  /** New damage was found: what comes after it in the log is not recovered. */
  #cutOff = false;
  /** Nothing is synced or kept open. */
  #isInspection = false;

  constructor(world: RecoveryWorld, options: LogOptions, visit: EntryVisitor, strict: boolean) {
    this.#strict = strict;
    this.#world = world;
    this.#options = options;
    this.#visit = visit;
    this.#window = new AnsweredWindow(options.windowDepth, options.maxFronts);
  }

  async run(): Promise<RecoveredLog> {
    const world = this.#world;
    const startNs = world.clock.nowNs();
    const before = await this.#listLog(Number.POSITIVE_INFINITY);
    const numbers = before.map((name) => parseLogName(name)?.incarnation ?? 0);
    const incarnation = 1 + Math.max(0, ...numbers);
    const sides = [
      await this.#createSide(incarnation, 'a'),
      await this.#createSide(incarnation, 'b'),
    ] as const;
    world.crashPoint('log.after-incarnation');
    const firstSegment = await this.#scanAndMakeSegment(before, incarnation);
    this.#statistics.durationNs = world.clock.nowNs() - startNs;
    return {
      incarnation,
      sides,
      firstSegment,
      table: this.#table,
      live: this.#live,
      chains: this.#chains,
      stale: this.#staleNames(),
      vdis: this.#vdis,
      window: this.#window,
      damage: this.#damage,
      remarks: this.#remarks,
      statistics: this.#statistics,
    };
  }

  /** Gives the file of the first segment; null: there is no room for it. */
  async #scanAndMakeSegment(names: readonly string[], incarnation: number): Promise<Disk | null> {
    const first = createSegmentFile(this.#world, this.#options, incarnation, FIRST_SEGMENT);
    // Heard of below; until then nobody listens.
    first.catch(() => undefined);
    try {
      await this.#scan(names, incarnation);
    } catch (thrown) {
      // The next try makes a file of its own.
      const disk = await first;
      if (disk !== null) await removeSegmentFile(this.#world, disk);
      throw thrown;
    }
    return first;
  }

  async inspect(): Promise<InspectedLog> {
    this.#isInspection = true;
    try {
      const names = await this.#listLog(Number.POSITIVE_INFINITY);
      const checkpoint = await this.#scan(names, Number.POSITIVE_INFINITY);
      return {
        newestIncarnation: checkpoint?.incarnation ?? 0,
        chains: this.#chains,
        damage: this.#damage,
        remarks: this.#remarks,
        statistics: this.#statistics,
      };
    } finally {
      for (const segment of this.#handles.keys()) await segment.disk.close();
    }
  }

  /** Finds the newest checkpoint among these files, and all that it leads to. */
  async #scan(names: readonly string[], incarnation: number): Promise<Checkpoint | null> {
    const world = this.#world;
    const { checkpoint, remarks } = await findCheckpoint(world, names, this.#strict);
    // Again: should an old incarnation still run, it has all that its checkpoint names by now.
    this.#names = await this.#listLog(incarnation);
    this.#remarks.push(...remarks);
    if (checkpoint !== null) this.#restore(checkpoint);
    for (const chain of await this.#chainsOf(checkpoint)) {
      await this.#recoverChain(chain, checkpoint);
      world.crashPoint('log.after-scan');
    }
    return checkpoint;
  }

  /** Names of the log's files of incarnations before this one. */
  async #listLog(incarnation: number): Promise<readonly string[]> {
    const all = await this.#world.disks.list();
    return all.filter((name) => (parseLogName(name)?.incarnation ?? incarnation) < incarnation);
  }

  async #createSide(incarnation: number, side: 'a' | 'b'): Promise<Disk> {
    const name = checkpointName(incarnation, side);
    const createBytes = checkpointFileBytes(this.#options);
    const disk = await this.#world.disks.open(name, { writable: true, createBytes });
    const status = await preallocate(disk);
    if (status === DiskStatus.ok) return disk;
    throw new StorageError(
      'E_LOG_NO_SPACE',
      `the dirty log cannot begin: no room for ${name} (${createBytes} bytes, status ${status}); ` +
        'free space on the disk of the host',
      { fields: { file: name, createBytes, status } },
    );
  }

  #restore(checkpoint: Checkpoint): void {
    for (const { vdi, generation, nextVdiSeq, published } of checkpoint.vdis) {
      const reservedVdiSeq = nextVdiSeq - 1;
      this.#vdis.set(vdi, { vdi, generation, lastVdiSeq: 0, reservedVdiSeq, published });
    }
    this.#window.restore(checkpoint.fronts);
  }

  /** The chains to read; the newest one with the segments that its checkpoint does not name. */
  async #chainsOf(checkpoint: Checkpoint | null): Promise<CheckpointChain[]> {
    const chains: CheckpointChain[] = [];
    for (const chain of checkpoint?.chains ?? []) {
      const unnamed = chain.state === ChainState.open ? await this.#unnamedSegments(chain) : [];
      chains.push({ ...chain, segments: [...chain.segments, ...unnamed] });
    }
    return [...chains, ...(await this.#lostChains(checkpoint?.incarnation ?? 0))];
  }

  /**
   * Chains of incarnations of which no checkpoint is left. As nothing is written to a segment
   * before the first checkpoint is durable, that is damage, and all of it, unless the file is
   * blank.
   */
  async #lostChains(newestKnown: number): Promise<CheckpointChain[]> {
    const lost = new Map<number, CheckpointSegment[]>();
    for (const name of this.#names) {
      const file = parseLogName(name);
      if (file?.kind !== 'segment' || file.incarnation <= newestKnown) continue;
      const unused = { number: file.number, serial: 0, salt: 0, firstGroupSeq: 0 };
      const segments = lost.get(file.incarnation) ?? [];
      const used = await this.#usedSegment(name);
      if (used === null && (await this.#isBlank(name))) continue;
      segments.push(used ?? unused);
      lost.set(file.incarnation, segments);
      this.#remarks.push(`${name}: no checkpoint of its incarnation is whole`);
    }
    return [...lost]
      .sort(([one], [other]) => one - other)
      .map(([incarnation, segments]) => {
        const rank = ({ serial }: CheckpointSegment): number => serial || NOTHING_AFTER;
        segments.sort((one, other) => (rank(one) < rank(other) ? -1 : 1));
        return { incarnation, state: ChainState.damaged, cutGroupSeq: 0, segments };
      });
  }

  /** Segments with groups, newer than those the checkpoint names. */
  async #unnamedSegments(chain: CheckpointChain): Promise<CheckpointSegment[]> {
    const newest = Math.max(0, ...chain.segments.map(({ serial }) => serial));
    const found: CheckpointSegment[] = [];
    for (const name of this.#names) {
      const file = parseLogName(name);
      if (file?.kind !== 'segment' || file.incarnation !== chain.incarnation) continue;
      if (chain.segments.some(({ number }) => number === file.number)) continue;
      const segment = await this.#usedSegment(name);
      if (segment === null || segment.serial <= newest) continue;
      this.#remarks.push(`${name} is in use and the newest whole checkpoint does not name it`);
      found.push(segment);
    }
    return found.sort((one, other) => one.serial - other.serial);
  }

  async #usedSegment(name: string): Promise<CheckpointSegment | null> {
    const disk = await this.#world.disks.open(name, { writable: false });
    const bytes = new Uint8Array(2 * SEGMENT_HEADER_BYTES);
    const status = await diskCall(disk, 'read', 0, bytes);
    await disk.close();
    if (this.#strict && status !== DiskStatus.ok) throw unreadable(name);
    const header = decodeSegmentHeader(bytes, this.#world.digest);
    if (status !== DiskStatus.ok || isDamage(header)) return null;
    const group = new GroupHeader();
    const view = new DataView(bytes.buffer);
    const { digest } = this.#world;
    const problem = decodeGroupHeader(bytes, view, SEGMENT_HEADER_BYTES, group, digest);
    const { number, serial, salt } = header;
    if (problem !== null || group.serial !== serial || group.salt !== salt) return null;
    return { number, serial, salt, firstGroupSeq: group.groupSeq };
  }

  async #isBlank(name: string): Promise<boolean> {
    const disk = await this.#world.disks.open(name, { writable: false });
    const blank = await isBlank(disk);
    await disk.close();
    return blank;
  }

  async #recoverChain(chain: CheckpointChain, checkpoint: Checkpoint | null): Promise<void> {
    const { incarnation } = chain;
    const isOpen = chain.state === ChainState.open;
    const durable = isOpen ? (checkpoint?.durableGroupSeq ?? 0) : chain.cutGroupSeq;
    const { segments, missing } = await this.#openSegments(chain);
    // A head that nothing was in yet gets the first group that was not durable then.
    const start = chain.segments[0]?.firstGroupSeq || durable + 1;
    const limit = this.#cutOff ? 0 : isOpen ? NOTHING_AFTER : chain.cutGroupSeq;
    const scan = this.#scanOf(segments, start, limit, isOpen ? durable : NOTHING_AFTER);
    let bad = this.#cutOff ? scan.end('behind damage') : await scan.run();
    if (this.#strict && bad?.unreadable === true) throw unreadable(bad.segment.disk.name);
    if (chain.state === ChainState.damaged && bad === null) bad = scan.end('not accepted yet');
    const known = chain.state === ChainState.damaged;
    const lost = await this.#judge(scan, bad, known ? NOTHING_AFTER : durable);
    // Without a checkpoint nobody knows what else there was: it may be any VDI's.
    const isKnown = incarnation <= (checkpoint?.incarnation ?? 0);
    if (lost !== null) this.#damage.push(isKnown ? lost : { ...lost, vdis: null });
    // A file goes only when no checkpoint names it any more.
    else if (missing !== null) {
      this.#damage.push(missingDamage(missing, incarnation, scan.lastGroupSeq + 1, durable));
    }
    const isDamaged = lost !== null || this.#damage.some((one) => one.incarnation === incarnation);
    if (isDamaged && !known) this.#cutOff = true;
    await this.#keep(chain, segments, scan, isDamaged);
  }

  /** Decides between a torn tail, which is cut, and damage. */
  async #judge(
    scan: ChainScan,
    bad: BadPlace | null,
    durableGroupSeq: number,
  ): Promise<LogDamage | null> {
    if (bad === null) return null;
    const survey = await scan.survey(bad);
    const durable = Math.max(durableGroupSeq, survey.durableGroupSeq);
    const behindDamage = this.#cutOff && survey.groups > 0;
    if (bad.groupSeq > durable && !bad.unreadable && !behindDamage) return null;
    const { incarnation, number } = bad.segment;
    const last = durableGroupSeq === NOTHING_AFTER ? survey.lastGroupSeq : durable;
    const lastGroupSeq = Math.max(bad.groupSeq, last, survey.lastGroupSeq);
    return {
      file: segmentName(incarnation, number),
      position: bad.position,
      reason: bad.reason,
      incarnation,
      firstGroupSeq: bad.groupSeq,
      lastGroupSeq,
      vdis: lastGroupSeq > survey.lastGroupSeq ? null : survey.vdis,
    };
  }

  #scanOf(
    segments: readonly LogSegment[],
    start: number,
    limit: number,
    answeredThrough: number,
  ): ChainScan {
    const visit: GroupVisitor = (segment, position, header, entry, bytes, at) => {
      // Older parts are in the window already: the checkpoint has them.
      if (header.groupSeq > answeredThrough) {
        this.#window.add(entry.frontId, entry.frontSeq, entry.partOffset);
      }
      const payloadAt = at + entry.offset;
      entry.segment = this.#handles.get(segment) ?? 0;
      entry.offset += position;
      this.#count(entry);
      this.#visit(entry, bytes, payloadAt);
    };
    const trusts = this.#options.plantedBug === 'old-log-tail';
    return new ChainScan(this.#world.digest, segments, start, limit, visit, trusts);
  }

  #count(entry: LogEntry): void {
    const { vdi, generation, vdiSeq } = entry;
    this.#statistics.entries++;
    this.#statistics.payloadBytes += payloadBytesOf(entry.kind as MutationKind, entry.sectors);
    const known = this.#vdis.get(vdi);
    if (known === undefined) {
      const one = { vdi, generation, lastVdiSeq: vdiSeq, reservedVdiSeq: 0, published: 0 };
      this.#vdis.set(vdi, one);
      return;
    }
    known.generation = Math.max(known.generation, generation);
    known.lastVdiSeq = vdiSeq;
  }

  async #openSegments(
    chain: CheckpointChain,
  ): Promise<{ segments: LogSegment[]; missing: string | null }> {
    const segments: LogSegment[] = [];
    let missing: string | null = null;
    for (const { number, serial, salt } of chain.segments) {
      const name = segmentName(chain.incarnation, number);
      if (!this.#names.includes(name)) {
        missing ??= name;
        continue;
      }
      const disk = await this.#world.disks.open(name, { writable: false });
      if (!this.#isInspection) await this.#sync(disk);
      await this.#remarkHeader(disk, serial);
      const segment = new LogSegment(chain.incarnation, number, serial, salt, disk);
      segment.open = false;
      this.#handles.set(segment, this.#table.place(segment).id);
      segments.push(segment);
    }
    return { segments, missing };
  }

  async #sync(disk: Disk): Promise<void> {
    if ((await flushDisk(disk)) === DiskStatus.ok) return;
    throw new StorageError(
      'E_LOG_SYNC',
      `the dirty log cannot be recovered: ${disk.name} cannot be synced; the disk of the host ` +
        'fails, or start again',
      { fields: { file: disk.name } },
    );
  }

  async #remarkHeader(disk: Disk, serial: number): Promise<void> {
    const block = new Uint8Array(SEGMENT_HEADER_BYTES);
    await diskCall(disk, 'read', 0, block);
    const header = decodeSegmentHeader(block, this.#world.digest);
    if (isDamage(header)) this.#remarks.push(`${disk.name}: its header: ${header.problem}`);
    else if (header.serial !== serial) {
      this.#remarks.push(`${disk.name} holds segment ${header.serial} instead of ${serial}`);
    }
  }

  /** Sorts the segments of a chain into needed ones and others, whose files go. */
  async #keep(
    chain: CheckpointChain,
    segments: readonly LogSegment[],
    scan: ChainScan,
    damaged: boolean,
  ): Promise<void> {
    this.#statistics.groups += scan.groups;
    this.#statistics.scannedBytes += scan.scannedBytes;
    const used = segments.filter((segment) => segment.tops.size > 0);
    this.#live.push(...used);
    for (const segment of segments) segment.quarantined = damaged;
    const kept = damaged ? segments : used;
    for (const segment of segments) if (!kept.includes(segment)) await segment.disk.close();
    this.#chains.push({
      incarnation: chain.incarnation,
      state: damaged ? ChainState.damaged : ChainState.cut,
      cutGroupSeq: scan.lastGroupSeq,
      segments: kept,
    });
  }

  #staleNames(): string[] {
    const kept = new Set<string>();
    for (const { segments } of this.#chains) {
      for (const { incarnation, number } of segments) kept.add(segmentName(incarnation, number));
    }
    return this.#names.filter((name) => !kept.has(name));
  }
}

function missingDamage(
  file: string,
  incarnation: number,
  firstGroupSeq: number,
  lastGroupSeq: number,
): LogDamage {
  const reason = 'the file is missing';
  const last = Math.max(firstGroupSeq, lastGroupSeq);
  return { file, position: 0, reason, incarnation, firstGroupSeq, lastGroupSeq: last, vdis: null };
}
