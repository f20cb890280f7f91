/**
 * NBD servers to be compared, each a process of its own over a Unix socket, and fio as the client.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { UsageError } from '../src/base/errors.ts';
import { askControlSocket } from '../src/world/real/control-socket.ts';

const MIB = 2 ** 20;
const COMMAND: string = fileURLToPath(new URL('../../bin/stordom.mjs', import.meta.url));
const PACKAGES: readonly (readonly [string, string])[] = [
  ['fio', 'fio'],
  ['nbdkit', 'nbdkit'],
  ['qemu-nbd', 'qemu-utils'],
  ['qemu-img', 'qemu-utils'],
];
const LOOK_MS = 20;
const run = promisify(execFile);

/** What fio does to a server. */
export interface Load {
  readonly kind: 'randread' | 'randwrite' | 'read' | 'write';
  readonly blockBytes: number;
  readonly depth: number;
  /** An fsync after each so many writes; 0: none. */
  readonly fsync: number;
  readonly spanBytes: number;
}

export interface Server {
  readonly uri: string;
  stop(): Promise<void>;
}

/** Throws `UsageError` naming the packages of what is missing. */
export function needPrograms(): void {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const missing = PACKAGES.filter(
    ([program]) => !folders.some((folder) => existsSync(join(folder, program))),
  );
  if (missing.length === 0) return;
  const names = missing.map(([program, name]) => `${program} (Debian package ${name})`);
  throw new UsageError('E_NO_PROGRAM', `bench nbd needs ${names.join(', ')}: install them`);
}

export class NbdRig {
  readonly #folder = mkdtempSync(join(tmpdir(), 'stordom-bench-nbd-'));
  readonly #imageBytes: number;
  readonly #servers = new Set<Server>();
  #made = 0;

  constructor(imageBytes: number) {
    this.#imageBytes = imageBytes;
  }

  /** Our own, with a new store; W2, destage on. */
  async stordom(): Promise<Server & { readonly snapshot: (name: string) => Promise<void> }> {
    const store = this.#path('store');
    const size = String(this.#imageBytes);
    await run(process.execPath, [
      COMMAND,
      'vdi',
      'create',
      'disk',
      '--size',
      size,
      '--store',
      store,
    ]);
    const args = [COMMAND, 'serve', '--quiet', '--store', store];
    const server = await this.#start(process.execPath, args, join(store, 'nbd.sock'), 'disk');
    const control = join(store, 'control.sock');
    const snapshot = async (name: string): Promise<void> => {
      await askControlSocket(control, 'snapshot', ['disk', name]);
    };
    return { ...server, snapshot };
  }

  nbdkitMemory(): Promise<Server> {
    const socket = this.#path('nbdkit.sock');
    const args = ['--foreground', '--unix', socket, 'memory', String(this.#imageBytes)];
    return this.#start('nbdkit', args, socket, '');
  }

  /** `format`: raw, or qcow2; written back by the host's cache, as volatile as that. */
  async qemuNbd(format: 'raw' | 'qcow2'): Promise<Server & { readonly image: string }> {
    const image = this.#path(format);
    await run('qemu-img', ['create', '-q', '-f', format, image, String(this.#imageBytes)]);
    return { ...(await this.#qemu(format, image)), image };
  }

  /** A qcow2 image that was served, right after an internal snapshot. */
  async qemuNbdAfterSnapshot(image: string): Promise<Server> {
    await run('qemu-img', ['snapshot', '-c', 'one', image]);
    return this.#qemu('qcow2', image);
  }

  /** Runs a load; gives requests a second. */
  async measure({ uri }: Server, load: Load, seconds: number): Promise<number> {
    const { kind, blockBytes, depth, fsync, spanBytes } = load;
    const { stdout } = await run(
      'fio',
      [
        '--name=bench',
        '--ioengine=nbd',
        `--uri=${uri}`,
        `--rw=${kind}`,
        `--bs=${blockBytes}`,
        `--iodepth=${depth}`,
        `--fsync=${fsync}`,
        `--size=${spanBytes}`,
        `--runtime=${seconds}`,
        '--time_based',
        '--output-format=json',
      ],
      { maxBuffer: 16 * MIB },
    );
    const { jobs } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
      jobs: [{ read: { iops: number }; write: { iops: number } }];
    };
    return jobs[0].read.iops + jobs[0].write.iops;
  }

  /** Writes every byte of a span, so that nothing read later is a hole. */
  async fill({ uri }: Server, spanBytes: number): Promise<void> {
    const args = ['--name=fill', '--ioengine=nbd', `--uri=${uri}`, '--rw=write', '--bs=1m'];
    await run('fio', [...args, '--iodepth=4', `--size=${spanBytes}`]);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#servers].map((server) => server.stop()));
    rmSync(this.#folder, { recursive: true });
  }

  #path(name: string): string {
    this.#made++;
    return join(this.#folder, `${this.#made}-${name}`);
  }

  #qemu(format: string, image: string): Promise<Server> {
    const socket = this.#path('qemu.sock');
    const how = ['--cache=writeback', '--aio=threads', '--export-name=', '--persistent'];
    return this.#start('qemu-nbd', [...how, '-f', format, '-k', socket, image], socket, '');
  }

  async #start(
    program: string,
    args: readonly string[],
    socket: string,
    name: string,
  ): Promise<Server> {
    const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    let isOver = false;
    const over = new Promise<void>((resolve) => {
      child.on('close', () => {
        isOver = true;
        resolve();
      });
    });
    while (!(await answers(socket))) {
      if (isOver) throw new Error(`${program} has ended before it served`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    const server: Server = {
      uri: `nbd+unix:///${name}?socket=${socket}`,
      stop: async () => {
        this.#servers.delete(server);
        child.kill('SIGTERM');
        await over;
      },
    };
    this.#servers.add(server);
    return server;
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.on('error', () => resolve(false));
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
