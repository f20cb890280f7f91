/**
 * `stordom vdi orphan`: what take-overs have left behind. Each row is a pin: the root that a host
 * found when it took an image over, kept until the rest of the old host's log is claimed or
 * dropped.
 */
import type { Command } from 'commander';
import { StorageError, UsageError } from '../base/errors.ts';
import { HiddenKind } from '../parallax/formats/root-block.ts';
import type { Images, Pin } from '../parallax/store/images.ts';
import { findOrphan } from '../parallax/store/orphans.ts';
import type { ImageName } from '../parallax/store/registry.ts';
import { addExamples } from './flags.ts';
import { table } from './table.ts';
import { parseImage } from './vdi-names.ts';
import { addVdiFlags, type VdiFlags, VdiSession } from './vdi-session.ts';

interface OrphanReport {
  /** The image that was taken over. */
  readonly image: string;
  /** Of the life that was cut off. */
  readonly generation: number;
  /** Last mutation that was published then. */
  readonly watermark: number;
  /** The image that the suffix has become; null: it has not. */
  readonly orphan: string | null;
  /** Where the log is: of the orphan's host, or of one whose disks are here; null: nowhere. */
  readonly host: string | null;
}

export function addOrphanCommands(vdi: Command): void {
  const orphan = vdi
    .command('orphan')
    .description('what lost hosts had not published: list it, keep it as an image, drop it');
  const ls = orphan.command('ls').description('list what take-overs have pinned, and its orphans');
  addVdiFlags(ls).action(list);
  addExamples(
    ls,
    'stordom vdi orphan ls --store my-store',
    'stordom vdi orphan ls --store my-store --json',
  );
  const keep = orphan
    .command('keep')
    .description('make an orphan an ordinary image; what was pinned for it is let go')
    .argument('<name>', 'of the orphan, or of the image that was taken over')
    .option('--as <name>', 'its new name (default: it keeps the one that it has)');
  addVdiFlags(keep).action(keepOrphan);
  addExamples(
    keep,
    'stordom vdi orphan keep stray --as found --store my-store',
    'stordom vdi orphan keep lost.orphan-1 --store my-store',
  );
  const drop = orphan
    .command('drop')
    .description('remove an orphan, or what is pinned for one whose host never comes back')
    .argument('<name>', 'of the orphan, or of the image that was taken over');
  addVdiFlags(drop).action(dropOrphan);
  addExamples(
    drop,
    'stordom vdi orphan drop gone --store my-store',
    'stordom vdi orphan drop gone-too --store my-store --json',
  );
  addExamples(
    orphan,
    'stordom vdi orphan ls --store my-store',
    'stordom vdi orphan ls --store my-store --json',
  );
}

async function list(flags: VdiFlags): Promise<void> {
  await VdiSession.run('stordom vdi orphan ls', flags, async (session) => {
    const { images } = await session.view();
    const orphans: OrphanReport[] = [];
    for (const image of await images.registry.list()) {
      const pin = await pinOf(images, image);
      if (pin !== null) orphans.push(await reportOf(session, images, pin));
      // One whose pin is gone already: a claim of it was cut short.
      const alone = await withoutPin(images, image);
      if (alone !== null) orphans.push(alone);
    }
    if (flags.json) {
      process.stdout.write(`${JSON.stringify({ orphans })}\n`);
      return;
    }
    const rows = orphans.map((one) => [
      one.image,
      String(one.generation),
      String(one.watermark),
      one.orphan ?? '-',
      stateText(one),
    ]);
    const names = ['TAKEN OVER', 'GENERATION', 'WATERMARK', 'ORPHAN', 'WHAT CAME AFTER'];
    const none = 'nothing is pinned: no take-over has left anything behind\n';
    process.stdout.write(rows.length === 0 ? none : table(names, rows, 'lrrll'));
  });
}

function stateText({ orphan, host }: OrphanReport): string {
  if (orphan !== null) return `published by ${host}`;
  return host === null ? 'its log is not here' : `in the log of ${host}, if there is any`;
}

async function reportOf(session: VdiSession, images: Images, pin: Pin): Promise<OrphanReport> {
  const orphan = await findOrphan(images, pin);
  const { hidden, image } = pin;
  return {
    image: image.name,
    generation: hidden.generation,
    watermark: hidden.vdiSeq,
    orphan: orphan?.name ?? null,
    host: orphan?.host ?? (await session.hostOfLog(hidden.suffix.logUuid)),
  };
}

/** null: it is no orphan, or is told of with its pin. */
async function withoutPin(images: Images, image: ImageName): Promise<OrphanReport | null> {
  const root = (await images.read(image.vdi).catch(() => null))?.image ?? null;
  if (root?.hidden?.kind !== HiddenKind.orphanSuffix || root.origin === null) return null;
  const { generation, vdiSeq: watermark } = root.hidden;
  const origin = await images.registry.get(root.origin.vdi);
  const pin = origin === null ? null : await pinOf(images, origin);
  if (pin?.hidden.generation === generation) return null;
  const { name: orphan, host } = image;
  return { image: origin?.name ?? '-', generation, watermark, orphan, host };
}

async function keepOrphan(
  given: string,
  flags: VdiFlags & { readonly as?: string },
): Promise<void> {
  const name = parseImage(given);
  const to = flags.as === undefined ? null : parseImage(flags.as);
  await VdiSession.run('stordom vdi orphan keep', flags, async (session) => {
    await session.claim();
    const { images } = await session.view();
    if (to !== null && (await images.registry.find(to)) !== null) {
      const text = `--as: there is an image "${to}" already; name another one`;
      throw new UsageError('E_NAME_TAKEN', text, { fields: { name: to } });
    }
    const orphan = await requireOrphan(session, images, name);
    await session.withEngine(orphan.host, ({ engine }) => engine.keepOrphan(orphan.name));
    if (to !== null) await images.registry.rename(orphan.name, to);
    const kept = to ?? orphan.name;
    session.tell({ orphan: orphan.name, image: kept }, `${orphan.name}: kept, as ${kept}`);
  });
}

/** The orphan of that name or of the image of that name; made now, if its log is here. */
async function requireOrphan(
  session: VdiSession,
  images: Images,
  name: string,
): Promise<ImageName> {
  const image = await images.registry.byName(name);
  if (await isOrphan(images, image)) return image;
  const pin = await pinOf(images, image);
  if (pin === null) throw notAnOrphan(name);
  const known = await findOrphan(images, pin);
  if (known !== null) return known;
  const host = await session.hostOfLog(pin.hidden.suffix.logUuid);
  const { generation } = pin.hidden;
  if (host === null) {
    const text =
      `what ${name} was in generation ${generation} and after is not here: bring the ` +
      `disks of that host back, or give them up with stordom vdi orphan drop ${name}`;
    throw new UsageError('E_LOG_MISSING', text, { fields: { image: name, generation } });
  }
  await session.withEngine(host, () => Promise.resolve());
  const made = await findOrphan(images, pin);
  if (made !== null) return made;
  const text =
    `the log of ${host} has nothing of ${name} that is not published: there is nothing to keep; ` +
    `let it go with stordom vdi orphan drop ${name}`;
  throw new UsageError('E_NO_SUFFIX', text, { fields: { image: name, host } });
}

async function dropOrphan(given: string, flags: VdiFlags): Promise<void> {
  const name = parseImage(given);
  await VdiSession.run('stordom vdi orphan drop', flags, async (session) => {
    await session.claim();
    const { images } = await session.view();
    const image = await images.registry.byName(name);
    const pin = await pinOf(images, image);
    const orphan = (await isOrphan(images, image))
      ? image
      : pin === null
        ? null
        : await findOrphan(images, pin);
    if (orphan !== null) {
      await session.withEngine(orphan.host, ({ engine }) => engine.remove(orphan.name));
      session.tell({ dropped: orphan.name }, `${orphan.name}: dropped, and nothing is pinned`);
      return;
    }
    if (pin === null) throw notAnOrphan(name);
    const { generation } = pin.hidden;
    await images.releasePin(image.vdi, generation);
    const text = `${name}: nothing of generation ${generation} is pinned any more`;
    session.tell({ dropped: null, image: name, generation }, text);
  });
}

/** null also of an image whose root cannot be read: what it has pinned is not known. */
function pinOf(images: Images, image: ImageName): Promise<Pin | null> {
  return images.pinOf(image).catch((thrown: unknown) => {
    if (thrown instanceof StorageError && thrown.code !== 'E_DIRECTORY') return null;
    throw thrown;
  });
}

async function isOrphan(images: Images, { vdi }: ImageName): Promise<boolean> {
  return (await images.read(vdi)).image.hidden?.kind === HiddenKind.orphanSuffix;
}

function notAnOrphan(name: string): UsageError {
  return new UsageError(
    'E_NO_ORPHAN',
    `${name} is no orphan, and nothing is pinned in it: expected a name from stordom vdi orphan ls`,
    { fields: { image: name } },
  );
}
