/** A Petal pool of real processes: the directory and each server as `stordom petal` starts them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PetalFolder } from '../src/cli/petal-folder.ts';
import type { ServerReport } from '../src/petal-backend/server/petal-server-actor.ts';
import { serverName } from '../src/petal-backend/server/ports.ts';
import { sleepMs } from './machine.ts';

export interface PetalRigOptions {
  readonly servers: number;
  readonly copies: number;
  /** Of each server; one unless said. */
  readonly disks?: number;
  readonly diskBytes: number;
  /** For all to come up and into sync; half a minute unless said. */
  readonly startMs?: number;
  /** Of Node, for each server. */
  readonly serverFlags?: readonly string[];
}

const COMMAND = fileURLToPath(new URL('../../bin/stordom.mjs', import.meta.url));
const LOOK_MS = 20;
const START_MS = 30_000;

export class PetalRig implements AskedPool {
  readonly folder: PetalFolder;
  readonly path: string;
  readonly servers: readonly number[];
  /** What the processes said, with who said it. */
  readonly notes: string[] = [];
  readonly #flags: readonly string[];
  readonly #children = new Map<string, ChildProcess>();

  /** All servers are up, and in sync in each of their pairs; if they are not in time, all end. */
  static async open(options: PetalRigOptions): Promise<PetalRig> {
    const path = join(mkdtempSync(join(tmpdir(), 'stordom-petal-')), 'pool');
    await PetalFolder.create(path, { disks: 1, ...options });
    const rig = new PetalRig(path, await PetalFolder.open(path), options);
    rig.#spawn('directory', ['directory'], []);
    for (const server of rig.servers) rig.start(server);
    try {
      await becomesClean(rig, options.startMs ?? START_MS);
    } catch (thrown) {
      await rig.close();
      throw thrown;
    }
    return rig;
  }

  private constructor(path: string, folder: PetalFolder, options: PetalRigOptions) {
    this.path = path;
    this.folder = folder;
    this.#flags = options.serverFlags ?? [];
    this.servers = Array.from({ length: options.servers }, (_, at) => at + 1);
  }

  start(server: number): void {
    this.#spawn(serverName(server), ['server', '--id', String(server)], this.#flags);
  }

  /** Settles when the process has ended. */
  async end(server: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    return this.#end(serverName(server), signal);
  }

  pause(server: number): void {
    this.#children.get(serverName(server))?.kill('SIGSTOP');
  }

  resume(server: number): void {
    this.#children.get(serverName(server))?.kill('SIGCONT');
  }

  /** What a server says of itself; null: it does not answer. */
  async reportOf(server: number): Promise<ServerReport | null> {
    return this.folder.reportOf(server);
  }

  async close(): Promise<void> {
    for (const server of this.servers) this.resume(server);
    await Promise.all(this.servers.map((server) => this.end(server, 'SIGTERM')));
    await this.#end('directory', 'SIGTERM');
    rmSync(join(this.path, '..'), { recursive: true, force: true });
  }

  #spawn(name: string, args: readonly string[], flags: readonly string[]): void {
    const child = spawn(
      process.execPath,
      [...flags, COMMAND, 'petal', ...args, '--store', this.path],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.trimEnd().split('\n')) this.notes.push(`${name}: ${line}`);
    });
    this.#children.set(name, child);
  }

  async #end(name: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#children.get(name);
    if (child === undefined) return null;
    this.#children.delete(name);
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill(signal);
    return ended;
  }
}

/** A pool whose servers can be asked how they are. */
export interface AskedPool {
  readonly servers: readonly number[];
  /** What servers have said, for whoever looks why something failed. */
  readonly notes: readonly string[];
  /** What a server says of itself; null: it does not answer. */
  reportOf(server: number): Promise<ServerReport | null>;
}

/** Settles when every server is up and every pair has all its members in sync; throws in time. */
export async function becomesClean(pool: AskedPool, forMs: number): Promise<void> {
  const untilMs = performance.now() + forMs;
  for (;;) {
    const reports = await Promise.all(pool.servers.map((server) => pool.reportOf(server)));
    if (reports.every(isInSync)) return;
    if (performance.now() > untilMs) {
      const said = pool.notes.slice(-40).join('\n');
      throw new Error(`not in sync in ${forMs} ms: ${JSON.stringify(reports)}\n${said}`);
    }
    await sleepMs(LOOK_MS);
  }
}

/** A server is up, and it and all others of its pairs are in sync, as far as it knows. */
function isInSync(report: ServerReport | null): boolean {
  if (report === null || report.pairs.length === 0) return false;
  return report.pairs.every(
    ({ role, inSync, members }) => role !== 'outside' && inSync.length === members.length,
  );
}
