/**
 * What every binding of the directory asks of its callers, and how it says that it cannot answer.
 *
 * Keys and sizes are decided here once, so that what one binding takes no other refuses. They are
 * laws for callers in this process, and a test for bytes that came over a link.
 */
import { StorageError } from '../base/errors.ts';
import { invariant } from '../base/invariant.ts';
import {
  type Change,
  type Comparison,
  DIRECTORY_KEY_BYTES,
  DIRECTORY_TXN_KEYS,
  DIRECTORY_VALUE_BYTES,
} from './directory.ts';

const KEY = /^[\x21-\x7e]+$/;

/** Printable ASCII, so that the order of characters is the order of bytes in every binding. */
export function isKey(text: string): boolean {
  return text.length <= DIRECTORY_KEY_BYTES && KEY.test(text);
}

/** A prefix is a key or nothing, which stands for all keys. */
export function isPrefix(text: string): boolean {
  return text === '' || isKey(text);
}

export function isTxn(comparisons: readonly Comparison[], changes: readonly Change[]): boolean {
  if (comparisons.length > DIRECTORY_TXN_KEYS || changes.length > DIRECTORY_TXN_KEYS) return false;
  const changed = new Set<string>();
  for (const { key, value } of changes) {
    if (!isKey(key) || changed.has(key)) return false;
    if (value !== null && value.length > DIRECTORY_VALUE_BYTES) return false;
    changed.add(key);
  }
  return comparisons.every(({ key, version }) => {
    return isKey(key) && Number.isSafeInteger(version) && version >= 0;
  });
}

export function checkKey(key: string): void {
  invariant(isKey(key), 'a directory key is printable ASCII of the allowed length');
}

export function checkPrefix(prefix: string): void {
  invariant(isPrefix(prefix), 'a directory prefix is printable ASCII of the allowed length');
}

export function checkTxn(comparisons: readonly Comparison[], changes: readonly Change[]): void {
  invariant(
    isTxn(comparisons, changes),
    'a directory txn has legal keys, each changed once, and small values',
  );
}

/** The rejection of every call that got no answer. `why` ends the sentence. */
export function directoryError(why: string, cause?: unknown): StorageError {
  const text = `the directory cannot answer now: ${why}`;
  return new StorageError('E_DIRECTORY', text, cause === undefined ? {} : { cause });
}
