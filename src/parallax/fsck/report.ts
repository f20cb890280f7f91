/** The outcome of a check of a store, as plain data: what `--json` prints. */
import type { Finding } from './findings.ts';

export interface FsckReport {
  readonly format: 'stordom-fsck';
  readonly version: 1;
  readonly store: string;
  readonly uuid: string | null;
  /** No errors. Warnings may be there. */
  readonly ok: boolean;
  readonly errors: number;
  readonly warnings: number;
  /** In the order in which they were met; `omittedFindings` more were counted only. */
  readonly findings: readonly Finding[];
  readonly omittedFindings: number;
  readonly totals: FsckTotals;
  readonly images: readonly ImageReport[];
  readonly extents: ExtentTotals;
  readonly hosts: readonly HostReport[];
  /** False: the CRCs of data blocks were not looked at. */
  readonly withData: boolean;
  readonly durationNs: number;
}

export interface FsckTotals {
  readonly images: number;
  /** Not deleted. */
  readonly snapshots: number;
  readonly nodes: number;
  /** Data blocks that are reachable, records of snapshots included. */
  readonly dataBlocks: number;
  /** Nodes and data. */
  readonly reachableBytes: number;
  /** Allocated, say the maps that hold, and not reachable: what a sweep would free. */
  readonly leakedBlocks: number;
  /** In extents without a map that holds: what is allocated there is known to their hosts alone. */
  readonly undecidedBlocks: number;
  /** As the roots of all images count them. */
  readonly supersededBlocks: number;
}

export interface ImageReport {
  readonly vdi: number;
  /** null: it has none. */
  readonly name: string | null;
  readonly host: string;
  readonly policy: number;
  readonly generation: number;
  readonly watermark: number;
  readonly sizeBlocks: number;
  /** Counted in its tree; null: a part of it could not be looked at. */
  readonly mappedBlocks: number | null;
  readonly snapshots: number;
  readonly deletedSnapshots: number;
  readonly errors: number;
}

export interface ExtentTotals {
  readonly claimed: number;
  readonly open: number;
  readonly closed: number;
  readonly full: number;
  readonly partial: number;
}

/** The log and the cache on the own disk of a host. */
export interface HostReport {
  readonly host: string;
  /** It is attached to the store, or died so. */
  readonly attached: boolean;
  readonly incarnations: readonly IncarnationReport[];
  readonly logBytes: number;
  readonly entries: number;
  /** Acknowledged and under no root yet, by image. */
  readonly unpublished: readonly UnpublishedReport[];
  readonly slab: SlabReport | null;
}

export interface IncarnationReport {
  readonly incarnation: number;
  /** `open`: the newest one, whose log goes on. */
  readonly state: 'open' | 'cut' | 'damaged';
  /** The last group that counts. */
  readonly cutGroupSeq: number;
  readonly segments: readonly SegmentReport[];
}

export interface SegmentReport {
  readonly file: string;
  readonly serial: number;
  /** 0: no group is in it. */
  readonly firstGroupSeq: number;
  /** Where the last group of it that counts ends. */
  readonly usedBytes: number;
}

export interface UnpublishedReport {
  readonly vdi: number;
  readonly entries: number;
  readonly bytes: number;
}

export interface SlabReport {
  readonly slots: number;
  readonly usedSlots: number;
  readonly damagedSuperblocks: number;
  readonly damagedTableBlocks: number;
}
