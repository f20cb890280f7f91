/**
 * Optimistic transactions.
 *
 * A transaction works on a fork of the store taken at its start, so all it reads belongs to one
 * moment, and nobody sees what it writes. It remembers what it observed and its mutations in order.
 * At commit every observation is compared between the store at the start and the store now; if one
 * differs, somebody changed what this transaction relied on: EAGAIN, nothing happens, the caller
 * begins again. Otherwise the mutations are made on the live tree at once, which gives the same
 * outcome as if the whole transaction had run at the moment of its commit.
 *
 * A transaction that only read is checked too. What others changed elsewhere never conflicts.
 */
import { refuse } from './errno.ts';
import { applyMutation, type Change, type Mutation } from './mutations.ts';
import { type Aspect, checkOwned, type Requester, type StoreView } from './operations.ts';
import { findBelow, type StoreNode, type Tree } from './tree.ts';

export class Transaction implements StoreView {
  readonly tree: Tree;
  readonly #base: StoreNode;
  readonly #who: Requester;
  readonly #observed = new Map<string, Set<Aspect>>();
  readonly #log: Mutation[] = [];

  constructor(live: Tree, who: Requester) {
    this.tree = live.fork();
    this.#base = live.root;
    this.#who = who;
  }

  observe(path: string, aspect: Aspect): void {
    const aspects = this.#observed.get(path);
    if (aspects !== undefined) {
      aspects.add(aspect);
      return;
    }
    this.#checkSize();
    this.#observed.set(path, new Set([aspect]));
  }

  mutate(mutation: Mutation): void {
    this.#checkSize();
    this.#log.push(mutation);
    applyMutation(this.tree, mutation, this.#who);
  }

  /** Makes the changes on `live`, all or none. Refuses with EAGAIN on a conflict. */
  commit(live: Tree): readonly Change[] {
    this.#checkConflicts(live);
    const next = live.fork();
    const changes = this.#log.map((mutation) => applyMutation(next, mutation, this.#who));
    const grows = next.owned(this.#who.domid) > live.owned(this.#who.domid);
    if (grows) checkOwned(next, this.#who, 0);
    live.adopt(next);
    return changes;
  }

  #checkConflicts(live: Tree): void {
    if (live.root === this.#base) return;
    for (const [path, aspects] of this.#observed) {
      const then = findBelow(this.#base, path).node;
      const now = live.get(path);
      for (const aspect of aspects) {
        if (!unchanged(then, now, aspect)) refuse('EAGAIN', `${path} was changed meanwhile`);
      }
    }
  }

  #checkSize(): void {
    if (this.#observed.size + this.#log.length >= this.#who.quota.transactionNodes) {
      refuse('ENOSPC', 'the transaction touches as many nodes as it may');
    }
  }
}

function unchanged(then: StoreNode | null, now: StoreNode | null, aspect: Aspect): boolean {
  if (then === now) return true;
  if (then === null || now === null) return false;
  if (aspect === 'content') return then.generation === now.generation;
  if (aspect === 'list') return then.listGeneration === now.listGeneration;
  return false;
}

/** The open transactions of one connection, by the number that the client names them with. */
export class TransactionTable {
  readonly #open = new Map<number, Transaction>();
  #lastId = 0;

  get size(): number {
    return this.#open.size;
  }

  start(live: Tree, who: Requester): number {
    if (this.#open.size >= who.quota.transactions) {
      refuse('ENOSPC', 'as many transactions are open as may be');
    }
    do {
      this.#lastId = this.#lastId >= 0xffff_ffff ? 1 : this.#lastId + 1;
    } while (this.#open.has(this.#lastId));
    this.#open.set(this.#lastId, new Transaction(live, who));
    return this.#lastId;
  }

  get(id: number): Transaction {
    return this.#open.get(id) ?? refuse('ENOENT', 'no such transaction is open');
  }

  /** Ends it: its number means nothing any more, whatever comes of the commit. */
  take(id: number): Transaction {
    const transaction = this.get(id);
    this.#open.delete(id);
    return transaction;
  }

  clear(): void {
    this.#open.clear();
  }
}
