/**
 * What a guest is made of: QEMU, a Linux kernel with its modules for virtio disks, busybox, and
 * e2fsprogs. All of it comes from Debian packages.
 *
 * The kernel is looked for in the folder that `STORDOM_GUEST_KERNEL` names, where
 * `scripts/fetch-guest-kernel.mjs` unpacks one, and where packages install theirs.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ROOT } from '../cli/helpers.ts';
import { programPath } from '../cli/programs.ts';
import { type InitFile, newcArchive } from './newc.ts';

export interface GuestParts {
  readonly qemu: string;
  readonly kernel: string;
  /** In the order in which they are loaded. Those that the kernel has built in are missing. */
  readonly modules: readonly string[];
  readonly busybox: string;
  readonly programs: readonly string[];
}

/** A program that says where it is, or the package that has it. */
interface Wanted {
  readonly name: string;
  readonly debianPackage: string;
}

const QEMU: Wanted = { name: 'qemu-system-x86_64', debianPackage: 'qemu-system-x86' };
const BUSYBOX: Wanted = { name: 'busybox', debianPackage: 'busybox-static' };
const E2FSPROGS: readonly Wanted[] = ['mkfs.ext4', 'e2fsck'].map((name) => {
  return { name, debianPackage: 'e2fsprogs' };
});
const KERNEL_PACKAGE = 'linux-image-cloud-amd64';
const MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'virtio_blk',
  'crc16',
  'crc32c_generic',
  'mbcache',
  'jbd2',
  'ext4',
];
const EMPTY_FOLDERS = ['bin', 'dev', 'proc', 'sys', 'tmp', 'disk'];

/** The parts of a guest, or the names of the Debian packages without which there is none. */
export function findGuestParts(): GuestParts | readonly string[] {
  const programs = [QEMU, BUSYBOX, ...E2FSPROGS];
  const missing = programs
    .filter(({ name }) => programPath(name) === null)
    .map(({ debianPackage }) => debianPackage);
  const kernel = findKernel();
  if (kernel === null) missing.push(KERNEL_PACKAGE);
  if (kernel === null || missing.length > 0) return [...new Set(missing)];
  const pathOf = ({ name }: Wanted): string => programPath(name) as string;
  return {
    qemu: pathOf(QEMU),
    busybox: pathOf(BUSYBOX),
    programs: E2FSPROGS.map(pathOf),
    ...kernel,
  };
}

/** The first root file system of a guest: its programs, its modules, and `init.sh` to run. */
export function guestArchive(parts: GuestParts): Buffer {
  const files: InitFile[] = [
    program('init', join(ROOT, 'test', 'guest', 'init.sh')),
    program('bin/busybox', parts.busybox),
    ...parts.programs.map((path) => program(`bin/${basename(path)}`, path)),
    ...librariesOf([parts.busybox, ...parts.programs]).map((path) => program(path.slice(1), path)),
    ...parts.modules.map((path, at) => {
      const name = `${String(at).padStart(2, '0')}-${basename(path).replace(/\.xz$/, '')}`;
      return { path: `modules/${name}`, content: moduleBytes(path), isExecutable: false };
    }),
  ];
  return newcArchive(files, EMPTY_FOLDERS);
}

/**
 * Whether the processor can run a guest by itself. Otherwise, and with `STORDOM_GUEST_ACCEL=tcg`,
 * QEMU translates its instructions.
 */
export function hasKvm(): boolean {
  if (process.env['STORDOM_GUEST_ACCEL'] === 'tcg') return false;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return /^flags\s*:.* (?:vmx|svm)\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return false;
  }
}

function findKernel(): Pick<GuestParts, 'kernel' | 'modules'> | null {
  const given = process.env['STORDOM_GUEST_KERNEL'];
  const roots = given === undefined ? [join(ROOT, 'build', 'guest-kernel'), '/'] : [given];
  for (const root of roots) {
    const boot = join(root, 'boot');
    const names = existsSync(boot) ? readdirSync(boot).sort() : [];
    const image = names.findLast((name) => /^vmlinuz-.*amd64$/.test(name));
    if (image === undefined) continue;
    const version = image.slice('vmlinuz-'.length);
    const folder = ['lib', 'usr/lib']
      .map((library) => join(root, library, 'modules', version, 'kernel'))
      .find((path) => existsSync(path));
    if (folder !== undefined) return { kernel: join(boot, image), modules: findModules(folder) };
  }
  return null;
}

function findModules(folder: string): string[] {
  const paths = new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => [
      basename(path).replace(/\.ko(?:\.xz)?$/, ''),
      join(folder, path),
    ]),
  );
  return MODULES.flatMap((name) => paths.get(name) ?? []);
}

function program(path: string, from: string): InitFile {
  return { path, content: readFileSync(from), isExecutable: true };
}

function moduleBytes(path: string): Uint8Array {
  return path.endsWith('.xz') ? output('xz', ['-dc', path]) : readFileSync(path);
}

/** A program that is linked statically has none. */
function librariesOf(programs: readonly string[]): string[] {
  // It ends with 1 if one of them has none.
  const told = spawnSync('ldd', programs, { encoding: 'utf8' }).stdout;
  return [...new Set([...told.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] as string))];
}

function output(command: string, args: readonly string[]): Buffer {
  const { status, stdout, stderr } = spawnSync(command, args, { maxBuffer: 2 ** 26 });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')} has failed: ${String(stderr)}`);
}
