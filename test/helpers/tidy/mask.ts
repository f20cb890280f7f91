/**
 * Looks at TypeScript as a reader does: what is code, what is a comment, what is a literal.
 *
 * `mask` blanks out comments, and on request the contents of strings, templates and regular
 * expressions, with spaces; line breaks stay, so that a position in the masked text is the same
 * line of the file. Code inside `${}` of a template is code.
 *
 * A slash begins a regular expression where an operand is expected: after an operator, an opening
 * bracket, a comma, a keyword. That is wrong only after a closing parenthesis of `if (x) /re/` and
 * the like, which nobody writes here.
 */
export interface MaskOptions {
  /** Keep what stands in strings, templates and regular expressions. */
  readonly keepLiterals: boolean;
}

const OPERAND_EXPECTED = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of))\s*$/;

class Masker {
  readonly #text: string;
  readonly #keepLiterals: boolean;
  #at = 0;
  #out = '';

  constructor(text: string, keepLiterals: boolean) {
    this.#text = text;
    this.#keepLiterals = keepLiterals;
  }

  run(): string {
    this.#code('');
    return this.#out;
  }

  /**
   * Copies code up to `end` (the brace that closes a template's hole), or to the end of the text.
   */
  #code(end: string): void {
    let depth = 0;
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at] as string;
      if (end !== '' && char === end && depth === 0) return;
      if (char === '{') depth++;
      if (char === '}') depth--;
      if (this.#text.startsWith('//', this.#at)) this.#blankTo(this.#find('\n'));
      else if (this.#text.startsWith('/*', this.#at)) this.#blankTo(this.#find('*/') + 2);
      else if (char === "'" || char === '"') this.#literal(char);
      else if (char === '`') this.#template();
      else if (char === '/' && OPERAND_EXPECTED.test(this.#out.slice(-40)))
        this.#regularExpression();
      else this.#copy(1);
    }
  }

  #literal(quote: string): void {
    this.#copy(1);
    const from = this.#at;
    while (this.#at < this.#text.length && this.#text[this.#at] !== quote) this.#skipOne();
    this.#take(from);
    this.#copy(1);
  }

  #template(): void {
    this.#copy(1);
    let from = this.#at;
    while (this.#at < this.#text.length && this.#text[this.#at] !== '`') {
      if (!this.#text.startsWith('${', this.#at)) {
        this.#skipOne();
        continue;
      }
      this.#take(from);
      this.#copy(2);
      this.#code('}');
      this.#copy(1);
      from = this.#at;
    }
    this.#take(from);
    this.#copy(1);
  }

  #regularExpression(): void {
    this.#copy(1);
    const from = this.#at;
    let inClass = false;
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at];
      if (char === '/' && !inClass) break;
      if (char === '[') inClass = true;
      if (char === ']') inClass = false;
      this.#skipOne();
    }
    this.#take(from);
    this.#copy(1);
  }

  /** Goes over one character of a literal, or over two when the first is a backslash. */
  #skipOne(): void {
    this.#at += this.#text[this.#at] === '\\' ? 2 : 1;
  }

  /** Puts out the literal's contents between `from` and here. */
  #take(from: number): void {
    const contents = this.#text.slice(from, this.#at);
    this.#out += this.#keepLiterals ? contents : blank(contents);
  }

  #copy(count: number): void {
    this.#out += this.#text.slice(this.#at, this.#at + count);
    this.#at += count;
  }

  #blankTo(end: number): void {
    this.#out += blank(this.#text.slice(this.#at, end));
    this.#at = end;
  }

  #find(what: string): number {
    const found = this.#text.indexOf(what, this.#at);
    return found < 0 ? this.#text.length : found;
  }
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ');
}

/** The text with comments, and unless they are kept the contents of literals, as spaces. */
export function mask(text: string, options: MaskOptions): string {
  return new Masker(text, options.keepLiterals).run();
}

/** Number, from 1, of the line at a position of a text. */
export function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}
