/**
 * What a guest was promised: the checksum of each file whose fsync has returned to it, until it
 * begins to replace the file. And what it has found.
 */

interface Promised {
  readonly sum: string;
}

/** What was promised when a check began. */
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

  /** Taken before the guest begins to read. */
  standing(): Standing {
    return new Map(this.#kept);
  }

  /**
   * Judges what a guest has found: every promise that stood when it began to read and stands now
   * that it has ended was one all the time between.
   */
  judge(standing: Standing, found: ReadonlyMap<string, string>): Judgement {
    const broken: string[] = [];
    let files = 0;
    for (const [name, promised] of standing) {
      if (this.#kept.get(name) !== promised) continue;
      files++;
      const sum = found.get(name);
      if (sum === promised.sum) continue;
      broken.push(sum === undefined ? `${name} is not there` : `${name} has another content`);
    }
    return { files, broken };
  }
}

export interface Judgement {
  /** That were compared. */
  readonly files: number;
  readonly broken: readonly string[];
}
