/** The check of a store: clean ones are clean, and each kind of damage is named as what it is. */
import test from 'ava';
import { isDamage } from '../../../src/base/formats/sealed.ts';
import {
  encodeSessionRecord,
  SessionRecordKind,
} from '../../../src/base/formats/session-record.ts';
import {
  decodeExtentRecord,
  encodeExtentRecord,
} from '../../../src/parallax/formats/directory-records.ts';
import {
  BlockState,
  decodeExtentMap,
  encodeExtentMap,
  MAP_BLOCKS,
  MAP_COPY_BYTES,
} from '../../../src/parallax/formats/extent-map.ts';
import { encodePoolLabel } from '../../../src/parallax/formats/pool-label.ts';
import { decodeSuperblock, encodeSuperblock } from '../../../src/parallax/formats/superblock.ts';
import { ENTRY_WORDS, entryBlock } from '../../../src/parallax/formats/tree-node.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS } from '../../../src/world/block-pool.ts';
import { simDigest } from '../../../src/world/sim/sim-digest.ts';
import { UUID } from '../pool/pool-bench.ts';
import { MemoryStore, makeInSim, type StoredBytes } from './memory-store.ts';
import { STORE } from './store-maker.ts';

const EVERY = 64;
/** Numbers of the sample's images. */
const [DISK, OTHER, COPY] = [1, 2, 3];

const made: Promise<StoredBytes> = makeInSim(1);

async function sample(): Promise<MemoryStore> {
  return new MemoryStore(await made);
}

/** Checks the store once for every 64th byte of `bytes` flipped, and gives what was found. */
async function flipEach(store: MemoryStore, bytes: Uint8Array): Promise<Set<string>> {
  const found = new Set<string>();
  for (let at = 0; at < bytes.length; at += EVERY) {
    bytes[at] = (bytes[at] as number) ^ 0x10;
    const codes = await store.codes();
    found.add(codes.length === 0 ? `byte ${at}: nothing` : codes.join(' '));
    bytes[at] = (bytes[at] as number) ^ 0x10;
  }
  return found;
}

test('a store that was left in order is clean, and everything in it is counted', async (t) => {
  const store = await sample();
  const report = await store.check();
  t.deepEqual(
    report.findings.filter(({ severity }) => severity !== 'info'),
    [],
  );
  t.true(report.ok);
  t.is(store.writes, 0);
  t.is(report.totals.images, 3);
  t.is(report.totals.snapshots, 2);
  t.deepEqual(
    report.images.map(({ name, mappedBlocks, snapshots }) => [name, mappedBlocks, snapshots]),
    [
      ['disk', 9, 2],
      ['other', 5, 0],
      ['copy', 8, 0],
    ],
  );
  // Of the disk 7 + 3 + 2, of the other 5, of the copy 2, and the log of snapshots.
  t.is(report.totals.dataBlocks, 20);
  t.is(
    report.totals.reachableBytes,
    (report.totals.dataBlocks + report.totals.nodes) * BLOCK_BYTES,
  );
  t.true(report.totals.leakedBlocks > 0, 'the first log of snapshots was superseded');
});

test('a check without data counts the same blocks and reads nodes and maps alone', async (t) => {
  const [withData, without] = [await sample(), await sample()];
  const [one, other] = [await withData.check(true), await without.check(false)];
  t.deepEqual(other.totals, one.totals);
  t.true(without.reads < withData.reads);
  const block = without.dataBlock(DISK, 0);
  without.block(block)[7] = 77;
  t.deepEqual(await without.codes(false), []);
  t.deepEqual(await without.codes(true), ['data-damaged']);
});

test('every 64th byte of a root block flipped is found, in its record and in itself', async (t) => {
  const store = await sample();
  t.deepEqual([...(await flipEach(store, store.value(`cond/${STORE}/${DISK}`)))], ['root-block']);
  const data = store.conditionalData(DISK);
  for (let at = 0; at < data.length; at += EVERY) {
    const flipped = data.slice();
    flipped[at] = (flipped[at] as number) ^ 1;
    store.setConditional(DISK, flipped);
    t.deepEqual(await store.codes(), ['root-block'], `byte ${at}`);
  }
});

test('a damaged root block takes no other image with it', async (t) => {
  const store = await sample();
  store.value(`cond/${STORE}/${DISK}`)[99] = 255;
  const report = await store.check();
  t.deepEqual(
    report.images.map(({ name }) => name),
    ['other', 'copy'],
  );
  t.is(report.errors, 1);
});

test('every 64th byte of an inner node and of a leaf flipped is found as that node', async (t) => {
  const store = await sample();
  const { root } = store.root(DISK);
  t.is(root.height, 2);
  t.deepEqual([...(await flipEach(store, store.block(root.block)))], ['node-damaged']);
  const leaf = entryBlock(store.words(root.block), 0);
  t.deepEqual([...(await flipEach(store, store.block(leaf)))], ['node-damaged']);
});

test('every 64th byte of a data block flipped is found, with image and block', async (t) => {
  const store = await sample();
  const block = store.dataBlock(DISK, 255);
  t.deepEqual([...(await flipEach(store, store.block(block)))], ['data-damaged']);
  store.block(block)[0] = 77;
  const { findings } = await store.check();
  const [found] = findings.filter(({ severity }) => severity === 'error');
  t.is(found?.where, 'image 1 "disk", block 255');
  t.regex(found?.what ?? '', new RegExp(`pool block ${block} `));
});

test('every 64th byte of the map that an extent goes on from flipped is found', async (t) => {
  const store = await sample();
  const copy = copyThatHolds(store, 1);
  const found = await flipEach(store, store.block(EXTENT_BLOCKS + copy));
  for (const one of await flipEach(store, store.block(EXTENT_BLOCKS + copy + 1))) found.add(one);
  t.deepEqual([...found], ['extent-map']);
});

test('every 64th byte of the superblock flipped is found, and the label serves for it', async (t) => {
  const store = await sample();
  t.deepEqual([...(await flipEach(store, store.value(`cond/${STORE}/0`)))], ['superblock']);
  store.value(`cond/${STORE}/0`)[99] = 255;
  t.is((await store.check()).images.length, 3);
  store.entries.delete(`cond/${STORE}/0`);
  t.deepEqual(await store.codes(), ['superblock']);
});

test('every 64th byte of the label flipped is found, and the superblock serves for it', async (t) => {
  const store = await sample();
  t.deepEqual([...(await flipEach(store, store.block(0)))], ['pool-label']);
  store.block(0)[0] = 0;
  t.is((await store.check()).images.length, 3);
  store.value(`cond/${STORE}/0`)[99] = 255;
  t.deepEqual(await store.codes(), ['pool-label', 'superblock']);
});

test('blocks that the medium cannot read are named, and blocks beside them are still read', async (t) => {
  const store = await sample();
  store.unreadable.add(store.dataBlock(OTHER, 1));
  store.unreadable.add(store.root(COPY).root.block);
  const { findings } = await store.check();
  const errors = findings.filter(({ severity }) => severity === 'error');
  t.deepEqual(
    errors.map(({ code, where }) => [code, where]),
    [
      ['data-unreadable', 'image 2 "other", block 1'],
      ['node-unreadable', 'image 3 "copy", blocks 0 to 65535'],
    ],
  );
});

test('a pool file that was cut off is told, and what is missing of it', async (t) => {
  const store = await sample();
  store.sizeBytes = (EXTENT_BLOCKS + 10) * BLOCK_BYTES;
  const codes = await store.codes();
  t.true(codes.includes('pool-file'));
  t.true(codes.includes('entry-place'));
});

test('names, entries and root blocks that do not match are told one by one', async (t) => {
  const name = await sample();
  name.entries.delete(`name/${STORE}/other`);
  t.deepEqual(await name.codes(), ['image-entry']);
  const entry = await sample();
  entry.entries.delete(`image/${STORE}/0000000002`);
  t.deepEqual(await entry.codes(), ['name-entry', 'root-without-name']);
  const both = await sample();
  both.entries.delete(`name/${STORE}/other`);
  both.entries.delete(`image/${STORE}/0000000002`);
  const report = await both.check();
  t.deepEqual([report.ok, report.warnings], [true, 1], 'a creation that was cut short is no error');
  const root = await sample();
  root.entries.delete(`cond/${STORE}/2`);
  t.deepEqual(await root.codes(), ['name-without-root']);
  const text = await sample();
  text.set(`image/${STORE}/0000000002`, new Uint8Array([1, 2, 3]));
  t.true((await text.codes()).includes('image-entry'));
});

test('a counter of numbers that is behind the images would give one twice, and is told', async (t) => {
  const store = await sample();
  store.setJson(`images/${STORE}`, { last: 2 });
  t.deepEqual(await store.codes(), ['image-counter']);
  store.entries.delete(`images/${STORE}`);
  t.deepEqual(await store.codes(), ['image-counter']);
});

test('one block in two places of an image is told, unless its extent has it as shared', async (t) => {
  const store = await sample();
  store.changeFirstLeaf(OTHER, (words) => words.copyWithin(10 * ENTRY_WORDS, 0, ENTRY_WORDS));
  store.setRoot(OTHER, { mappedBlocks: 6 });
  t.deepEqual(await store.codes(), ['two-places']);
  setState(store, store.dataBlock(OTHER, 0), BlockState.shared);
  t.deepEqual(await store.codes(), []);
});

test('one block in two images is told, unless one is a clone of the other', async (t) => {
  const store = await sample();
  const entry = leafEntry(store, DISK, 0);
  store.changeFirstLeaf(OTHER, (words) => words.set(entry, 0));
  t.deepEqual(await store.codes(), ['two-places']);
  store.setRoot(COPY, { origin: null });
  const { findings } = await store.check();
  t.true(findings.filter(({ code }) => code === 'two-places').length > 1);
});

test('clones of an image that was deleted share its blocks rightly', async (t) => {
  const store = await sample();
  store.setRoot(OTHER, { ...store.root(COPY), vdi: OTHER, vdiUuid: store.root(OTHER).vdiUuid });
  store.setConditional(DISK, new Uint8Array(BLOCK_BYTES));
  store.entries.delete(`name/${STORE}/disk`);
  store.entries.delete(`image/${STORE}/0000000001`);
  t.deepEqual(await store.codes(), []);
});

test('one block under two CRCs is told', async (t) => {
  const store = await sample();
  const entry = leafEntry(store, DISK, 0);
  entry[3] = ((entry[3] as number) + 1) >>> 0;
  store.changeFirstLeaf(OTHER, (words) => words.set(entry, 0));
  t.deepEqual(await store.codes(), ['two-crcs']);
});

test('a block in use that its map has as free is told before somebody writes over it', async (t) => {
  const store = await sample();
  setState(store, store.dataBlock(DISK, 0), BlockState.free);
  t.deepEqual(await store.codes(), ['free-in-use']);
});

test('an extent that nobody has claimed, or whose record is damaged, is told', async (t) => {
  const store = await sample();
  const key = `ext/${STORE}/1`;
  const value = store.value(key);
  store.entries.delete(key);
  t.deepEqual(await store.codes(), ['extent-unclaimed']);
  store.set(key, value);
  t.deepEqual([...(await flipEach(store, store.value(key)))], ['extent-record']);
  store.set(`ext/${STORE}/9`, value);
  t.deepEqual(await store.codes(), ['extent-record']);
});

test('entries outside the pool, in a map, or with stray bytes are told', async (t) => {
  for (const [block, code] of [
    [2 ** 40, 'entry-place'],
    [EXTENT_BLOCKS + 1, 'entry-place'],
    [5, 'entry-place'],
  ] as const) {
    const store = await sample();
    store.changeFirstLeaf(OTHER, (words) => {
      words[0] = block >>> 0;
      words[1] = Math.floor(block / 2 ** 32);
    });
    t.deepEqual(await store.codes(), [code], `block ${block}`);
  }
  const store = await sample();
  store.changeFirstLeaf(OTHER, (words) => {
    words[100 * ENTRY_WORDS + 2] = 1;
  });
  t.deepEqual(await store.codes(), ['entry-stray']);
});

test('an entry that is younger than what names it is told', async (t) => {
  const leaf = await sample();
  leaf.changeFirstLeaf(OTHER, (words) => {
    words[2] = 9;
  });
  t.deepEqual(await leaf.codes(), ['entry-birth']);
  const root = await sample();
  root.setRoot(DISK, { birth: 2 });
  t.deepEqual(await root.codes(), ['entry-birth', 'snapshot-order']);
});

test('a root block that contradicts its tree, its starts or its size is told', async (t) => {
  const count = await sample();
  count.setRoot(OTHER, { mappedBlocks: 4 });
  t.deepEqual(await count.codes(), ['mapped-count']);
  const size = await sample();
  size.setRoot(OTHER, { sizeBlocks: 100 });
  t.deepEqual(await size.codes(), ['beyond-size']);
  const version = await sample();
  version.setRoot(OTHER, { generation: 50 });
  t.deepEqual(await version.codes(), ['root-version']);
  const moved = await sample();
  moved.setConditional(OTHER, moved.conditionalData(DISK));
  t.deepEqual(await moved.codes(), ['root-block']);
});

test('damage of the log of snapshots is told, and snapshots whose records hold are checked', async (t) => {
  const store = await sample();
  const { snapshotRoot } = store.root(DISK);
  const block = entryBlock(store.words(snapshotRoot.block), 0);
  store.block(block)[128 + 20] = 99;
  const report = await store.check();
  t.deepEqual(await store.codes(), ['data-damaged', 'snapshot-record']);
  t.is(report.images[0]?.snapshots, 1);
  const lost = await sample();
  lost.setRoot(DISK, { snapshotCount: 3 });
  t.deepEqual(await lost.codes(), ['snapshot-record']);
  const fewer = await sample();
  fewer.setRoot(DISK, { snapshotCount: 1 });
  t.deepEqual(await fewer.codes(), ['snapshot-order']);
});

test('damage that only a snapshot can see is named with the snapshot', async (t) => {
  const store = await sample();
  const { root } = store.root(DISK);
  const { snapshotRoot } = store.root(DISK);
  const records = store.block(entryBlock(store.words(snapshotRoot.block), 0));
  const view = new DataView(records.buffer, records.byteOffset);
  const oldRoot = view.getUint32(128 + 16, true);
  t.not(oldRoot, root.block);
  store.block(oldRoot)[1] = 99;
  const { findings } = await store.check();
  const [found] = findings.filter(({ severity }) => severity === 'error');
  t.deepEqual(
    [found?.code, found?.where],
    ['node-damaged', 'image 1 "disk", snapshot 1 "first", blocks 0 to 65535'],
  );
});

test('sessions that were given twice are told', async (t) => {
  const store = await sample();
  const record = { session: 0, fence: 0 };
  store.set(`next/${STORE}`, encodeSessionRecord(simDigest, SessionRecordKind.next, record));
  t.deepEqual(await store.codes(), ['extent-record']);
  const attached = encodeSessionRecord(simDigest, SessionRecordKind.attachment, {
    session: 1,
    fence: 1,
  });
  store.set(`attach/${STORE}/h0`, attached);
  t.deepEqual(await store.codes(), ['extent-record', 'session']);
  store.value(`next/${STORE}`)[13] = 1;
  t.deepEqual(await store.codes(), ['session']);
});

test('a store of a newer format is left alone, one that was not finished is looked at', async (t) => {
  const store = await sample();
  const superblock = decodeSuperblock(simDigest, store.conditionalData(0));
  if (isDamage(superblock)) throw new Error(superblock.problem);
  const formats = { ...superblock.formats, node: 2 };
  store.setConditional(0, encodeSuperblock(simDigest, { ...superblock, formats }));
  const newer = await store.check();
  t.deepEqual(await store.codes(), ['store-newer']);
  t.is(newer.images.length, 0);
  store.setConditional(0, encodeSuperblock(simDigest, { ...superblock, state: 'creating' }));
  t.deepEqual(await store.codes(), ['store-unfinished']);
  t.is((await store.check()).images.length, 3);
});

test('a pool file of another store is told, and nothing in it is taken for this one', async (t) => {
  const store = await sample();
  const uuid = new Uint8Array(16).fill(9);
  store.blocks.set(0, encodePoolLabel(simDigest, { uuid, sizeBlocks: 3 * EXTENT_BLOCKS }));
  const report = await store.check();
  t.deepEqual(await store.codes(), ['pool-label']);
  t.is(report.images.length, 0);
});

test('an extent left open by a session that is over is told, and is no error', async (t) => {
  const store = await sample();
  const key = `ext/${STORE}/1`;
  const record = decodeExtentRecord(simDigest, store.value(key));
  if (isDamage(record)) throw new Error(record.problem);
  store.set(key, encodeExtentRecord(simDigest, { ...record, state: 'open' }));
  const report = await store.check();
  t.true(report.ok);
  t.true(report.findings.some(({ code }) => code === 'extent-left-open'));
  t.is(report.totals.leakedBlocks, 0);
  t.true(report.totals.undecidedBlocks > 0);
  t.is(report.extents.open, 1);
});

test('findings beyond a thousand are counted and not kept', async (t) => {
  const store = await sample();
  const before = (await store.check()).findings.length;
  for (let extra = 0; extra < 1500; extra++) store.set(`cond/${STORE}/x${extra}`, new Uint8Array());
  const report = await store.check();
  t.is(report.errors, 1500);
  t.is(report.findings.length, 1000);
  t.is(report.omittedFindings, before + 500);
});

test('a check that is cancelled ends, and tells how far it was', async (t) => {
  const store = await sample();
  let calls = 0;
  const outcome = store.outcome({
    withData: true,
    cancel: {
      get cancelled(): boolean {
        return calls > 2;
      },
    },
    progress: ({ nodes, expectedBlocks }) => {
      calls++;
      t.true(nodes > 0 && expectedBlocks > 0);
    },
  });
  await t.throwsAsync(outcome, { code: 'E_CANCELLED' });
  t.true(calls > 2);
});

/** Which copy of the map of an extent its record names: its first block in the extent. */
function copyThatHolds(store: MemoryStore, extent: number): number {
  const record = decodeExtentRecord(simDigest, store.value(`ext/${STORE}/${extent}`));
  if (isDamage(record)) throw new Error(record.problem);
  for (const copy of [0, 2]) {
    const map = mapAt(store, extent, copy);
    if (map !== null && map.sequence === record.mapSequence) return copy;
  }
  throw new Error('no copy of the map holds');
}

function mapAt(store: MemoryStore, extent: number, copy: number) {
  const bytes = new Uint8Array(MAP_COPY_BYTES);
  const first = extent * EXTENT_BLOCKS + copy;
  bytes.set(store.blocks.get(first) ?? new Uint8Array(BLOCK_BYTES), 0);
  bytes.set(store.blocks.get(first + 1) ?? new Uint8Array(BLOCK_BYTES), BLOCK_BYTES);
  const map = decodeExtentMap(simDigest, bytes, UUID, extent);
  return isDamage(map) ? null : map;
}

/** Writes the map of a block's extent again, with another state for the block. */
function setState(store: MemoryStore, block: number, state: number): void {
  const extent = Math.floor(block / EXTENT_BLOCKS);
  const copy = copyThatHolds(store, extent);
  const map = mapAt(store, extent, copy);
  if (map === null) throw new Error('the map holds');
  const index = block - extent * EXTENT_BLOCKS - MAP_BLOCKS;
  const shift = (index & 3) << 1;
  const others = (map.states[index >>> 2] as number) & ~(3 << shift);
  map.states[index >>> 2] = others | (state << shift);
  const bytes = new Uint8Array(MAP_COPY_BYTES);
  encodeExtentMap(simDigest, map, map.states, bytes);
  const first = extent * EXTENT_BLOCKS + copy;
  store.blocks.set(first, bytes.slice(0, BLOCK_BYTES));
  store.blocks.set(first + 1, bytes.slice(BLOCK_BYTES));
  const key = `ext/${STORE}/${extent}`;
  const record = decodeExtentRecord(simDigest, store.value(key));
  if (isDamage(record)) throw new Error(record.problem);
  const freeBlocks = record.freeBlocks + (state === BlockState.free ? 1 : 0);
  store.set(key, encodeExtentRecord(simDigest, { ...record, freeBlocks }));
}

/** A copy of the words of an entry of the first leaf of an image. */
function leafEntry(store: MemoryStore, vdi: number, slot: number): Uint32Array {
  const { root } = store.root(vdi);
  let block = root.block;
  for (let level = root.height; level > 1; level--) block = entryBlock(store.words(block), 0);
  return store.words(block).slice(slot * ENTRY_WORDS, (slot + 1) * ENTRY_WORDS);
}
