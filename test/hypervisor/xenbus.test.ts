import test from 'ava';
import { StorageError } from '../../src/base/errors.ts';
import { Prng } from '../../src/base/prng.ts';
import {
  backendPath,
  FrontendKey,
  frontendPath,
  parseFlag,
  parseInRange,
  parseState,
  ringRefKey,
  stateName,
  waitForState,
  watchState,
  watchValue,
  XenbusState,
} from '../../src/hypervisor/xenbus.ts';
import { disturbedDelivery } from '../../src/hypervisor/xenstore/watches.ts';
import { Bench, domain } from '../helpers/xenstore-world.ts';

const KEY = '/dev/state';
const noError = (error: unknown): void => {
  throw error;
};

test('the states have the numbers of xenbus.h and names for people', (t) => {
  t.deepEqual(Object.values(XenbusState), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  t.is(XenbusState.connected, 4);
  t.is(stateName(XenbusState.initWait), 'initWait');
});

test('directories of a disk stand where front and back end look for them', (t) => {
  t.is(frontendPath(domain(3), 51712), '/local/domain/3/device/vbd/51712');
  t.is(backendPath(domain(1), domain(3), 51712), '/local/domain/1/backend/vbd/3/51712');
  t.is(ringRefKey(0), 'ring-ref0');
  t.is(FrontendKey.ringRef, 'ring-ref');
});

test('hostile numbers are null: signs, letters, spaces, leading zeros, too large', (t) => {
  const hostile = ['', '-1', '+1', '3x', 'x', ' 3', '3 ', '03', '00', '0x3', '3.0', '1e2', '3\0'];
  for (const text of [...hostile, '4294967296', '99999999999999999999', '\u0663']) {
    t.is(parseInRange(text, 0, 0xffff_ffff), null, JSON.stringify(text));
  }
  t.is(parseInRange(null, 0, 5), null);
  t.is(parseInRange('0', 1, 5), null);
  t.is(parseInRange('6', 1, 5), null);
  t.deepEqual(
    ['0', '5', '4294967295'].map((text) => parseInRange(text, 0, 0xffff_ffff)),
    [0, 5, 0xffff_ffff],
  );
});

test('hostile states are unknown, hostile flags are neither yes nor no', (t) => {
  for (const text of [null, '', '9', '-4', '04', '4 ', 'Connected', '4294967300']) {
    t.is(parseState(text), XenbusState.unknown, JSON.stringify(text));
  }
  t.is(parseState('4'), XenbusState.connected);
  t.deepEqual([null, '0', '1', '2', 'yes'].map(parseFlag), [false, false, true, null, null]);
});

test('a peer that goes through its states is followed, from absent to closed', async (t) => {
  const bench = new Bench();
  const states: number[] = [];
  await watchState(bench.toolstack, KEY, (state) => states.push(state), noError);
  await bench.world.settle();
  for (const text of ['1', '2', 'garbage', '4', '6']) {
    await bench.toolstack.write(KEY, text);
    await bench.world.settle();
  }
  t.deepEqual(states, [0, 1, 2, 0, 4, 6]);
});

test('states written faster than they are read are merged; the last one is seen', async (t) => {
  const bench = new Bench();
  const peer = bench.server.local();
  const states: number[] = [];
  await watchState(bench.toolstack, KEY, (state) => states.push(state), noError);
  await Promise.all(['1', '3', '4', '5', '6'].map((text) => peer.write(KEY, text)));
  await bench.world.settle();
  t.is(states.at(-1), XenbusState.closed);
  t.true(states.length < 6);
});

test('under duplicated and late events no state is reported twice in a row', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Prng(seed);
    const options = { duplicate: 0.6, late: 0.6, latestNs: 3000 };
    const bench = new Bench({ delivery: disturbedDelivery(random.fork('events'), options) });
    const peer = bench.server.local();
    const states: number[] = [];
    await watchState(bench.toolstack, KEY, (state) => states.push(state), noError);
    for (const text of ['1', '3', '3', '4', '5', '6']) {
      await peer.write(KEY, text);
      await bench.world.advance(random.below(2000));
    }
    await bench.world.advance(3000);
    t.is(states.at(-1), XenbusState.closed, `seed ${seed}`);
    for (const [index, state] of states.entries()) t.not(state, states[index + 1], `seed ${seed}`);
    const ascending = [...states].sort((a, b) => a - b);
    t.deepEqual(states, ascending, `seed ${seed}: a late event never brings back an old state`);
  }
});

test('events during a read cause one more read, never two at once', async (t) => {
  const bench = new Bench();
  const reads: ((value: string) => void)[] = [];
  let event: () => void = () => undefined;
  const states: number[] = [];
  const client = {
    read: () => new Promise<string>((resolve) => reads.push(resolve)),
    watch: async (_path: string, onChange: (path: string) => void) => {
      event = () => onChange(KEY);
      return async () => undefined;
    },
  };
  await watchState(client, KEY, (state) => states.push(state), noError);
  for (let i = 0; i < 3; i++) event();
  t.is(reads.length, 1);
  for (const value of ['1', '2']) {
    reads.at(-1)?.(value);
    await bench.world.settle();
  }
  t.is(reads.length, 2, 'what came during the first read is covered by the second');
  t.deepEqual(states, [1, 2]);
  event();
  t.is(reads.length, 3);
});

test('a back end that writes its state again touches it, without a change', async (t) => {
  const bench = new Bench();
  const states: number[] = [];
  let touched = 0;
  const onTouch = (): void => {
    touched++;
  };
  await bench.toolstack.write(KEY, '4');
  await watchState(bench.toolstack, KEY, (state) => states.push(state), noError, onTouch);
  await bench.world.settle();
  await bench.toolstack.write(KEY, '4');
  await bench.world.settle();
  t.deepEqual(states, [4]);
  t.is(touched, 1);
});

test('after it is stopped a follower is silent', async (t) => {
  const bench = new Bench();
  const values: (string | null)[] = [];
  const stop = await watchValue(bench.toolstack, KEY, {
    onChange: (value) => values.push(value),
    onError: noError,
  });
  await bench.world.settle();
  const stopping = stop();
  await bench.toolstack.write(KEY, '1');
  await stopping;
  await bench.world.settle();
  t.deepEqual(values, [null]);
});

test('a key that may not be seen is followed as one that is not there', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(domain(3));
  await bench.toolstack.write('/private', '1');
  const values: (string | null)[] = [];
  await watchValue(guest, '/private', {
    onChange: (value) => values.push(value),
    onError: (error) => t.fail(String(error)),
  });
  await bench.world.settle();
  t.deepEqual(values, [null]);
});

test('a client that is closed ends the following with the reason', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(domain(3));
  const errors: unknown[] = [];
  await watchValue(guest, KEY, {
    onChange: () => guest.close(),
    onError: (error) => errors.push(error),
  });
  await bench.world.settle();
  await bench.toolstack.write(KEY, '1');
  await bench.world.settle();
  t.true(errors.every((error) => error instanceof StorageError));
});

test('waiting ends at the first state that is accepted, even if others were skipped', async (t) => {
  const bench = new Bench();
  const accept = (state: XenbusState): boolean => state >= XenbusState.initialised;
  const wait = await waitForState(bench.toolstack, KEY, accept);
  await bench.toolstack.write(KEY, '1');
  await bench.world.settle();
  await bench.toolstack.write(KEY, '4');
  t.is(await wait.reached, XenbusState.connected);
  bench.server.checkInvariants();
  const [path] = bench.server.store.history.query({ path: KEY }).slice(-1);
  t.is(path?.after, '4');
});

test('a wait that is given up never ends and leaves no watch behind', async (t) => {
  const bench = new Bench();
  const wait = await waitForState(bench.toolstack, KEY, (state) => state === XenbusState.closed);
  let ended = false;
  void wait.reached.then(() => {
    ended = true;
  });
  await wait.stop();
  await wait.stop();
  await bench.toolstack.write(KEY, '6');
  await bench.world.settle();
  t.false(ended);
});

test('a wait for the state of a directory that nobody may see any more sees no state', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(domain(3));
  await bench.toolstack.write('/private', '4');
  const wait = await waitForState(guest, '/private', (state) => state === XenbusState.unknown);
  t.is(await wait.reached, XenbusState.unknown);
});
test('a peer that flaps its state a thousand times leaves nothing behind', async (t) => {
  const bench = new Bench();
  const peer = await bench.guest(domain(3), { requestsPerSecond: 1_000_000 });
  const states: number[] = [];
  const stop = await watchState(
    bench.toolstack,
    '/local/domain/3/state',
    (state) => states.push(state),
    noError,
  );
  for (let i = 0; i < 1000; i++) {
    const writing = peer.write('state', [1, 3, 4, 5, 6][i % 5] ?? 1);
    await bench.world.advance(1000);
    await writing;
  }
  t.is(states.at(-1), XenbusState.closed);
  await stop();
  t.is(bench.server.store.tree.owned(domain(3)), 2);
  bench.server.checkInvariants();
});
