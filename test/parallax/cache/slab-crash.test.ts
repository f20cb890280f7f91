/**
 * The clean slab under a driver VM that dies and a host that loses power, over a pool whose VDIs go
 * on elsewhere. What it says is compared with the truth at every read.
 */
import test from 'ava';
import { Prng } from '../../../src/base/prng.ts';
import { type CleanSlab, MAPPED, MISS } from '../../../src/parallax/cache/clean-slab.ts';
import { SlabStatus } from '../../../src/parallax/cache/slab-io.ts';
import type { RootIdentity } from '../../../src/parallax/formats/slab-table.ts';
import type { World } from '../../../src/world/world.ts';
import { scripted } from '../../world/sim/helper-actors.ts';
import {
  crcOf,
  DATA_ADDRESS,
  fill,
  holds,
  OTHER_ADDRESS,
  openSlab,
  PoolTruth,
  readAsync,
  SLAB_FILE,
  type SlabStage,
  slabStage,
} from './slab-bench.ts';

const VDIS = 3;
const BLOCKS = 24;
const SLOTS = 60;
const LIVES = 6;

interface Seen {
  hits: number;
  mapped: number;
  mismatched: number;
  kept: number;
  dropped: number;
  afterRestart: number;
  damaged: number;
  disabled: number;
}

/** A driver VM that reads and publishes by draw, and compares what the slab says with the truth. */
class Life {
  readonly #world: World;
  readonly #truth: PoolTruth;
  readonly #random: Prng;
  readonly #seen: Seen;
  readonly #trustAll: boolean;

  constructor(world: World, truth: PoolTruth, random: Prng, seen: Seen, trustAll: boolean) {
    this.#world = world;
    this.#truth = truth;
    this.#random = random;
    this.#seen = seen;
    this.#trustAll = trustAll;
  }

  async live(steps: number, former: ReadonlyMap<number, RootIdentity>): Promise<void> {
    const options = { checkpointNs: 300_000, readNowPerStep: 1000 };
    const slab = await openSlab(this.#world, options);
    const { damagedTableBlocks, damagedSuperblocks, disabled } = slab.stats();
    this.#seen.damaged += damagedTableBlocks + damagedSuperblocks;
    if (disabled !== null) this.#seen.disabled++;
    for (const [vdi, root] of this.#truth.roots) {
      // The planted bug takes the links for true whatever the root is now.
      const said = this.#trustAll ? (former.get(vdi) ?? root) : root;
      if (slab.openVdi(vdi, said)) this.#seen.kept++;
      else this.#seen.dropped++;
      this.#raiseGeneration(slab, vdi, root);
    }
    for (let step = 0; step < steps; step++) {
      if (this.#random.chance(0.9)) await this.#read(slab, step < BLOCKS);
      else await this.#publish(slab);
      if (this.#random.chance(0.2)) await this.#world.timers.sleep(this.#random.below(200_000));
    }
    if (this.#random.chance(0.5)) await slab.close();
    this.#seen.mismatched += slab.stats().mismatched;
  }

  #raiseGeneration(slab: CleanSlab, vdi: number, root: RootIdentity): void {
    const raised = { ...root, generation: root.generation + 1 };
    this.#truth.roots.set(vdi, raised);
    slab.published(vdi, raised);
  }

  async #read(slab: CleanSlab, early: boolean): Promise<void> {
    const vdi = this.#random.between(1, VDIS);
    const block = this.#random.below(BLOCKS);
    const at = this.#truth.vdis.get(vdi)?.get(block) ?? 0;
    const content = this.#truth.content.get(at) ?? 0;
    const edition = slab.edition;
    slab.beginStep();
    const found = slab.lookup(vdi, block);
    const place = `VDI ${vdi} block ${block}`;
    if (found === MISS) {
      if (at > 0) await this.#walk(slab, vdi, block, at, content, edition);
      return;
    }
    const wrong = slab.mappedBlock !== at || slab.mappedCrc !== crcOf(this.#world, content);
    if (wrong) throw new Error(`${place} is at ${at}, and the slab says ${slab.mappedBlock}`);
    if (found === MAPPED) {
      this.#seen.mapped++;
      this.#insert(slab, at, content, slab.linkOf(vdi, block));
      return;
    }
    this.#seen.hits++;
    const status = this.#random.chance(0.5)
      ? slab.readNow(found, OTHER_ADDRESS)
      : await readAsync(slab, found, OTHER_ADDRESS);
    if (status !== SlabStatus.ok) return;
    if (early) this.#seen.afterRestart++;
    if (!holds(this.#world, OTHER_ADDRESS, content)) throw new Error(`${place} has wrong data`);
  }

  /** A read that walks the tree, in which time the VDI may be published anew. */
  async #walk(
    slab: CleanSlab,
    vdi: number,
    block: number,
    at: number,
    content: number,
    edition: number,
  ): Promise<void> {
    if (this.#random.chance(0.3)) await this.#publish(slab);
    const found = slab.findBlock(at, crcOf(this.#world, content));
    slab.learn(vdi, block, at, crcOf(this.#world, content), edition);
    if (found === MISS) return this.#insert(slab, at, content, slab.linkOf(vdi, block));
    slab.beginStep();
    if (slab.readNow(found, OTHER_ADDRESS) !== SlabStatus.ok) return;
    if (!holds(this.#world, OTHER_ADDRESS, content)) throw new Error(`block ${at} has wrong data`);
  }

  #insert(slab: CleanSlab, at: number, content: number, link: number): void {
    fill(this.#world, DATA_ADDRESS, content);
    slab.insert(at, crcOf(this.#world, content), DATA_ADDRESS, link);
  }

  async #publish(slab: CleanSlab): Promise<void> {
    const vdi = this.#random.between(1, VDIS);
    const changes = this.#truth.publish(vdi, BLOCKS);
    for (const [block, at] of changes) {
      const crc = crcOf(this.#world, this.#truth.content.get(at) ?? 0);
      if (at === 0) slab.forget(vdi, block);
      else slab.remap(vdi, block, at, crc);
      // Others may go on in the middle, and the driver VM may die there.
      if (this.#random.chance(0.2)) await this.#world.timers.sleep(this.#random.below(50_000));
    }
    slab.published(vdi, this.#truth.roots.get(vdi) as RootIdentity);
  }
}

function rot(stage: SlabStage, random: Prng): void {
  const medium = stage.host.disk(SLAB_FILE);
  const blocks = 3 + SLOTS;
  for (let flips = random.below(4); flips > 0; flips--) {
    medium.rot(random.below(blocks) * 4096, 4096);
  }
}

async function liveAndDie(seed: number, seen: Seen, trustAll: boolean): Promise<void> {
  const stage = slabStage(seed, SLOTS);
  const random = new Prng(seed, 'lives');
  const truth = new PoolTruth(seed, VDIS);
  for (let life = 0; life < LIVES; life++) {
    const former = new Map(truth.roots);
    for (let vdi = 1; vdi <= VDIS; vdi++) if (random.chance(0.3)) truth.takeOver(vdi, BLOCKS);
    const own = random.fork(`life ${life}`);
    const start = (world: World): Promise<void> =>
      new Life(world, truth, own, seen, trustAll).live(120, former);
    let over = false;
    const script = scripted((world) => ({
      start: () =>
        start(world).then(() => {
          over = true;
        }),
      finished: () => over,
    }));
    const handle = stage.sim.spawner(script).spawn({
      kind: 'driver-vm',
      name: 'vm',
      host: 'h0',
      bellAddress: 4096,
      links: [],
      config: null,
    });
    if (random.chance(0.4)) stage.sim.armKillAtEvent('vm', random.between(1, 500));
    else if (random.chance(0.3)) {
      const point = random.chance(0.5) ? 'slab.before-table' : 'slab.before-superblock';
      stage.sim.armCrashPoint('vm', point, random.between(1, 3));
    }
    let exited = false;
    void handle.exited.then(() => {
      exited = true;
    });
    await stage.sim.run({ until: () => exited, maxEvents: 500_000 });
    const [failure] = stage.sim.failures;
    if (failure !== undefined) throw new Error(`life ${life}: ${failure.error.message}`);
    if (!exited) throw new Error(`life ${life} does not end`);
    if (random.chance(0.5)) stage.host.powerCut();
    if (random.chance(0.3)) rot(stage, random);
  }
}

function nothingSeen(): Seen {
  return {
    hits: 0,
    mapped: 0,
    mismatched: 0,
    kept: 0,
    dropped: 0,
    afterRestart: 0,
    damaged: 0,
    disabled: 0,
  };
}

const SEEDS = 150;

test('whatever dies, tears and rots: the slab gives the newest published data, or none', async (t) => {
  const seen = nothingSeen();
  for (let seed = 1; seed <= SEEDS; seed++) {
    await liveAndDie(seed, seen, false).catch((thrown: unknown) => {
      throw new Error(`seed ${seed}: ${String(thrown)}`, { cause: thrown });
    });
  }
  t.log(JSON.stringify(seen));
  t.true(seen.hits > 50 * SEEDS && seen.afterRestart > 5 * SEEDS, JSON.stringify(seen));
  t.true(seen.mapped > SEEDS && seen.mismatched > SEEDS / 4, JSON.stringify(seen));
  t.true(seen.kept > SEEDS / 4 && seen.dropped > SEEDS, JSON.stringify(seen));
  t.true(seen.damaged > 10, JSON.stringify(seen));
  t.is(seen.disabled, 0);
});

test('a driver VM that trusts links whatever the root is would be caught', async (t) => {
  const seen = nothingSeen();
  let caught = 0;
  for (let seed = 1; seed <= 40; seed++) {
    await liveAndDie(seed, seen, true).catch((thrown: unknown) => {
      t.regex(String(thrown), /the slab says|wrong data/);
      caught++;
    });
  }
  t.log(JSON.stringify(seen));
  t.true(caught > 4, `${caught} of 40 seeds`);
});
