/**
 * What a front end says of its rings, read from the store and checked. The front end may be
 * hostile: numbers are strictly decimal and within limits, references appear once, and what is
 * missing or wrong is an error that names the key (B15).
 */
import { StorageError } from '../base/errors.ts';
import type { EventPort, GrantRef } from '../base/units.ts';
import { FrontendExtra } from '../hypervisor/stordom-keys.ts';
import { FrontendKey, parseFlag, parseInRange, queuePath } from '../hypervisor/xenbus.ts';
import type { XenstoreClient } from '../hypervisor/xenstore/client.ts';
import { MAX_EVENT_PORTS } from '../ring/event-page.ts';
import { MAX_RING_ORDER } from '../ring/layout.ts';
import { sidePages } from '../ring/side-page.ts';

export const MAX_QUEUES = 16;
export const PROTOCOL = 'x86_64-abi';

export interface QueueKeys {
  readonly ringRefs: readonly GrantRef[];
  readonly eventChannel: EventPort;
  /** Empty: the front end has no side page. */
  readonly sideRefs: readonly GrantRef[];
}

export interface RingKeys {
  readonly order: number;
  readonly persistent: boolean;
  readonly queues: readonly QueueKeys[];
}

/** True when the keys there now are for an older connection than this back end's. */
export async function areStale(
  store: XenstoreClient,
  path: string,
  ringEpoch: number,
): Promise<boolean> {
  const text = await store.read(`${path}/${FrontendExtra.frontEpoch}`);
  const found = parseInRange(text, 1, 2 ** 32 - 1);
  return found !== null && found < ringEpoch;
}

export async function readRingKeys(store: XenstoreClient, path: string): Promise<RingKeys> {
  const protocol = await store.read(`${path}/${FrontendKey.protocol}`);
  if (protocol !== null && protocol !== PROTOCOL) {
    throw refused(path, FrontendKey.protocol, protocol, `${PROTOCOL}, the only one served`);
  }
  const order = await optional(store, path, FrontendKey.ringPageOrder, 0, MAX_RING_ORDER, 0);
  const queueCount = await optional(store, path, FrontendKey.multiQueueNumQueues, 1, MAX_QUEUES, 1);
  const persistentText = await store.read(`${path}/${FrontendKey.featurePersistent}`);
  const persistent = parseFlag(persistentText);
  if (persistent === null) {
    throw refused(path, FrontendKey.featurePersistent, persistentText, '0 or 1');
  }
  const seen = new Set<number>();
  const queues: QueueKeys[] = [];
  for (let queue = 0; queue < queueCount; queue++) {
    const queueBase = queueCount === 1 ? path : `${path}/${queuePath(queue)}`;
    queues.push(await readQueue(store, queueBase, order, seen));
  }
  return { order, persistent, queues };
}

async function readQueue(
  store: XenstoreClient,
  path: string,
  order: number,
  seen: Set<number>,
): Promise<QueueKeys> {
  const ringRefs: GrantRef[] = [];
  if (order === 0 && (await store.read(`${path}/${FrontendKey.ringRef}0`)) === null) {
    ringRefs.push(await reference(store, path, FrontendKey.ringRef, seen));
  } else {
    for (let page = 0; page < 2 ** order; page++) {
      ringRefs.push(await reference(store, path, `${FrontendKey.ringRef}${page}`, seen));
    }
  }
  const eventChannel = await required(
    store,
    path,
    FrontendKey.eventChannel,
    1,
    MAX_EVENT_PORTS - 1,
  );
  const sideRefs: GrantRef[] = [];
  if ((await store.read(`${path}/${FrontendExtra.sideRef}0`)) !== null) {
    for (let page = 0; page < sidePages(order); page++) {
      sideRefs.push(await reference(store, path, `${FrontendExtra.sideRef}${page}`, seen));
    }
  }
  return { ringRefs, eventChannel: eventChannel as EventPort, sideRefs };
}

async function reference(
  store: XenstoreClient,
  path: string,
  key: string,
  seen: Set<number>,
): Promise<GrantRef> {
  const ref = await required(store, path, key, 0, 2 ** 32 - 1);
  if (seen.has(ref)) throw refused(path, key, String(ref), 'a grant that no other page uses');
  seen.add(ref);
  return ref as GrantRef;
}

async function required(
  store: XenstoreClient,
  path: string,
  key: string,
  min: number,
  max: number,
): Promise<number> {
  const text = await store.read(`${path}/${key}`);
  const value = parseInRange(text, min, max);
  if (value === null) throw refused(path, key, text, `a decimal number from ${min} to ${max}`);
  return value;
}

async function optional(
  store: XenstoreClient,
  path: string,
  key: string,
  min: number,
  max: number,
  absent: number,
): Promise<number> {
  const text = await store.read(`${path}/${key}`);
  return text === null ? absent : required(store, path, key, min, max);
}

function refused(path: string, key: string, found: string | null, expected: string): StorageError {
  const shown = found === null ? 'is missing' : `is ${JSON.stringify(found.slice(0, 40))}`;
  return new StorageError('E_FRONT_KEYS', `${path}/${key} ${shown}; expected ${expected}`, {
    fields: { path, key, expected },
  });
}
