import test from 'ava';
import { areStale, readRingKeys } from '../../src/driver-vm/ring-keys.ts';
import { Bench, domain } from '../helpers/xenstore-world.ts';

const FRONT = '/local/domain/3/device/vbd/51712';
const GOOD = {
  'ring-ref': '8',
  'event-channel': '1',
  protocol: 'x86_64-abi',
  'feature-persistent': '1',
};

/** Reads what a front end wrote, or says why it is refused. */
async function read(keys: Record<string, string>) {
  const bench = new Bench();
  const guest = await bench.guest(domain(3));
  for (const [key, value] of Object.entries(keys)) await guest.write(`${FRONT}/${key}`, value);
  return readRingKeys(bench.toolstack, FRONT);
}

test('the keys of one small ring, as an old front end writes them', async (t) => {
  t.deepEqual(await read({ 'ring-ref': '8', 'event-channel': '255' }), {
    order: 0,
    persistent: false,
    queues: [{ ringRefs: [8], eventChannel: 255, sideRefs: [] }],
  } as never);
});

test('one page may be named with or without its number', async (t) => {
  const { 'ring-ref': _, ...others } = GOOD;
  const keys = await read({ ...others, 'ring-ref0': '12' });
  t.deepEqual(keys.queues[0]?.ringRefs as readonly number[] | undefined, [12]);
});

test('several queues of several pages stand in directories of their own', async (t) => {
  const keys: Record<string, string> = {
    'ring-page-order': '1',
    'multi-queue-num-queues': '2',
    'feature-persistent': '1',
  };
  for (const queue of [0, 1]) {
    keys[`queue-${queue}/ring-ref0`] = String(10 + 8 * queue);
    keys[`queue-${queue}/ring-ref1`] = String(11 + 8 * queue);
    keys[`queue-${queue}/side-ref0`] = String(12 + 8 * queue);
    keys[`queue-${queue}/event-channel`] = String(1 + queue);
  }
  t.deepEqual(await read(keys), {
    order: 1,
    persistent: true,
    queues: [
      { ringRefs: [10, 11], eventChannel: 1, sideRefs: [12] },
      { ringRefs: [18, 19], eventChannel: 2, sideRefs: [20] },
    ],
  } as never);
});

const REFUSED: [string, Record<string, string>, RegExp][] = [
  ['another protocol', { protocol: 'x86_32-abi' }, /protocol is "x86_32-abi"; expected x86_64-abi/],
  ['a ring too large', { 'ring-page-order': '5' }, /ring-page-order is "5"; expected .* 0 to 4/],
  ['no queues', { 'multi-queue-num-queues': '0' }, /num-queues is "0"/],
  [
    'too many queues',
    { 'multi-queue-num-queues': '17' },
    /num-queues is "17"; expected .* 1 to 16/,
  ],
  ['a queue that is not there', { 'multi-queue-num-queues': '2' }, /queue-0\/ring-ref is missing/],
  ['a sign', { 'ring-ref': '-8' }, /ring-ref is "-8"/],
  ['a leading zero', { 'ring-ref': '08' }, /ring-ref is "08"/],
  ['a number over 32 bits', { 'ring-ref': '4294967296' }, /ring-ref is "4294967296"/],
  ['a second page missing', { 'ring-page-order': '1', 'ring-ref0': '8' }, /ring-ref1 is missing/],
  ['port 0', { 'event-channel': '0' }, /event-channel is "0"; expected .* 1 to 255/],
  ['a port too large', { 'event-channel': '256' }, /event-channel is "256"/],
  ['a feature that is neither', { 'feature-persistent': 'yes' }, /persistent is "yes"; expected 0/],
  ['one grant for two pages', { 'side-ref0': '8' }, /side-ref0 is "8"; expected a grant that no/],
  ['a side page missing', { 'ring-page-order': '0', 'side-ref0': 'x' }, /side-ref0 is "x"/],
];

for (const [what, keys, message] of REFUSED) {
  test(`refused, naming the key: ${what}`, async (t) => {
    await t.throwsAsync(read({ ...GOOD, ...keys }), { code: 'E_FRONT_KEYS', message });
  });
}

test('a very long value is not repeated whole in the reason', async (t) => {
  const error = await t.throwsAsync(read({ ...GOOD, 'ring-ref': 'x'.repeat(1000) }));
  t.true((error?.message.length ?? 0) < 200);
});

test('keys are stale when they name an older epoch, not when they name none or garbage', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(domain(3));
  t.false(await areStale(bench.toolstack, FRONT, 2));
  for (const [value, stale] of [
    ['1', true],
    ['2', false],
    ['3', false],
    ['x', false],
  ] as const) {
    await guest.write(`${FRONT}/front-epoch`, value);
    t.is(await areStale(bench.toolstack, FRONT, 2), stale, value);
  }
});
