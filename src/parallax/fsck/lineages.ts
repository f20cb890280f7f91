/**
 * Which images may share blocks: those that come from one another by clones.
 *
 * An image keeps the number of its origin. When that was deleted its own origin is not known any
 * more, so the image is counted as kin of everything that is older than the deleted one: it may
 * then miss a block that is shared wrongly, but never accuses one that is shared rightly.
 */
export class Lineages {
  readonly #parents = new Map<number, number>();

  /** `origins`: of each image that there is, the number of its origin or null. */
  constructor(origins: ReadonlyMap<number, number | null>) {
    for (const [vdi, origin] of origins) {
      if (origin === null) continue;
      this.#join(vdi, origin);
      if (origins.has(origin)) continue;
      for (const other of origins.keys()) if (other < origin) this.#join(vdi, other);
    }
  }

  /** The same number for all images of a lineage. */
  of(vdi: number): number {
    let at = vdi;
    for (let up = this.#parents.get(at); up !== undefined; up = this.#parents.get(at)) at = up;
    return at;
  }

  #join(one: number, other: number): void {
    const [a, b] = [this.of(one), this.of(other)];
    if (a !== b) this.#parents.set(Math.max(a, b), Math.min(a, b));
  }
}
