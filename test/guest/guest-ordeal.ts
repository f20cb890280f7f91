/**
 * A Linux guest writes files on a served image, and what it depends on is killed, again and again:
 * the driver VM, the whole server, the server and then its successor while it recovers, the guest
 * itself, or the server and the guest at once; where the image is on Petal servers also one of
 * these, or all. Each time every file whose fsync had returned must be there as it was written.
 *
 * A seed decides who is killed, and after how many more files; at which instruction, the machine.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleepMs } from 'node:timers/promises';
import { Prng } from '../../src/base/prng.ts';
import { startStordom, stordom, workFolder } from '../cli/helpers.ts';
import { type Served, startServing } from '../cli/serve-bench.ts';
import { type GuestParts, guestArchive } from './guest-parts.ts';
import { LinuxGuest } from './linux-guest.ts';
import { judge, Promises, type Standing } from './promises.ts';

export const VICTIMS = [
  'driver VM',
  'server',
  'guest',
  'server twice',
  'server and guest',
] as const;
export type Victim = (typeof VICTIMS)[number] | 'Petal server' | 'all Petal servers';
/** Of a store on Petal servers. */
export const PETAL_VICTIMS: readonly Victim[] = ['Petal server', ...VICTIMS, 'all Petal servers'];

export interface OrdealOptions {
  readonly parts: GuestParts;
  readonly victims: readonly Victim[];
  readonly seed: number;
  readonly policy: 'W2' | 'W5';
  /** So many Petal servers keep the store's blocks; null: a file does. */
  readonly petal: number | null;
  /** Before the last death, to be looked at in the end. */
  readonly takesSnapshot: boolean;
  readonly onCycle: (text: string) => void;
}

export interface OrdealVerdict {
  /** Null if nothing was lost and nothing has failed. */
  readonly problem: string | null;
  readonly cycles: number;
  readonly fsyncs: number;
  /** Comparisons of a file with what was promised of it. */
  readonly comparisons: number;
}

const DISK = 'disk';
const STORE = 's';
const SNAPSHOT = 'meanwhile';
const COPY = 'copy';
/** Files between one death and the next. */
const FILES_MAX = 80;
/** Files after a death that show that the guest goes on. */
const FILES_AFTER = 8;
/** About what a start takes. */
const START_MS = 1500;
const PETAL_START_MS = 6000;
/** Longest that anything may take, and QEMU that translates takes its time. */
const PATIENCE_MS = 180_000;
const SHOWN_MAX = 5;

/** Who is killed in so many cycles, as the seed says. The first ones are everybody, once. */
export function drawVictims(
  cycles: number,
  seed: number,
  from: readonly Victim[] = VICTIMS,
): Victim[] {
  const prng = new Prng(seed, 'victims');
  return Array.from({ length: cycles }, (_, at) => from[at] ?? prng.pick(from));
}

export async function playOrdeal(options: OrdealOptions): Promise<OrdealVerdict> {
  const { folder, remove } = workFolder();
  const ordeal = new GuestOrdeal(folder, options);
  let problem: string | null = null;
  try {
    await ordeal.play();
  } catch (thrown) {
    problem = thrown instanceof Error ? thrown.message : String(thrown);
  } finally {
    await ordeal.abandon();
    remove();
  }
  const { cycles, fsyncs, comparisons } = ordeal;
  return { problem, cycles, fsyncs, comparisons };
}

class GuestOrdeal {
  readonly #folder: string;
  readonly #options: OrdealOptions;
  readonly #prng: Prng;
  readonly #promises = new Promises();
  readonly #found = new Map<string, string>();
  #served: Served | null = null;
  #guest: LinuxGuest | null = null;
  /** What a snapshot must have. */
  #frozen: Standing | null = null;
  #isReady = false;
  #isChecked = false;
  /** What the guest has complained of. */
  #failure: string | null = null;
  /** Looks at a condition that is waited for. */
  #look: () => void = () => {};
  cycles = 0;
  comparisons = 0;

  constructor(folder: string, options: OrdealOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#prng = new Prng(options.seed, 'moments');
  }

  get fsyncs(): number {
    return this.#promises.fsyncs;
  }

  async play(): Promise<void> {
    const { parts, policy, petal, victims, takesSnapshot, onCycle } = this.#options;
    writeFileSync(this.#path('archive'), guestArchive(parts));
    const place = petal === null ? [] : ['--petal', String(petal)];
    await this.#stordom('vdi', 'create', DISK, '--size', '256m', '--policy', policy, ...place);
    await this.#serve();
    await this.#boot(DISK, true);
    await this.#check();
    this.#linux.tell('go');
    for (const victim of victims) {
      if (takesSnapshot && this.cycles === victims.length - 1) await this.#takeSnapshot();
      const files = await this.#cycle(victim);
      this.cycles++;
      const { cycles, fsyncs } = this;
      onCycle(
        `${cycles}/${victims.length} ${victim}: ${files} files right, ${fsyncs} fsyncs so far`,
      );
    }
    await this.#stop();
    await this.#stordom('fsck');
    if (this.#frozen !== null) await this.#checkSnapshot(this.#frozen);
  }

  /** Ends everything at once. */
  async abandon(): Promise<void> {
    await this.#guest?.kill();
    await this.#served?.kill();
  }

  /** One death under load. Settles with the number of files that were compared. */
  async #cycle(victim: Victim): Promise<number> {
    await this.#moreFiles(this.#prng.between(1, FILES_MAX));
    if (victim === 'driver VM') await this.#killDriver();
    if (victim === 'Petal server') await this.#killPetal(false);
    if (victim === 'all Petal servers') await this.#killPetal(true);
    const deaths: Promise<unknown>[] = [];
    if (victim.startsWith('server')) deaths.push(this.#server.kill());
    if (victim.endsWith('guest')) deaths.push(this.#linux.kill());
    await Promise.all(deaths);
    if (victim === 'server twice') await this.#killInStart();
    if (victim.startsWith('server')) await this.#serveAgain();
    // It looks at its disk before it writes to it again.
    if (victim.endsWith('guest')) {
      await this.#boot(DISK, false);
      const files = await this.#check();
      this.#linux.tell('go');
      return files;
    }
    await this.#moreFiles(FILES_AFTER);
    return this.#check();
  }

  /** Its promises are those that stand before it is asked for and after it was taken. */
  async #takeSnapshot(): Promise<void> {
    await this.#moreFiles(FILES_MAX / 2);
    const standing = this.#promises.standing();
    await this.#stordom('ctl', 'snapshot', DISK, SNAPSHOT);
    this.#frozen = this.#promises.unbroken(standing);
  }

  /** A guest boots from a clone of the snapshot, as if its machine had died at that moment. */
  async #checkSnapshot(promised: Standing): Promise<void> {
    await this.#stordom('vdi', 'clone', `${DISK}@${SNAPSHOT}`, COPY);
    await this.#serve();
    await this.#boot(COPY, false);
    await this.#readFiles();
    const files = this.#judge(promised);
    this.#options.onCycle(`snapshot: ${files} files right`);
    await this.#stop();
  }

  async #serve(): Promise<void> {
    this.#served = await startServing(this.#folder, ['--store', STORE]);
  }

  /** An image that has lost something answers nothing until that was accepted. */
  async #serveAgain(): Promise<void> {
    await this.#serve();
    if (this.#options.policy === 'W5') await this.#stordom('ctl', 'accept-loss', DISK);
  }

  /** A successor that dies at some moment of its start, before or after it serves. */
  async #killInStart(): Promise<void> {
    const { child, ended } = startStordom(this.#folder, ['serve', '--store', STORE]);
    const startMs = this.#options.petal === null ? START_MS : PETAL_START_MS;
    await sleepMs(this.#prng.between(0, startMs));
    child.kill('SIGKILL');
    await ended;
  }

  async #killDriver(): Promise<void> {
    for (;;) {
      const told = await this.#stordom('ctl', 'kill', 'driver-vm', '--json');
      if ((JSON.parse(told) as { killed: boolean }).killed) return;
    }
  }

  /** Those that run: one may still be about to be started again after the cycle before. */
  async #killPetal(all: boolean): Promise<void> {
    const running: number[] = [];
    while (running.length === 0) {
      const told = await this.#stordom('ctl', 'status', '--json');
      const { servers } = JSON.parse(told) as { servers: { pid: number | null }[] };
      running.push(...servers.flatMap(({ pid }) => (pid === null ? [] : [pid])));
    }
    for (const pid of all ? running : [this.#prng.pick(running)]) process.kill(pid, 'SIGKILL');
  }

  /** Settles when it has replayed its journal and found its file system without a fault. */
  async #boot(exportName: string, makesFileSystem: boolean): Promise<void> {
    this.#isReady = false;
    this.#guest = new LinuxGuest({
      parts: this.#options.parts,
      archive: this.#path('archive'),
      messages: this.#path('messages'),
      socket: this.#path(join(STORE, 'nbd.sock')),
      exportName,
      makesFileSystem,
      onLine: this.#hear,
    });
    await this.#until(() => this.#isReady, 'it has booted');
  }

  /**
   * Every promise that stands when the guest begins to read and stands when it has ended was one
   * all the time between. Settles with their number.
   */
  async #check(): Promise<number> {
    const standing = this.#promises.standing();
    await this.#readFiles();
    return this.#judge(this.#promises.unbroken(standing));
  }

  async #readFiles(): Promise<void> {
    this.#found.clear();
    this.#isChecked = false;
    this.#linux.tell('check');
    await this.#until(() => this.#isChecked, 'it has read its files');
  }

  #judge(promised: Standing): number {
    const { files, broken } = judge(promised, this.#found);
    this.comparisons += files;
    if (broken.length > 0) {
      const some = broken.slice(0, SHOWN_MAX).join(', ');
      throw new Error(`${broken.length} of ${files} fsynced files are lost: ${some}`);
    }
    const complaints = this.#linux.complaints();
    if (complaints.length > 0) throw new Error(`the guest complains: ${complaints.join('; ')}`);
    return files;
  }

  /** Leaves the guest and then the server in order. */
  async #stop(): Promise<void> {
    this.#linux.tell('stop');
    const code = await this.#linux.ended;
    if (code !== 0) throw new Error(`the guest has not powered off: ${this.#failure ?? code}`);
    const { code: served, stderr } = await this.#server.end();
    if (served !== 0) throw new Error(`the server has not ended in order: ${stderr}`);
  }

  readonly #hear = ([word = '', name = '', sum = '']: readonly string[]): void => {
    switch (word) {
      case 'BEGIN':
        this.#promises.withdraw(name);
        break;
      case 'FSYNCED':
        this.#promises.make(name, sum);
        break;
      case 'FOUND':
        this.#found.set(name, sum);
        break;
      case 'FSCK':
        if (name !== '0') this.#failure = `e2fsck has ended with ${name}`;
        break;
      case 'READY':
        this.#isReady = true;
        break;
      case 'CHECKED':
        this.#isChecked = true;
        break;
      default:
        this.#failure = `the guest says: ${[word, name, sum].join(' ')}`;
    }
    this.#look();
  };

  #moreFiles(count: number): Promise<void> {
    const enough = this.fsyncs + count;
    return this.#until(() => this.fsyncs >= enough, `it has written ${count} more files`);
  }

  /** Settles when the guest has said enough; rejects if it never will. */
  #until(condition: () => boolean, what: string): Promise<void> {
    const guest = this.#linux;
    return new Promise((resolve, reject) => {
      const fail = (text: string): void => {
        const complaints = guest.complaints().slice(0, SHOWN_MAX).join('; ');
        reject(new Error(`${text} ${complaints}`.trim()));
      };
      const patience = setTimeout(() => fail(`waited too long until ${what}.`), PATIENCE_MS);
      const look = (): void => {
        if (this.#failure !== null) fail(`${this.#failure}.`);
        else if (condition()) resolve();
        else return;
        clearTimeout(patience);
        this.#look = () => {};
      };
      void guest.ended.then(() => {
        clearTimeout(patience);
        fail(`the guest has ended before ${what}.`);
      });
      this.#look = look;
      look();
    });
  }

  get #linux(): LinuxGuest {
    if (this.#guest === null) throw new Error('no guest was booted');
    return this.#guest;
  }

  get #server(): Served {
    if (this.#served === null) throw new Error('nothing is served');
    return this.#served;
  }

  async #stordom(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await stordom(this.#folder, [...args, '--store', STORE]);
    if (code !== 0) throw new Error(`stordom ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}
