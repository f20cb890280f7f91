/**
 * Keys of a Petal pool in the directory. Numbers are padded, so that a list has them in order.
 *
 * ```
 * petal/<pool>/pool               the pool itself, and the last number of each kind that was given
 * petal/<pool>/server/<id>        a server
 * petal/<pool>/gmap/<gid>         a global map: written once, never changed
 * petal/<pool>/pair/<gid>/<group> who is in sync for a group of a map
 * petal/<pool>/vdir/<vid>         a virtual disk
 * petal/<pool>/vname/<name>       the number of the virtual disk of that name
 * petal/<pool>/forced/<n>         an act of an operator: written once, never removed
 * next/<store>, attach/<store>/<host>    sessions and fences (`session-record.ts`)
 * ```
 */
import { UsageError } from '../../base/errors.ts';

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;
const DIGITS = 10;

/** Refuses a name that would not be one part of a key. */
export function checkPetalName(what: 'pool' | 'virtual disk', name: string): void {
  if (NAME.test(name)) return;
  throw new UsageError(
    'E_PETAL_NAME',
    `"${name}" is not a name of a ${what}: expected letters, digits, "_", "-" and "." (not ` +
      'first), at most 64',
    { fields: { what, name } },
  );
}

export function poolPrefix(pool: string): string {
  return `petal/${pool}/`;
}

export function poolKey(pool: string): string {
  return `${poolPrefix(pool)}pool`;
}

export function serverPrefix(pool: string): string {
  return `${poolPrefix(pool)}server/`;
}

export function serverKey(pool: string, server: number): string {
  return `${serverPrefix(pool)}${padded(server)}`;
}

export function gmapPrefix(pool: string): string {
  return `${poolPrefix(pool)}gmap/`;
}

export function gmapKey(pool: string, gmap: number): string {
  return `${gmapPrefix(pool)}${padded(gmap)}`;
}

/** Of all pairs of the pool. */
export function pairsPrefix(pool: string): string {
  return `${poolPrefix(pool)}pair/`;
}

export function pairKey(pool: string, gmap: number, group: number): string {
  return `${pairsPrefix(pool)}${padded(gmap)}/${padded(group)}`;
}

export function vdiskPrefix(pool: string): string {
  return `${poolPrefix(pool)}vdir/`;
}

export function vdiskKey(pool: string, vdisk: number): string {
  return `${vdiskPrefix(pool)}${padded(vdisk)}`;
}

export function vdiskNameKey(pool: string, name: string): string {
  return `${poolPrefix(pool)}vname/${name}`;
}

export function forcedPrefix(pool: string): string {
  return `${poolPrefix(pool)}forced/`;
}

export function forcedKey(pool: string, n: number): string {
  return `${forcedPrefix(pool)}${padded(n)}`;
}

function padded(value: number): string {
  return String(value).padStart(DIGITS, '0');
}
