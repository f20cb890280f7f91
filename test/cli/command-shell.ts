/**
 * A process that runs one command line after the other, each as `bin/stordom.mjs` does in a process
 * of its own: to load the modules takes longer than most lines do. Its parent sends a
 * folder and the words of a line, and gets what it has said, and how it ended.
 */
import { main } from '../../src/cli/main.ts';
import type { Ended } from './helpers.ts';

async function run(args: readonly string[]): Promise<Ended> {
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    process[name].write = (text: string | Uint8Array) => {
      said[name] += typeof text === 'string' ? text : Buffer.from(text).toString();
      return true;
    };
  }
  process.argv = [process.execPath, 'stordom', ...args];
  process.exitCode = 0;
  await main(args);
  const code = Number(process.exitCode);
  process.exitCode = 0;
  return { code, ...said };
}

process.on('message', ({ folder, args }: { folder: string; args: readonly string[] }) => {
  process.chdir(folder);
  void run(args).then((ended) => process.send?.(ended));
});
