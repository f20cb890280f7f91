/**
 * The RAM of all groups that are not durable yet: a circle of bytes, oldest group first.
 *
 * Groups keep what they need and no more, so a hundred small groups that wait for a sync share what
 * one large group takes. A group is contiguous; where the end of the arena is too near, the next
 * one begins at its start, and the bytes between come back with the group before them.
 */
import type { World } from '../../world/world.ts';
import { Group } from './group.ts';
import type { LogOptions } from './log-options.ts';

export class GroupArena {
  readonly #address: number;
  readonly #bytes: number;
  readonly #maxGroupBytes: number;
  readonly #free: Group[] = [];
  /** In the order of the log; only the last one may be open. */
  readonly groups: Group[] = [];

  constructor({ memory, digest }: Pick<World, 'memory' | 'digest'>, options: LogOptions) {
    this.#address = options.arena.address;
    this.#bytes = options.arena.bytes;
    this.#maxGroupBytes = options.maxGroupBytes;
    const view = new DataView(memory.u8.buffer, memory.u8.byteOffset, memory.u8.byteLength);
    for (let i = 0; i < options.maxGroups; i++) {
      this.#free.push(new Group(memory, digest, view, options.maxGroupEntries));
    }
  }

  /** Bytes that are taken, gaps included. */
  get usedBytes(): number {
    const first = this.groups[0];
    const last = this.groups.at(-1);
    if (first === undefined || last === undefined) return 0;
    const end = last.address + last.bytes;
    return last.address >= first.address ? end - first.address : end - first.address + this.#bytes;
  }

  get isHalfFull(): boolean {
    return 2 * this.usedBytes > this.#bytes || this.#free.length < 3;
  }

  /** The group that takes entries, if there is one. */
  get openGroup(): Group | null {
    const last = this.groups.at(-1);
    return last !== undefined && last.state === 'open' ? last : null;
  }

  /** A new group with room for `needBytes` and at most `limitBytes`; null if there is none. */
  open(needBytes: number, limitBytes: number): Group | null {
    if (this.#free.length === 0) return null;
    const arenaEnd = this.#address + this.#bytes;
    const first = this.groups[0];
    const last = this.groups.at(-1);
    let address = this.#address;
    let room = this.#bytes;
    if (first !== undefined && last !== undefined) {
      const end = last.address + last.bytes;
      const wrapped = last.address < first.address;
      address = end;
      room = (wrapped ? first.address : arenaEnd) - end;
      const roomAtStart = wrapped ? 0 : first.address - this.#address;
      if (room < this.#maxGroupBytes && roomAtStart > room) {
        address = this.#address;
        room = roomAtStart;
      }
    }
    const capacity = Math.min(room, limitBytes, this.#maxGroupBytes);
    if (capacity < needBytes) return null;
    const group = this.#free.pop() as Group;
    group.open(address, capacity);
    this.groups.push(group);
    return group;
  }

  /** The oldest group is durable: its RAM is free. */
  releaseOldest(): void {
    this.#free.push(this.groups.shift() as Group);
  }
}
