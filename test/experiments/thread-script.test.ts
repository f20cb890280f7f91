/** A script that was drawn for the simulator, as threads play it. */
import test from 'ava';
import { EVENTS_MAX, PASSAGES_MAX } from '../../src/experiments/random-triggers.ts';
import { scriptForThreads } from '../../src/experiments/thread-script.ts';
import type { Fault, Trigger } from '../../src/world/faults.ts';

const POINT = 'back.after-order-given';

function playedWhen(fault: Fault): Trigger | undefined {
  return scriptForThreads([fault]).faults[0]?.when;
}

test('what threads can play is played as it was drawn', (t) => {
  const whens: readonly Trigger[] = [
    { kind: 'time', atNs: 5e6 },
    { kind: 'progress', share: 0.3 },
    { kind: 'protocol', event: 'flush-submitted', nth: 3 },
    { kind: 'crash-point', point: POINT, nth: 7 },
  ];
  const drawn = whens.map((when): Fault => ({ kind: 'kill-driver', host: 'h0', when }));
  t.deepEqual(scriptForThreads(drawn), { faults: drawn, changes: [] });
});

test('the n-th event becomes a share of the requests, and early stays early', (t) => {
  const share = (nth: number): number => {
    const when = playedWhen({ kind: 'kill-guest', guest: 'g0', when: { kind: 'event', nth } });
    return when?.kind === 'progress' ? when.share : Number.NaN;
  };
  t.is(share(EVENTS_MAX / 2), 0.5);
  t.true(share(1) > 0 && share(1) < 0.1);
  t.true(share(EVENTS_MAX) > 0.9 && share(EVENTS_MAX) < 1);
});

test('a fault that is no kill strikes at a share instead of a crash point', (t) => {
  const when: Trigger = { kind: 'crash-point', point: POINT, nth: PASSAGES_MAX / 4 };
  const cut: Fault = { kind: 'power-cut', host: 'h0', when };
  const played: Fault = { ...cut, when: { kind: 'progress', share: 0.25 } };
  const { faults, changes } = scriptForThreads([cut]);
  t.deepEqual(faults, [played]);
  t.deepEqual(
    changes.map((change) => [change.drawn, change.played]),
    [[cut, played]],
  );
});

test('a kill in a recovery strikes when the replay begins', (t) => {
  const when: Trigger = { kind: 'recovery', nth: 40 };
  t.deepEqual(playedWhen({ kind: 'kill-driver', host: 'h0', when }), {
    kind: 'protocol',
    event: 'replay-begun',
    nth: 1,
  });
});

test('trouble that needs a simulated disk is left out, and said to be', (t) => {
  const when: Trigger = { kind: 'progress', share: 0.5 };
  const stall: Fault = { kind: 'disk', guest: 'g0', trouble: 'stall', forNs: 1e6, when };
  const slow: Fault = { ...stall, trouble: 'slow' };
  const { faults, changes } = scriptForThreads([stall, slow]);
  t.deepEqual(faults, [slow]);
  t.is(changes.length, 1);
  t.deepEqual([changes[0]?.drawn, changes[0]?.played], [stall, null]);
  t.regex(changes[0]?.why ?? '', /stall/);
});
