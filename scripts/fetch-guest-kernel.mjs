// Unpacks a Debian kernel into build/guest-kernel, for the guests of the tests: nothing is
// installed, and nothing in /boot changes.
//
// Needs apt-get and dpkg-deb, whose lists of packages are up to date.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const TARGET = join(ROOT, 'build', 'guest-kernel');
/** It depends on the one package that has the kernel. */
const PACKAGE = 'linux-image-cloud-amd64';

const scratch = mkdtempSync(join(tmpdir(), 'stordom-kernel-'));
try {
  const depends = run('apt-cache', ['depends', PACKAGE]);
  const kernel = /Depends: (linux-image-\S+-cloud-amd64)/.exec(depends)?.[1];
  if (kernel === undefined) throw new Error(`${PACKAGE} depends on no kernel: ${depends}`);
  run('apt-get', ['download', kernel]);
  const [archive] = readdirSync(scratch);
  const unpacked = join(scratch, 'unpacked');
  run('dpkg-deb', ['-x', archive, unpacked]);
  // Only what is whole gets the name.
  rmSync(TARGET, { recursive: true, force: true });
  mkdirSync(dirname(TARGET), { recursive: true });
  run('mv', [unpacked, TARGET]);
  process.stdout.write(`${kernel}: unpacked into ${TARGET}\n`);
} finally {
  rmSync(scratch, { recursive: true });
}

function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: scratch,
    encoding: 'utf8',
  });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')} has failed: ${error?.message ?? stderr}`);
}
