/**
 * Text measured in terminal columns.
 *
 * A column is not a character: East Asian characters and emoji take two, combining marks none.
 * The ranges below are those of Unicode's East Asian Width W and F, joined where gaps between
 * them hold nothing a name would contain; a sequence joined by zero-width joiners is counted as
 * its parts, which a terminal may draw narrower but not wider. All functions expect text that
 * went through `printable`.
 */

const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x2329, 0x232a],
  [0x23e9, 0x23f3],
  [0x25fd, 0x25fe],
  [0x2614, 0x27bf],
  [0x2b1b, 0x2b55],
  [0x2e80, 0x303e],
  [0x3041, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18d08],
  [0x1aff0, 0x1b2fb],
  [0x1d300, 0x1d376],
  [0x1f004, 0x1faff],
  [0x20000, 0x3fffd],
];
/** Marks of the reports themselves; terminals draw these in one column. */
const NARROW = /[✔✘]/u;
const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;

export type Align = 'left' | 'right';

export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** The text, or its beginning and an ellipsis, in at most `width` columns. */
export function cut(text: string, width: number, ellipsis = '…'): string {
  if (displayWidth(text) <= width) return text;
  const room = width - displayWidth(ellipsis);
  return room < 0 ? '' : headOf(text, room) + ellipsis;
}

/** The text filled up with spaces to `width` columns. */
export function pad(text: string, width: number, align: Align = 'left'): string {
  const fill = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'left' ? text + fill : fill + text;
}

/** Lines of at most `width` columns, broken at spaces, and inside a word only if it is longer. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter((one) => one !== '')) {
    const joined = line === '' ? word : `${line} ${word}`;
    if (displayWidth(joined) <= width) {
      line = joined;
      continue;
    }
    if (line !== '') lines.push(line);
    line = word;
    while (displayWidth(line) > width) {
      const head = headOf(line, width);
      if (head === '') break;
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  if (line !== '') lines.push(line);
  return lines;
}

/**
 * A shell command over several lines of at most `width` columns, such that pasting them into a
 * shell gives the command unchanged: lines end in a backslash, breaks are at spaces outside
 * quotes; a word too long for a line is cut, and one in single quotes, where a backslash means
 * itself, has them closed before the cut and opened again behind it.
 */
export function wrapCommand(command: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of shellWords(command)) {
    const joined = line === '' ? word : `${line} ${word}`;
    if (displayWidth(joined) <= width - 2) {
      line = joined;
      continue;
    }
    if (line !== '') lines.push(`${line} \\`);
    const pieces = cutWord(word, width);
    line = pieces.pop() ?? '';
    lines.push(...pieces);
  }
  if (line !== '') lines.push(line);
  return lines;
}

/** Words at spaces outside quotes; quotes and backslashes stay in them. */
function shellWords(command: string): string[] {
  return command.match(/(?:\\.|'[^']*'?|"(?:\\.|[^"\\])*"?|[^\s'"\\]|\\$)+/g) ?? [];
}

function cutWord(word: string, width: number): string[] {
  const pieces: string[] = [];
  let piece = '';
  let quote = '';
  let escaped = false;
  for (const character of word) {
    // Two columns for the closing quote and the backslash, and never behind a backslash.
    if (displayWidth(piece + character) > width - 3 && !escaped) {
      pieces.push(quote === "'" ? `${piece}'\\` : `${piece}\\`);
      piece = quote === "'" ? "'" : '';
    }
    piece += character;
    if (escaped) escaped = false;
    else if (character === '\\' && quote !== "'") escaped = true;
    else if (quote === '' && (character === "'" || character === '"')) quote = character;
    else if (character === quote) quote = '';
  }
  return [...pieces, piece];
}

function headOf(text: string, width: number): string {
  let used = 0;
  let head = '';
  for (const character of text) {
    used += characterWidth(character);
    if (used > width) break;
    head += character;
  }
  return head;
}

function characterWidth(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x300) return code === 0xad ? 0 : 1;
  if (ZERO_WIDTH.test(character)) return 0;
  if (NARROW.test(character)) return 1;
  return WIDE.some(([low, high]) => code >= low && code <= high) ? 2 : 1;
}
