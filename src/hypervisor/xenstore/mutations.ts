/**
 * A change of the store as data: kept in a transaction's log until its commit, and told to the
 * watches and to the history once it has happened.
 */
import { unreachable } from '../../base/invariant.ts';
import type { Caller, Permissions } from './permissions.ts';
import type { StoreNode, Tree } from './tree.ts';

export type Mutation =
  | { readonly kind: 'write'; readonly path: string; readonly value: string }
  | { readonly kind: 'mkdir'; readonly path: string }
  | { readonly kind: 'rm'; readonly path: string }
  | { readonly kind: 'set-perms'; readonly path: string; readonly permissions: Permissions };

/** One thing that happened: the node at `path` before and after; null where there was none. */
export interface Change {
  readonly kind: Mutation['kind'];
  readonly path: string;
  readonly before: StoreNode | null;
  readonly after: StoreNode | null;
}

/** Changes the tree. Permissions and quotas were checked before. */
export function applyMutation(tree: Tree, mutation: Mutation, caller: Caller): Change {
  const before = tree.get(mutation.path);
  switch (mutation.kind) {
    case 'write':
      tree.write(mutation.path, mutation.value, caller);
      break;
    case 'mkdir':
      tree.mkdir(mutation.path, caller);
      break;
    case 'rm':
      tree.remove(mutation.path);
      break;
    case 'set-perms':
      tree.setPermissions(mutation.path, mutation.permissions);
      break;
    default:
      unreachable(mutation);
  }
  return { kind: mutation.kind, path: mutation.path, before, after: tree.get(mutation.path) };
}
