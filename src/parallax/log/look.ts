/**
 * A look at the log of a host whose driver VM does not run: what is in it that no published root
 * has, and what of it is damaged. Nothing is changed.
 *
 * It is the recovery itself, so that it finds what a start would find. What a recovery writes
 * before and while it reads, files of a new incarnation, goes to disks that keep nothing.
 */
import { invariant } from '../../base/invariant.ts';
import { SECTOR_BYTES } from '../../base/units.ts';
import {
  type Disk,
  type DiskIo,
  type DiskOpenOptions,
  DiskStatus,
  type Disks,
} from '../../world/world.ts';
import { type LogEntry, MutationKind } from '../formats/log-group.ts';
import type { LogOptions } from './log-options.ts';
import type { LogDamage } from './recovered-log.ts';
import { type RecoveryWorld, recoverLog } from './recovery.ts';

/** What the log has of one image beyond its published root. */
export interface UnpublishedLog {
  requests: number;
  /** Payload. */
  bytes: number;
}

export interface LogLook {
  /** By number of the image; images of which the log has nothing new are not in it. */
  readonly unpublished: ReadonlyMap<number, UnpublishedLog>;
  readonly damage: readonly LogDamage[];
}

/** The image that an entry is of, and what is published of that one. */
export interface EntryPlace {
  readonly vdi: number;
  readonly watermark: number;
}

/**
 * Looks at the log on the disks of `world`. `placeOf` says what an entry is of; null: of nothing
 * that a start would go on with. Rejects with a `StorageError` as a recovery does.
 */
export async function lookAtLog(
  world: RecoveryWorld,
  options: Omit<LogOptions, 'arena'>,
  placeOf: (entry: LogEntry) => EntryPlace | null,
): Promise<LogLook> {
  const disks = new LookingDisks(world.disks);
  const { clock, digest, log } = world;
  const looking = { clock, digest, log, disks, crashPoint: () => {} };
  const unpublished = new Map<number, UnpublishedLog>();
  const found = await recoverLog(
    looking,
    { ...options, arena: { address: 0, bytes: 0 } },
    (entry) => {
      const place = placeOf(entry);
      if (place === null || entry.vdiSeq <= place.watermark) return;
      const known = unpublished.get(place.vdi) ?? { requests: 0, bytes: 0 };
      known.requests++;
      if (entry.kind === MutationKind.write) known.bytes += entry.sectors * SECTOR_BYTES;
      unpublished.set(place.vdi, known);
    },
  );
  const segments = new Set(found.chains.flatMap((chain) => chain.segments));
  for (const { disk } of segments) await disk.close();
  return { unpublished, damage: found.damage };
}

/** The disks there are, read-only; those that would be made keep nothing. */
class LookingDisks implements Disks {
  readonly #disks: Disks;
  readonly #made = new Set<string>();

  constructor(disks: Disks) {
    this.#disks = disks;
  }

  async open(name: string, options: DiskOpenOptions): Promise<Disk> {
    if (!options.writable) return this.#disks.open(name, options);
    this.#made.add(name);
    return new ForgetfulDisk(name, options.createBytes ?? 0);
  }

  list(): Promise<readonly string[]> {
    return this.#disks.list();
  }

  async remove(name: string): Promise<void> {
    invariant(this.#made.has(name), 'a look at a log removes nothing of it');
  }
}

/** Takes writes, and reads as zeros. */
class ForgetfulDisk implements Disk {
  readonly name: string;
  readonly sizeBytes: number;
  readonly writable = true;

  constructor(name: string, sizeBytes: number) {
    this.name = name;
    this.sizeBytes = sizeBytes;
  }

  read(io: DiskIo): void {
    io.buffer.fill(0, io.bufferOffset, io.bufferOffset + io.lengthBytes);
    done(io);
  }

  write(io: DiskIo): void {
    done(io);
  }

  flush(io: DiskIo): void {
    done(io);
  }

  zero(io: DiskIo): void {
    done(io);
  }

  readNow(buffer: Uint8Array, bufferOffset: number, lengthBytes: number): DiskStatus {
    buffer.fill(0, bufferOffset, bufferOffset + lengthBytes);
    return DiskStatus.ok;
  }

  resize(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Never inside the call. */
function done(io: DiskIo): void {
  void Promise.resolve().then(() => io.diskDone(DiskStatus.ok));
}
