/** `stordom serve` as a process, and the clients of others. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Ended, inShell, startStordom, workFolder } from './helpers.ts';
import { programPath } from './programs.ts';

export interface Served {
  readonly child: ChildProcess;
  readonly uri: (name: string) => string;
  /** Ends it in order. */
  readonly end: () => Promise<Ended>;
  readonly kill: () => Promise<Ended>;
}

/** A folder with a store `s` in it, served as often as the test likes. */
export class ServeBench {
  readonly folder: string;
  readonly #t: ExecutionContext;
  #served: Served | null = null;

  constructor(t: ExecutionContext) {
    const { folder, remove } = workFolder();
    this.folder = folder;
    this.#t = t;
    t.teardown(async () => {
      await this.#served?.kill();
      remove();
    });
  }

  /** Runs a command that must succeed; `--store s` is added. */
  async ok(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(line);
    this.#t.is(code, 0, `${line}: ${stderr}`);
    return stdout;
  }

  run(line: string, { store }: { readonly store: boolean } = { store: true }): Promise<Ended> {
    return inShell(this.folder, [...line.split(' '), ...(store ? ['--store', 's'] : [])]);
  }

  /** Settles when it serves. */
  async serve(line = '', command: 'serve' | 'record' = 'serve'): Promise<Served> {
    const args = ['--store', 's', ...line.split(' ').filter(Boolean)];
    this.#served = await startServing(this.folder, args, command);
    return this.#served;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Runs a program of others to its end. */
  async client(program: string, args: readonly string[]): Promise<Ended> {
    const child = spawn(programPath(program) ?? program, args, { cwd: this.folder });
    return ended(child);
  }

  /** The same, and it must succeed. */
  async clientOk(program: string, args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.client(program, args);
    this.#t.is(code, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  }
}

/** Starts `stordom serve ARGS` in `folder`; settles when it serves. */
export async function startServing(
  folder: string,
  args: readonly string[],
  command: 'serve' | 'record' = 'serve',
): Promise<Served> {
  const { child, ended } = startStordom(folder, [command, '--json', ...args]);
  const up = new Promise<string>((resolve) => child.stdout?.once('data', resolve));
  const first = await Promise.race([up, ended]);
  if (typeof first !== 'string') throw new Error(`it does not serve: ${first.stderr}`);
  const { exports } = JSON.parse(first) as {
    exports: { name: string; uris: readonly [string] }[];
  };
  const finish = (signal: 'SIGTERM' | 'SIGKILL'): Promise<Ended> => {
    child.kill(signal);
    return ended;
  };
  return {
    child,
    uri: (name) => exports.find((one) => one.name === name)?.uris[0] ?? '',
    end: () => finish('SIGTERM'),
    kill: () => finish('SIGKILL'),
  };
}

export function ended(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
