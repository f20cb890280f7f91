/**
 * Names of nodes: what is legal, how a relative one becomes absolute, who is below whom.
 *
 * Inside the server every path is absolute and valid. A relative path belongs to the domain that
 * sends it and stands below `/local/domain/<domid>`; the watch events of a relative watch are told
 * with relative paths again. Paths that begin with `@` name no node: they are for watches only.
 * Source: docs/misc/xenstore.txt, XENSTORE_*_PATH_MAX in io/xs_wire.h.
 */
import type { DomainId } from '../../base/units.ts';
import { refuse } from './errno.ts';

export const ABSOLUTE_PATH_MAX_BYTES = 3072;
export const RELATIVE_PATH_MAX_BYTES = 2048;

export const INTRODUCE_DOMAIN = '@introduceDomain';
export const RELEASE_DOMAIN = '@releaseDomain';

const LEGAL = /^[A-Za-z0-9\-/_@]+$/;

/** Where the relative paths of a domain begin. */
export function domainPath(domid: DomainId): string {
  return `/local/domain/${domid}`;
}

/** The absolute form of a path that names a node. Refuses with EINVAL what is not legal. */
export function resolvePath(path: string, caller: DomainId): string {
  if (path === '/') return path;
  if (path.startsWith('@')) refuse('EINVAL', 'a special path names no node');
  const relative = !path.startsWith('/');
  checkPath(path, relative ? RELATIVE_PATH_MAX_BYTES : ABSOLUTE_PATH_MAX_BYTES);
  return relative ? `${domainPath(caller)}/${path}` : path;
}

/** As `resolvePath`, but special paths are legal too and stay as they are. */
export function resolveWatchPath(path: string, caller: DomainId): string {
  if (!path.startsWith('@')) return resolvePath(path, caller);
  checkPath(path, RELATIVE_PATH_MAX_BYTES);
  return path;
}

function checkPath(path: string, maxBytes: number): void {
  if (path.length === 0) refuse('EINVAL', 'the path is empty');
  if (path.length > maxBytes) refuse('EINVAL', `the path is longer than ${maxBytes} bytes`);
  if (!LEGAL.test(path)) refuse('EINVAL', 'the path has a character outside A-Za-z0-9-/_@');
  if (path.endsWith('/')) refuse('EINVAL', 'the path ends with a slash');
  if (path.includes('//')) refuse('EINVAL', 'the path has a doubled slash');
}

/** The names on the way from the root to `path`; none for the root. */
export function pathNames(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/');
}

export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}

export function joinPath(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`;
}

/** True if `path` is `top` or somewhere below it. */
export function isAtOrBelow(path: string, top: string): boolean {
  if (path === top) return true;
  if (top === '/') return path.startsWith('/');
  return path.startsWith(top) && path.charCodeAt(top.length) === 0x2f;
}
