/**
 * What a guest was promised: the checksum of each file whose fsync has returned to it, until it
 * begins to replace the file. And what it has found.
 */

interface Promised {
  readonly sum: string;
}

/** What is promised at some time, by the names of the files. */
export type Standing = ReadonlyMap<string, Promised>;

export class Promises {
  readonly #kept = new Map<string, Promised>();
  #fsyncs = 0;

  /** Times that an fsync has returned. */
  get fsyncs(): number {
    return this.#fsyncs;
  }

  /** The file is being replaced: it may have any content, or none. */
  withdraw(name: string): void {
    this.#kept.delete(name);
  }

  make(name: string, sum: string): void {
    this.#fsyncs++;
    this.#kept.set(name, { sum });
  }

  standing(): Standing {
    return new Map(this.#kept);
  }

  /** Of those that stood at some time, the ones that have stood ever since. */
  unbroken(since: Standing): Standing {
    return new Map([...since].filter(([name, promised]) => this.#kept.get(name) === promised));
  }
}

/** Judges what a guest has found by what it was promised. */
export function judge(promises: Standing, found: ReadonlyMap<string, string>): Judgement {
  const broken: string[] = [];
  for (const [name, promised] of promises) {
    const sum = found.get(name);
    if (sum === promised.sum) continue;
    broken.push(sum === undefined ? `${name} is not there` : `${name} has another content`);
  }
  return { files: promises.size, broken };
}

export interface Judgement {
  /** That were compared. */
  readonly files: number;
  readonly broken: readonly string[];
}
