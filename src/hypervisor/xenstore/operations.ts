/**
 * The requests that read and change nodes, each with its permission and quota checks.
 *
 * They run on a view: the live tree, or the fork of a transaction. The view is told what a request
 * looked at before anything is decided on it, refusals included: a transaction that went on because
 * a node was absent conflicts with whoever makes that node.
 *
 * Whether a missing node is ENOENT or EACCES depends on the nearest node above that is there: who
 * may not look at that one learns nothing about what is below it.
 */
import { invariant } from '../../base/invariant.ts';
import { refuse } from './errno.ts';
import type { Mutation } from './mutations.ts';
import { joinPath, parentPath, pathNames } from './paths.ts';
import {
  type Caller,
  inherit,
  isOwner,
  mayRead,
  mayWrite,
  ownerOf,
  type Permissions,
} from './permissions.ts';
import type { XenstoreQuota } from './quota.ts';
import type { Found, StoreNode, Tree } from './tree.ts';

/** What of a node counts: value and permissions, the names of its children, or all below. */
export type Aspect = 'content' | 'list' | 'subtree';

export interface StoreView {
  readonly tree: Tree;
  /** Says that the result depends on this aspect of the node, which may be absent. */
  observe(path: string, aspect: Aspect): void;
  /** Carries the mutation out. */
  mutate(mutation: Mutation): void;
}

export interface Requester extends Caller {
  readonly quota: XenstoreQuota;
}

type Need = (permissions: Permissions, caller: Caller) => boolean;

export function readNode(view: StoreView, who: Requester, path: string): string {
  return existing(view, who, path, mayRead).value;
}

/** The names of the children, in the order they were made, and the generation of that list. */
export function listNode(
  view: StoreView,
  who: Requester,
  path: string,
): { readonly names: readonly string[]; readonly listGeneration: number } {
  const node = existing(view, who, path, mayRead);
  view.observe(path, 'list');
  return { names: [...node.children.keys()], listGeneration: node.listGeneration };
}

export function readPermissions(view: StoreView, who: Requester, path: string): Permissions {
  return existing(view, who, path, mayRead).permissions;
}

export function writeNode(view: StoreView, who: Requester, path: string, value: string): void {
  const found = look(view, path);
  if (!mayWrite(found.nearest.permissions, who)) refuse('EACCES', 'the node may not be written');
  if (value.length > who.quota.valueBytes) refuse('ENOSPC', 'the value is over the quota');
  if (found.node === null) checkNodeQuota(view.tree, who, path, found);
  view.mutate({ kind: 'write', path, value });
}

export function makeDirectory(view: StoreView, who: Requester, path: string): void {
  const found = look(view, path);
  if (!mayWrite(found.nearest.permissions, who)) refuse('EACCES', 'the node may not be written');
  if (found.node !== null) return;
  checkNodeQuota(view.tree, who, path, found);
  view.mutate({ kind: 'mkdir', path });
}

export function removeNode(view: StoreView, who: Requester, path: string): void {
  if (path === '/') refuse('EINVAL', 'the root cannot be removed');
  const found = look(view, path);
  view.observe(path, 'subtree');
  if (!mayWrite(found.nearest.permissions, who)) refuse('EACCES', 'the node may not be removed');
  if (found.node === null) {
    const parentIsThere = found.nearestDepth === pathNames(parentPath(path)).length;
    if (!parentIsThere) refuse('ENOENT', 'the parent does not exist');
    return;
  }
  view.mutate({ kind: 'rm', path });
}

export function writePermissions(
  view: StoreView,
  who: Requester,
  path: string,
  permissions: Permissions,
): void {
  const node = existing(view, who, path, isOwner);
  if (permissions.length > who.quota.permissions) {
    refuse('ENOSPC', 'the permission list is over the quota');
  }
  if (!who.privileged && ownerOf(permissions) !== ownerOf(node.permissions)) {
    refuse('EPERM', 'only domain 0 gives a node to another domain');
  }
  view.mutate({ kind: 'set-perms', path, permissions });
}

/** Refuses a tree in which the domain owns more than it may. */
export function checkOwned(tree: Tree, who: Requester, more: number): void {
  if (tree.owned(who.domid) + more > who.quota.nodes) {
    refuse('ENOSPC', `domain ${who.domid} owns as many nodes as it may`);
  }
}

function existing(view: StoreView, who: Requester, path: string, need: Need): StoreNode {
  const found = look(view, path);
  if (!need(found.nearest.permissions, who)) refuse('EACCES', 'the permissions forbid it');
  return found.node ?? refuse('ENOENT', 'there is no such node');
}

/** Finds a node and observes it; of an absent one, also where the way to it ends. */
function look(view: StoreView, path: string): Found {
  const found = view.tree.find(path);
  view.observe(path, 'content');
  if (found.node === null) {
    const names = pathNames(path);
    invariant(found.nearestDepth < names.length, 'the way to an absent node ends above it');
    let nearest = '/';
    for (let depth = 0; depth < found.nearestDepth; depth++) {
      nearest = joinPath(nearest, names[depth] ?? '');
    }
    view.observe(nearest, 'content');
    view.observe(joinPath(nearest, names[found.nearestDepth] ?? ''), 'content');
  }
  return found;
}

function checkNodeQuota(tree: Tree, who: Requester, path: string, found: Found): void {
  const owner = ownerOf(inherit(found.nearest.permissions, who));
  if (owner === who.domid) checkOwned(tree, who, pathNames(path).length - found.nearestDepth);
}
