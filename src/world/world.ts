/**
 * The world as an actor sees it: everything it may not reach by itself.
 *
 * Core code gets its clock, timers, random numbers, disks, links, log, doorbells, digests and CPU
 * from here and nowhere else, so that the same code runs in real threads (`world/real`) and in the
 * deterministic simulator (`world/sim`).
 *
 * A `World` belongs to one incarnation of one actor. After that incarnation's death no completion,
 * frame or timer reaches it any more, and promises it waits for never settle.
 */
import type { Prng } from '../base/prng.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import type { Nanos } from '../base/units.ts';
import type { ProtocolEvent } from './faults.ts';

export interface Clock {
  /** Monotonic; 0 when the world began; the same zero for all actors of a run, but for faults. */
  nowNs(): Nanos;
}

export type TimerId = number & { readonly timer: unique symbol };

export interface Timers {
  /** Calls `fire` once, at `deadlineNs` or later. */
  at(deadlineNs: Nanos, fire: () => void): TimerId;
  /** After this `fire` is never called. Cancelling twice, or after it fired, does nothing. */
  cancel(timer: TimerId): void;
  /** 0: lets whatever else is ready run first, and costs no more than that. */
  sleep(durationNs: number): Promise<void>;
}

/** Outcome of a disk operation: 0 is success, the others are expected failures, never thrown. */
export const DiskStatus = {
  ok: 0,
  /** The medium failed (EIO). */
  ioError: -5,
  /** No space left (ENOSPC). */
  noSpace: -28,
  /** Opened read-only, or the permission is gone (EROFS, EACCES, EBADF). */
  notWritable: -30,
  /** The range is not inside the disk. */
  outOfRange: -34,
} as const;
export type DiskStatus = (typeof DiskStatus)[keyof typeof DiskStatus];

/**
 * One disk operation. Owned and reused by the caller: the world borrows it (and the bytes it
 * names) from the call until `diskDone`, which it calls exactly once, never inside the call.
 */
export interface DiskIo {
  buffer: Uint8Array;
  /** Offset of the data in `buffer`, bytes. Not used by flush. */
  bufferOffset: number;
  lengthBytes: number;
  /** Position on the disk, bytes. */
  position: number;
  diskDone(status: DiskStatus): void;
}

export interface Disk {
  readonly name: string;
  readonly sizeBytes: number;
  readonly writable: boolean;
  read(io: DiskIo): void;
  /** Visible to reads when done; durable only after a `flush` submitted after that. */
  write(io: DiskIo): void;
  /** Makes durable every write that was done when the flush was submitted. */
  flush(io: DiskIo): void;
  /** Zeroes a range (deallocates it where the world can); ordered and durable like a write. */
  zero(io: DiskIo): void;
  /**
   * Reads inline, for data that is expected in the page cache (a cached positional read is three
   * times as fast as the thread pool). It can take long: bound the number of calls in a step.
   */
  readNow(
    buffer: Uint8Array,
    bufferOffset: number,
    lengthBytes: number,
    position: number,
  ): DiskStatus;
  /** Grows or shrinks; new bytes read as zero. */
  resize(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface DiskOpenOptions {
  readonly writable: boolean;
  /** Creates it with this size if it is not there; absent: it must be there. */
  readonly createBytes?: number;
  /**
   * A hint: small writes may be done by the caller's own thread, because a copy to the page cache
   * costs less than to have another thread make it. For a log, whose pages are written once.
   */
  readonly writesInline?: boolean;
}

export interface Disks {
  /** Opens a disk by name. Throws `UsageError` if it is missing, too small or not writable. */
  open(name: string, options: DiskOpenOptions): Promise<Disk>;
  /** Names of all disks, in order. */
  list(): Promise<readonly string[]>;
  /**
   * Takes a disk away, durably. Nobody may have it open. Removing what is not there does nothing.
   */
  remove(name: string): Promise<void>;
}

/**
 * One end of a two-way message link. Frames keep their bounds; a link may lose or reorder them if
 * it is told to.
 */
export interface Link {
  /** Sends one frame; its bytes are copied or moved, the caller must not write to them again. */
  send(frame: Uint8Array): void;
  /** Sets who receives; frames that came before are handed over in order. */
  onFrame(receive: (frame: Uint8Array) => void): void;
  close(): void;
}

export interface Net {
  /** The link of that name which this actor was started with. An unknown name is a bug. */
  link(name: string): Link;
}

export interface Log {
  /**
   * One line of the event log: a constant kind and two numbers. In the simulator it is part of
   * the log hash that tells whether two runs are the same run.
   */
  event(kind: string, a?: number, b?: number): void;
  /** A sentence for people: rare, and never on the data path. */
  note(text: string): void;
}

export interface Wake {
  /** Wakes the actor that sleeps on the bell word at this byte address of the host's RAM. */
  ring(bellAddress: number): void;
}

export interface Digest {
  /** CRC-32 as zlib computes it. */
  crc32(bytes: Uint8Array, offset: number, lengthBytes: number): number;
  /** 32 bytes. */
  sha256(bytes: Uint8Array, offset: number, lengthBytes: number): Uint8Array;
}

export interface Cpu {
  /**
   * Says that the work just done costs this much. Nothing in threads; busy time in the simulator.
   */
  spend(durationNs: number): void;
}

export interface World {
  /** Of the actor: `g0`, `h0/driver-vm`. */
  readonly name: string;
  /** RAM of the host the actor runs on. */
  readonly memory: SharedMemory;
  /** The actor's own clock, which may be wrong. Timers and deadlines go by it. */
  readonly clock: Clock;
  /** Time of the run, for records only: an actor must never decide anything by it. */
  readonly recordClock: Clock;
  readonly timers: Timers;
  /** A stream of this actor's own; fork it by name for each use. */
  readonly random: Prng;
  readonly disks: Disks;
  /**
   * Disks of the pool: reached from every host, and there when the host is not any more. An actor
   * that was started without a pool has none of them.
   */
  readonly poolDisks: Disks;
  readonly net: Net;
  readonly log: Log;
  readonly wake: Wake;
  readonly digest: Digest;
  readonly cpu: Cpu;
  /** Time of day, milliseconds of Unix time: for people to read, never to decide by. */
  wallMs(): number;
  /**
   * A named place where the simulator may end the actor in the middle of a step. It may throw what
   * only the simulator catches: code between two crash points must leave shared memory as a kill
   * at that instruction would.
   */
  crashPoint(name: string): void;
  /** Something that a fault script can name has just happened. May throw, as `crashPoint`. */
  protocolEvent(event: ProtocolEvent): void;
}
