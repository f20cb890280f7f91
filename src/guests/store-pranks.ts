/**
 * What a hostile guest does in the store: B15, B16 and B18.
 *
 * A prank begins with a back end that waits for its front end (InitWait) and keys that would be
 * right, and ends wherever it ends. `outcome` says what a sound back end does: `closed`, it refuses
 * with the reason in its `error` key; `any`, it connects, closes or goes on waiting; after both it
 * serves whoever comes next with right keys. `gone`, it takes a guest without a state for a dead
 * one. Refusals by the store itself are expected and never reported.
 */
import { StorageError } from '../base/errors.ts';
import type { Prng } from '../base/prng.ts';
import { MS } from '../base/units.ts';
import { FrontendExtra } from '../hypervisor/stordom-keys.ts';
import { FrontendKey, queuePath, XenbusState } from '../hypervisor/xenbus.ts';
import type { XenstoreClient } from '../hypervisor/xenstore/client.ts';
import { MAX_RING_ORDER } from '../ring/layout.ts';

export interface StoreHands {
  readonly store: XenstoreClient;
  /** The front end's directory. */
  readonly path: string;
  readonly random: Prng;
  sleep(durationNs: number): Promise<void>;
  /** Keys of one queue that are right, by name. */
  readonly keys: Readonly<Record<string, string | number>>;
  /** References of `count` pages that lie side by side, none of them given out before. */
  freshRefs(count: number): readonly number[];
}

export interface StorePrank {
  readonly attack: 'B15' | 'B16' | 'B18';
  readonly name: string;
  readonly outcome: 'closed' | 'any' | 'gone';
  play(hands: StoreHands): Promise<void>;
}

const FLAPS = 40;
const FLOOD_NODES = 1200;
const FLOOD_WATCHES = 200;
const TOO_MANY_QUEUES = 17;
const OFFERED_QUEUES = 16;
const LONG_VALUE = 'x'.repeat(3000);

/** Right keys but for these, and then `initialised`. */
function wrongKeys(name: string, changes: Record<string, string | number | null>): StorePrank {
  return {
    attack: 'B15',
    name,
    outcome: 'closed',
    play: (hands) => announce(hands, { ...hands.keys, ...changes }),
  };
}

function states(name: string, sequence: readonly XenbusState[], pauseNs: number): StorePrank {
  return {
    attack: 'B16',
    name,
    outcome: 'any',
    play: async (hands) => {
      await writeKeys(hands, hands.keys);
      for (const state of sequence) {
        await setState(hands, state);
        await hands.sleep(pauseNs);
      }
    },
  };
}

const { initialising, initialised, connected, closing, closed } = XenbusState;

export const STORE_PRANKS: readonly StorePrank[] = [
  ...['0', String(TOO_MANY_QUEUES), '4294967296', '-1', '3x', ' 1', ''].map((value) =>
    wrongKeys(`the number of queues is "${value}"`, { [FrontendKey.multiQueueNumQueues]: value }),
  ),
  ...['31', '5', '-1', '0x1'].map((value) =>
    wrongKeys(`the ring order is "${value}"`, { [FrontendKey.ringPageOrder]: value }),
  ),
  ...['x86_32-abi', 'arm-abi', '', LONG_VALUE.slice(0, 2000)].map((value) =>
    wrongKeys(`the protocol is "${value.slice(0, 12)}"`, { [FrontendKey.protocol]: value }),
  ),
  ...['0', '256', '1x', '4294967295'].map((value) =>
    wrongKeys(`the event channel is "${value}"`, { [FrontendKey.eventChannel]: value }),
  ),
  wrongKeys('an event channel that was never made', { [FrontendKey.eventChannel]: 250 }),
  wrongKeys('no event channel', { [FrontendKey.eventChannel]: null }),
  wrongKeys('no ring', { [FrontendKey.ringRef]: null }),
  wrongKeys('feature-persistent is 2', { [FrontendKey.featurePersistent]: 2 }),
  ...[0, 7, 4_000_000_000].map((ref) =>
    wrongKeys(`the ring is reference ${ref}`, { [FrontendKey.ringRef]: ref }),
  ),
  {
    attack: 'B15',
    name: 'one page stands twice in a ring of two',
    outcome: 'closed',
    play: (hands) => {
      const ref = hands.keys[FrontendKey.ringRef] as number;
      const pages = { [`${FrontendKey.ringRef}0`]: ref, [`${FrontendKey.ringRef}1`]: ref };
      return announce(hands, { ...hands.keys, [FrontendKey.ringPageOrder]: 1, ...pages });
    },
  },
  {
    attack: 'B15',
    name: 'the side page is the ring',
    outcome: 'closed',
    play: (hands) => {
      const ref = hands.keys[FrontendKey.ringRef] as number;
      return announce(hands, { ...hands.keys, [`${FrontendExtra.sideRef}0`]: ref });
    },
  },
  {
    attack: 'B15',
    name: 'the side page holds something else',
    outcome: 'closed',
    play: (hands) => {
      const [ref] = hands.freshRefs(1) as [number];
      return announce(hands, { ...hands.keys, [`${FrontendExtra.sideRef}0`]: ref });
    },
  },
  {
    attack: 'B15',
    name: 'three queues of which the last has no keys',
    outcome: 'closed',
    play: (hands) => announce(hands, manyQueues(hands, 3, 0, 2)),
  },
  {
    attack: 'B15',
    name: 'as many queues of as many pages as are offered',
    outcome: 'closed',
    play: (hands) =>
      announce(hands, manyQueues(hands, OFFERED_QUEUES, MAX_RING_ORDER, OFFERED_QUEUES)),
  },
  {
    attack: 'B15',
    name: 'keys change after the connection',
    outcome: 'any',
    play: async (hands) => {
      await announce(hands, hands.keys);
      await hands.sleep(5 * MS);
      await setState(hands, connected);
      await writeKeys(hands, { [FrontendKey.ringRef]: 4, [FrontendKey.ringPageOrder]: 31 });
      await setState(hands, connected);
    },
  },
  states('states 1, 3, 4, 5, 6 at 1 kHz', flapping(), MS),
  states('states 1, 3, 4, 5, 6 without a pause', flapping(), 0),
  states('connected before initialised', [connected, initialised], 0),
  states('initialised twice', [initialised, initialised], MS),
  states('closed with nothing before', [closed, initialising, closed], 0),
  states('closing, and never closed', [initialised, closing], 2 * MS),
  {
    attack: 'B16',
    name: 'states that are none',
    outcome: 'gone',
    play: async (hands) => {
      for (const text of ['9', '-1', '', 'connected', '03', LONG_VALUE.slice(0, 100)]) {
        await allowed(hands.store.write(`${hands.path}/${FrontendKey.state}`, text));
        await hands.sleep(MS / 4);
      }
    },
  },
  {
    attack: 'B18',
    name: 'a flood of keys',
    outcome: 'any',
    play: async (hands) => {
      for (let i = 0; i < FLOOD_NODES; i++) {
        await allowed(hands.store.write(`${hands.path}/flood/${i}`, i));
      }
      await allowed(hands.store.rm(`${hands.path}/flood`));
    },
  },
  {
    attack: 'B18',
    name: 'a flood of writes of one key, of watches and of long values',
    outcome: 'any',
    play: async (hands) => {
      const own = `${hands.path}/flood`;
      for (let i = 0; i < FLOOD_WATCHES; i++) {
        await allowed(hands.store.watch(own, () => undefined));
      }
      for (let i = 0; i < FLOOD_WATCHES; i++) await allowed(hands.store.write(own, LONG_VALUE));
      for (let i = 0; i < FLOOD_WATCHES; i++) await allowed(hands.store.write(own, i));
    },
  },
];

function flapping(): XenbusState[] {
  const round = [initialising, initialised, connected, closing, closed];
  return Array.from({ length: FLAPS }, (_, at) => round[at % round.length] as XenbusState);
}

/** Keys of many queues that share one ring's pages and one event channel; `written` have keys. */
function manyQueues(
  hands: StoreHands,
  queues: number,
  order: number,
  written: number,
): Record<string, string | number | null> {
  const keys: Record<string, string | number | null> = {
    ...hands.keys,
    [FrontendKey.ringRef]: null,
    [FrontendKey.multiQueueNumQueues]: queues,
    [FrontendKey.ringPageOrder]: order,
  };
  for (let queue = 0; queue < written; queue++) {
    hands.freshRefs(2 ** order).forEach((ref, page) => {
      keys[`${queuePath(queue)}/${FrontendKey.ringRef}${page}`] = ref;
    });
    const port = hands.keys[FrontendKey.eventChannel] as number;
    keys[`${queuePath(queue)}/${FrontendKey.eventChannel}`] = port;
  }
  return keys;
}

async function announce(
  hands: StoreHands,
  keys: Readonly<Record<string, string | number | null>>,
): Promise<void> {
  await writeKeys(hands, keys);
  await setState(hands, initialised);
}

/** Writes each key, or removes it where its value is null. */
export async function writeKeys(
  hands: Pick<StoreHands, 'store' | 'path'>,
  keys: Readonly<Record<string, string | number | null>>,
): Promise<void> {
  for (const [name, value] of Object.entries(keys)) {
    const key = `${hands.path}/${name}`;
    await allowed(value === null ? hands.store.rm(key) : hands.store.write(key, value));
  }
}

export function setState(
  hands: Pick<StoreHands, 'store' | 'path'>,
  state: XenbusState,
): Promise<void> {
  return allowed(hands.store.write(`${hands.path}/${FrontendKey.state}`, state));
}

/** The store may refuse anything: a hostile guest does not mind. */
async function allowed(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (thrown) {
    if (!(thrown instanceof StorageError)) throw thrown;
  }
}
