/** The command line as it was typed, to be typed again. */

const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

export function commandLine(args: readonly string[] = process.argv.slice(2)): string {
  return ['stordom', ...args.map(quoted)].join(' ');
}

function quoted(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
