/**
 * Doubly linked lists of numbered nodes, in two typed arrays. A node is in one list at the most.
 *
 * Lists are circular, each with a head of its own numbered behind the nodes, so that no operation
 * has a special case for an end.
 */
export class SlotLists {
  readonly #newer: Int32Array;
  readonly #older: Int32Array;
  readonly #nodes: number;

  constructor(nodes: number, lists: number) {
    this.#nodes = nodes;
    this.#newer = new Int32Array(nodes + lists);
    this.#older = new Int32Array(nodes + lists);
    for (let head = nodes; head < nodes + lists; head++) {
      this.#newer[head] = head;
      this.#older[head] = head;
    }
  }

  get sizeBytes(): number {
    return this.#newer.byteLength + this.#older.byteLength;
  }

  /** Adds a node, which is in no list, as the newest of a list. */
  push(list: number, node: number): void {
    const head = this.#nodes + list;
    const newest = this.#older[head] as number;
    this.#older[node] = newest;
    this.#newer[node] = head;
    this.#newer[newest] = node;
    this.#older[head] = node;
  }

  /** Takes a node out of the list it is in. */
  unlink(node: number): void {
    const newer = this.#newer[node] as number;
    const older = this.#older[node] as number;
    this.#newer[older] = newer;
    this.#older[newer] = older;
  }

  /** The oldest node of a list, -1 if it is empty. */
  oldest(list: number): number {
    const node = this.#newer[this.#nodes + list] as number;
    return node >= this.#nodes ? -1 : node;
  }
}
