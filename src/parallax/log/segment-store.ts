/**
 * The files of the segments: who is live, who is spare, and when a file may be used again.
 *
 * A segment's life: *prepared* (allocated with written zeros, header durable, named by a durable
 * checkpoint), *spare*, *live* (open, then full), *retired* (nothing in it is needed), *free*.
 *
 * - A segment is used only when a durable checkpoint names it, so that the newest checkpoint names
 *   every segment that a recovery has to read.
 * - A retired segment is used again, or its file removed, only when two durable checkpoints have
 *   been written that do not name it: then neither of the two files does, and one of them may rot
 *   without anything being missed.
 * - Segments are retired in the order of the log, so that the chain of groups has no gap.
 *
 * Files of an incarnation are allocated once and recycled; the next life has a new serial and a new
 * salt in its header. Bytes of an older life cannot be taken for groups of the newer one: each
 * group names incarnation, serial and salt, and its groupSeq must be the next of the chain. (The
 * salt is for what the others are no help against: a guest that writes an image of a log.)
 */
import { UsageError } from '../../base/errors.ts';
import { diskCall, flushDisk } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../formats/segment-header.ts';
import type { Checkpointer } from './checkpointer.ts';
import { segmentName } from './log-names.ts';
import type { LogOptions } from './log-options.ts';
import { LogSegment, type PlacementTable } from './segment.ts';
import { createSegmentFile, FIRST_SEGMENT } from './segment-file.ts';

interface SegmentFile {
  readonly number: number;
  readonly disk: Disk;
}

/** Segments that a recovery hands over. */
export interface InheritedSegments {
  /** With groups that may be needed, in the order of the log. */
  readonly live: readonly LogSegment[];
  /** All whose files stay: the live ones, and evidence of damage. */
  readonly kept: readonly LogSegment[];
  /** File of the first segment of this incarnation, if it was made already: blank. */
  readonly first: Disk | null;
}

/** However much is inherited, an incarnation may have so many files of its own. */
const MIN_OWN_SEGMENTS = 2;

export class SegmentStore {
  readonly #world: World;
  readonly #options: LogOptions;
  readonly #incarnation: number;
  readonly #table: PlacementTable;
  readonly #checkpointer: Checkpointer;
  readonly #onThrown: (reason: unknown) => void;
  /** In the order of the log; the last one may be open. */
  readonly live: LogSegment[];
  readonly #retired: LogSegment[] = [];
  /** Kept because of damage that nobody has accepted. */
  #evidence: readonly LogSegment[];
  readonly #free: SegmentFile[] = [];
  /** Has a header; not named by a durable checkpoint yet. */
  #candidate: LogSegment | null = null;
  #spare: LogSegment | null = null;
  #lastNumber = 0;
  #lastSerial = 0;
  #ownFiles = 0;
  #inheritedFiles: number;
  #preparing: Promise<boolean> | null = null;
  #removing: Promise<void> = Promise.resolve();

  constructor(
    world: World,
    options: LogOptions,
    incarnation: number,
    table: PlacementTable,
    checkpointer: Checkpointer,
    inherited: InheritedSegments,
    onThrown: (reason: unknown) => void,
  ) {
    this.#world = world;
    this.#options = options;
    this.#incarnation = incarnation;
    this.#table = table;
    this.#checkpointer = checkpointer;
    this.#onThrown = onThrown;
    this.live = [...inherited.live];
    this.#evidence = inherited.kept.filter((segment) => segment.quarantined);
    this.#inheritedFiles = inherited.kept.length;
    if (inherited.first === null) return;
    this.#lastNumber = FIRST_SEGMENT;
    this.#ownFiles = 1;
    this.#free.push({ number: FIRST_SEGMENT, disk: inherited.first });
  }

  /** Files there are, and bytes in them. */
  get files(): number {
    return this.#ownFiles + this.#inheritedFiles;
  }

  get hasSpare(): boolean {
    return this.#spare !== null;
  }

  /** Segments that a checkpoint must name though nothing is in them yet. */
  get prepared(): readonly LogSegment[] {
    if (this.#spare !== null) return [this.#spare];
    return this.#candidate === null ? [] : [this.#candidate];
  }

  /** Bytes of groups that could still be taken without retiring anything. */
  get roomBytes(): number {
    const creatable = Math.max(0, this.#options.maxSegments - this.files);
    const prepared = this.prepared.length;
    const usable = this.#options.segmentBytes - SEGMENT_HEADER_BYTES;
    return (prepared + this.#free.length + creatable) * usable;
  }

  /** Uses the spare, if there is one. */
  takeSpare(): LogSegment | null {
    const segment = this.#spare;
    if (segment === null) return null;
    this.#spare = null;
    this.live.push(segment);
    return segment;
  }

  /**
   * Makes a spare ready, if there is none and there may be one. False: it failed. At most one runs:
   * whoever asks meanwhile gets the answer of that one.
   */
  prepare(): Promise<boolean> {
    this.#preparing ??= this.#prepareOne().finally(() => {
      this.#preparing = null;
    });
    return this.#preparing;
  }

  /** Retires what is not needed from the head of the log on. True if something was. */
  retire(isNeeded: (segment: LogSegment) => boolean): boolean {
    let retired = false;
    for (;;) {
      const head = this.live[0];
      if (head === undefined || head.open || this.#table.isPinned(head) || isNeeded(head)) break;
      this.live.shift();
      this.#table.forget(head);
      if (head.quarantined) continue;
      head.omittedFrom = this.#checkpointer.builtSequence + 1;
      this.#retired.push(head);
      retired = true;
    }
    return retired;
  }

  /** What was kept as evidence of damage is not wanted any more. */
  discardEvidence(): void {
    for (const segment of this.#evidence) {
      segment.quarantined = false;
      if (this.live.includes(segment)) continue;
      segment.omittedFrom = this.#checkpointer.builtSequence + 1;
      this.#retired.push(segment);
    }
    this.#evidence = [];
  }

  get hasRetired(): boolean {
    return this.#retired.length > 0;
  }

  /** After a checkpoint: frees the retired segments that neither checkpoint file names. */
  release(): void {
    const durable = this.#checkpointer.sequence;
    for (let i = 0; i < this.#retired.length; ) {
      const segment = this.#retired[i] as LogSegment;
      if (durable < segment.omittedFrom + 1) {
        i++;
        continue;
      }
      this.#retired.splice(i, 1);
      const own = segment.incarnation === this.#incarnation;
      if (own && !segment.abandoned) {
        this.#free.push({ number: segment.number, disk: segment.disk });
      } else {
        if (own) this.#ownFiles--;
        else this.#inheritedFiles--;
        this.#removing = this.#removing.then(() => this.#remove(segment)).catch(this.#onThrown);
      }
    }
  }

  async close(): Promise<void> {
    await this.#preparing;
    await this.#removing;
    const segments = [...this.live, ...this.#retired, ...this.prepared, ...this.#evidence];
    const disks = new Set([...segments, ...this.#free].map(({ disk }) => disk));
    for (const disk of disks) await disk.close();
  }

  async #prepareOne(): Promise<boolean> {
    if (this.#spare !== null) return true;
    if (this.#candidate === null) {
      const file = this.#free.pop() ?? (this.#mayCreate() ? await this.#create() : undefined);
      if (file === undefined) return true;
      if (file === null) return false;
      this.#candidate = await this.#begin(file);
      if (this.#candidate === null) return false;
    }
    if (!(await this.#checkpointer.write())) return false;
    this.#spare = this.#candidate;
    this.#candidate = null;
    this.release();
    return true;
  }

  #mayCreate(): boolean {
    return this.files < this.#options.maxSegments || this.#ownFiles < MIN_OWN_SEGMENTS;
  }

  async #create(): Promise<SegmentFile | null> {
    const number = ++this.#lastNumber;
    const disk = await createSegmentFile(this.#world, this.#options, this.#incarnation, number);
    if (disk === null) return null;
    this.#ownFiles++;
    return { number, disk };
  }

  /** Begins a new life of a file. */
  async #begin(file: SegmentFile): Promise<LogSegment | null> {
    const salt = this.#world.random.nextU32();
    const { number, disk } = file;
    const serial = ++this.#lastSerial;
    const segment = new LogSegment(this.#incarnation, number, serial, salt, disk);
    const { segmentBytes } = this.#options;
    const header = { incarnation: this.#incarnation, number, serial, salt, segmentBytes };
    this.#world.crashPoint('log.before-header');
    const bytes = encodeSegmentHeader(header, this.#world.digest);
    let status = await diskCall(disk, 'write', 0, bytes);
    if (status === DiskStatus.ok) status = await flushDisk(disk);
    if (status === DiskStatus.ok) {
      this.#world.crashPoint('log.after-header');
      return segment;
    }
    this.#ownFiles--;
    await this.#remove(segment);
    return null;
  }

  async #remove(segment: LogSegment): Promise<void> {
    await segment.disk.close();
    this.#world.crashPoint('log.before-remove');
    try {
      await this.#world.disks.remove(segmentName(segment.incarnation, segment.number));
    } catch (thrown) {
      if (!(thrown instanceof UsageError)) throw thrown;
      this.#world.log.note(`a log segment stays behind: ${thrown.message}`);
    }
  }
}
