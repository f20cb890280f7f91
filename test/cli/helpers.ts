/** Runs the command as a user does: a process of its own, in a folder of its own. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Prng } from '../../src/base/prng.ts';
import { syntheticTrace } from '../../src/traces/synthetic.ts';
import { writeCanonicalCsv } from '../../src/traces/write-canonical.ts';

/** From build/test/cli to the checkout. */
export const ROOT: string = fileURLToPath(new URL('../../../', import.meta.url));
const COMMAND = join(ROOT, 'bin', 'stordom.mjs');
/** Tests of a file run side by side, but the machine has few cores. */
const PROCESSES_MAX = 2;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let running = 0;
const waiting: (() => void)[] = [];

/** Runs `stordom ARGS` in `folder` to its end. */
export async function stordom(folder: string, args: readonly string[]): Promise<Ended> {
  if (running >= PROCESSES_MAX) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
  try {
    return await startStordom(folder, args).ended;
  } finally {
    running--;
    waiting.shift()?.();
  }
}

let shell: ChildProcess | null = null;
let lastOfShell: Promise<unknown> = Promise.resolve();

/**
 * As `stordom`, one line after the other in one process of this test file (`command-shell.ts`): for
 * lines that end soon, and that no signal is for.
 */
export function inShell(folder: string, args: readonly string[]): Promise<Ended> {
  const ended = lastOfShell.then(() => askShell(folder, args));
  lastOfShell = ended.catch(() => undefined);
  return ended;
}

async function askShell(folder: string, args: readonly string[]): Promise<Ended> {
  shell ??= startShell();
  const child = shell;
  // Between two lines it keeps nobody from ending, and ends with its parent.
  child.channel?.ref();
  child.send({ folder, args });
  const [ended] = (await once(child, 'message')) as [Ended | null];
  child.channel?.unref();
  if (ended === null) throw new Error(`the shell ended in the middle of stordom ${args.join(' ')}`);
  return ended;
}

function startShell(): ChildProcess {
  const child = fork(join(ROOT, 'build', 'test', 'cli', 'command-shell.js'));
  child.once('exit', () => child.emit('message', null));
  child.unref();
  return child;
}

/** What the examples below the help of a command type after `stordom`. */
export async function examplesOf(folder: string, command: string): Promise<string[]> {
  const words = command.split(' ').filter(Boolean);
  const { code, stdout } = await inShell(folder, [...words, '--help']);
  const [examples = ''] = /Examples:\n(.*\n)+$/.exec(stdout) ?? [];
  const lines = examples.trim().split('\n').slice(1);
  return lines.map((line) => {
    const [, typed = ''] = /^\s*\$ stordom (.*)$/.exec(line) ?? [];
    if (code === 0 && typed.startsWith(command)) return typed;
    throw new Error(`not an example of ${command}: ${line}`);
  });
}

/** Starts it, for who wants to do something to it meanwhile. */
export function startStordom(
  folder: string,
  args: readonly string[],
): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [COMMAND, ...args], { cwd: folder });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}

/**
 * A new folder with `workloads` of the checkout in it, and `small.csv`, a trace of 600 requests.
 */
export function workFolder(): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'stordom-test-'));
  symlinkSync(join(ROOT, 'workloads'), join(folder, 'workloads'));
  const trace = syntheticTrace(new Prng(7, 'cli'), { requests: 600, blocks: 256 });
  writeFileSync(join(folder, 'small.csv'), writeCanonicalCsv(trace));
  // Servers of Petal outlive their parent a little, and may make a file meanwhile.
  const again = { maxRetries: 20, retryDelay: 20 };
  return { folder, remove: () => rmSync(folder, { recursive: true, ...again }) };
}
