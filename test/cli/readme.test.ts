/**
 * The commands of the README that put a VM's disk on stordom, run as they are printed: stordom by
 * this checkout's own command, QEMU with flags that let it run without a screen and be asked.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { where } from './clients.ts';
import { type Ended, ROOT, startStordom, workFolder } from './helpers.ts';
import { ended } from './serve-bench.ts';

const SLOW_MS = 120_000;
const HEADING = "## A VM's disk on stordom";
const OWN = 'npm run -s stordom -- ';

/** The commands of a block of code below the heading, counted from 0. */
function commandsBelow(heading: string, block: number): string[] {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const [, section = ''] = text.split(`${heading}\n`);
  const code = section.split(/^```$/m)[1 + 2 * block] ?? '';
  return code.replaceAll('\\\n', '').trim().split('\n');
}

/** The README's disk, which is created, and can be served, asked and killed. */
class ReadmeDisk {
  readonly folder: string;
  readonly #serve: string;

  constructor(t: ExecutionContext) {
    const { folder, remove } = workFolder();
    t.teardown(remove);
    this.folder = folder;
    const [, serve = ''] = commandsBelow(HEADING, 0);
    this.#serve = serve;
  }

  async create(t: ExecutionContext): Promise<void> {
    const [create = ''] = commandsBelow(HEADING, 0);
    const { code, stderr } = await this.#start(create).ended;
    t.is(code, 0, stderr);
  }

  /** Settles when it serves. */
  async serve(t: ExecutionContext) {
    const { child, ended: over } = this.#start(this.#serve);
    t.teardown(() => void child.kill('SIGKILL'));
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    return {
      finish: (signal: 'SIGTERM' | 'SIGKILL'): Promise<Ended> => {
        child.kill(signal);
        return over;
      },
    };
  }

  /** Runs a command of the README that starts a VM, which does not run, and can be asked. */
  machine(t: ExecutionContext, command: string) {
    const flags = '-nodefaults -display none -S -monitor stdio';
    const child = spawn('sh', ['-c', `exec ${command} ${flags}`], { cwd: this.folder });
    t.teardown(() => void child.kill('SIGKILL'));
    return { child, over: ended(child) };
  }

  #start(command: string) {
    return startStordom(this.folder, command.slice(OWN.length).trim().split(' '));
  }
}

test('README: there are three commands that put a disk of a VM on stordom', (t) => {
  const commands = commandsBelow(HEADING, 0);
  t.is(commands.length, 3);
  for (const command of commands.slice(0, 2)) t.true(command.startsWith(OWN), command);
  t.regex(commands[2] ?? '', /^qemu-system-x86_64 /);
});

where('qemu-system-x86_64')(
  'README: QEMU (qemu-system-x86) has the disk that the three commands make, and keeps data on it',
  async (t) => {
    t.timeout(SLOW_MS);
    const disk = new ReadmeDisk(t);
    await disk.create(t);
    const [, , qemu = ''] = commandsBelow(HEADING, 0);
    const ask = async (...commands: readonly string[]): Promise<string> => {
      const { child, over } = disk.machine(t, qemu);
      child.stdin.end(`${[...commands, 'quit'].join('\n')}\n`);
      const { code, stdout, stderr } = await over;
      t.is(code, 0, `${stdout}${stderr}`);
      return stdout;
    };
    const first = await disk.serve(t);
    const told = await ask('info block', 'qemu-io virtio0 "write -f -P 7 1m 64k"');
    t.regex(told, /virtio0 .*nbd\+unix:\/\/\/disk\?socket=disk\.sock/);
    t.regex(told, /wrote 65536\/65536 bytes/);
    await first.finish('SIGKILL');
    const second = await disk.serve(t);
    const read = await ask('qemu-io virtio0 "read -P 7 1m 64k"');
    t.regex(read, /read 65536\/65536 bytes/);
    t.notRegex(read, /verification failed/);
    const { code, stderr } = await second.finish('SIGTERM');
    t.is(code, 0, stderr);
  },
);

where('qemu-system-x86_64')(
  'README: QEMU (qemu-system-x86) with a delay waits for a server that was killed',
  async (t) => {
    t.timeout(SLOW_MS);
    const disk = new ReadmeDisk(t);
    await disk.create(t);
    const [qemu = ''] = commandsBelow(HEADING, 1);
    const first = await disk.serve(t);
    const { child, over } = disk.machine(t, qemu);
    child.stdin.write('qemu-io virtio0 "write -P 7 1m 64k"\n');
    await new Promise<void>((resolve) => {
      let said = '';
      child.stdout.on('data', (part) => {
        said += String(part);
        if (said.includes('wrote 65536/65536 bytes')) resolve();
      });
    });
    await first.finish('SIGKILL');
    child.stdin.end('qemu-io virtio0 "read -P 7 1m 64k"\nquit\n');
    await disk.serve(t);
    const { code, stdout, stderr } = await over;
    t.is(code, 0, `${stdout}${stderr}`);
    t.regex(stdout, /read 65536\/65536 bytes/);
    t.notRegex(stdout, /failed/);
  },
);
