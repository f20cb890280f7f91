/**
 * Writes checkpoints: into the older of two files in turn, each as a whole, so that one of them is
 * valid whenever the power goes. Both files are allocated when the incarnation begins, so a
 * checkpoint can be written when the disk is full, which is when it is needed to make room.
 *
 * One is written at a time. Whoever asks while one is being written gets the next one, which is
 * built later and so contains whatever they had changed before they asked.
 */

import { diskCall, flushDisk } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import { type Checkpoint, encodeCheckpoint } from '../formats/checkpoint.ts';

export class Checkpointer {
  readonly #world: World;
  readonly #sides: readonly [Disk, Disk];
  readonly #build: (sequence: number) => Checkpoint;
  #running: Promise<boolean> | null = null;
  #next: Promise<boolean> | null = null;
  /** Of the newest durable checkpoint. */
  sequence = 0;
  /** Of the newest one that was built: it may be on its way, or have failed. */
  builtSequence = 0;
  written = 0;
  failures = 0;
  bytes = 0;

  constructor(world: World, sides: readonly [Disk, Disk], build: (sequence: number) => Checkpoint) {
    this.#world = world;
    this.#sides = sides;
    this.#build = build;
  }

  /** A checkpoint of a state not older than now; true when it is durable. */
  write(): Promise<boolean> {
    if (this.#running === null) {
      this.#running = this.#writeOne();
      return this.#running;
    }
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      this.#running = this.#writeOne();
      return this.#running;
    });
    return this.#next;
  }

  async close(): Promise<void> {
    await this.#next;
    await this.#running;
    for (const side of this.#sides) await side.close();
  }

  async #writeOne(): Promise<boolean> {
    this.#world.crashPoint('log.before-checkpoint');
    // A failed attempt leaves its file damaged, so the next one goes to the same file.
    const sequence = this.sequence + 1;
    this.builtSequence = sequence;
    const bytes = encodeCheckpoint(this.#build(sequence), this.#world.digest);
    const disk = this.#sides[sequence % 2] as Disk;
    let status = await diskCall(disk, 'write', 0, bytes);
    if (status === DiskStatus.ok) status = await flushDisk(disk);
    if (this.#next === null) this.#running = null;
    if (status !== DiskStatus.ok) {
      this.failures++;
      return false;
    }
    this.sequence = sequence;
    this.written++;
    this.bytes += bytes.length;
    this.#world.crashPoint('log.after-checkpoint');
    return true;
  }
}
