/** Who is attached to a store, and the last numbers that it gave. */

import { isDamage } from '../../base/formats/sealed.ts';
import {
  decodeSessionRecord,
  type SessionRecord,
  SessionRecordKind,
} from '../../base/formats/session-record.ts';
import type { Directory } from '../../world/directory.ts';
import type { Digest } from '../../world/world.ts';
import { attachmentKey, nextSessionKey } from '../pool/keys.ts';
import type { Findings } from './findings.ts';

export class Sessions {
  /** By host. A host that died without a word is among them. */
  readonly #attached: ReadonlyMap<string, number>;

  constructor(attached: ReadonlyMap<string, number>) {
    this.#attached = attached;
  }

  isAttached(host: string, session: number): boolean {
    return this.#attached.get(host) === session;
  }

  hasHost(host: string): boolean {
    return this.#attached.has(host);
  }
}

/** The last session and fence that were given; null if that cannot be read. */
export async function lastGiven(
  directory: Directory,
  digest: Digest,
  store: string,
): Promise<SessionRecord | null> {
  const next = await directory.get(nextSessionKey(store));
  if (next === null) return { session: 0, fence: 0 };
  const last = decodeSessionRecord(digest, SessionRecordKind.next, next.value);
  return isDamage(last) ? null : last;
}

export async function readSessions(
  directory: Directory,
  digest: Digest,
  store: string,
  findings: Findings,
): Promise<Sessions> {
  const prefix = attachmentKey(store, '');
  // Attachments first: whoever attaches meanwhile has raised the last number before.
  const entries = await directory.list(prefix);
  const last = await lastGiven(directory, digest, store);
  if (last === null) findings.add('session', nextSessionKey(store), 'it is damaged');
  const attached = new Map<string, number>();
  for (const { key, value } of entries) {
    const record = decodeSessionRecord(digest, SessionRecordKind.attachment, value);
    if (isDamage(record)) {
      findings.add('session', key, record.problem);
      continue;
    }
    attached.set(key.slice(prefix.length), record.session);
    if (last === null || (record.session <= last.session && record.fence <= last.fence)) continue;
    const what = `it has session ${record.session}, but ${last.session} was the last one given`;
    findings.add('session', key, what);
  }
  return new Sessions(attached);
}
