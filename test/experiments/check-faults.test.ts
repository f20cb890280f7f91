/** What of a fault script is refused before it is played, and what the refusal says. */
import test from 'ava';
import type { UsageError } from '../../src/base/errors.ts';
import { checkFaults, isSpineFault } from '../../src/experiments/check-faults.ts';
import { simPetal } from '../../src/experiments/petal-scenario.ts';
import { SimStage } from '../../src/experiments/sim-stage.ts';
import { checkForThreads } from '../../src/experiments/thread-script.ts';
import { SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import { EXTENT_BLOCKS } from '../../src/world/block-pool.ts';
import {
  type Fault,
  faultName,
  LINK_TROUBLES,
  type LinkTrouble,
  RELIABLE_LINK_TROUBLES,
  victimOf,
} from '../../src/world/faults.ts';
import { guestWith, HALF_WAY, scenarioWith } from '../helpers/fault-bench.ts';

const when = HALF_WAY;

const ON_PETAL = {
  ...scenarioWith([]),
  store: { sizes: SMALL_SIZES, poolBlocks: 4 * EXTENT_BLOCKS, petal: simPetal(4, 2, 1e6) },
};

function link(trouble: LinkTrouble, changes: object = {}): Fault {
  const measure = { forNs: 1e6, delayNs: 1e6, share: 0.5, messageKind: 2 };
  return { kind: 'link', link: 'g0/xenstore', trouble, ...measure, when, ...changes };
}

function refusal(fault: Fault): UsageError {
  try {
    checkFaults(scenarioWith([fault]));
  } catch (thrown) {
    return thrown as UsageError;
  }
  throw new Error(`${faultName(fault)} was let through`);
}

test('a link to the store can be clogged and slow; all else is refused, and it says why', (t) => {
  for (const trouble of LINK_TROUBLES) {
    if (RELIABLE_LINK_TROUBLES.includes(trouble)) {
      t.notThrows(() => checkFaults(scenarioWith([link(trouble)])), trouble);
      continue;
    }
    const { code, message } = refusal(link(trouble));
    t.is(code, 'E_LINK_TROUBLE', trouble);
    t.regex(message, /a ring in shared memory, which loses, doubles and reorders nothing/);
    t.regex(message, /expected clog or delay/);
  }
});

function refusalOnPetal(fault: Fault, placement: Record<string, string> = {}): UsageError {
  const petal = { ...ON_PETAL.store.petal, placement };
  const guests = ON_PETAL.guests.map((guest) => ({ ...guest, device: 'vdi' as const }));
  const store = { ...ON_PETAL.store, petal };
  const cast = { ...ON_PETAL, guests, hosts: ['h0', 'h1'], store, faults: [fault] };
  try {
    checkFaults(cast);
  } catch (thrown) {
    return thrown as UsageError;
  }
  throw new Error(`${faultName(fault)} was let through`);
}

test('the way to the directory may be cut, held and slow; it keeps order, and says so', (t) => {
  for (const trouble of LINK_TROUBLES) {
    const fault = link(trouble, { link: 's1/directory' });
    if (/^(cut|cut-to-actor|cut-from-actor|clog|delay)$/.test(trouble)) {
      t.notThrows(() => checkFaults({ ...ON_PETAL, faults: [fault] }), trouble);
    } else t.regex(refusalOnPetal(fault).message, /keeps the order of what it carries/);
  }
});

test('clocks of servers keep within what leases allow for, and do not jump', (t) => {
  const { driftPpm } = ON_PETAL.store.petal.options;
  const skew = { kind: 'clock', actor: 's1', trouble: 'skew', forNs: 1e6, when } as const;
  t.notThrows(() => checkFaults({ ...ON_PETAL, faults: [{ ...skew, driftPpm: -driftPpm }] }));
  t.regex(refusalOnPetal({ ...skew, driftPpm: driftPpm + 1 }).message, /which leases allow for/);
  const jump = { kind: 'clock', actor: 's1', trouble: 'jump', jumpNs: 1e6, when } as const;
  t.regex(refusalOnPetal(jump).message, /clocks of servers do not jump/);
});

test('a server on a host of guests has its power, and needs it to come back to', (t) => {
  const placement = { s1: 'h0' };
  const cut = { kind: 'server-power-cut', server: 's1', when } as const;
  t.regex(refusalOnPetal(cut, placement).message, /use power-cut of the host, or server-kill/);
  const loss = { kind: 'host-loss', host: 'h0', by: 'h1', when } as const;
  t.regex(refusalOnPetal(loss, placement).message, /takes server s1 of the pool away for ever/);
});

test('faults of a pool have names, and a run without one says what they need', (t) => {
  const pool: Fault[] = [
    { kind: 'server-kill', server: 's1', when },
    { kind: 'server-pause', server: 's1', forNs: 1e9, when },
    { kind: 'server-power-cut', server: 's1', when },
    { kind: 'server-disk', server: 's1', trouble: 'slow', forNs: 1e9, when },
    { kind: 'partition', server: 's1', other: 's2', forNs: 1e9, when },
  ];
  for (const fault of pool) {
    t.true(isSpineFault(fault));
    const { code, message } = refusal(fault);
    t.is(code, 'E_FAULT_NEEDS', fault.kind);
    t.regex(message, /needs a pool of Petal servers/);
    t.notThrows(() => checkFaults({ ...ON_PETAL, faults: [fault] }));
  }
  t.deepEqual(new Set(pool.map(victimOf)), new Set(['s1']));
});

test('what no stage can play says what it needs', (t) => {
  const fault: Fault = { kind: 'server-old-disk', server: 's1', ageNs: 1e9, when };
  t.false(isSpineFault(fault));
  const refused = t.throws(() => checkFaults({ ...ON_PETAL, faults: [fault] }));
  t.regex(refused?.message ?? '', /needs disks of Petal servers that can be set back/);
});

test('links of a pool are a network: every trouble but kinds of messages, in range', (t) => {
  const onPetal = (fault: Fault): void => checkFaults({ ...ON_PETAL, faults: [fault] });
  for (const name of ['s3/petal', 'h0/driver-vm/petal']) {
    for (const trouble of LINK_TROUBLES) {
      const fault = link(trouble, { link: name });
      if (trouble === 'cut-kind') t.throws(() => onPetal(fault), { code: 'E_LINK_TROUBLE' });
      else t.notThrows(() => onPetal(fault), trouble);
    }
    const nothing = link('loss', { link: name, share: 0 });
    t.throws(() => onPetal(nothing), { code: 'E_FAULT_MEASURE' });
  }
  t.throws(() => onPetal(link('loss', { link: 's9/petal' })), { code: 'E_FAULT_VICTIM' });
});

test('a fault of servers names those there are, and moments that they have', (t) => {
  const refusals: readonly (readonly [Fault, RegExp])[] = [
    [{ kind: 'server-kill', server: 's9', when }, /server "s9".*expected s1, s2, s3, s4/],
    [
      { kind: 'partition', server: 's1', other: 's1', forNs: 1, when },
      /other "s1".*expected s2, s3, s4, h0\/driver-vm/,
    ],
    [
      {
        kind: 'server-kill',
        server: 's1',
        when: { kind: 'crash-point', point: 'log.before-sync', nth: 1 },
      },
      /never strike at log.before-sync; expected a crash point that begins with petal\. or store\./,
    ],
    [{ kind: 'server-kill', server: 's1', when: { kind: 'recovery', nth: 1 } }, /fault of a host/],
  ];
  for (const [fault, says] of refusals) {
    const error = t.throws(() => checkFaults({ ...ON_PETAL, faults: [fault] }));
    t.regex(error?.message ?? '', says);
  }
});

test('threads refuse trouble with the disks of a server, and say what to do', (t) => {
  const when = { kind: 'time', atNs: 1 } as const;
  const slow: Fault = { kind: 'server-disk', server: 's1', trouble: 'slow', forNs: 1, when };
  t.throws(() => checkForThreads(slow), {
    code: 'E_FAULT_WORLD',
    message: /of s1 needs the simulator/,
  });
  t.notThrows(() => checkForThreads({ kind: 'server-kill', server: 's1', when }));
});

test('a fault that names nobody of the run is refused with the names there are', (t) => {
  const nobody: readonly (readonly [Fault, RegExp])[] = [
    [{ kind: 'kill-driver', host: 'h9', when }, /host "h9".*expected h0/],
    [{ kind: 'kill-guest', guest: 'g9', when }, /guest "g9".*expected g0, g1/],
    [link('clog', { link: 'g0/control' }), /expected g0\/xenstore.*h0\/driver-vm\/xenstore/],
    [
      { kind: 'clock', actor: 'h0', trouble: 'jump', jumpNs: 1, when },
      /actor "h0".*expected g0, g1, h0\/driver-vm/,
    ],
  ];
  for (const [fault, says] of nobody) {
    const { code, message } = refusal(fault);
    t.is(code, 'E_FAULT_VICTIM');
    t.regex(message, says);
  }
});

test('measures out of range are refused: a clock that goes back, a delay of nothing', (t) => {
  const clock = { kind: 'clock', actor: 'g0', when } as const;
  const wrong: readonly (readonly [Fault, RegExp])[] = [
    [{ ...clock, trouble: 'jump', jumpNs: -1 }, /jumpNs is -1.*clocks never go back/],
    [{ ...clock, trouble: 'skew', driftPpm: -1e6, forNs: 1 }, /driftPpm.*from -500000 to 9000000/],
    [{ ...clock, trouble: 'skew', driftPpm: 0.5, forNs: 1 }, /driftPpm is 0.5.*whole number/],
    [{ ...clock, trouble: 'skew', driftPpm: 5, forNs: 0 }, /forNs is 0/],
    [link('delay', { delayNs: 0 }), /delayNs is 0/],
    [{ kind: 'ring-garbage', guest: 'g0', seed: 1, forNs: Number.NaN, when }, /forNs is NaN/],
  ];
  for (const [fault, says] of wrong) {
    const { code, message } = refusal(fault);
    t.is(code, 'E_FAULT_MEASURE');
    t.regex(message, says);
  }
});

test('a moment that cannot come is refused: no number of it, the wrong side, no recovery', (t) => {
  const kill = { kind: 'kill-driver', host: 'h0' } as const;
  const hang = { kind: 'hang-guest', guest: 'g0', forNs: 1 } as const;
  const point = 'back.after-order-given';
  const wrong: readonly (readonly [Fault, string, RegExp])[] = [
    [{ ...kill, when: { kind: 'event', nth: 0 } }, 'E_FAULT_MEASURE', /nth is 0/],
    [{ ...kill, when: { kind: 'recovery', nth: 1.5 } }, 'E_FAULT_MEASURE', /nth is 1.5/],
    [{ ...kill, when: { kind: 'time', atNs: -1 } }, 'E_FAULT_MEASURE', /atNs is -1/],
    [{ ...kill, when: { kind: 'progress', share: 50 } }, 'E_FAULT_MEASURE', /share is 50.*0 to 1/],
    [{ ...hang, when: { kind: 'recovery', nth: 1 } }, 'E_FAULT_TRIGGER', /never strike.*of a host/],
    [
      { ...hang, when: { kind: 'crash-point', point, nth: 1 } },
      'E_FAULT_TRIGGER',
      /"hang-guest" of g0 would never strike at back\.after-order-given.*begins with front\./,
    ],
  ];
  for (const [fault, expected, says] of wrong) {
    const { code, message } = refusal(fault);
    t.is(code, expected);
    t.regex(message, says);
  }
});

test('a stage refuses such a script before anything of it runs', (t) => {
  const fault: Fault = { kind: 'server-kill', server: 's1', when };
  t.throws(() => new SimStage(scenarioWith([fault]), 1, null), { code: 'E_FAULT_NEEDS' });
});

test('a host is lost only where its disks are images; a fault of a store needs one, and no events', (t) => {
  const needs: Fault[] = [
    { kind: 'host-loss', host: 'h0', when },
    { kind: 'pool-disk', trouble: 'no-space', forNs: 1e6, when },
    { kind: 'directory-majority-loss', forNs: 1e6, when },
  ];
  for (const fault of needs) {
    t.true(isSpineFault(fault));
    t.is(refusal(fault).code, 'E_FAULT_NEEDS', fault.kind);
  }
  t.deepEqual(needs.map(victimOf), ['h0/driver-vm', 'pool', 'directory']);
  const store = { sizes: SMALL_SIZES, poolBlocks: 4 * EXTENT_BLOCKS };
  const image = { device: 'vdi' } as const;
  const guests = [guestWith('g0', image), guestWith('g1', image)];
  t.notThrows(() => checkFaults({ ...scenarioWith(needs), guests, store }));
  const striking = { ...needs[1], when: { kind: 'event', nth: 3 } } as Fault;
  const error = t.throws(() => checkFaults({ ...scenarioWith([striking]), guests, store }));
  t.regex(error?.message ?? '', /expected time, progress or protocol/);
});
