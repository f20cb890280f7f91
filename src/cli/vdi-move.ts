/**
 * `stordom vdi move`: an image goes to another host by plan, with everything that its own had
 * acknowledged. What cannot be moved whole is not moved: `vdi takeover` takes what there is.
 */
import type { Command } from 'commander';
import { UsageError } from '../base/errors.ts';
import { formatBytes } from '../base/format-units.ts';
import type { Parallax } from '../parallax/engine.ts';
import type { ImageName } from '../parallax/store/registry.ts';
import { addExamples } from './flags.ts';
import { ProgressLine } from './progress.ts';
import { parseImage, readHost } from './vdi-names.ts';
import { addVdiFlags, servingImage, type VdiFlags, VdiSession } from './vdi-session.ts';

interface MoveFlags extends VdiFlags {
  readonly to: string;
}

export function addMoveCommand(vdi: Command): void {
  const command = vdi
    .command('move')
    .description('give an image to another host, with all that its own had acknowledged')
    .argument('<name>', 'of the image')
    .requiredOption('--to <host>', 'the host that serves it from now on', readHost);
  addVdiFlags(command).action(move);
  addExamples(
    command,
    'stordom vdi move disk --to h4 --store my-store',
    'stordom vdi move disk --to h6 --json --store my-store',
  );
}

async function move(given: string, flags: MoveFlags): Promise<void> {
  const name = parseImage(given);
  await VdiSession.run('stordom vdi move', flags, async (session) => {
    const source = await session.require(name);
    const { host: from } = source;
    const { to } = flags;
    if (from === to) throw alreadyThere(source);
    await session.claim();
    const { images } = await session.view();
    const { image: root } = await images.read(source.vdi);
    const logHost = root.open ? await session.hostOfLog(root.logUuid) : from;
    if (logHost !== from) throw logElsewhere(source, to);
    const published = await session.withEngine(from, ({ engine }) =>
      handOver(engine, source, flags),
    );
    const result = { image: name, from, to, publishedBytes: published };
    const first = published === 0 ? '' : `, of which ${formatBytes(published)} are published now`;
    session.tell(result, `${name}: of host ${to} now, with all that ${from} had${first}`);
  });
}

/** Bytes that had to be published first. */
async function handOver(
  engine: Parallax,
  { name }: ImageName,
  { to, quiet }: MoveFlags,
): Promise<number> {
  const image = await servingImage(engine, name);
  const dirtyBytes = (): number => image.status().dirtyBytes;
  const before = dirtyBytes();
  const line = new ProgressLine(quiet, () => `move ${name}: ${formatBytes(dirtyBytes())} left`);
  line.start();
  try {
    await engine.handOver(name, to);
  } finally {
    line.stop();
  }
  return before;
}

function alreadyThere({ name, host }: ImageName): UsageError {
  const text = `--to: ${name} is of host ${host} already; name another host`;
  return new UsageError('E_IMAGE_HERE', text, { fields: { image: name, host } });
}

function logElsewhere({ name, host }: ImageName, to: string): UsageError {
  return new UsageError(
    'E_LOG_ELSEWHERE',
    `the log of ${host} is not here, and ${name} was not closed: what it had acknowledged is not ` +
      'all published. Bring the disks of that host back; or go on with what is published, by ' +
      `stordom vdi takeover ${name} --to ${to}`,
    { fields: { image: name, host } },
  );
}
