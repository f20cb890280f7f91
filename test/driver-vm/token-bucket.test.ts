import test from 'ava';
import type { Prng } from '../../src/base/prng.ts';
import { type DiskLimit, NO_LIMIT, TokenBucket } from '../../src/driver-vm/token-bucket.ts';
import { check, forSeeds } from '../helpers/property.ts';

interface Passed {
  requests: number;
  bytes: number;
  nowNs: number;
}

/** A guest that always has a request of one of these sizes, served whenever the limit lets it. */
function flood(bucket: TokenBucket, fromNs: number, forNs: number, size: () => number): Passed {
  const passed: Passed = { requests: 0, bytes: 0, nowNs: fromNs };
  while (passed.nowNs < fromNs + forNs) {
    const readyNs = bucket.readyAtNs(passed.nowNs);
    if (readyNs > 0) {
      check(readyNs > passed.nowNs, 'a limit that says wait names a time to come');
      passed.nowNs = readyNs;
      continue;
    }
    const bytes = size();
    bucket.charge(bytes);
    passed.requests++;
    passed.bytes += bytes;
  }
  return passed;
}

const SIZES = [512, 4096, 65_536, 2 ** 20];

function anyLimit(random: Prng): DiskLimit {
  const requestsPerSecond = random.pick([0, 100, 1000, 20_000]);
  const bytesPerSecond = random.pick([0, 2 ** 20, 50 * 2 ** 20]);
  return requestsPerSecond + bytesPerSecond === 0
    ? { requestsPerSecond: 500, bytesPerSecond }
    : { requestsPerSecond, bytesPerSecond };
}

test('over ten seconds a flood gets its rate: no more than a burst above, 1 % below', (t) => {
  const property = (random: Prng): void => {
    const limit = anyLimit(random);
    const startNs = random.below(1e12);
    const bucket = new TokenBucket(limit, startNs);
    const size = random.chance(0.5) ? () => 4096 : () => random.pick(SIZES);
    const got = flood(bucket, startNs, 10e9, size);
    const shares: number[] = [];
    if (limit.requestsPerSecond > 0) {
      const allowed = limit.requestsPerSecond * 10;
      check(got.requests <= allowed + limit.requestsPerSecond / 10 + 1, 'not over the requests');
      shares.push(got.requests / allowed);
    }
    if (limit.bytesPerSecond > 0) {
      const allowed = limit.bytesPerSecond * 10;
      check(got.bytes <= allowed + limit.bytesPerSecond / 10 + 2 ** 20, 'not over the bytes');
      shares.push(got.bytes / allowed);
    }
    check(Math.max(...shares) > 0.99, `one of the limits is used up: ${shares.join(' ')}`);
  };
  t.notThrows(() => forSeeds(60, property));
});

test('a large request goes into debt, and the next waits until the debt is paid', (t) => {
  const bucket = new TokenBucket({ requestsPerSecond: 0, bytesPerSecond: 2 ** 20 }, 0);
  t.is(bucket.readyAtNs(0), 0);
  bucket.charge(2 ** 20);
  const readyNs = bucket.readyAtNs(0);
  t.true(readyNs > 0.89e9 && readyNs < 0.91e9, `ready at ${readyNs}`);
  t.true(bucket.readyAtNs(readyNs - 1e6) > readyNs - 1e6);
  t.is(bucket.readyAtNs(readyNs), 0);
});

test('idle time earns a tenth of a second, not more', (t) => {
  const bucket = new TokenBucket({ requestsPerSecond: 1000, bytesPerSecond: 0 }, 0);
  const later = 3600e9;
  let burst = 0;
  while (bucket.readyAtNs(later) === 0) {
    bucket.charge(4096);
    burst++;
  }
  t.is(burst, 100);
});

test('a slow limit still lets one request through at a time', (t) => {
  const bucket = new TokenBucket({ requestsPerSecond: 2, bytesPerSecond: 0 }, 0);
  const got = flood(bucket, 0, 10e9, () => 512);
  t.true(got.requests >= 20 && got.requests <= 22, `${got.requests} requests in 10 s`);
});

test('no limit is no limit, and says so', (t) => {
  const bucket = new TokenBucket(NO_LIMIT, 0);
  t.false(bucket.active);
  for (let i = 0; i < 1000; i++) bucket.charge(2 ** 30);
  t.is(bucket.readyAtNs(0), 0);
});

test('a limit that is changed while requests run holds from then on, up, down and off', (t) => {
  const bucket = new TokenBucket({ requestsPerSecond: 100, bytesPerSecond: 0 }, 0);
  const slow = flood(bucket, 0, 5e9, () => 4096);
  t.true(Math.abs(slow.requests - 500) <= 12, `${slow.requests} at 100 a second`);
  bucket.set({ requestsPerSecond: 5000, bytesPerSecond: 0 }, slow.nowNs);
  const fast = flood(bucket, slow.nowNs, 5e9, () => 4096);
  t.true(Math.abs(fast.requests - 25_000) <= 600, `${fast.requests} at 5000 a second`);
  bucket.set(NO_LIMIT, fast.nowNs);
  t.false(bucket.active);
  t.is(bucket.readyAtNs(fast.nowNs), 0);
  bucket.set({ requestsPerSecond: 10, bytesPerSecond: 0 }, fast.nowNs);
  t.true(bucket.active);
});

test('setting the same limit again and again gives no more than the limit', (t) => {
  const limit = { requestsPerSecond: 100, bytesPerSecond: 0 };
  const bucket = new TokenBucket(limit, 0);
  let requests = 0;
  for (let nowNs = 0; nowNs < 10e9; nowNs += 1e6) {
    bucket.set(limit, nowNs);
    while (bucket.readyAtNs(nowNs) === 0) {
      bucket.charge(4096);
      requests++;
    }
  }
  t.true(requests <= 1011, `${requests} requests in 10 s at 100 a second`);
});
