/**
 * What the log still has, back into the images: every acknowledged mutation that no published root
 * holds, in the order of the log.
 *
 * Not everything in a log is of its images as they are now. Entries of images that were deleted are
 * not needed. An image that went on with another log meanwhile, on another host or on one that took
 * this one's place when it was lost, left an *orphan suffix* behind: replayed on top of what came
 * after, it would be a mixture that the disk never held. The root block says since which generation
 * an image's mutations went to this log. What is older enters the image that the suffix has become
 * (`store/orphans.ts`); where nothing was pinned for it, it is counted, told, and not replayed.
 */
import { invariant } from '../base/invariant.ts';
import { SECTOR_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';
import type { PlantedBug } from '../world/faults.ts';
import type { World } from '../world/world.ts';
import { type LogEntry, MutationKind } from './formats/log-group.ts';
import type { Pin } from './store/images.ts';
import { isOfSuffix } from './store/orphans.ts';
import { WHOLE, ZEROS } from './vdi/dirty-map.ts';
import { isPolicy } from './vdi/policy.ts';
import type { Vdi } from './vdi/vdi.ts';

export interface ReplayCounts {
  entries: number;
  bytes: number;
  /** Under a published root already. */
  published: number;
  /** Of images that this host may not start. */
  foreign: Map<number, number>;
  /** Of images that went on with another log meanwhile: they are not of what came after. */
  orphans: Map<number, number>;
  /** The same, and they have entered the image that the suffix has become: by the old number. */
  suffixes: Map<number, number>;
}

/** A suffix that this host's log has, and the image that it has become. */
export interface RecoveredSuffix {
  readonly pin: Pin;
  readonly orphan: Vdi;
}

export class ReplayedLog {
  readonly counts: ReplayCounts = {
    entries: 0,
    bytes: 0,
    published: 0,
    foreign: new Map(),
    orphans: new Map(),
    suffixes: new Map(),
  };
  readonly #world: World;
  readonly #images: ReadonlyMap<number, Vdi>;
  /** By number of the image that was taken over. */
  readonly #suffixes: ReadonlyMap<number, RecoveredSuffix>;
  /** Names of snapshots that are in the log by number only. */
  readonly #snapshotNames: ReadonlyMap<string, string>;
  readonly #plantedBug: PlantedBug;

  constructor(
    world: World,
    images: ReadonlyMap<number, Vdi>,
    suffixes: ReadonlyMap<number, RecoveredSuffix>,
    snapshotNames: ReadonlyMap<string, string>,
    plantedBug: PlantedBug,
  ) {
    this.#plantedBug = plantedBug;
    this.#world = world;
    this.#images = images;
    this.#suffixes = suffixes;
    this.#snapshotNames = snapshotNames;
  }

  /** One entry, in log order; of a write, the payload is in `bytes` from `at` on. */
  enter(entry: LogEntry, bytes: Uint8Array, at: number): void {
    const { counts } = this;
    counts.entries++;
    const suffix = this.#suffixes.get(entry.vdi);
    if (suffix !== undefined && isOfSuffix(suffix.pin.hidden, entry)) {
      if (entry.vdiSeq <= suffix.orphan.watermark) counts.published++;
      else this.#enterSuffix(suffix.orphan, entry, bytes, at);
      return;
    }
    const vdi = this.#images.get(entry.vdi);
    if (vdi === undefined) {
      counts.foreign.set(entry.vdi, (counts.foreign.get(entry.vdi) ?? 0) + 1);
      return;
    }
    if (entry.vdiSeq <= vdi.watermark && this.#plantedBug !== 'old-log-tail') {
      counts.published++;
      return;
    }
    if (entry.generation < vdi.image.logSince) {
      counts.orphans.set(entry.vdi, (counts.orphans.get(entry.vdi) ?? 0) + 1);
      return;
    }
    const name = this.#snapshotNames.get(`${entry.vdi}/${entry.detail}`);
    this.#enterMutation(vdi, entry, bytes, at, { id: entry.detail, name });
  }

  /**
   * Of a suffix the snapshots get numbers of their own, and none of the names that wait in the
   * directory: those may be of snapshots that were taken after the take-over.
   */
  #enterSuffix(orphan: Vdi, entry: LogEntry, bytes: Uint8Array, at: number): void {
    const { suffixes } = this.counts;
    suffixes.set(entry.vdi, (suffixes.get(entry.vdi) ?? 0) + 1);
    const id = orphan.image.snapshotCount + orphan.batches.snapshots + 1;
    this.#enterMutation(orphan, entry, bytes, at, { id, name: undefined });
  }

  #enterMutation(
    vdi: Vdi,
    entry: LogEntry,
    bytes: Uint8Array,
    at: number,
    snapshot: { readonly id: number; readonly name: string | undefined },
  ): void {
    invariant(entry.vdiSeq > vdi.dirtySeq, 'the log has the mutations of an image in order');
    vdi.dirtySeq = entry.vdiSeq;
    vdi.nextSeq = entry.vdiSeq + 1;
    const nowNs = this.#world.clock.nowNs();
    switch (entry.kind) {
      case MutationKind.write:
      case MutationKind.discard:
      case MutationKind.zero:
        this.#enterBlocks(vdi, entry, bytes, at);
        vdi.batches.add(entry.vdiSeq, entry.sectors * SECTOR_BYTES, nowNs);
        return;
      case MutationKind.flush:
        vdi.batches.endEpoch(entry.vdiSeq, nowNs);
        return;
      case MutationKind.snapshot: {
        const { id } = snapshot;
        const name = snapshot.name ?? `snapshot-${entry.detail}`;
        const mark = { kind: 'snapshot', id, name, isLocal: false } as const;
        vdi.batches.mark(mark, entry.vdiSeq, nowNs);
        return;
      }
      case MutationKind.policy: {
        const policy = entry.detail;
        invariant(isPolicy(policy), 'a policy in the log is one that there is');
        vdi.batches.mark({ kind: 'policy', policy }, entry.vdiSeq, nowNs);
        vdi.setPolicy(policy);
        return;
      }
    }
  }

  #enterBlocks(vdi: Vdi, entry: LogEntry, bytes: Uint8Array, at: number): void {
    const { lba, sectors } = entry;
    const end = lba + sectors;
    const isWrite = entry.kind === MutationKind.write;
    this.counts.bytes += isWrite ? sectors * SECTOR_BYTES : 0;
    for (let from = lba; from < end; ) {
      const block = Math.floor(from / SECTORS_PER_PAGE);
      const to = Math.min(end, (block + 1) * SECTORS_PER_PAGE);
      const first = from - block * SECTORS_PER_PAGE;
      const into = (from - lba) * SECTOR_BYTES;
      const count = to - from;
      const batch = vdi.batches.openNumber;
      if (this.#plantedBug === 'unordered-log' && vdi.dirty.cover(block, WHOLE, batch) === 0) {
        from = to;
        continue;
      }
      if (isWrite) {
        const { digest } = this.#world;
        const isAll = count === sectors;
        const crc = isAll ? entry.crc : digest.crc32(bytes, at + into, count * SECTOR_BYTES);
        vdi.dirty.add(block, first, count, batch, entry.segment, entry.offset + into, crc);
      } else {
        vdi.dirty.add(block, first, count, batch, ZEROS, 0, 0);
      }
      from = to;
    }
  }
}
