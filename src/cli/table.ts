/** A table for a terminal: a line of names, then rows, in columns as wide as they need to be. */
import { displayWidth, pad } from '../report/columns.ts';

/** `aligns`: `l` or `r` for each column. */
export function table(
  names: readonly string[],
  rows: readonly (readonly string[])[],
  aligns: string,
): string {
  const lines = [names, ...rows];
  const widths = names.map((_, column) =>
    Math.max(...lines.map((line) => displayWidth(line[column] ?? ''))),
  );
  return lines
    .map((line) => {
      const cells = widths.map((width, column) =>
        pad(line[column] ?? '', width, aligns[column] === 'r' ? 'right' : 'left'),
      );
      return `${cells.join('  ').trimEnd()}\n`;
    })
    .join('');
}
