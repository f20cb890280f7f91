/**
 * The servers of a pool as processes of who uses it: started with it, started again when one dies,
 * and ended with it. The directory, which is in a file that this process has open, is served to
 * them.
 *
 * Nobody is left behind. A server ends by itself when its standard input does, and that ends with
 * this process, however this ends. One that stood still just then is found by the claim it still
 * has on its folder: whoever has claimed the directory of a pool has all of the pool, so it waits
 * for that server, and kills it if it does not go. What it had acknowledged is on its disks.
 *
 * A terminal's Ctrl-C is not theirs to hear: they have sessions of their own, and end after what
 * has to be published is published.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { formatDuration } from '../base/format-units.ts';
import { serverName } from '../petal-backend/server/ports.ts';
import type { Directory } from '../world/directory.ts';
import { DirectoryServer } from '../world/directory-server.ts';
import type { SocketListener } from '../world/real/sockets.ts';
import { type PetalClaim, type PetalFolder, poolServers } from './petal-folder.ts';
import { listenDirectory } from './petal-links.ts';
import type { OwnerClaim } from './store-owner.ts';

export interface ServersParts {
  readonly folder: PetalFolder;
  readonly directory: Directory;
  readonly claim: OwnerClaim;
  readonly onNote: (text: string) => void;
}

export interface ServerProcess {
  readonly server: number;
  /** null: it does not run just now. */
  readonly pid: number | null;
  /** Times it was started again. */
  readonly restarts: number;
}

interface Kept {
  readonly server: number;
  child: ChildProcess | null;
  restarts: number;
}

const COMMAND = fileURLToPath(new URL('../../../bin/stordom.mjs', import.meta.url));
const RESTART_MS = 100;
const RESTART_MS_MAX = 5000;
/** Who has lived for so long is started again at once when it dies. */
const STEADY_MS = 10_000;
/** A server whose parent is gone has so long to end by itself. */
const ORPHAN_MS = 3000;
const LOOK_MS = 50;
/** From SIGTERM to SIGKILL. */
const END_MS = 10_000;

export class PetalServers {
  readonly #parts: ServersParts;
  readonly #owned: PetalClaim;
  readonly #directory: DirectoryServer;
  readonly #ending = new AbortController();
  #listener: SocketListener | null = null;
  #kept: readonly Kept[] = [];
  #running: readonly Promise<void>[] = [];

  /** Rejects with `UsageError` if somebody else has the pool. Its servers may still be starting. */
  static async start(parts: ServersParts): Promise<PetalServers> {
    const owned = await parts.folder.claim(null, parts.claim);
    const servers = new PetalServers(parts, owned);
    try {
      await servers.#start();
    } catch (thrown) {
      await servers.close();
      throw thrown;
    }
    return servers;
  }

  private constructor(parts: ServersParts, owned: PetalClaim) {
    this.#parts = parts;
    this.#owned = owned;
    this.#directory = new DirectoryServer(parts.directory);
  }

  processes(): readonly ServerProcess[] {
    return this.#kept.map(({ server, child, restarts }) => {
      return { server, pid: child?.pid ?? null, restarts };
    });
  }

  /** Ends all servers, in order if they can. */
  async close(): Promise<void> {
    this.#ending.abort();
    for (const { child } of this.#kept) child?.kill('SIGTERM');
    const late = setTimeout(() => {
      for (const { child } of this.#kept) child?.kill('SIGKILL');
    }, END_MS);
    await Promise.all(this.#running);
    clearTimeout(late);
    await this.#listener?.close();
    this.#directory.close();
    await this.#owned.release();
  }

  async #start(): Promise<void> {
    const { folder, directory } = this.#parts;
    this.#listener = await listenDirectory(this.#directory, folder.directoryAddress);
    const records = await poolServers(directory);
    this.#kept = records.map(({ server }) => ({ server, child: null, restarts: 0 }));
    this.#running = this.#kept.map((kept) => this.#keep(kept));
  }

  async #keep(kept: Kept): Promise<void> {
    const { onNote } = this.#parts;
    const { signal } = this.#ending;
    let pauseMs = RESTART_MS;
    for (;;) {
      await this.#endOrphan(kept.server);
      if (signal.aborted) return;
      const beganMs = performance.now();
      const why = await this.#live(kept);
      if (signal.aborted) return;
      if (performance.now() - beganMs > STEADY_MS) pauseMs = RESTART_MS;
      const pause = formatDuration(pauseMs * 1e6);
      onNote(`server ${serverName(kept.server)} is gone: ${why}; it is started again in ${pause}`);
      await sleep(pauseMs, null, { signal }).catch(() => undefined);
      pauseMs = Math.min(2 * pauseMs, RESTART_MS_MAX);
      kept.restarts++;
    }
  }

  /** Settles, with why, when the process has ended. */
  #live(kept: Kept): Promise<string> {
    const { path } = this.#parts.folder;
    const id = String(kept.server);
    const args = ['petal', 'server', '--store', path, '--id', id, '--end-with-stdin'];
    const child = spawn(process.execPath, [COMMAND, ...args], {
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
    });
    kept.child = child;
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = text.trimEnd().split('\n').at(-1) ?? said;
    });
    return new Promise((resolve) => {
      const ended = (why: string): void => {
        kept.child = null;
        resolve(why);
      };
      child.once('error', ({ message }) => ended(message));
      child.once('close', (code, by) => ended(by ?? `exit code ${code}, it said: ${said}`));
    });
  }

  /** A server of a process that is gone may still have its folder. */
  async #endOrphan(server: number): Promise<void> {
    const { onNote } = this.#parts;
    const { signal } = this.#ending;
    const killMs = performance.now() + ORPHAN_MS;
    for (let isTold = false; !signal.aborted; ) {
      const owner = await this.#owned.ownerOf(server);
      if (owner === null) return;
      if (!isTold && performance.now() > killMs) {
        isTold = true;
        onNote(
          `server ${serverName(server)} is an earlier start's (process ${owner.pid}): it is killed`,
        );
        kill(owner.pid);
      }
      await sleep(LOOK_MS, null, { signal }).catch(() => undefined);
    }
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown;
  }
}
