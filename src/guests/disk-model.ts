/**
 * What a correct disk may return: the guest's own memory of what it wrote.
 *
 * For each sector the index of the latest write that was submitted (0: zeros). Overlapping requests
 * of one queue take effect in ring order, so a read submitted now must find just that, and almost
 * always does: one comparison a sector.
 *
 * When it finds something else the history decides. Going back from the moment the read was
 * submitted, over the requests that changed the sector:
 * - one that was acknowledged settles the value: nothing older may be seen;
 * - one that failed, or was never answered (the guest was killed), may have happened or not: its
 *   value is allowed, and so is what was before it;
 * - a discard allows zeros and what was before it;
 * - where the host lost its power after a write, the write settles the value only if it was
 *   durable: made with FUA, or acknowledged before the submission of a flush that succeeded, with
 *   no flush that failed between (a failed flush voids the promise for what was written before it);
 * - where the runner says that any of what was acknowledged may be gone, nothing before it settles
 *   a value: whether what is there is an allowed state of the whole disk is asked by the checkers.
 *
 * A sector whose value was open is frozen once it has been read when all was quiet: from then on
 * every read must agree, whatever was open before.
 */
import { SECTORS_PER_PAGE } from '../base/units.ts';
import {
  type History,
  HistoryFlag,
  HistoryKind,
  HistoryStatus,
  isLossRecord,
} from '../world/history.ts';

interface Frozen {
  readonly record: number;
  readonly value: number;
}

export class DiskModel {
  readonly #history: History;
  readonly #latest: Uint32Array;
  /** One bit a 4 KiB block: something of it was read or changed. */
  readonly #touched: Uint8Array;
  /** One byte a sector: an earlier incarnation left more than one value possible. */
  readonly #open: Uint8Array;
  readonly #frozen = new Map<number, Frozen>();
  /** Records of power cuts, oldest first. */
  readonly #powerCuts: number[] = [];
  /** Record of the last loss of anything at all; -1: none. */
  #lastLoss = -1;
  #nextWriteIndex: number;

  /**
   * Takes over what an earlier incarnation of the guest did, if the history tells of one. Indices
   * of writes below `writesFrom` are not used: they may be somebody else's.
   */
  constructor(sectors: number, history: History, writesFrom: number = 1) {
    this.#nextWriteIndex = writesFrom;
    this.#history = history;
    this.#latest = new Uint32Array(sectors);
    this.#touched = new Uint8Array(Math.ceil(sectors / SECTORS_PER_PAGE));
    this.#open = new Uint8Array(sectors);
    for (let at = 0; at < history.length; at++) {
      const { kind, lba, sectors: count, status, index } = history.record(at);
      this.touch(lba, count);
      if (kind === HistoryKind.powerCut) this.#powerCuts.push(at);
      if (kind === HistoryKind.loss) this.#lastLoss = at;
      if (isLossRecord(kind)) this.#open.fill(1);
      if (!changesData(kind)) continue;
      const settled = status === HistoryStatus.ok && kind !== HistoryKind.discard;
      this.#open.fill(settled ? 0 : 1, lba, lba + count);
      if (kind === HistoryKind.write) {
        this.changed(lba, count, index);
        this.#nextWriteIndex = Math.max(this.#nextWriteIndex, index + 1);
      } else {
        this.changed(lba, count, 0);
      }
    }
  }

  get sectors(): number {
    return this.#latest.length;
  }

  nextWriteIndex(): number {
    return this.#nextWriteIndex++;
  }

  /** A request that makes these sectors `value` was submitted. */
  changed(lba: number, sectors: number, value: number): void {
    this.#latest.fill(value, lba, lba + sectors);
  }

  touch(lba: number, sectors: number): void {
    if (sectors === 0) return;
    const first = Math.floor(lba / SECTORS_PER_PAGE);
    const last = Math.floor((lba + sectors - 1) / SECTORS_PER_PAGE);
    this.#touched.fill(1, first, last + 1);
  }

  /** Copies what a read submitted now must find. */
  expect(lba: number, sectors: number, into: Uint32Array): void {
    for (let i = 0; i < sectors; i++) into[i] = this.#latest[lba + i] as number;
  }

  /**
   * Whether `found` is allowed at `sector` for a read submitted before record `end` was written.
   */
  allows(sector: number, found: number, end: number): boolean {
    const frozen = this.#frozen.get(sector);
    const start = frozen?.record ?? 0;
    for (let at = end - 1; at >= start; at--) {
      const { kind, lba, sectors, index } = this.#history.record(at);
      if (sector < lba || sector >= lba + sectors) continue;
      if (kind === HistoryKind.read) continue;
      if (found === (kind === HistoryKind.write ? index : 0)) return true;
      if (this.#settles(at)) return false;
    }
    return found === (frozen?.value ?? 0);
  }

  /** Whether nothing older than this change of a sector may be seen any more. */
  #settles(at: number): boolean {
    const { kind, status, flags, ackNs } = this.#history.record(at);
    if (status !== HistoryStatus.ok || kind === HistoryKind.discard) return false;
    if (at < this.#lastLoss) return false;
    const cut = this.#powerCuts.find((record) => record > at);
    if (cut === undefined || (flags & HistoryFlag.fua) !== 0) return true;
    for (let next = at + 1; next < cut; next++) {
      const flush = this.#history.record(next);
      if (flush.kind !== HistoryKind.flush || flush.invokeNs < ackNs) continue;
      if (flush.status !== HistoryStatus.unknown) return flush.status === HistoryStatus.ok;
    }
    return false;
  }

  /** What was found when nothing was in flight is what the sector holds from now on. */
  freeze(sector: number, value: number): void {
    const wasSure = this.#open[sector] === 0 && !this.#frozen.has(sector);
    if (wasSure && this.#latest[sector] === value) return;
    this.#latest[sector] = value;
    this.#frozen.set(sector, { record: this.#history.length, value });
  }

  /** The next run of touched blocks at or after `block`, at most `maxBlocks`; null at the end. */
  nextTouched(block: number, maxBlocks: number): { block: number; blocks: number } | null {
    let first = block;
    while (first < this.#touched.length && this.#touched[first] === 0) first++;
    if (first >= this.#touched.length) return null;
    let end = first + 1;
    while (end < this.#touched.length && end - first < maxBlocks && this.#touched[end] === 1) end++;
    return { block: first, blocks: end - first };
  }
}

function changesData(kind: HistoryKind): boolean {
  return kind === HistoryKind.write || kind === HistoryKind.zero || kind === HistoryKind.discard;
}
