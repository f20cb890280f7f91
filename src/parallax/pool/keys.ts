/** Keys of a store in the directory. Names of stores and hosts become parts of them. */
import { UsageError } from '../../base/errors.ts';
import type { PoolBlock } from '../../world/block-pool.ts';

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;

/** Refuses a name that would not be one part of a key. */
export function checkStoreName(what: 'store' | 'host', name: string): void {
  if (NAME.test(name)) return;
  throw new UsageError(
    'E_STORE_NAME',
    `"${name}" is not a name of a ${what}: expected letters, digits, "_", "-" and "." (not ` +
      'first), at most 64',
    { fields: { what, name } },
  );
}

export function attachmentKey(store: string, host: string): string {
  return `attach/${store}/${host}`;
}

export function nextSessionKey(store: string): string {
  return `next/${store}`;
}

export function extentPrefix(store: string): string {
  return `ext/${store}/`;
}

export function extentKey(store: string, extent: number): string {
  return `${extentPrefix(store)}${extent}`;
}

export function conditionalKey(store: string, block: PoolBlock): string {
  return `cond/${store}/${block}`;
}
