/**
 * `stordom vdi takeover`: an image goes to another host, because its own is lost or is to be cut
 * off.
 *
 * Of a host that has ended and whose log is here everything is published first, and nothing is left
 * behind. Of one that is lost, or is not asked (`--force`), what it had acknowledged and not
 * published stays in its log; the pool does not know what that is. It is pinned, and becomes an
 * orphan if the log comes back.
 */
import type { Command } from 'commander';
import { StorageError, UsageError } from '../base/errors.ts';
import { formatBytes, formatCount } from '../base/format-units.ts';
import type { RootBlock } from '../parallax/formats/root-block.ts';
import type { UnpublishedLog } from '../parallax/log/look.ts';
import type { ImageName } from '../parallax/store/registry.ts';
import { addExamples } from './flags.ts';
import type { OwnerRecord } from './store-owner.ts';
import { parseImage, readHost } from './vdi-names.ts';
import { addVdiFlags, servingImage, type VdiFlags, VdiSession } from './vdi-session.ts';

interface TakeoverFlags extends VdiFlags {
  readonly to: string;
  readonly force: boolean;
}

export function addTakeoverCommand(vdi: Command): void {
  const command = vdi
    .command('takeover')
    .description('give an image to another host, also from one that is lost')
    .argument('<name>', 'of the image')
    .requiredOption('--to <host>', 'the host that serves it from now on', readHost)
    .option(
      '--force',
      'leave behind what its host has not published, even if that one lives',
      false,
    );
  addVdiFlags(command).action(takeover);
  addExamples(
    command,
    'stordom vdi takeover disk --to h5 --store my-store',
    'stordom vdi takeover stray --to h5 --force --store my-store',
  );
}

async function takeover(given: string, flags: TakeoverFlags): Promise<void> {
  const name = parseImage(given);
  await VdiSession.run('stordom vdi takeover', flags, async (session) => {
    const source = await session.require(name);
    const { to, force } = flags;
    if (source.host === to) {
      const text = `--to: ${name} is of host ${to} already; name another host`;
      throw new UsageError('E_IMAGE_HERE', text, { fields: { image: name, host: to } });
    }
    const owner = await session.owner();
    const lives = owner?.serves === true;
    if (lives && !force) throw alive(source, owner, await rootOf(session, source));
    if (!lives) await session.claim();
    const left = lives ? null : await settle(session, source, force);
    const before = await rootOf(session, source);
    if (before.open && before.hidden !== null) throw pinHeld(source, before);
    const generation = await session.withEngineBeside(to, async ({ engine }) => {
      return (await engine.takeOver(name)).vdi.image.generation;
    });
    const pinned = before.open ? before.generation : null;
    const { host: from } = source;
    const { vdiSeq: watermark } = before;
    const result = { image: name, from, to, generation, watermark, pinned, leftBehind: left };
    session.tell(result, `${name}: of host ${to} now; ${lossText(source, before, left)}`);
  });
}

async function rootOf(session: VdiSession, { vdi }: ImageName): Promise<RootBlock> {
  return (await (await session.view()).images.read(vdi)).image;
}

/**
 * Has everything published that the log of a stopped host has, if it is here and may be asked; what
 * of it is left behind otherwise. null: the log is not here.
 */
async function settle(
  session: VdiSession,
  source: ImageName,
  force: boolean,
): Promise<UnpublishedLog | null> {
  const { vdi, name, host } = source;
  if (!(await session.store.hosts()).includes(host)) return null;
  const root = await rootOf(session, source);
  if (!root.open) return { requests: 0, bytes: 0 };
  if ((await session.hostOfLog(root.logUuid)) !== host) return null;
  if (force) {
    const look = await session.lookAtLog(host);
    return look?.unpublished.get(vdi) ?? { requests: 0, bytes: 0 };
  }
  await session.withEngine(host, async ({ engine }) => {
    await (await servingImage(engine, name)).drain();
  });
  return { requests: 0, bytes: 0 };
}

function lossText(
  { host, name }: ImageName,
  { open, vdiSeq, generation }: RootBlock,
  left: UnpublishedLog | null,
): string {
  if (!open) return `everything that ${host || 'anybody'} had acknowledged is published`;
  const behind =
    left === null
      ? 'what it had acknowledged beyond that is not known to the pool'
      : `${formatCount(left.requests)} requests (${formatBytes(left.bytes)}) stay in its log`;
  return (
    `it has what ${host} had published, up to mutation ${vdiSeq}; ${behind}. When ${host} starts ` +
    `again with its log, that becomes ${name}.orphan-${generation}: see stordom vdi orphan ls`
  );
}

function alive(
  { name, host }: ImageName,
  { pid, command }: OwnerRecord,
  { vdiSeq }: RootBlock,
): UsageError {
  return new UsageError(
    'E_HOST_ALIVE',
    `${name} is of host ${host}, which lives: process ${pid} (${command}) serves this store. ` +
      `Its guests would get errors, and what it has acknowledged beyond mutation ${vdiSeq} would ` +
      'stay in its log; how much that is, its process alone knows. End it, and nothing is left ' +
      'behind; or add --force',
    { fields: { image: name, host, pid } },
  );
}

function pinHeld({ name }: ImageName, { hidden }: RootBlock): StorageError {
  return new UsageError(
    'E_PIN_HELD',
    `${name} still has pinned what it was in generation ${hidden?.generation}, when it was taken ` +
      'over before, and one thing can be pinned; claim or drop that first: stordom vdi orphan ls',
    { fields: { image: name, generation: hidden?.generation ?? 0 } },
  );
}
