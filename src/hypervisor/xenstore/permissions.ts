/**
 * Who may read and write a node.
 *
 * A node has a list of (access, domain). The first entry names the owner, and its access letter is
 * what every domain not named further down may do. The owner may do everything with its node, and
 * so may domain 0. A node made by a guest belongs to that guest; one made by domain 0 gets the
 * owner and the list of its parent. Only the owner and domain 0 may change the list, and only
 * domain 0 may give a node away. Source: docs/misc/xenstore.txt and the XenBus wiki page it names.
 */
import { type DomainId, u32 } from '../../base/units.ts';
import { parseDecimal, U16_MAX } from './decimal.ts';

/** n: no access, r: read only, w: write only, b: both. */
export type Access = 'n' | 'r' | 'w' | 'b';

export interface Permission {
  readonly access: Access;
  readonly domid: DomainId;
}

/** Never empty: the first entry is the owner's. */
export type Permissions = readonly [Permission, ...Permission[]];

/** Who asks. */
export interface Caller {
  readonly domid: DomainId;
  /** Domain 0: no permission check and no quota. */
  readonly privileged: boolean;
}

export const PRIVILEGED_DOMAIN: DomainId = u32<DomainId>(0);
export const MAX_DOMAIN_ID: number = U16_MAX;

export function callerOf(domid: DomainId): Caller {
  return { domid, privileged: domid === PRIVILEGED_DOMAIN };
}

export function permit(access: Access, domid: DomainId): Permission {
  return { access, domid };
}

export function ownerOf(permissions: Permissions): DomainId {
  return permissions[0].domid;
}

export function mayRead(permissions: Permissions, caller: Caller): boolean {
  const access = accessOf(permissions, caller);
  return access === 'r' || access === 'b';
}

export function mayWrite(permissions: Permissions, caller: Caller): boolean {
  const access = accessOf(permissions, caller);
  return access === 'w' || access === 'b';
}

export function isOwner(permissions: Permissions, caller: Caller): boolean {
  return caller.privileged || ownerOf(permissions) === caller.domid;
}

/** The list of a node that `caller` makes below a node with the list `parent`. */
export function inherit(parent: Permissions, caller: Caller): Permissions {
  if (caller.privileged || ownerOf(parent) === caller.domid) return parent;
  const [first, ...rest] = parent;
  return [{ access: first.access, domid: caller.domid }, ...rest];
}

export function formatPermission(permission: Permission): string {
  return `${permission.access}${permission.domid}`;
}

/** Reads a list of entries like `r7`; null if one is not like that or there is none. */
export function parsePermissions(texts: readonly string[]): Permissions | null {
  const parsed: Permission[] = [];
  for (const text of texts) {
    const access = ACCESSES.find((known) => known === text.charAt(0));
    const domid = parseDecimal(text.slice(1), MAX_DOMAIN_ID);
    if (access === undefined || domid === null) return null;
    parsed.push({ access, domid: u32<DomainId>(domid) });
  }
  const [first, ...rest] = parsed;
  return first === undefined ? null : [first, ...rest];
}

const ACCESSES: readonly Access[] = ['n', 'r', 'w', 'b'];

function accessOf(permissions: Permissions, caller: Caller): Access {
  if (isOwner(permissions, caller)) return 'b';
  for (let i = 1; i < permissions.length; i++) {
    const entry = permissions[i];
    if (entry !== undefined && entry.domid === caller.domid) return entry.access;
  }
  return permissions[0].access;
}
