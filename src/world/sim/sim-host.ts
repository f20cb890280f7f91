/**
 * A simulated host: RAM, disks and bells, which outlive the actors on it.
 *
 * Bells: `ring(address)` reaches the actor that was started with that bell word. Rung while nobody
 * owns it, a bell is not heard; an actor looks at its rings when it starts, as it does in threads.
 */
import { invariant, present } from '../../base/invariant.ts';
import { BufferMemory } from '../../base/shared-memory.ts';
import { DEFAULT_DISK_MODEL, type DiskModel } from './disk-timing.ts';
import type { Incarnation } from './incarnation.ts';
import type { Kernel } from './kernel.ts';
import { SimDisk } from './sim-disk.ts';

export interface DiskOptions {
  /** Timing where it differs from the host's disks. */
  readonly model?: Partial<DiskModel>;
  readonly readOnly?: boolean;
}

/** Called with the time at which the bell was rung. */
export type BellListener = (rungNs: number) => void;

export class SimHost {
  readonly name: string;
  readonly memory: BufferMemory;
  readonly diskModel: DiskModel;
  /** Where actors of this host find the pool's disks: a host that no fault of this one reaches. */
  readonly pool: SimHost | null;
  readonly #kernel: Kernel;
  readonly #disks = new Map<string, SimDisk>();
  readonly #bells = new Map<number, BellListener>();
  readonly #actors = new Set<Incarnation>();

  constructor(
    kernel: Kernel,
    name: string,
    memoryBytes: number,
    disks: Partial<DiskModel>,
    pool: SimHost | null,
  ) {
    this.pool = pool;
    this.#kernel = kernel;
    this.name = name;
    this.memory = BufferMemory.ofBytes(memoryBytes);
    this.diskModel = { ...DEFAULT_DISK_MODEL, ...disks };
  }

  addDisk(name: string, sizeBytes: number, options: DiskOptions = {}): SimDisk {
    invariant(!this.#disks.has(name), 'a disk has a name of its own on its host');
    const model = { ...this.diskModel, ...options.model };
    const path = `${this.name}/${name}`;
    const disk = new SimDisk(this.#kernel, path, name, sizeBytes, model, options.readOnly ?? false);
    this.#disks.set(name, disk);
    return disk;
  }

  findDisk(name: string): SimDisk | undefined {
    return this.#disks.get(name);
  }

  /** The disk of that name, which exists. */
  disk(name: string): SimDisk {
    return present(this.#disks.get(name), 'a disk is added before it is named');
  }

  diskNames(): readonly string[] {
    return [...this.#disks.keys()].sort();
  }

  /** Whoever still has it open keeps a disk that nobody finds any more. */
  removeDisk(name: string): void {
    this.#disks.delete(name);
  }

  /** Settles what a dead incarnation had in flight on every disk. */
  settleDisks(incarnation: Incarnation): void {
    for (const disk of this.#disks.values()) disk.settleOf(incarnation);
  }

  addActor(incarnation: Incarnation): void {
    this.#actors.add(incarnation);
    incarnation.onDeath(() => this.#actors.delete(incarnation));
  }

  /** Whether an actor of that name is alive here. */
  hasActor(name: string): boolean {
    for (const incarnation of this.#actors) if (incarnation.name === name) return true;
    return false;
  }

  /**
   * The actor of that name, if it is alive here, does nothing for so long: as if its CPU were
   * taken.
   */
  pause(name: string, durationNs: number): void {
    for (const incarnation of this.#actors) {
      if (incarnation.name === name) incarnation.spend(durationNs);
    }
  }

  /** The clock of the actor of that name, if it is alive here, goes wrong, or right again. */
  setDrift(name: string, driftPpm: number): void {
    for (const incarnation of this.#actors) {
      if (incarnation.name === name) incarnation.setDrift(driftPpm);
    }
  }

  jumpClock(name: string, jumpNs: number): void {
    for (const incarnation of this.#actors) {
      if (incarnation.name === name) incarnation.jumpClock(jumpNs);
    }
  }

  /** Gives a bell word to an actor until it dies. */
  ownBell(bellAddress: number, incarnation: Incarnation, listener: BellListener): void {
    invariant(!this.#bells.has(bellAddress), 'a bell word belongs to one living actor');
    this.#bells.set(bellAddress, listener);
    incarnation.onDeath(() => this.#bells.delete(bellAddress));
  }

  ringBell(bellAddress: number, rungNs: number): void {
    this.#bells.get(bellAddress)?.(rungNs);
  }

  /** The host loses power: every actor on it is killed, RAM is lost, disks keep what is durable. */
  powerCut(): void {
    for (const incarnation of this.#actors) incarnation.kill?.();
    for (const disk of this.#disks.values()) disk.powerCut();
    this.memory.clear(0, this.memory.sizeBytes);
  }

  /** The host is gone for ever: every actor on it is killed, RAM and disks are lost. */
  lose(): void {
    this.powerCut();
    this.#disks.clear();
  }
}
