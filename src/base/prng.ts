/**
 * Seeded random numbers: sfc32, one stream a name.
 *
 * Streams are forked by name from the one seed (`fork('net/3->1')`), so that a new draw in one
 * place does not change the meaning of the seed everywhere else.
 * Source of the generator: PractRand's sfc32 (Chris Doty-Humphrey); of the seeding hash: FNV-1a
 * followed by murmur3's finaliser.
 */
export class Prng {
  readonly #seed: number;
  readonly #name: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, name = '') {
    this.#seed = seed;
    this.#name = name;
    const low = seed >>> 0;
    const high = Math.floor(seed / 2 ** 32) >>> 0;
    const text = `${high}/${low}/${name}`;
    this.#a = hashText(text, 0x811c9dc5);
    this.#b = hashText(text, 0x9747b28c);
    this.#c = hashText(text, 0x1b873593);
    for (let i = 0; i < 12; i++) this.nextU32();
  }

  /** A stream of its own for `name`, whatever was drawn from this one. */
  fork(name: string): Prng {
    return new Prng(this.#seed, `${this.#name}/${name}`);
  }

  nextU32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** In [0, 1). */
  nextUnit(): number {
    return this.nextU32() / 2 ** 32;
  }

  /** A whole number in [0, end). `end` is at least 1. */
  below(end: number): number {
    return Math.floor(this.nextUnit() * end);
  }

  /** A whole number in [low, high], both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.nextUnit() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}

function hashText(text: string, start: number): number {
  let hash = start | 0;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
