/**
 * Xenbus: how front end and back end find each other and agree, through keys of the store.
 *
 * Each device has two directories, one below the guest's home and one below its driver domain's.
 * Either side writes only its own and watches the other's `state`. All that is read there was
 * written by a peer that may be hostile: numbers are strictly decimal (`xenstore/decimal.ts`: no
 * sign, no space, no leading zero) and within limits, and what is not is null, never a guess.
 *
 * A state may be skipped, written again, or seen late; events may come twice or merged. The helpers
 * here read again on every event, one read at a time, and report only what they read.
 *
 * Source: io/xenbus.h, io/blkif.h.
 */
import { invariant } from '../base/invariant.ts';
import type { DomainId } from '../base/units.ts';
import type { Unwatch, XenstoreClient } from './xenstore/client.ts';
import { parseDecimal } from './xenstore/decimal.ts';
import { hasErrno } from './xenstore/errno.ts';
import { domainPath } from './xenstore/paths.ts';

export const XenbusState = {
  /** The key is not there, or does not hold a state. */
  unknown: 0,
  initialising: 1,
  /** The back end has written what it offers and waits for the front end. */
  initWait: 2,
  /** The front end has written its rings and waits for the back end. */
  initialised: 3,
  connected: 4,
  closing: 5,
  closed: 6,
  reconfiguring: 7,
  reconfigured: 8,
} as const;
export type XenbusState = (typeof XenbusState)[keyof typeof XenbusState];

const STATE_NAMES = new Map<number, string>(
  Object.entries(XenbusState).map(([name, state]) => [state, name]),
);

/** For reports: `connected`. */
export function stateName(state: XenbusState): string {
  return STATE_NAMES.get(state) ?? 'unknown';
}

/**
 * Keys of the front end's directory. The toolstack writes the first four and `trusted`; the front
 * end writes the others in one transaction before it goes to `initialised`. With several queues
 * the rings and event channels stand in `queuePath`; with several pages a ring, each page has a
 * `ringRefKey`.
 */
export const FrontendKey = {
  state: 'state',
  backend: 'backend',
  backendId: 'backend-id',
  virtualDevice: 'virtual-device',
  deviceType: 'device-type',
  ringRef: 'ring-ref',
  ringPageOrder: 'ring-page-order',
  eventChannel: 'event-channel',
  multiQueueNumQueues: 'multi-queue-num-queues',
  protocol: 'protocol',
  featurePersistent: 'feature-persistent',
  trusted: 'trusted',
} as const;

/**
 * Keys of the back end's directory. The toolstack writes those up to `online`; the back end writes
 * its limits before `initWait`, and features and size before `connected`.
 */
export const BackendKey = {
  state: 'state',
  frontend: 'frontend',
  frontendId: 'frontend-id',
  params: 'params',
  type: 'type',
  mode: 'mode',
  physicalDevice: 'physical-device',
  online: 'online',
  featureMaxIndirectSegments: 'feature-max-indirect-segments',
  multiQueueMaxQueues: 'multi-queue-max-queues',
  maxRingPageOrder: 'max-ring-page-order',
  maxRingPages: 'max-ring-pages',
  featureFlushCache: 'feature-flush-cache',
  featureBarrier: 'feature-barrier',
  featureDiscard: 'feature-discard',
  discardEnable: 'discard-enable',
  discardGranularity: 'discard-granularity',
  discardAlignment: 'discard-alignment',
  discardSecure: 'discard-secure',
  featurePersistent: 'feature-persistent',
  sectors: 'sectors',
  info: 'info',
  sectorSize: 'sector-size',
  physicalSectorSize: 'physical-sector-size',
} as const;

/** Directory of a block device below the guest's home. */
export function frontendPath(frontend: DomainId, virtualDevice: number): string {
  return `${domainPath(frontend)}/device/vbd/${virtualDevice}`;
}

/** Directory of a block device below its driver domain's home. */
export function backendPath(backend: DomainId, frontend: DomainId, virtualDevice: number): string {
  return `${domainPath(backend)}/backend/vbd/${frontend}/${virtualDevice}`;
}

/** Directory of one of several queues, relative to the device's; a single queue has none. */
export function queuePath(queueIndex: number): string {
  return `queue-${queueIndex}`;
}

/** Key of one page of a ring with several: `ring-ref0`. */
export function ringRefKey(pageIndex: number): string {
  return `${FrontendKey.ringRef}${pageIndex}`;
}

/** A state as a peer wrote it; `unknown` for null and for what is none. */
export function parseState(text: string | null): XenbusState {
  const value = text === null ? null : parseDecimal(text, XenbusState.reconfigured);
  return (value ?? XenbusState.unknown) as XenbusState;
}

/** A number as a peer wrote it; null if it is absent, not strictly decimal, or out of range. */
export function parseInRange(text: string | null, min: number, max: number): number | null {
  invariant(min <= max, 'a range is not empty');
  const value = text === null ? null : parseDecimal(text, max);
  return value !== null && value >= min ? value : null;
}

/** A feature key: 1 is yes, 0 and absence are no, anything else is null. */
export function parseFlag(text: string | null): boolean | null {
  if (text === null || text === '0') return false;
  return text === '1' ? true : null;
}

/** What the helpers need of a client. */
export type Watcher = Pick<XenstoreClient, 'read' | 'watch'>;

const ignore = (): void => undefined;

/**
 * The value of a peer's key; null if it is not there or cannot be seen. A directory that was
 * removed with a dead domain's home answers EACCES, because then nobody else may know what was
 * below it.
 */
async function readVisible(client: Watcher, path: string): Promise<string | null> {
  try {
    return await client.read(path);
  } catch (thrown) {
    if (hasErrno(thrown, 'EACCES')) return null;
    throw thrown;
  }
}

/**
 * Follows one key. Calls `onChange` with its value (null: not there) once at the start and then
 * each time a read gives another value than the one before; `onTouch` when an event came but the
 * value read is the same, as when the peer wrote it again. Values that were overwritten before they
 * could be read are not reported. Stops when the function given back is called: after that neither
 * is called. If a read fails, `onError` gets the reason and following stops.
 */
export async function watchValue(
  client: Watcher,
  path: string,
  callbacks: {
    readonly onChange: (value: string | null) => void;
    readonly onTouch?: () => void;
    readonly onError: (error: unknown) => void;
  },
): Promise<Unwatch> {
  const { onChange, onTouch = ignore, onError } = callbacks;
  let last: string | null | undefined;
  let events = 0;
  let reading = false;
  let stopped = false;

  const follow = async (): Promise<void> => {
    if (reading) return;
    reading = true;
    for (let seen = -1; seen !== events && !stopped; ) {
      seen = events;
      const value = await readVisible(client, path);
      if (stopped) break;
      if (value === last) onTouch();
      else onChange((last = value));
    }
    reading = false;
  };

  const unwatch = await client.watch(path, () => {
    events++;
    follow().catch((thrown: unknown) => {
      if (stopped) return;
      stopped = true;
      onError(thrown);
    });
  });
  return async () => {
    stopped = true;
    await unwatch();
  };
}

/**
 * Follows a peer's `state` key as `watchValue` does; a text that is no state is reported as
 * `unknown`, as is a missing key. `onTouch` tells that the peer may have written the same state
 * again, as a back end does after it changed its size.
 */
export function watchState(
  client: Watcher,
  path: string,
  onChange: (state: XenbusState) => void,
  onError: (error: unknown) => void,
  onTouch: () => void = ignore,
): Promise<Unwatch> {
  let last: XenbusState | null = null;
  const report = (value: string | null): void => {
    const state = parseState(value);
    if (state === last) onTouch();
    else onChange((last = state));
  };
  return watchValue(client, path, { onChange: report, onTouch, onError });
}

export interface StateWait {
  /** The first state seen that was accepted. Never settles after `stop`. */
  readonly reached: Promise<XenbusState>;
  stop(): Promise<void>;
}

/** Waits until a peer's state is one that `accept` takes; stops watching then by itself. */
export async function waitForState(
  client: Watcher,
  path: string,
  accept: (state: XenbusState) => boolean,
): Promise<StateWait> {
  let settle: (state: XenbusState) => void = ignore;
  let fail: (error: unknown) => void = ignore;
  const accepted = new Promise<XenbusState>((resolve, reject) => {
    settle = resolve;
    fail = reject;
  });
  let done = false;
  const onState = (state: XenbusState): void => {
    if (done || !accept(state)) return;
    done = true;
    settle(state);
  };
  const stop = await watchState(client, path, onState, fail);
  let stopping: Promise<void> | null = null;
  const stopOnce = (): Promise<void> => (stopping ??= stop());
  const reached = accepted.then(async (state) => {
    await stopOnce();
    return state;
  });
  return {
    reached,
    stop: () => {
      done = true;
      return stopOnce();
    },
  };
}
