/**
 * Text that came from outside, made safe to stand inside HTML, SVG, a script or a terminal.
 *
 * Names of guests, texts of checks and commands come from scenario files and result files of
 * strangers. Nothing reaches a report without going through one of these.
 */

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);

/** For content and quoted attributes of HTML and of SVG (XML 1.0: no control characters). */
export function escapeMarkup(text: string): string {
  return dropLoneSurrogates(text)
    .replace(/[&<>"']/g, (mark) => ENTITIES.get(mark) ?? mark)
    .replace(/(?![\t\n\r])\p{Cc}|[\ufffe\uffff]/gu, '\ufffd');
}

/**
 * JSON for the inside of a `<script>` element. `<` cannot close the element or open a comment,
 * and the two line separators are written as escapes for readers that take JSON for JavaScript.
 */
export function jsonForScript(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A script of ours or of a library, for the inside of a `<script>` element. */
export function scriptForMarkup(script: string): string {
  return script.replace(/<(?=\/script|script|!--)/gi, '\\x3c');
}

/** A style sheet, for the inside of a `<style>` element. */
export function styleForMarkup(style: string): string {
  return style.replace(/<(?=\/style|!--)/gi, '\\3c ');
}

/**
 * For a terminal: control characters, which could move its cursor or set its title, become
 * visible escapes, and so do the characters that reorder the text after them.
 */
export function printable(text: string): string {
  return dropLoneSurrogates(text).replace(
    /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu,
    (mark) => {
      const code = mark.charCodeAt(0);
      return code < 0x100
        ? `\\x${code.toString(16).padStart(2, '0')}`
        : `\\u${code.toString(16).padStart(4, '0')}`;
    },
  );
}

function dropLoneSurrogates(text: string): string {
  return text.replace(/\p{Cs}/gu, '\ufffd');
}
