/** `stordom vdi export` and `stordom vdi import`: images from and to raw files. */
import { constants } from 'node:fs';
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import type { Command } from 'commander';
import { StorageError, UsageError } from '../base/errors.ts';
import { formatBytes, formatBytesExact } from '../base/format-units.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { copyOut } from '../parallax/store/copy-out.ts';
import { checkImageSize } from '../parallax/store/images.ts';
import { clausesOf, Policy } from '../parallax/vdi/policy.ts';
import { mustBeFree } from './files.ts';
import { addExamples } from './flags.ts';
import { copyIn, IMPORT_BUFFER_BYTES } from './import-copy.ts';
import { ProgressLine, progressBar } from './progress.ts';
import { DEFAULT_HOST } from './store-folder.ts';
import { addPetalFlag, type MakingFlags, openOrCreate } from './store-making.ts';
import { frozen } from './vdi-frozen.ts';
import { parseImage, parseTarget, policyOption, readHost } from './vdi-names.ts';
import { addVdiFlags, servingImage, type VdiFlags, VdiSession } from './vdi-session.ts';

export function addCopyCommands(vdi: Command): void {
  const exporting = vdi
    .command('export')
    .description('write an image, or a snapshot, to a raw file; what is not mapped is a hole')
    .argument('<name>', 'as NAME or NAME@SNAPSHOT')
    .argument('<file>', 'to write, which must not exist');
  addVdiFlags(exporting).action(exportImage);
  addExamples(
    exporting,
    'stordom vdi export disk disk.raw --store my-store',
    'stordom vdi export disk@first first.raw --store my-store',
  );
  const importing = vdi
    .command('import')
    .description('make an image from a raw file; blocks of zeros are not stored')
    .argument('<file>', 'to read')
    .argument('<name>', 'of the new image')
    .addOption(policyOption('of the image'))
    .option('--host <host>', 'the host that serves it', readHost, DEFAULT_HOST);
  addVdiFlags(addPetalFlag(importing)).action(importImage);
  addExamples(
    importing,
    'stordom vdi import disk.img imported --store my-store',
    'stordom vdi import disk.img other --policy W1 --store my-store',
  );
}

/**
 * The file has another name until it is whole, and appears under its own only if that is still
 * free: a file that is there is a whole export.
 */
async function exportImage(given: string, file: string, flags: VdiFlags): Promise<void> {
  const target = parseTarget(given);
  await mustBeFree(file);
  await VdiSession.run('stordom vdi export', flags, async (session) => {
    const { root, sizeBytes, mappedBlocks, watermark } = await frozen(session, target);
    const unfinished = `${file}.part-${process.pid}`;
    const out = await openNew(unfinished, file);
    try {
      const progress = new CopyProgress(`export ${given}`, mappedBlocks * PAGE_BYTES, flags.quiet);
      const blocks = await progress.during(async () => {
        const copied = await copyTo(session, root, out, progress);
        await out.truncate(sizeBytes);
        await out.sync();
        return copied;
      });
      await link(unfinished, file);
      const bytes = blocks * PAGE_BYTES;
      const result = { exported: given, file, sizeBytes, dataBytes: bytes, watermark };
      const size = formatBytesExact(sizeBytes);
      session.tell(result, `${file}: ${size} of ${given}, ${formatBytes(bytes)} of it data`);
    } catch (thrown) {
      throw fileError(thrown, file);
    } finally {
      await out.close();
      await unlink(unfinished);
    }
  });
}

async function copyTo(
  session: VdiSession,
  root: Parameters<typeof copyOut>[1],
  out: FileHandle,
  progress: CopyProgress,
): Promise<number> {
  const sink = async (
    first: number,
    blocks: number,
    bytes: Uint8Array,
    offset: number,
  ): Promise<void> => {
    const length = blocks * PAGE_BYTES;
    for (let done = 0; done < length; ) {
      const position = first * PAGE_BYTES + done;
      const { bytesWritten } = await out.write(bytes, offset + done, length - done, position);
      done += bytesWritten;
    }
    progress.doneBytes += length;
  };
  return copyOut(await session.view(), root, sink, session.cancel);
}

interface ImportFlags extends VdiFlags, MakingFlags {
  readonly policy: Policy;
  readonly host: string;
}

/** While an image is not whole its name says so; the next import of that name begins anew. */
const UNFINISHED = '.importing';
const NAME_CHARACTERS_MAX = 63;

/**
 * The image is filled under a policy without a log, so that its data goes to the pool at once and
 * only once, and gets its own policy and its name when all of it is published.
 */
async function importImage(file: string, given: string, flags: ImportFlags): Promise<void> {
  const name = parseImage(given);
  if (name.length + UNFINISHED.length > NAME_CHARACTERS_MAX) throw tooLong(name);
  const { handle, sizeBytes } = await openSource(file);
  try {
    await VdiSession.run(
      'stordom vdi import',
      flags,
      async (session) => {
        await session.claim();
        const dataBytes = await fill(session, name, flags, handle, sizeBytes);
        const policy = clausesOf(flags.policy).name;
        const { host } = flags;
        const result = { image: name, file, sizeBytes, dataBytes, policy, host };
        const size = formatBytesExact(sizeBytes);
        session.tell(result, `${name}: ${size} of ${file}, ${formatBytes(dataBytes)} of it data`);
      },
      (user) => openOrCreate(flags, user),
    );
  } finally {
    await handle.close();
  }
}

/** Bytes that were not zeros. */
async function fill(
  session: VdiSession,
  name: string,
  { policy, host, quiet }: ImportFlags,
  handle: FileHandle,
  sizeBytes: number,
): Promise<number> {
  const { images } = await session.view();
  const { registry } = images;
  if ((await registry.find(name)) !== null) {
    throw new UsageError('E_NAME_TAKEN', `there is an image "${name}" already`, {
      fields: { name },
    });
  }
  const unfinished = `${name}${UNFINISHED}`;
  const left = await registry.find(unfinished);
  if (left !== null) {
    session.note(`an import of ${name} did not end: it begins anew`);
    await session.withEngine(left.host, ({ engine }) => engine.remove(unfinished));
  }
  const sizeBlocks = Math.ceil(sizeBytes / PAGE_BYTES);
  await images.create({ name: unfinished, sizeBlocks, policy: Policy.w5, host });
  const progress = new CopyProgress(`import ${name}`, sizeBytes, quiet);
  const dataBytes = await progress.during(() =>
    session.withEngine(
      host,
      async (room) => {
        const image = await servingImage(room.engine, unfinished);
        const copied = await copyIn(handle, sizeBytes, image, room, (bytes) => {
          progress.doneBytes = bytes;
        });
        await image.drain();
        await image.setPolicy(policy);
        return copied;
      },
      IMPORT_BUFFER_BYTES,
    ),
  );
  await registry.rename(unfinished, name);
  return dataBytes;
}

/** A progress line of a copy. */
class CopyProgress {
  doneBytes = 0;
  readonly #line: ProgressLine;

  constructor(what: string, totalBytes: number, quiet: boolean) {
    this.#line = new ProgressLine(quiet, () => {
      const share = totalBytes === 0 ? 1 : this.doneBytes / totalBytes;
      const amount = `${formatBytes(this.doneBytes)} of ${formatBytes(totalBytes)}`;
      return `${what} ${progressBar(share)} ${amount}`;
    });
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#line.start();
    try {
      return await work();
    } finally {
      this.#line.stop();
    }
  }
}

async function openSource(file: string): Promise<{ handle: FileHandle; sizeBytes: number }> {
  const expected = 'expected a raw image as a regular file';
  let handle: FileHandle;
  try {
    // O_NONBLOCK: a named pipe that nobody writes must be refused, not wait for ever.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new UsageError('E_IMPORT_FILE', `${file}: cannot be opened (${code}); ${expected}`, {
      fields: { file },
      cause,
    });
  }
  try {
    const facts = await handle.stat();
    const why = facts.isFile() ? (facts.size === 0 ? 'is empty' : null) : 'is not a regular file';
    if (why !== null) {
      const text = `${file}: ${why}; ${expected} with something in it`;
      throw new UsageError('E_IMPORT_FILE', text, { fields: { file } });
    }
    checkImageSize(Math.ceil(facts.size / PAGE_BYTES));
    return { handle, sizeBytes: facts.size };
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
}

async function openNew(path: string, file: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new UsageError(
      'E_EXPORT_FILE',
      `${file}: cannot be written (${code}); expected a new file in a folder of yours`,
      { fields: { file }, cause },
    );
  }
}

/** What went wrong with the file itself, as a full disk. */
function fileError(thrown: unknown, file: string): unknown {
  const { code, syscall } = thrown as NodeJS.ErrnoException;
  if (thrown instanceof StorageError || syscall === undefined) return thrown;
  const text = `${file}: cannot be written (${code}); nothing is left of it`;
  return new StorageError('E_EXPORT_FILE', text, { fields: { file }, cause: thrown });
}

function tooLong(name: string): UsageError {
  const most = NAME_CHARACTERS_MAX - UNFINISHED.length;
  const text =
    `"${name}" is too long for an import, which has ${UNFINISHED} at the end of it until it is ` +
    `whole: expected at most ${most} characters; rename it after the import`;
  return new UsageError('E_IMAGE_NAME', text, { fields: { name } });
}
