/**
 * The tree of nodes, as an immutable value with one mutable root.
 *
 * A node is never changed: a mutation makes new nodes on the way from the changed one to the root
 * and shares all others. That gives three things: a fork for a transaction costs nothing, whoever
 * holds an old root sees the store as it was, and "nothing below this node changed" is a comparison
 * of two references.
 *
 * Values are octet strings, held as text with one character (0..255) an octet: immutable, as long
 * as they have bytes, and compared by `===`.
 *
 * Generations are numbers of one counter per tree and never repeat, so that a node removed and made
 * again is not taken for the old one. A node has two: `generation` moves with its value and its
 * permissions, `listGeneration` with its list of children. Two domains that each add a child to a
 * directory therefore do not conflict, unless one of them listed it.
 *
 * Nothing here checks permissions or quotas: `operations.ts` does, before it calls.
 */
import { invariant, present } from '../../base/invariant.ts';
import type { DomainId } from '../../base/units.ts';
import { pathNames } from './paths.ts';
import {
  type Caller,
  callerOf,
  inherit,
  ownerOf,
  type Permissions,
  PRIVILEGED_DOMAIN,
  permit,
} from './permissions.ts';

export interface StoreNode {
  readonly value: string;
  readonly permissions: Permissions;
  /** When the value or the permissions changed last, or the node was made. */
  readonly generation: number;
  /** When a child was added or removed last, or the node was made. */
  readonly listGeneration: number;
  readonly children: ReadonlyMap<string, StoreNode>;
}

/** The end of a walk: the node if it is there, and the nearest one above that is. */
export interface Found {
  readonly node: StoreNode | null;
  readonly nearest: StoreNode;
  /** How many names of the path lead to `nearest`. */
  readonly nearestDepth: number;
}

export class Tree {
  #root: StoreNode;
  #generation: number;
  readonly #owned: Map<DomainId, number>;

  private constructor(root: StoreNode, generation: number, owned: Map<DomainId, number>) {
    this.#root = root;
    this.#generation = generation;
    this.#owned = owned;
  }

  /** A store with a root that belongs to domain 0 and that nobody else may read. */
  static empty(): Tree {
    const permissions: Permissions = [permit('n', PRIVILEGED_DOMAIN)];
    const root = makeNode('', permissions, 1);
    return new Tree(root, 1, new Map([[PRIVILEGED_DOMAIN, 1]]));
  }

  get root(): StoreNode {
    return this.#root;
  }

  /** Number of nodes a domain owns. */
  owned(domid: DomainId): number {
    return this.#owned.get(domid) ?? 0;
  }

  /** A tree that begins as this one; neither sees what later happens to the other. */
  fork(): Tree {
    return new Tree(this.#root, this.#generation, new Map(this.#owned));
  }

  /** Becomes `next`, a fork of this tree as it is now. */
  adopt(next: Tree): void {
    invariant(next.#generation >= this.#generation, 'generations only grow');
    this.#root = next.#root;
    this.#generation = next.#generation;
    this.#owned.clear();
    for (const [domid, count] of next.#owned) this.#owned.set(domid, count);
  }

  find(path: string): Found {
    return findBelow(this.#root, path);
  }

  get(path: string): StoreNode | null {
    return this.find(path).node;
  }

  /** Sets a value; makes the node and what is missing above it for `caller`. */
  write(path: string, value: string, caller: Caller): void {
    this.#replace(path, caller, (old, parent) =>
      old === null
        ? this.#create(value, parent, caller)
        : { ...old, value, generation: this.#generation },
    );
  }

  /** Makes the node and what is missing above it; leaves one that is there as it is. */
  mkdir(path: string, caller: Caller): void {
    if (this.get(path) !== null) return;
    this.#replace(path, caller, (_old, parent) => this.#create('', parent, caller));
  }

  setPermissions(path: string, permissions: Permissions): void {
    this.#replace(path, TOOLSTACK, (old) => {
      const node = present(old, 'the permissions of a node that is there are set');
      this.#count(ownerOf(node.permissions), -1);
      this.#count(ownerOf(permissions), 1);
      return { ...node, permissions, generation: this.#generation };
    });
  }

  /** Removes a node that is there, and all below it. */
  remove(path: string): void {
    const names = pathNames(path);
    invariant(names.length > 0, 'the root is never removed');
    this.#generation++;
    const last = present(names.pop(), 'a path that is not the root has a last name');
    this.#root = this.#rebuild(this.#root, names, 0, TOOLSTACK, (old) => {
      const node = present(old, 'the parent of a removed node is there');
      const children = new Map(node.children);
      this.#discount(present(children.get(last), 'a removed node is there'));
      children.delete(last);
      return { ...node, children, listGeneration: this.#generation };
    });
  }

  /** Throws if the counts of owned nodes do not match the tree. Walks the whole tree. */
  checkInvariants(): void {
    const counted = new Map<DomainId, number>();
    const visit = (node: StoreNode): void => {
      const owner = ownerOf(node.permissions);
      counted.set(owner, (counted.get(owner) ?? 0) + 1);
      invariant(node.generation <= this.#generation, 'no node is newer than its tree');
      invariant(node.listGeneration <= this.#generation, 'no list is newer than its tree');
      for (const child of node.children.values()) visit(child);
    };
    visit(this.#root);
    invariant(counted.size === this.#owned.size, 'every owner of a node is counted, no other');
    for (const [domid, count] of counted) {
      invariant(this.owned(domid) === count, 'the count of owned nodes matches the tree');
    }
  }

  #replace(path: string, caller: Caller, change: Change): void {
    this.#generation++;
    this.#root = this.#rebuild(this.#root, pathNames(path), 0, caller, change);
  }

  #rebuild(
    node: StoreNode,
    names: readonly string[],
    depth: number,
    caller: Caller,
    change: Change,
  ): StoreNode {
    if (depth === names.length) return change(node, node);
    const name = present(names[depth], 'depth is below the length');
    const old = node.children.get(name) ?? null;
    const children = new Map(node.children);
    if (old === null && depth + 1 === names.length) {
      children.set(name, change(null, node));
    } else {
      const start = old ?? this.#create('', node, caller);
      children.set(name, this.#rebuild(start, names, depth + 1, caller, change));
    }
    const listGeneration = old === null ? this.#generation : node.listGeneration;
    return { ...node, children, listGeneration };
  }

  #create(value: string, parent: StoreNode, caller: Caller): StoreNode {
    const permissions = inherit(parent.permissions, caller);
    this.#count(ownerOf(permissions), 1);
    return makeNode(value, permissions, this.#generation);
  }

  #discount(node: StoreNode): void {
    this.#count(ownerOf(node.permissions), -1);
    for (const child of node.children.values()) this.#discount(child);
  }

  #count(domid: DomainId, change: number): void {
    const count = this.owned(domid) + change;
    invariant(count >= 0, 'a domain does not own fewer than no nodes');
    if (count === 0) this.#owned.delete(domid);
    else this.#owned.set(domid, count);
  }
}

/** Looks `path` up in the store as it was when `root` was its root. */
export function findBelow(root: StoreNode, path: string): Found {
  const names = pathNames(path);
  let nearest = root;
  for (let depth = 0; depth < names.length; depth++) {
    const child = nearest.children.get(present(names[depth], 'depth is below the length'));
    if (child === undefined) return { node: null, nearest, nearestDepth: depth };
    nearest = child;
  }
  return { node: nearest, nearest, nearestDepth: names.length };
}

/** `old` is null where the node is made; `parent` is then the one it is made below. */
type Change = (old: StoreNode | null, parent: StoreNode) => StoreNode;

/** Where nothing can be made on the way, who asks does not matter. */
const TOOLSTACK: Caller = callerOf(PRIVILEGED_DOMAIN);

function makeNode(value: string, permissions: Permissions, generation: number): StoreNode {
  return {
    value,
    permissions,
    generation,
    listGeneration: generation,
    children: new Map(),
  };
}
