/**
 * A store as plain bytes in memory, to be damaged and checked many times over: entries of its
 * directory, and blocks of its pool file.
 */

import { isDamage } from '../../../src/base/formats/sealed.ts';
import { BufferMemory } from '../../../src/base/shared-memory.ts';
import { nanos } from '../../../src/base/units.ts';
import { POOL_DISK } from '../../../src/parallax/disk-names.ts';
import {
  decodeConditionalRecord,
  encodeConditionalRecord,
} from '../../../src/parallax/formats/directory-records.ts';
import {
  decodeRootBlock,
  encodeRootBlock,
  type RootBlock,
} from '../../../src/parallax/formats/root-block.ts';
import { ENTRY_WORDS, entryBlock, NODE_WORDS } from '../../../src/parallax/formats/tree-node.ts';
import { type FsckOutcome, fsckStore } from '../../../src/parallax/fsck/fsck.ts';
import type { CheckWorld } from '../../../src/parallax/fsck/open-for-check.ts';
import type { FsckReport } from '../../../src/parallax/fsck/report.ts';
import { BLOCK_BYTES } from '../../../src/world/block-pool.ts';
import type { Directory, DirectoryEntry } from '../../../src/world/directory.ts';
import { simDigest } from '../../../src/world/sim/sim-digest.ts';
import { SimDirectory } from '../../../src/world/sim/sim-directory.ts';
import { Simulator } from '../../../src/world/sim/simulator.ts';
import { type Disk, type DiskIo, DiskStatus, type World } from '../../../src/world/world.ts';
import { runStory } from '../../helpers/directory-bench.ts';
import { MAKER_RAM_BYTES, makeSample, STORE, StoreMaker } from './store-maker.ts';

const PEEK_BYTES = 2 ** 20;

export interface StoredBytes {
  readonly entries: readonly DirectoryEntry[];
  readonly blocks: ReadonlyMap<number, Uint8Array>;
  readonly sizeBytes: number;
}

/** Makes a store in the simulator and takes its bytes. */
export async function makeInSim(
  seed: number,
  story: (maker: StoreMaker, world: World) => Promise<void> = makeSample,
): Promise<StoredBytes> {
  const simulator = new Simulator({ seed });
  const pool = simulator.addHost('pool', { memoryBytes: BLOCK_BYTES });
  const host = simulator.addHost('h0', { memoryBytes: MAKER_RAM_BYTES, pool });
  const world = simulator.toolstackWorld('dom0', host);
  const directory = new SimDirectory(simulator, 'd');
  await runStory(simulator, () => story(new StoreMaker(world, directory), world));
  const disk = pool.disk(POOL_DISK);
  const blocks = new Map<number, Uint8Array>();
  for (let at = 0; at < disk.sizeBytes; at += PEEK_BYTES) {
    const piece = disk.peek('visible', at, PEEK_BYTES);
    for (let byte = 0; byte < PEEK_BYTES; byte += BLOCK_BYTES) {
      const block = piece.slice(byte, byte + BLOCK_BYTES);
      if (block.some((one) => one !== 0)) blocks.set((at + byte) / BLOCK_BYTES, block);
    }
  }
  return { entries: directory.entries(), blocks, sizeBytes: disk.sizeBytes };
}

export class MemoryStore {
  readonly entries: Map<string, DirectoryEntry>;
  readonly blocks: Map<number, Uint8Array>;
  readonly unreadable: Set<number> = new Set();
  sizeBytes: number;
  writes = 0;
  reads = 0;

  constructor({ entries, blocks, sizeBytes }: StoredBytes) {
    this.entries = new Map(
      entries.map(({ key, value, version }) => [key, { key, value: value.slice(), version }]),
    );
    this.blocks = new Map([...blocks].map(([block, bytes]) => [block, bytes.slice()]));
    this.sizeBytes = sizeBytes;
  }

  async check(withData: boolean = true): Promise<FsckReport> {
    return (await this.outcome({ withData })).report;
  }

  outcome(options: Parameters<typeof fsckStore>[2]): Promise<FsckOutcome> {
    const place = { store: STORE, directory: this.#directory(), diskName: POOL_DISK };
    return fsckStore(this.#world(), place, options);
  }

  /** Codes of the errors and warnings, each once, in order of their names. */
  async codes(withData: boolean = true): Promise<string[]> {
    const { findings } = await this.check(withData);
    const codes = findings.filter(({ severity }) => severity !== 'info').map(({ code }) => code);
    return [...new Set(codes)].sort();
  }

  value(key: string): Uint8Array {
    const entry = this.entries.get(key);
    if (entry === undefined) throw new Error(`there is no entry ${key}`);
    return entry.value;
  }

  set(key: string, value: Uint8Array): void {
    this.entries.set(key, { key, value, version: 10_000 });
  }

  setJson(key: string, fields: object): void {
    this.set(key, new TextEncoder().encode(JSON.stringify({ v: 1, ...fields })));
  }

  /** The bytes of a block, to be changed in place. */
  block(block: number): Uint8Array {
    const bytes = this.blocks.get(block) ?? new Uint8Array(BLOCK_BYTES);
    this.blocks.set(block, bytes);
    return bytes;
  }

  root(vdi: number): RootBlock {
    const decoded = decodeRootBlock(simDigest, this.#conditional(vdi).data);
    if (isDamage(decoded)) throw new Error(decoded.problem);
    return decoded;
  }

  /** Writes a root block that holds together, whatever it says. */
  setRoot(vdi: number, change: Partial<RootBlock>, version?: number): void {
    const data = encodeRootBlock(simDigest, { ...this.root(vdi), ...change });
    this.setConditional(vdi, data, version);
  }

  setConditional(block: number, data: Uint8Array, version?: number): void {
    const was = this.#conditional(block).version;
    const record = { version: version ?? was, data };
    this.set(`cond/${STORE}/${block}`, encodeConditionalRecord(simDigest, record));
  }

  conditionalData(block: number): Uint8Array {
    return this.#conditional(block).data;
  }

  words(block: number): Uint32Array {
    const bytes = this.block(block);
    return new Uint32Array(bytes.buffer, bytes.byteOffset, NODE_WORDS);
  }

  /** Changes the first leaf of an image, and all that names it, so that every CRC holds again. */
  changeFirstLeaf(vdi: number, change: (words: Uint32Array) => void): void {
    const path: number[] = [];
    const { root } = this.root(vdi);
    for (let [block, level] = [root.block, root.height]; ; level--) {
      path.push(block);
      if (level === 1) break;
      block = entryBlock(this.words(block), 0);
    }
    change(this.words(path[path.length - 1] as number));
    for (let i = path.length - 1; i > 0; i--) {
      this.words(path[i - 1] as number)[3] = this.crcOf(path[i] as number);
    }
    this.setRoot(vdi, { root: { ...root, crc: this.crcOf(root.block) } });
  }

  /** Pool block that the first leaf of an image has in this slot. */
  dataBlock(vdi: number, slot: number): number {
    const { root } = this.root(vdi);
    let block = root.block;
    for (let level = root.height; level > 1; level--) block = entryBlock(this.words(block), 0);
    return entryBlock(this.words(block), slot * ENTRY_WORDS);
  }

  crcOf(block: number): number {
    return simDigest.crc32(this.block(block), 0, BLOCK_BYTES);
  }

  #conditional(block: number): { readonly version: number; readonly data: Uint8Array } {
    const record = decodeConditionalRecord(simDigest, this.value(`cond/${STORE}/${block}`));
    if (isDamage(record)) throw new Error(record.problem);
    return record;
  }

  #directory(): Directory {
    const { entries } = this;
    return {
      get: (key) => Promise.resolve(entries.get(key) ?? null),
      list: (prefix) =>
        Promise.resolve(
          [...entries.values()]
            .filter(({ key }) => key.startsWith(prefix))
            .sort((one, other) => (one.key < other.key ? -1 : 1)),
        ),
      txn: () => {
        this.writes++;
        return Promise.resolve(false);
      },
      watch: () => () => undefined,
      close: () => Promise.resolve(),
    };
  }

  #world(): CheckWorld {
    const memory = BufferMemory.ofBytes(BLOCK_BYTES);
    return {
      clock: { nowNs: () => nanos(memory.sizeBytes) },
      timers: {
        at: () => {
          throw new Error('a check of what is there waits for nothing');
        },
        cancel: () => undefined,
        sleep: () => Promise.resolve(),
      },
      digest: simDigest,
      poolDisks: {
        open: (name) => Promise.resolve(this.#disk(name)),
        list: () => Promise.resolve([POOL_DISK]),
        remove: () => Promise.reject(new Error('a check removes nothing')),
      },
    };
  }

  #disk(name: string): Disk {
    const refuse = (io: DiskIo): void => {
      this.writes++;
      queueMicrotask(() => io.diskDone(DiskStatus.notWritable));
    };
    return {
      name,
      sizeBytes: this.sizeBytes,
      writable: false,
      read: (io) => {
        const status = this.#read(io);
        queueMicrotask(() => io.diskDone(status));
      },
      write: refuse,
      flush: refuse,
      zero: refuse,
      readNow: () => DiskStatus.ioError,
      resize: () => Promise.reject(new Error('a check resizes nothing')),
      close: () => Promise.resolve(),
    };
  }

  #read({ buffer, bufferOffset, lengthBytes, position }: DiskIo): DiskStatus {
    this.reads++;
    for (let at = 0; at < lengthBytes; at += BLOCK_BYTES) {
      const block = (position + at) / BLOCK_BYTES;
      if (this.unreadable.has(block)) return DiskStatus.ioError;
      const bytes = this.blocks.get(block) ?? new Uint8Array(BLOCK_BYTES);
      buffer.set(bytes, bufferOffset + at);
    }
    return DiskStatus.ok;
  }
}
