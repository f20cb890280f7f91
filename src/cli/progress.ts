/**
 * One line on stderr that tells how far long work is: rewritten four times a second, gone when the
 * work is done, and not there at all when stderr is no terminal or the user wants quiet.
 */

const INTERVAL_MS = 250;
const COLUMNS_DEFAULT = 80;

export class ProgressLine {
  readonly #isOn: boolean;
  readonly #text: () => string;
  #timer: NodeJS.Timeout | null = null;

  /** `text` gives the line of now; it is asked for only when it is shown. */
  constructor(quiet: boolean, text: () => string) {
    this.#isOn = !quiet && process.stderr.isTTY;
    this.#text = text;
  }

  start(): void {
    if (!this.#isOn || this.#timer !== null) return;
    this.show();
    this.#timer = setInterval(() => this.show(), INTERVAL_MS);
    this.#timer.unref();
  }

  /** Takes the line away. */
  stop(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    process.stderr.write('\r\u001b[K');
  }

  /** A terminal that does not know its width says 0. */
  show(): void {
    const columns = process.stderr.columns || COLUMNS_DEFAULT;
    process.stderr.write(`\r${this.#text().slice(0, columns - 1)}\u001b[K`);
  }
}

/** `[#####.....]` of twenty characters. */
export function progressBar(share: number): string {
  const width = 20;
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}]`;
}
