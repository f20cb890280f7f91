/**
 * Calls that have not returned, by (connection, id, op): an open hash over typed arrays.
 *
 * A Map would need a string or a double made for each line of a log. Few calls are pending at a
 * time, so the table stays small and in cache. Linear probing; deletion shifts back what was pushed
 * over the hole, so no tombstones pile up.
 */
const EMPTY = -1;
const CAPACITY_START = 256;

export class PendingCalls {
  #size = 0;
  #mask: number = CAPACITY_START - 1;
  #connections: Uint32Array = new Uint32Array(CAPACITY_START);
  #ids: Uint32Array = new Uint32Array(CAPACITY_START);
  #ops: Uint8Array = new Uint8Array(CAPACITY_START);
  #records: Int32Array = new Int32Array(CAPACITY_START).fill(EMPTY);

  get size(): number {
    return this.#size;
  }

  /** Remembers a call; returns false if it replaced one of the same name that never returned. */
  add(connection: number, id: number, op: number, record: number): boolean {
    if (this.#size * 2 > this.#mask) this.#grow();
    const slot = this.#find(connection, id, op);
    const fresh = this.#records[slot] === EMPTY;
    this.#connections[slot] = connection;
    this.#ids[slot] = id;
    this.#ops[slot] = op;
    this.#records[slot] = record;
    if (fresh) this.#size++;
    return fresh;
  }

  /** Forgets a call and returns its record, or -1 if there is none. */
  take(connection: number, id: number, op: number): number {
    const slot = this.#find(connection, id, op);
    const record = this.#records[slot] as number;
    if (record !== EMPTY) this.#remove(slot);
    return record;
  }

  /** The slot that holds the call, or the empty one where it belongs. */
  #find(connection: number, id: number, op: number): number {
    let slot = this.#home(connection, id, op);
    while (
      this.#records[slot] !== EMPTY &&
      (this.#ids[slot] !== id || this.#connections[slot] !== connection || this.#ops[slot] !== op)
    ) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  #home(connection: number, id: number, op: number): number {
    const mixed = Math.imul(Math.imul(connection * 8 + op, 0x9e3779b1) ^ id, 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & this.#mask;
  }

  #remove(slot: number): void {
    let hole = slot;
    let next = (slot + 1) & this.#mask;
    while (this.#records[next] !== EMPTY) {
      const home = this.#home(
        this.#connections[next] as number,
        this.#ids[next] as number,
        this.#ops[next] as number,
      );
      if (((next - home) & this.#mask) >= ((next - hole) & this.#mask)) {
        this.#connections[hole] = this.#connections[next] as number;
        this.#ids[hole] = this.#ids[next] as number;
        this.#ops[hole] = this.#ops[next] as number;
        this.#records[hole] = this.#records[next] as number;
        hole = next;
      }
      next = (next + 1) & this.#mask;
    }
    this.#records[hole] = EMPTY;
    this.#size--;
  }

  #grow(): void {
    const [connections, ids, ops, records] = [
      this.#connections,
      this.#ids,
      this.#ops,
      this.#records,
    ];
    const capacity = records.length * 2;
    this.#mask = capacity - 1;
    this.#size = 0;
    this.#connections = new Uint32Array(capacity);
    this.#ids = new Uint32Array(capacity);
    this.#ops = new Uint8Array(capacity);
    this.#records = new Int32Array(capacity).fill(EMPTY);
    for (let slot = 0; slot < records.length; slot++) {
      if (records[slot] === EMPTY) continue;
      this.add(
        connections[slot] as number,
        ids[slot] as number,
        ops[slot] as number,
        records[slot] as number,
      );
    }
  }
}
