// Brings a checkout into a state in which the command can run: installs the packages and compiles
// the sources, each only if it is missing or does not fit what it is made from. Says nothing
// otherwise.
//
// Plain Node without packages, because it runs before there are any. `npm start` and
// `npm run stordom` begin with it.
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const LOCK = join(ROOT, 'package-lock.json');
const MODULES = join(ROOT, 'node_modules');
/** npm writes it at the end of an installation. */
const INSTALLED = join(MODULES, '.package-lock.json');
/**
 * The compiler does not touch its outputs if only times have changed: this file tells the last run.
 */
const COMPILED = join(ROOT, 'build', '.compiled');
const SOURCES = ['src', 'bench', 'test', 'tsconfig.json'];

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(
    `stordom: Node ${process.versions.node} is too old; expected 20.19 or newer; ` +
      'install it from https://nodejs.org\n',
  );
  process.exit(2);
}

if (!isInstalled()) {
  if (isLink(MODULES)) {
    // npm would empty the folder behind the link, which others use too.
    process.stderr.write(
      `stordom: ${MODULES} is a link to packages that do not fit package-lock.json; ` +
        'install them where it leads, or remove the link\n',
    );
    process.exit(2);
  }
  run('installing packages', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
}
const newestSource = Math.max(...SOURCES.map((name) => newestIn(join(ROOT, name))));
if (changedAt(COMPILED) < Math.max(newestSource, changedAt(INSTALLED))) {
  const compiler = join(MODULES, 'typescript', 'bin', 'tsc');
  run('compiling', process.execPath, [compiler, '-p', ROOT]);
  writeFileSync(COMPILED, '');
}

/**
 * Whether every package of the lock file is there in its version. Times do not tell: a change of
 * branch makes the lock file younger than an installation that fits it. Optional packages are of
 * other systems.
 */
function isInstalled() {
  if (!existsSync(INSTALLED)) return false;
  const installed = JSON.parse(readFileSync(INSTALLED, 'utf8')).packages;
  const wanted = Object.entries(JSON.parse(readFileSync(LOCK, 'utf8')).packages);
  return wanted.every(
    ([path, { version, optional }]) =>
      path === '' || optional === true || installed[path]?.version === version,
  );
}

function isLink(path) {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** Runs a program; shows what it says only if it fails, and then ends with its exit code. */
function run(what, program, args) {
  process.stderr.write(`stordom: ${what}\n`);
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    cwd: ROOT,
    encoding: 'utf8',
    // On Windows npm is a script, which only a shell starts.
    shell: program === 'npm' && process.platform === 'win32',
  });
  if (error === undefined && status === 0) return;
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  const why = error === undefined ? `exit code ${status}` : error.message;
  process.stderr.write(`stordom: ${what} failed (${why}): ${program} ${args.join(' ')}\n`);
  process.exit(status || 1);
}

/** Time of the last change in ms, 0 if there is no such file. */
function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/**
 * Time of the last change of a file or of anything below a folder; a removal changes its folder.
 */
function newestIn(path) {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return 0;
  if (!facts.isDirectory()) return facts.mtimeMs;
  const below = readdirSync(path).map((name) => newestIn(join(path, name)));
  return Math.max(facts.mtimeMs, ...below);
}
