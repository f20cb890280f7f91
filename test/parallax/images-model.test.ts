/**
 * Snapshots, clones, deletes and renames in any order against a model that copies everything: after
 * each step every image, and in the end every surviving snapshot, holds what the model holds, over
 * kills of the driver VM and cuts of the host's power.
 */
import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { POOL_DISK } from '../../src/parallax/disk-names.ts';
import type { TreeRoot } from '../../src/parallax/formats/tree-root.ts';
import { openEmbeddedStore } from '../../src/parallax/pool/embedded-store.ts';
import { copyOut } from '../../src/parallax/store/copy-out.ts';
import { requireSnapshot, StoreView } from '../../src/parallax/store/store-view.ts';
import { type NamedBlock, type TreeVisitor, walkTree } from '../../src/parallax/tree/walk.ts';
import { Policy } from '../../src/parallax/vdi/policy.ts';
import { EngineBench, type EngineLife, STORE } from '../helpers/engine-bench.ts';
import { check } from '../helpers/property.ts';

const BLOCKS = 600;
const READ_BLOCKS = 256;
/** Fill of each block that is not zeros. */
type Content = Map<number, number>;

interface ModelSnapshot {
  readonly content: Content;
  readonly sizeBlocks: number;
}

interface ModelImage {
  content: Content;
  sizeBlocks: number;
  readonly snapshots: Map<string, ModelSnapshot>;
}

/** One history of random commands. */
class History {
  readonly bench: EngineBench;
  readonly model = new Map<string, ModelImage>();
  readonly #random: Prng;
  #life: EngineLife | null = null;
  #names = 0;
  #fill = 0;
  /** What has happened, for the message of a failure. */
  readonly steps: string[] = [];

  constructor(seed: number) {
    this.bench = new EngineBench({ seed, poolExtents: 64 });
    this.#random = new Prng(seed, 'images-model');
  }

  get life(): EngineLife {
    check(this.#life !== null, 'a driver VM runs');
    return this.#life as EngineLife;
  }

  async begin(): Promise<void> {
    await this.bench.create(['i0'], BLOCKS);
    this.model.set('i0', { content: new Map(), sizeBlocks: BLOCKS, snapshots: new Map() });
    this.#life = await this.bench.start();
  }

  async step(): Promise<void> {
    const images = [...this.model.keys()];
    const name = this.#random.pick(images);
    const image = this.model.get(name) as ModelImage;
    const snapshots = [...image.snapshots.keys()];
    const snapshot = snapshots.length === 0 ? null : this.#random.pick(snapshots);
    const dice = this.#random.below(100);
    if (dice < 40) return this.#write(name, image);
    if (dice < 50) return this.#discard(name, image);
    if (dice < 65) return this.#snapshot(name, image);
    if (dice < 75) return snapshot === null ? undefined : this.#clone(name, image, snapshot);
    if (dice < 83) return snapshot === null ? undefined : this.#deleteSnapshot(name, snapshot);
    if (dice < 87) return snapshot === null ? undefined : this.#renameSnapshot(name, snapshot);
    if (dice < 90) return this.#resize(name, image);
    if (dice < 93) return images.length === 1 ? undefined : this.#remove(name);
    return this.#restart(dice < 97);
  }

  /** Every image as a guest reads it. */
  async checkImages(): Promise<void> {
    for (const [name, { content, sizeBlocks }] of this.model) {
      const disk = await this.life.image(name);
      for (let first = 0; first < sizeBlocks; first += READ_BLOCKS) {
        const count = Math.min(READ_BLOCKS, sizeBlocks - first);
        const sectors = await disk.read(first * 8, count * 8);
        check(Array.isArray(sectors), `${name} can be read`);
        for (let i = 0; i < count; i++) {
          const found = (sectors as number[])[i * 8];
          const expected = content.get(first + i) ?? 0;
          const what = `block ${first + i} of ${name}`;
          check(found === expected, `${what} is ${found}, expected ${expected}`);
        }
      }
    }
  }

  /** Every snapshot, and what is published of every image, as an export reads them. */
  async checkStore(): Promise<void> {
    const { bench } = this;
    for (const image of this.life.engine.served()) await image.drain();
    const place = { store: STORE, directory: bench.directory };
    const opened = await openEmbeddedStore(
      bench.viewWorld,
      { ...place, diskName: POOL_DISK },
      null,
    );
    const nodesAndReads = {
      nodes: { address: 0, bytes: 64 * 4096 },
      reads: { address: 64 * 4096, bytes: 8 * 4096 },
    };
    const view = new StoreView(bench.viewWorld, { ...place, ...nodesAndReads }, opened);
    const names = (await view.images.registry.list()).map(({ name }) => name);
    check(names.length === this.model.size, `images: ${names.join(' ')}`);
    for (const [name, model] of this.model) {
      const { vdi } = await view.images.registry.byName(name);
      const { image } = await view.images.read(vdi);
      await checkTree(view, image.root, image.mappedBlocks, model.content, name);
      const list = await view.snapshots(image);
      const there = list.records.filter(({ deleted }) => !deleted);
      check(there.length === model.snapshots.size, `${name} has ${there.length} snapshots`);
      for (const [snapshot, expected] of model.snapshots) {
        const record = requireSnapshot(list, name, snapshot);
        const { root, mappedBlocks, sizeBlocks } = record;
        check(sizeBlocks === expected.sizeBlocks, `size of ${name}@${snapshot}`);
        await checkTree(view, root, mappedBlocks, expected.content, `${name}@${snapshot}`);
      }
    }
    await this.#checkSharing(view);
    await view.close();
  }

  /** What an image takes for its own, by its birth, no other image or snapshot has. */
  async #checkSharing(view: StoreView): Promise<void> {
    const users = new Map<number, number>();
    const own: [name: string, block: number][] = [];
    for (const { vdi, name } of await view.images.registry.list()) {
      const { image } = await view.images.read(vdi);
      const see = ({ block, birth }: NamedBlock, isImage: boolean): void => {
        check(birth <= image.birth, `birth ${birth} in ${name}, which is at ${image.birth}`);
        users.set(block, (users.get(block) ?? 0) + 1);
        if (isImage && birth === image.birth) own.push([name, block]);
      };
      const visitor = (isImage: boolean): TreeVisitor => ({
        node: (node) => see(node, isImage),
        data: (_, data) => see(data, isImage),
      });
      await walkTree(view.loader, image.root, visitor(true));
      for (const record of (await view.snapshots(image)).records) {
        await walkTree(view.loader, record.root, visitor(false));
      }
    }
    for (const [name, block] of own) {
      check(users.get(block) === 1, `${name} takes block ${block} for its own, which others have`);
    }
  }

  async #write(name: string, image: ModelImage): Promise<void> {
    const disk = await this.life.image(name);
    const writes: Promise<unknown>[] = [];
    const first = this.#random.below(image.sizeBlocks);
    const count = 1 + this.#random.below(Math.min(12, image.sizeBlocks - first));
    for (let i = 0; i < count; i++) {
      this.#fill = (this.#fill % 250) + 1;
      image.content.set(first + i, this.#fill);
      writes.push(disk.write((first + i) * 8, 8, this.#fill));
    }
    this.steps.push(`write ${name} ${first}+${count}`);
    await Promise.all(writes);
  }

  async #discard(name: string, image: ModelImage): Promise<void> {
    const first = this.#random.below(image.sizeBlocks);
    const count = 1 + this.#random.below(Math.min(200, image.sizeBlocks - first));
    for (let block = first; block < first + count; block++) image.content.delete(block);
    this.steps.push(`discard ${name} ${first}+${count}`);
    await (await this.life.image(name)).discard(first * 8, count * 8);
  }

  async #snapshot(name: string, image: ModelImage): Promise<void> {
    const snapshot = `s${++this.#names}`;
    this.steps.push(`snapshot ${name}@${snapshot}`);
    const { content, sizeBlocks } = image;
    image.snapshots.set(snapshot, { content: new Map(content), sizeBlocks });
    const disk = await this.life.image(name);
    await disk.served.snapshot(snapshot, this.#random.below(2) === 0);
  }

  async #clone(name: string, image: ModelImage, snapshot: string): Promise<void> {
    const clone = `i${++this.#names}`;
    this.steps.push(`clone ${name}@${snapshot} ${clone}`);
    const { served } = await this.life.image(name);
    await served.drain();
    const record = requireSnapshot(await served.snapshots(), name, snapshot);
    const { sizeBlocks } = record;
    const spec = { name: clone, sizeBlocks, policy: Policy.w2, host: 'h0' };
    await this.life.engine.images.clone(served.vdi.id, record, spec);
    const { content } = image.snapshots.get(snapshot) as ModelSnapshot;
    this.model.set(clone, { content: new Map(content), sizeBlocks, snapshots: new Map() });
  }

  async #deleteSnapshot(name: string, snapshot: string): Promise<void> {
    this.steps.push(`rm ${name}@${snapshot}`);
    const { served } = await this.life.image(name);
    await served.drain();
    await served.deleteSnapshot(requireSnapshot(await served.snapshots(), name, snapshot).id);
    this.model.get(name)?.snapshots.delete(snapshot);
  }

  async #renameSnapshot(name: string, snapshot: string): Promise<void> {
    const to = `r${++this.#names}`;
    this.steps.push(`rename ${name}@${snapshot} ${to}`);
    const { served } = await this.life.image(name);
    await served.drain();
    await served.renameSnapshot(requireSnapshot(await served.snapshots(), name, snapshot).id, to);
    const snapshots = this.model.get(name)?.snapshots;
    const kept = snapshots?.get(snapshot) as ModelSnapshot;
    snapshots?.delete(snapshot);
    snapshots?.set(to, kept);
  }

  async #resize(name: string, image: ModelImage): Promise<void> {
    const sizeBlocks = 1 + this.#random.below(2 * BLOCKS);
    this.steps.push(`resize ${name} ${sizeBlocks}`);
    const { served } = await this.life.image(name);
    await served.resize(sizeBlocks * 8);
    image.sizeBlocks = sizeBlocks;
    for (const block of image.content.keys()) {
      if (block >= sizeBlocks) image.content.delete(block);
    }
  }

  async #remove(name: string): Promise<void> {
    this.steps.push(`rm ${name}`);
    await this.life.engine.remove(name);
    this.model.delete(name);
  }

  async #restart(kill: boolean): Promise<void> {
    this.steps.push(kill ? 'kill' : 'power cut');
    if (kill) await this.bench.kill(this.life);
    else await this.bench.powerCut(this.life);
    this.#life = await this.bench.start();
  }
}

async function checkTree(
  view: StoreView,
  root: TreeRoot,
  mappedBlocks: number,
  expected: Content,
  what: string,
): Promise<void> {
  const found: Content = new Map();
  const sink = (first: number, blocks: number, bytes: Uint8Array, at: number): Promise<void> => {
    for (let i = 0; i < blocks; i++) found.set(first + i, bytes[at + i * 4096] as number);
    return Promise.resolve();
  };
  const copied = await copyOut(view, root, sink, { cancelled: false });
  check(copied === mappedBlocks, `${what} says ${mappedBlocks} blocks, and has ${copied}`);
  check(found.size === expected.size, `${what} has ${found.size} blocks of ${expected.size}`);
  for (const [block, fill] of expected) {
    check(found.get(block) === fill, `block ${block} of ${what} is ${found.get(block)}`);
  }
}

for (let seed = 1; seed <= 10; seed++) {
  test(`images, snapshots and clones hold what a model holds, whatever is deleted: seed ${seed}`, async (t) => {
    const history = new History(seed);
    await history.bench.run(async () => {
      await history.begin();
      try {
        for (let step = 0; step < 60; step++) {
          await history.step();
          await history.checkImages();
          if (step % 10 === 9) await history.checkStore();
        }
      } catch (thrown) {
        const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
        throw new Error(`seed ${seed}: ${text}\n${history.steps.join('\n')}`, { cause: thrown });
      }
    });
    t.true(history.steps.length > 40);
  });
}
