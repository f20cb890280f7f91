/**
 * What the `vdi` commands share: the store they work on, whether they may change it, and how they
 * say what they have done.
 *
 * Commands that look work beside whoever serves the store. Commands that change it claim it first;
 * those that change what an image holds start Parallax as the host that the image belongs to.
 */
import type { Command } from 'commander';
import { StorageError } from '../base/errors.ts';
import type { Parallax } from '../parallax/engine.ts';
import type { LogEntry } from '../parallax/formats/log-group.ts';
import { HiddenKind, type RootBlock } from '../parallax/formats/root-block.ts';
import { readLogIdentity } from '../parallax/log/log-identity.ts';
import { type EntryPlace, type LogLook, lookAtLog } from '../parallax/log/look.ts';
import { isOfSuffix } from '../parallax/store/orphans.ts';
import type { ImageName } from '../parallax/store/registry.ts';
import type { StoreView } from '../parallax/store/store-view.ts';
import type { CancelToken } from '../parallax/tree/story-nodes.ts';
import type { ServedImage } from '../parallax/vdi/served-image.ts';
import { DEFAULT_SIZES } from '../parallax/vdi/sizes.ts';
import { createHostMemory } from '../world/real/wasm-memory.ts';
import { Interrupted } from './exit.ts';
import { untilInterrupted } from './interrupt.ts';
import { type EngineRoom, unlessInterrupted, withEngine } from './store-engine.ts';
import { DEFAULT_HOST, STORE_NAME, StoreFolder, type StoreUser } from './store-folder.ts';
import { type OwnerRecord, StoreOwner } from './store-owner.ts';

export interface VdiFlags {
  readonly store: string;
  readonly json: boolean;
  readonly quiet: boolean;
}

/** How long a command waits for another one that has the store. */
const PATIENCE_MS = 10_000;
const LOOK_MEMORY_BYTES = 65_536;

/** Adds `--store --json --quiet`. */
export function addVdiFlags(command: Command): Command {
  return command
    .requiredOption('--store <dir>', 'folder of the store')
    .option('--json', 'print the result as JSON on stdout, and nothing else there', false)
    .option('--quiet', 'print nothing but errors and what was asked for', false);
}

/** A store that may be looked at, and changed if it was claimed. */
export class VdiSession {
  readonly store: StoreFolder;
  readonly flags: VdiFlags;
  readonly signal: AbortSignal;
  #view: Promise<StoreView> | null = null;
  #owner: StoreOwner | null = null;
  readonly #command: string;

  /** Runs `use` on the store of a folder, and closes it. `open`: how it is opened. */
  static async run<T>(
    command: string,
    flags: VdiFlags,
    use: (session: VdiSession) => Promise<T>,
    open: (user: StoreUser) => Promise<StoreFolder> = (user) => StoreFolder.open(flags.store, user),
  ): Promise<T> {
    return untilInterrupted(async (signal) => {
      const onNote = (text: string): void => note(flags, text);
      const store = await open({ command, serves: false, patienceMs: PATIENCE_MS, onNote });
      const session = new VdiSession(command, store, flags, signal);
      try {
        return await use(session);
      } catch (thrown) {
        throw signal.aborted ? new Interrupted('interrupted') : thrown;
      } finally {
        await session.#close();
      }
    });
  }

  private constructor(command: string, store: StoreFolder, flags: VdiFlags, signal: AbortSignal) {
    this.#command = command;
    this.store = store;
    this.flags = flags;
    this.signal = signal;
  }

  /** Who has the store now; null if it is stopped, or this command's own. */
  async owner(): Promise<OwnerRecord | null> {
    return this.#owner === null ? StoreOwner.find(this.store.directory, STORE_NAME) : null;
  }

  /** From here on this command may change the store. Rejects with `UsageError` if it may not. */
  async claim(): Promise<void> {
    if (this.#owner !== null) return;
    const { directory } = this.store;
    // Before the claim: a folder without a store that can be used has nothing to be claimed.
    await this.view();
    const claim = { command: this.#command, serves: false, patienceMs: PATIENCE_MS };
    const claimed = StoreOwner.claim(directory, STORE_NAME, claim);
    this.#owner = await unlessInterrupted(this.signal, claimed);
  }

  /** Ends walks of trees when the user interrupts. */
  get cancel(): CancelToken {
    const { signal } = this;
    return {
      get cancelled() {
        return signal.aborted;
      },
    };
  }

  /** The store as it is published. */
  view(): Promise<StoreView> {
    this.#view ??= this.store.view();
    return this.#view;
  }

  async require(image: string): Promise<ImageName> {
    const { images } = await this.view();
    return images.registry.byName(image);
  }

  /** Claims the store and runs a story with Parallax, as the host that may start the image. */
  async withEngine<T>(
    host: string,
    story: (room: EngineRoom) => Promise<T>,
    bufferBytes = 0,
  ): Promise<T> {
    await this.claim();
    return this.withEngineBeside(host, story, bufferBytes);
  }

  /**
   * The same without a claim: beside whoever serves the store. Only who takes something away from
   * that one may want this.
   */
  async withEngineBeside<T>(
    host: string,
    story: (room: EngineRoom) => Promise<T>,
    bufferBytes = 0,
  ): Promise<T> {
    const { signal } = this;
    const onNote = (text: string): void => this.note(text);
    const options = { host: host || DEFAULT_HOST, signal, onNote, bufferBytes };
    return withEngine(this.store, options, story);
  }

  /**
   * Claims the store and changes one image, served by Parallax in this process. Everything that was
   * acknowledged before is published when `change` runs.
   */
  async withImage<T>(
    name: string,
    change: (image: ServedImage, room: EngineRoom) => Promise<T>,
  ): Promise<T> {
    const { host } = await this.require(name);
    return this.withEngine(host, async (room) => {
      const image = await servingImage(room.engine, name);
      await image.drain();
      return change(image, room);
    });
  }

  /**
   * What the log of a stopped store has of its images beyond what is published; null if the log is
   * in use. Changes nothing.
   */
  async lookAtLog(host: string): Promise<LogLook | null> {
    if ((await this.owner()) !== null) return null;
    const none = { unpublished: new Map(), damage: [] };
    if (!(await this.store.hosts()).includes(host)) return none;
    const { images } = await this.view();
    const roots = new Map<number, RootBlock>();
    for (const { vdi } of await images.registry.list()) {
      const read = await images.read(vdi).catch(() => null);
      if (read !== null) roots.set(vdi, read.image);
    }
    const world = this.store.worldOf(host, createHostMemory(LOOK_MEMORY_BYTES), () => {});
    return lookAtLog(world, DEFAULT_SIZES.log, (entry) => placeOf(roots, entry));
  }

  /** The host whose disks here have the log of that uuid; null: none of them. */
  async hostOfLog(uuid: string): Promise<string | null> {
    for (const host of await this.store.hosts()) {
      const world = this.store.worldOf(host, createHostMemory(LOOK_MEMORY_BYTES), () => {});
      if ((await readLogIdentity(world)) === uuid) return host;
    }
    return null;
  }

  /**
   * Publishes what the log of a stopped store still has of an image, so that what is published is
   * what was acknowledged. Of a store that is served nothing is known, and nothing done; and
   * nothing of an image that is damaged, before somebody has accepted that.
   */
  async recover({ vdi, name, host }: ImageName): Promise<void> {
    const look = await this.lookAtLog(host);
    if (look === null) return;
    if (look.damage.some(({ vdis }) => vdis === null || vdis.includes(vdi))) {
      this.note(`the log of ${name} is damaged: this is ${name} as it was published`);
      return;
    }
    if (!look.unpublished.has(vdi)) return;
    await this.withEngine(host, async ({ engine }) => {
      await (await servingImage(engine, name)).drain();
    });
  }

  /** A sentence on stderr. */
  note(text: string): void {
    note(this.flags, text);
  }

  /** The result, as JSON or as a text. */
  tell(result: object, text: string): void {
    if (this.flags.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    else if (!this.flags.quiet) process.stdout.write(`${text}\n`);
  }

  async #close(): Promise<void> {
    try {
      await (await this.#view?.catch(() => null))?.close();
      await this.#owner?.release();
    } finally {
      await this.store.close();
    }
  }
}

function note({ quiet }: VdiFlags, text: string): void {
  if (!quiet) process.stderr.write(`stordom: ${text}\n`);
}

/** Of an orphan the log has the mutations under the number of the image that it was. */
function placeOf(roots: ReadonlyMap<number, RootBlock>, entry: LogEntry): EntryPlace | null {
  for (const { vdi, vdiSeq, origin, hidden } of roots.values()) {
    const isOrphan = hidden?.kind === HiddenKind.orphanSuffix && origin?.vdi === entry.vdi;
    if (isOrphan && isOfSuffix(hidden, entry)) return { vdi, watermark: vdiSeq };
  }
  const root = roots.get(entry.vdi);
  if (root === undefined || entry.generation < root.logSince) return null;
  return { vdi: entry.vdi, watermark: root.vdiSeq };
}

/** The image, if it serves: it was not found damaged. */
export async function servingImage(engine: Parallax, name: string): Promise<ServedImage> {
  const image = await engine.image(name);
  const { state } = image.vdi;
  if (state === 'serving') return image;
  throw new StorageError(
    `E_IMAGE_${state.toUpperCase()}`,
    `image ${name} is ${state}: what its log had acknowledged cannot all be read, so it serves ` +
      `nothing; go on with what is there by stordom vdi accept-loss ${name}`,
    { fields: { image: name, state } },
  );
}
