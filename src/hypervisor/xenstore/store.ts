/**
 * The live store: the tree, and what every change of it sets off (history and watches).
 */
import type { Clock } from '../../world/world.ts';
import { refuse } from './errno.ts';
import type { ChangeHistory } from './history.ts';
import { applyMutation, type Change } from './mutations.ts';
import type { Requester, StoreView } from './operations.ts';
import { INTRODUCE_DOMAIN, joinPath, RELEASE_DOMAIN } from './paths.ts';
import { mayRead, type Permissions, PRIVILEGED_DOMAIN, permit } from './permissions.ts';
import type { Transaction } from './transactions.ts';
import { type StoreNode, Tree } from './tree.ts';
import { type Emit, WatchTable } from './watches.ts';

export class Store {
  readonly tree: Tree = Tree.empty();
  readonly watches: WatchTable = new WatchTable();
  readonly history: ChangeHistory;
  readonly #clock: Clock;
  readonly #emit: Emit;
  /** Who may hear of the events that name no node: at first domain 0 alone. */
  readonly #specials: Map<string, Permissions> = new Map([
    [INTRODUCE_DOMAIN, [permit('n', PRIVILEGED_DOMAIN)]],
    [RELEASE_DOMAIN, [permit('n', PRIVILEGED_DOMAIN)]],
  ]);

  constructor(clock: Clock, history: ChangeHistory, emit: Emit) {
    this.#clock = clock;
    this.history = history;
    this.#emit = emit;
  }

  /** A view that reads and changes the live tree at once, for `who`. */
  live(who: Requester): StoreView {
    return {
      tree: this.tree,
      observe: () => undefined,
      mutate: (mutation) => this.#happened(who, applyMutation(this.tree, mutation, who)),
    };
  }

  commit(transaction: Transaction, who: Requester): void {
    for (const change of transaction.commit(this.tree)) this.#happened(who, change);
  }

  specialPermissions(path: string): Permissions {
    return this.#specials.get(path) ?? refuse('ENOENT', 'there is no such event');
  }

  setSpecialPermissions(path: string, permissions: Permissions): void {
    this.specialPermissions(path);
    this.#specials.set(path, permissions);
  }

  fireSpecial(path: string): void {
    const permissions = this.specialPermissions(path);
    this.watches.fireSpecial(path, (who) => mayRead(permissions, who), this.#emit);
  }

  /** Every node at `top` and below with its value, parents first: for views and checks. */
  snapshot(top = '/'): readonly (readonly [path: string, value: string])[] {
    const all: (readonly [string, string])[] = [];
    const visit = (path: string, node: StoreNode): void => {
      all.push([path, node.value]);
      for (const [name, child] of node.children) visit(joinPath(path, name), child);
    };
    const node = this.tree.get(top);
    if (node !== null) visit(top, node);
    return all;
  }

  checkInvariants(): void {
    this.tree.checkInvariants();
    this.watches.checkInvariants();
  }

  #happened(who: Requester, change: Change): void {
    this.history.record(this.#clock.nowNs(), who.domid, change);
    this.watches.fire(change, this.#emit);
  }
}

/** True for the paths whose events the store invents itself. */
export function isSpecial(path: string): boolean {
  return path === INTRODUCE_DOMAIN || path === RELEASE_DOMAIN;
}
