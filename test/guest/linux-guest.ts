/**
 * A Linux guest under QEMU with an export as its disk, as the process of a user would be: it can be
 * killed at any moment, and waits when its disk's server is gone.
 *
 * What it says and what it can be told is at the top of `init.sh`. The kernel's own messages go to
 * a file: an error among them is a complaint about the disk.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { type GuestParts, hasKvm } from './guest-parts.ts';

export interface GuestOptions {
  readonly parts: GuestParts;
  /** Path of the first root file system. */
  readonly archive: string;
  /** Path of the file that the kernel's messages go to. */
  readonly messages: string;
  /** Path of the server's Unix socket. */
  readonly socket: string;
  readonly exportName: string;
  readonly makesFileSystem: boolean;
  readonly onLine: (words: readonly string[]) => void;
}

const MEMORY_MIB = 256;
/** How long QEMU tries to reach a server that is gone before it fails the guest's requests. */
const RECONNECT_S = 120;
/** Of the kernel, about its disk or itself. */
const COMPLAINT = /I\/O error|EXT4-fs.*(?:error|warning)|JBD2.*error|Kernel panic|BUG:|Oops/;

export class LinuxGuest {
  readonly #options: GuestOptions;
  readonly #qemu: ChildProcess;
  readonly #ended: Promise<number | null>;
  #stderr = '';

  constructor(options: GuestOptions) {
    this.#options = options;
    const { parts, onLine } = options;
    this.#qemu = spawn(parts.qemu, qemuFlags(options));
    this.#qemu.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.#qemu.stdout?.setEncoding('utf8').on('data', wholeLines(onLine));
    this.#qemu.stdin?.on('error', () => undefined);
    this.#ended = new Promise((resolve, reject) => {
      this.#qemu.on('error', reject);
      this.#qemu.on('close', resolve);
    });
  }

  /** Settles with QEMU's exit code, which is null if it was killed. */
  get ended(): Promise<number | null> {
    return this.#ended;
  }

  tell(command: 'check' | 'go' | 'stop'): void {
    this.#qemu.stdin?.write(`${command}\n`);
  }

  kill(): Promise<number | null> {
    this.#qemu.kill('SIGKILL');
    return this.#ended;
  }

  /** Lines in which its kernel or QEMU say that something is wrong. */
  complaints(): string[] {
    const { messages } = this.#options;
    const said = existsSync(messages) ? readFileSync(messages, 'utf8').split('\n') : [];
    // QEMU warns of what the processor lacks, which is nothing about a disk.
    const errors = this.#stderr.split('\n').filter((line) => !/^\s*$|warning:/.test(line));
    return [...said.filter((line) => COMPLAINT.test(line)), ...errors].map((line) => line.trim());
  }
}

function qemuFlags({ parts, archive, messages, ...options }: GuestOptions): string[] {
  const disk = [
    'driver=raw',
    'file.driver=nbd',
    'file.server.type=unix',
    `file.server.path=${options.socket}`,
    `file.export=${options.exportName}`,
    `file.reconnect-delay=${RECONNECT_S}`,
    'if=virtio',
    'cache=none',
    'discard=unmap',
  ];
  const kernel = ['console=ttyS0', 'loglevel=4', 'panic=-1'];
  if (options.makesFileSystem) kernel.push('stordom.mkfs');
  return [
    ...'-nodefaults -no-user-config -no-reboot -display none -cpu max'.split(' '),
    ...`-accel ${hasKvm() ? 'kvm' : 'tcg'} -m ${MEMORY_MIB}`.split(' '),
    '-kernel',
    parts.kernel,
    '-initrd',
    archive,
    '-append',
    kernel.join(' '),
    '-serial',
    `file:${messages}`,
    '-serial',
    'stdio',
    '-drive',
    disk.join(','),
  ];
}

/**
 * Takes text as it comes and gives the words of each line of it. A line that the guest's death has
 * cut short is none: it may have been about to say anything.
 */
function wholeLines(onLine: (words: readonly string[]) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line.split(' '));
  };
}
