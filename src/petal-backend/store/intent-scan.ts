/**
 * Reads the intent log after a crash: which groups are there, in order, and whether all are.
 *
 * The whole log is looked through for pages of entries of the life that the superblock names; then
 * the chain is followed from the group where the superblock says a recovery begins, by number and
 * by the sum of the group before. It ends where the next group is not there or not whole. That is
 * the torn tail of a crash, unless something says that the group was durable once: the superblock,
 * a page that was written later, or a later group. Then, or if a part of the log cannot be read,
 * the log is damaged, and `damage` says where.
 *
 * Not told from a torn tail: rot of the very last group, if nothing was written after it. Every
 * round of the place keeper, and every later group, vouches for it, so the time is short.
 */

import { viewOf } from '../../base/formats/sealed.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import { diskCall } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import {
  dataHolds,
  decodeIntentHeader,
  INTENT_GROUP,
  IntentHeader,
} from './formats/intent-group.ts';
import type { StoreSuperblock } from './formats/store-superblock.ts';
import type { LogGeometry } from './store-options.ts';

const BATCH_PAGES = 64;

export class IntentScan {
  readonly #world: World;
  readonly #disk: Disk;
  readonly #geometry: LogGeometry;
  readonly #superblock: StoreSuperblock;
  readonly #found = new Map<number, IntentHeader[]>();
  #unreadableAt = -1;
  /** Highest number of a group that is there in any form. */
  lastSeq: number;
  /** The last group that was visited, or the one before the first. */
  endSeq = 0;
  /** Groups up to here were durable, something says. */
  durableSeq: number;
  /** The end of a sentence; null: nothing is. */
  damage: string | null = null;
  replayed = 0;

  constructor(world: World, disk: Disk, geometry: LogGeometry, superblock: StoreSuperblock) {
    this.#world = world;
    this.#disk = disk;
    this.#geometry = geometry;
    this.#superblock = superblock;
    this.durableSeq = superblock.durableSeq;
    this.lastSeq = Math.max(superblock.durableSeq, superblock.replayFrom - 1);
  }

  /** Visits the groups of the chain, each as its bytes; `pagesDurable`: said by other pages. */
  async run(
    pagesDurable: number,
    visit: (group: Uint8Array, header: IntentHeader) => Promise<void>,
  ): Promise<void> {
    this.durableSeq = Math.max(this.durableSeq, pagesDurable);
    for (let segment = 0; segment < this.#geometry.segments; segment++) await this.#look(segment);
    let next = this.#superblock.replayFrom;
    let crc = this.#superblock.beforeCrc;
    for (;;) {
      const header = this.#successor(next, crc);
      if (header === null) break;
      const bytes = await this.#body(header);
      if (bytes === null) break;
      await visit(bytes, header);
      this.replayed++;
      crc = header.crc;
      next++;
    }
    this.lastSeq = Math.max(this.lastSeq, this.durableSeq);
    this.endSeq = next - 1;
    if (next <= this.durableSeq) {
      this.damage = `groups ${next} to ${this.durableSeq} of the log are not there or not whole`;
    } else if (this.#unreadableAt >= 0) {
      this.damage = `the log cannot be read at byte ${this.#unreadableAt}`;
    }
  }

  /** The newest writing of a group that follows the one with this sum. */
  #successor(groupSeq: number, beforeCrc: number): IntentHeader | null {
    let best: IntentHeader | null = null;
    for (const header of this.#found.get(groupSeq) ?? []) {
      if (header.beforeCrc !== beforeCrc) continue;
      if (best === null || header.serial > best.serial) best = header;
    }
    return best;
  }

  async #body(header: IntentHeader): Promise<Uint8Array | null> {
    const bytes = new Uint8Array((header.dataPages + 1) * PAGE_BYTES);
    const position = this.#position(header.segment, header.page);
    const status = await diskCall(this.#disk, 'read', position, bytes);
    if (status !== DiskStatus.ok) {
      this.#unreadableAt = position;
      return null;
    }
    const isSame = viewOf(bytes).getUint32(8, true) === header.crc;
    return isSame && dataHolds(bytes, header, this.#world.digest) ? bytes : null;
  }

  async #look(segment: number): Promise<void> {
    const { segmentPages } = this.#geometry;
    for (let first = 0; first < segmentPages; first += BATCH_PAGES) {
      const pages = Math.min(BATCH_PAGES, segmentPages - first);
      const bytes = new Uint8Array(pages * PAGE_BYTES);
      const position = this.#position(segment, first);
      const whole = (await diskCall(this.#disk, 'read', position, bytes)) === DiskStatus.ok;
      for (let i = 0; i < pages; i++) {
        const page = bytes.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
        const at = position + i * PAGE_BYTES;
        if (whole || (await diskCall(this.#disk, 'read', at, page)) === DiskStatus.ok) {
          this.#judge(page, segment, first + i);
        } else this.#unreadableAt = at;
      }
    }
  }

  #judge(page: Uint8Array, segment: number, number: number): void {
    if (viewOf(page).getUint32(0, true) !== INTENT_GROUP.magic) return;
    const header = new IntentHeader();
    if (decodeIntentHeader(page, header, this.#world.digest) !== null) return;
    const { incarnation, salt } = this.#superblock;
    if (header.incarnation !== incarnation || header.salt !== salt) return;
    if (header.segment !== segment || header.page !== number) return;
    if (number + header.dataPages >= this.#geometry.segmentPages) return;
    const others = this.#found.get(header.groupSeq);
    if (others === undefined) this.#found.set(header.groupSeq, [header]);
    else others.push(header);
    this.durableSeq = Math.max(this.durableSeq, header.durableSeq);
    this.lastSeq = Math.max(this.lastSeq, header.groupSeq);
  }

  #position(segment: number, page: number): number {
    const { segmentsAt, segmentPages } = this.#geometry;
    return segmentsAt + (segment * segmentPages + page) * PAGE_BYTES;
  }
}
