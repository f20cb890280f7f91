/** `stordom vdi` commands that make, change and remove images and snapshots. */
import { type Command, Option } from 'commander';
import { UsageError } from '../base/errors.ts';
import { formatBytesExact } from '../base/format-units.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../base/units.ts';
import { HiddenKind, type RootBlock } from '../parallax/formats/root-block.ts';
import type { SnapshotRecord } from '../parallax/formats/snapshot-record.ts';
import { checkImageSize } from '../parallax/store/images.ts';
import { requireFreeSnapshotName, requireSnapshot } from '../parallax/store/store-view.ts';
import { clausesOf, type Policy, parsePolicy } from '../parallax/vdi/policy.ts';
import { EXTENT_BLOCKS } from '../world/block-pool.ts';
import { addExamples } from './flags.ts';
import { DEFAULT_HOST } from './store-folder.ts';
import {
  addPetalFlag,
  createStoreIn,
  DEFAULT_SIZES_TEXT,
  type MakingFlags,
  openOrCreate,
} from './store-making.ts';
import {
  checkSnapshotName,
  parseImage,
  parseTarget,
  policyOption,
  readHost,
  readSize,
} from './vdi-names.ts';
import { addVdiFlags, type VdiFlags, VdiSession } from './vdi-session.ts';

export function addChangeCommands(vdi: Command): void {
  addInit(vdi);
  addCreate(vdi);
  addSnapshot(vdi);
  addClone(vdi);
  addRename(vdi);
  addRemove(vdi);
  addResize(vdi);
  addPolicy(vdi);
  addAcceptLoss(vdi);
}

function addInit(vdi: Command): void {
  const command = vdi
    .command('init')
    .description('make a store in a folder')
    .addOption(
      new Option('--size <size>', 'space of its pool; the file is sparse and grows as it is used')
        .argParser(readSize('--size', EXTENT_BLOCKS * PAGE_BYTES))
        .default(undefined, DEFAULT_SIZES_TEXT),
    );
  addVdiFlags(addPetalFlag(command)).action(init);
  addExamples(
    command,
    'stordom vdi init --store first-store',
    'stordom vdi init --store small-store --size 4g',
  );
}

interface InitFlags extends VdiFlags, MakingFlags {
  readonly size?: number;
}

async function init(flags: InitFlags): Promise<void> {
  await VdiSession.run(
    'stordom vdi init',
    flags,
    async (session) => {
      const { uuid, superblock } = await session.view();
      const { path: store, servers } = session.store;
      const sizeBytes = superblock.sizeBlocks * PAGE_BYTES;
      const where = servers === 0 ? '' : ` on ${servers} Petal servers`;
      const result = { store, uuid, sizeBytes, servers };
      session.tell(result, `${store}: a store of ${formatBytesExact(sizeBytes)}${where}`);
    },
    (user) => createStoreIn(flags, user, flags.size),
  );
}

interface CreateFlags extends VdiFlags, MakingFlags {
  readonly size: number;
  readonly policy: Policy;
  readonly host: string;
}

function addCreate(vdi: Command): void {
  const command = vdi
    .command('create')
    .description('make an image of zeros; makes the store too if the folder is new or empty')
    .argument('<name>', 'of the image')
    .requiredOption('--size <size>', 'of the image, up to 16t', readSize('--size'))
    .addOption(policyOption('what an acknowledgement means: W0 to W5'))
    .option('--host <host>', 'the host that serves it', readHost, DEFAULT_HOST);
  addVdiFlags(addPetalFlag(command)).action(create);
  addExamples(
    command,
    'stordom vdi create mail --store my-store --size 10g',
    'stordom vdi create scratch --store my-store --size 1t --policy W3',
  );
}

async function create(given: string, flags: CreateFlags): Promise<void> {
  const name = parseImage(given);
  checkImageSize(flags.size / PAGE_BYTES);
  await VdiSession.run(
    'stordom vdi create',
    flags,
    async (session) => {
      const { size, policy, host } = flags;
      await session.claim();
      const { images } = await session.view();
      const sizeBlocks = size / PAGE_BYTES;
      const { vdi } = await images.create({ name, sizeBlocks, policy, host });
      const policyName = clausesOf(policy).name;
      const result = { image: name, vdi, sizeBytes: size, policy: policyName, host };
      session.tell(result, `${name}: created, ${formatBytesExact(size)}, ${policyName}`);
    },
    (user) => openOrCreate(flags, user),
  );
}

function addSnapshot(vdi: Command): void {
  const command = vdi
    .command('snapshot')
    .description('take a snapshot of an image; takes as long for a large image as for a small one')
    .argument('<name>', 'of the image')
    .argument('<snapshot>', 'name of the snapshot')
    .option('--template', 'made to be cloned: vdi rm asks for --force', false);
  addVdiFlags(command).action(snapshot);
  addExamples(
    command,
    'stordom vdi snapshot disk before-upgrade --store my-store',
    'stordom vdi snapshot disk golden --template --store my-store',
  );
}

async function snapshot(
  given: string,
  snap: string,
  flags: VdiFlags & { readonly template: boolean },
): Promise<void> {
  const name = parseImage(given);
  checkSnapshotName(snap);
  await VdiSession.run('stordom vdi snapshot', flags, async (session) => {
    const id = await session.withImage(name, async (image) => {
      requireFreeSnapshotName(await image.snapshots(), name, snap);
      const taken = await image.snapshot(snap, false);
      if (flags.template) await image.setTemplate(taken, true);
      return taken;
    });
    const result = { image: name, snapshot: snap, id, template: flags.template };
    session.tell(result, `${name}@${snap}: taken${flags.template ? ', a template' : ''}`);
  });
}

function addClone(vdi: Command): void {
  const command = vdi
    .command('clone')
    .description('make an image that begins as a snapshot; nothing is copied')
    .argument('<snapshot>', 'as NAME@SNAPSHOT')
    .argument('<new>', 'name of the new image')
    .option('--policy <policy>', 'of the new image (default: that of the source)', parsePolicy)
    .option('--host <host>', 'the host that serves it (default: that of the source)', readHost);
  addVdiFlags(command).action(clone);
  addExamples(
    command,
    'stordom vdi clone disk@first copy --store my-store',
    'stordom vdi clone disk@first test-copy --policy W5 --store my-store',
  );
}

async function clone(
  given: string,
  to: string,
  flags: VdiFlags & { readonly policy?: Policy; readonly host?: string },
): Promise<void> {
  const { image, snapshot: snap } = parseTarget(given);
  const name = parseImage(to);
  if (snap === null)
    throw notASnapshot(given, `take one first: stordom vdi snapshot ${image} NAME`);
  await VdiSession.run('stordom vdi clone', flags, async (session) => {
    await session.claim();
    const source = await session.require(image);
    await session.recover(source);
    const view = await session.view();
    const published = await view.images.read(source.vdi);
    const record = requireSnapshot(await view.snapshots(published.image), image, snap);
    const policy = flags.policy ?? (published.image.policy as Policy);
    const host = flags.host ?? source.host;
    const { sizeBlocks } = record;
    const { vdi } = await view.images.clone(source.vdi, record, { name, sizeBlocks, policy, host });
    const result = { image: name, vdi, origin: given, sizeBytes: sizeBlocks * PAGE_BYTES };
    session.tell(result, `${name}: a clone of ${given}`);
  });
}

function addRename(vdi: Command): void {
  const command = vdi
    .command('rename')
    .description('give an image, or a snapshot, another name')
    .argument('<name>', 'as NAME or NAME@SNAPSHOT')
    .argument('<new>', 'the new name; of a snapshot without its image');
  addVdiFlags(command).action(rename);
  addExamples(
    command,
    'stordom vdi rename mail post --store my-store',
    'stordom vdi rename disk@second latest --store my-store',
  );
}

async function rename(given: string, to: string, flags: VdiFlags): Promise<void> {
  const { image: name, snapshot: snap } = parseTarget(given);
  if (snap === null) parseImage(to);
  else checkSnapshotName(to);
  await VdiSession.run('stordom vdi rename', flags, async (session) => {
    if (snap === null) {
      await session.claim();
      const { images } = await session.view();
      await images.registry.rename(name, to);
    } else {
      await session.withImage(name, async (image) => {
        const list = await image.snapshots();
        const { id } = requireSnapshot(list, name, snap);
        requireFreeSnapshotName(list, name, to);
        await image.renameSnapshot(id, to);
      });
    }
    const now = snap === null ? to : `${name}@${to}`;
    session.tell({ renamed: given, to: now }, `${given}: ${now} from now on`);
  });
}

function addRemove(vdi: Command): void {
  const command = vdi
    .command('rm')
    .description('remove an image with its snapshots, or one snapshot; clones keep what they have')
    .argument('<name>', 'as NAME or NAME@SNAPSHOT')
    .option('--force', 'also a template, or an image that a lost host has a part of', false);
  addVdiFlags(command).action(remove);
  addExamples(
    command,
    'stordom vdi rm old-disk --store my-store',
    'stordom vdi rm disk@first --store my-store',
  );
}

async function remove(given: string, flags: VdiFlags & { readonly force: boolean }): Promise<void> {
  const { image: name, snapshot: snap } = parseTarget(given);
  await VdiSession.run('stordom vdi rm', flags, async (session) => {
    if (snap !== null) {
      await session.withImage(name, async (image) => {
        const record = requireSnapshot(await image.snapshots(), name, snap);
        requireForce([record], name, flags.force);
        await image.deleteSnapshot(record.id);
      });
      session.tell({ removed: given, snapshots: 1 }, `${given}: removed`);
      return;
    }
    await session.claim();
    const source = await session.require(name);
    const view = await session.view();
    const read = await view.images.read(source.vdi).catch(() => null);
    const records = read === null ? [] : (await view.snapshots(read.image)).records;
    const snapshots = records.filter(({ deleted }) => !deleted);
    requireForce(snapshots, name, flags.force);
    if (read !== null && !flags.force) requireNoPin(name, read.image);
    await session.withEngine(source.host, ({ engine }) => engine.remove(name));
    const count = snapshots.length;
    const also = count === 0 ? '' : ` with ${count} snapshot${count === 1 ? '' : 's'}`;
    session.tell({ removed: given, snapshots: count }, `${given}: removed${also}`);
  });
}

function requireForce(snapshots: readonly SnapshotRecord[], image: string, force: boolean): void {
  const templates = snapshots.filter(({ template }) => template).map(({ name }) => name);
  if (force || templates.length === 0) return;
  throw new UsageError(
    'E_TEMPLATE',
    `${image}: ${templates.join(', ')} is a template, made to be cloned; add --force to remove it`,
    { fields: { image, templates: templates.join(' ') } },
  );
}

/** With the image its pin goes, and then what a lost host has beyond it belongs to nothing. */
function requireNoPin(name: string, { hidden }: RootBlock): void {
  if (hidden?.kind !== HiddenKind.takeOverPin) return;
  throw new UsageError(
    'E_IMAGE_PINNED',
    `${name} was taken over from a host that was lost, and what that one had acknowledged beyond ` +
      'it is not settled: stordom vdi orphan ls shows it, orphan keep or drop settles it; or add ' +
      '--force to remove the image all the same',
    { fields: { image: name, generation: hidden.generation } },
  );
}

interface ResizeFlags extends VdiFlags {
  readonly size: number;
  readonly shrink: boolean;
}

function addResize(vdi: Command): void {
  const command = vdi
    .command('resize')
    .description('give an image another size')
    .argument('<name>', 'of the image')
    .requiredOption('--size <size>', 'the new size', readSize('--size'))
    .option('--shrink', 'a smaller size is meant: what lies beyond it is lost', false);
  addVdiFlags(command).action(resize);
  addExamples(
    command,
    'stordom vdi resize disk --size 2g --store my-store',
    'stordom vdi resize disk --size 64m --shrink --store my-store',
  );
}

async function resize(given: string, flags: ResizeFlags): Promise<void> {
  const name = parseImage(given);
  const { size, shrink } = flags;
  checkImageSize(size / PAGE_BYTES);
  await VdiSession.run('stordom vdi resize', flags, async (session) => {
    const before = await session.withImage(name, async (image) => {
      const { sizeBytes } = image.status();
      if (size < sizeBytes && !shrink) throw wouldShrink(name, sizeBytes, size);
      await image.resize(size / SECTOR_BYTES);
      return sizeBytes;
    });
    const text = `${name}: ${formatBytesExact(size)}, before ${formatBytesExact(before)}`;
    session.tell({ image: name, sizeBytes: size, sizeBytesBefore: before }, text);
  });
}

export function wouldShrink(image: string, sizeBytes: number, wanted: number): UsageError {
  const [now, then] = [formatBytesExact(sizeBytes), formatBytesExact(wanted)];
  return new UsageError(
    'E_SHRINK',
    `--size: ${image} has ${now}, and what lies beyond ${then} would be lost; add --shrink if ` +
      'that is meant, and take a snapshot before',
    { fields: { image, sizeBytes, wanted } },
  );
}

function addPolicy(vdi: Command): void {
  const command = vdi
    .command('policy')
    .description('change what an acknowledgement of a write means')
    .argument('<name>', 'of the image')
    .argument('<policy>', 'W0 write-through, W1 pool-flush, W2 ordered, W3 barrier, W4, W5 unsafe');
  addVdiFlags(command).action(setPolicy);
  addExamples(
    command,
    'stordom vdi policy disk W1 --store my-store',
    'stordom vdi policy disk W2 --json --store my-store',
  );
}

async function setPolicy(given: string, text: string, flags: VdiFlags): Promise<void> {
  const name = parseImage(given);
  const policy = parsePolicy(text);
  const now = clausesOf(policy).name;
  await VdiSession.run('stordom vdi policy', flags, async (session) => {
    const before = await session.withImage(name, async (image) => {
      const was = image.vdi.clauses.name;
      await image.setPolicy(policy);
      return was;
    });
    session.tell({ image: name, policy: now, before }, `${name}: ${now}, before ${before}`);
  });
}

function addAcceptLoss(vdi: Command): void {
  const command = vdi
    .command('accept-loss')
    .description('let damaged images serve again with what is there; what is lost is lost then')
    .argument('<names...>', 'of all images that the damage hit: they share one log');
  addVdiFlags(command).action(acceptLoss);
  addExamples(
    command,
    'stordom vdi accept-loss broken --store my-store',
    'stordom vdi accept-loss left right --store my-store',
  );
}

async function acceptLoss(given: readonly string[], flags: VdiFlags): Promise<void> {
  const names = given.map(parseImage);
  await VdiSession.run('stordom vdi accept-loss', flags, async (session) => {
    const images = await Promise.all(names.map((name) => session.require(name)));
    const host = images[0]?.host ?? '';
    const other = images.find((image) => image.host !== host);
    if (other !== undefined) {
      const text = `${names[0]} and ${other.name} are of different hosts: accept them one by one`;
      throw new UsageError('E_ACCEPT_HOSTS', text);
    }
    await session.withEngine(host, async ({ engine }) => {
      const hit = engine.served().filter(({ vdi }) => isLost(vdi.state));
      const hitNames = hit.map(({ vdi }) => vdi.name);
      requireSame(names, hitNames);
      engine.acceptLoss();
      for (const image of hit) await image.drain();
    });
    session.tell({ accepted: names }, `${names.join(', ')}: the loss is accepted`);
  });
}

function isLost(state: string): boolean {
  return state === 'damaged' || state === 'lost';
}

function requireSame(given: readonly string[], hit: readonly string[]): void {
  const whole = given.find((name) => !hit.includes(name));
  if (whole !== undefined) {
    const text = `${whole} has lost nothing: there is nothing to accept`;
    throw new UsageError('E_NOTHING_LOST', text, { fields: { image: whole } });
  }
  if (hit.every((name) => given.includes(name))) return;
  throw new UsageError(
    'E_ACCEPT_ALL',
    `the same damage has hit ${hit.join(', ')}: name all of them, or restore the log's files`,
    { fields: { hit: hit.join(' ') } },
  );
}

function notASnapshot(given: string, remedy: string): UsageError {
  return new UsageError(
    'E_SNAPSHOT_NAME',
    `"${given}" names an image, expected a snapshot as NAME@SNAPSHOT; ${remedy}`,
    { fields: { given } },
  );
}
