/**
 * Wraps comments at 100 columns, which the formatter does not do: `wrap-comments.mjs FOLDER...`.
 *
 * Only a paragraph with a line that is too long is touched. Paragraphs end at an empty line, at a
 * list item, at another indentation. What is drawn is left alone: lines between fences, and lines
 * in which two spaces follow each other.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const COLUMNS = 100;
const DRAWN = /\S {2,}\S/;
const FENCE = /^\s*```/;
const BULLET = /^(\s*)((?:- )?)/;

function filesBelow(path) {
  // Generated files are what their generator says, line by line.
  if (path.endsWith('.pb.d.ts')) return [];
  if (!statSync(path).isDirectory()) return /\.(?:ts|mjs)$/.test(path) ? [path] : [];
  return readdirSync(path).flatMap((name) => filesBelow(join(path, name)));
}

/**
 * Lines of at most 100 columns out of words; the first begins with `first`, the others with `rest`.
 */
function wrapped(words, first, rest) {
  const lines = [];
  let line = first + words[0];
  for (const word of words.slice(1)) {
    if (line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = rest + word;
    } else {
      line += ` ${word}`;
    }
  }
  return [...lines, line];
}

/** The lines of a comment without its delimiters; each begins with `prefix`, as ` * `. */
function wrapLines(lines, prefix) {
  const texts = lines.map((line) => line.slice(prefix.length));
  const out = [];
  let fenced = false;
  for (let at = 0; at < lines.length; ) {
    const text = texts[at];
    if (FENCE.test(text)) fenced = !fenced;
    if (fenced || FENCE.test(text) || text.trim() === '' || DRAWN.test(text)) {
      out.push(lines[at++]);
      continue;
    }
    const [, indent, bullet] = BULLET.exec(text);
    const hanging = indent + ' '.repeat(bullet.length);
    let end = at + 1;
    while (end < lines.length && continues(texts[end], hanging)) end++;
    out.push(...wrapParagraph(lines.slice(at, end), texts.slice(at, end), prefix, indent + bullet));
    at = end;
  }
  return out;
}

function continues(text, hanging) {
  if (text.trim() === '' || FENCE.test(text) || DRAWN.test(text)) return false;
  const [, indent, bullet] = BULLET.exec(text);
  return bullet === '' && indent.length === hanging.length;
}

function wrapParagraph(lines, texts, prefix, head) {
  if (lines.every((line) => line.length <= COLUMNS)) return lines;
  const words = texts.join(' ').slice(head.length).trim().split(/\s+/);
  return wrapped(words, prefix + head, prefix + ' '.repeat(head.length));
}

function wrapComments(text) {
  const lines = text.split('\n');
  const out = [];
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    const single = /^(\s*)\/\*\* (.*) \*\/$/.exec(line);
    const opening = /^(\s*)\/\*\*$/.exec(line);
    const slashes = /^(\s*\/\/ )/.exec(line);
    if (single !== null && line.length > COLUMNS) {
      const [, indent, words] = single;
      const prefix = `${indent} * `;
      out.push(`${indent}/**`, ...wrapped(words.split(' '), prefix, prefix), `${indent} */`);
      at++;
    } else if (opening !== null) {
      const end = lines.findIndex((later, place) => place > at && later.trim() === '*/');
      out.push(line, ...wrapLines(lines.slice(at + 1, end), `${opening[1]} * `));
      at = end;
    } else if (slashes !== null) {
      let end = at;
      while (end < lines.length && lines[end].startsWith(slashes[1])) end++;
      out.push(...wrapLines(lines.slice(at, end), slashes[1]));
      at = end;
    } else {
      out.push(line);
      at++;
    }
  }
  return out.join('\n');
}

for (const path of process.argv.slice(2).flatMap(filesBelow)) {
  const before = readFileSync(path, 'utf8');
  const after = wrapComments(before);
  if (after !== before) {
    writeFileSync(path, after);
    console.log(`wrapped ${path}`);
  }
}
