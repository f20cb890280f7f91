/** A queue over a circular array: first in, first out, no allocation but when it grows. */
import { invariant } from './invariant.ts';

export class Fifo<T> {
  #items: (T | undefined)[] = [undefined, undefined, undefined, undefined];
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === this.#items.length) this.#grow();
    this.#items[(this.#head + this.#length) & (this.#items.length - 1)] = item;
    this.#length++;
  }

  /** The oldest item, or undefined. */
  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#items[this.#head];
  }

  shift(): T {
    invariant(this.#length > 0, 'an empty queue has nothing to give');
    const item = this.#items[this.#head] as T;
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    this.#length--;
    return item;
  }

  /** Everything, oldest first; the queue is empty afterwards. */
  drain(): T[] {
    const all: T[] = [];
    while (this.#length > 0) all.push(this.shift());
    return all;
  }

  #grow(): void {
    const grown: (T | undefined)[] = [];
    for (let i = 0; i < this.#length; i++) {
      grown.push(this.#items[(this.#head + i) & (this.#items.length - 1)]);
    }
    while (grown.length < 2 * this.#length) grown.push(undefined);
    this.#items = grown;
    this.#head = 0;
  }
}
