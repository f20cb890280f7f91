/** Random fault scripts keep their budget, over many seeds. */
import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { checkFaults } from '../../src/experiments/check-faults.ts';
import { simPetal } from '../../src/experiments/petal-scenario.ts';
import { poolFaults } from '../../src/experiments/pool-faults.ts';
import { randomFaults } from '../../src/experiments/sim-faults.ts';
import { SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import { EXTENT_BLOCKS } from '../../src/world/block-pool.ts';
import { BEYOND_CONTRACT, type Fault, faultName, victimOf } from '../../src/world/faults.ts';
import { guestWith } from '../helpers/fault-bench.ts';
import { check, forSeeds } from '../helpers/property.ts';

const SEEDS = 3000;
const HOSTS = ['h0', 'h1'];
const LAST_STRIKE_NS = 300e6;
const LONGEST_NS = 150e6;
/** Four, and the power cut that a seed with power cuts has. */
const MAX_FAULTS = 5;

const NAMES = ['g0', 'g1', 'g2'];
const ON_FILE = NAMES.map((name, at) => guestWith(name, { host: at < 2 ? 'h0' : 'h1' }));
const ON_MEMORY = ON_FILE.map((guest) => ({ ...guest, device: 'memory' as const }));

interface Drawn {
  readonly faults: readonly Fault[];
  /** Guests with a disk in a file. */
  readonly filed: ReadonlySet<string>;
  readonly beyond: boolean;
}

function draw(random: Prng): Drawn {
  const guests = NAMES.map((_, at) => {
    const from = random.chance(0.6) ? ON_FILE : ON_MEMORY;
    return from[at] ?? guestWith('none');
  });
  const filed = new Set(guests.filter(({ device }) => device === 'file').map(({ name }) => name));
  const beyond = random.chance(0.3);
  return { faults: randomFaults(random.fork('faults'), HOSTS, guests, beyond), filed, beyond };
}

function guestsOf(host: string): string[] {
  return ON_FILE.filter((guest) => guest.host === host).map(({ name }) => name);
}

function keepsBudget({ faults, filed, beyond }: Drawn): void {
  check(faults.length <= MAX_FAULTS, `${faults.length} faults are too many`);
  checkFaults({ hosts: HOSTS, guests: ON_FILE, faults });
  const troubled = new Set<string>();
  for (const fault of faults) {
    const { when } = fault;
    if (when.kind === 'time') check(when.atNs <= LAST_STRIKE_NS, `strikes at ${when.atNs} ns`);
    if (when.kind === 'progress') check(when.share > 0 && when.share < 1, `share ${when.share}`);
    if ('forNs' in fault) check(fault.forNs > 0 && fault.forNs <= LONGEST_NS, 'heals in time');
    if (fault.kind === 'power-cut') {
      const lost = guestsOf(fault.host).filter((name) => !filed.has(name));
      check(lost.length === 0, `power is cut over the memory disks of ${lost.join(', ')}`);
    }
    if (['link', 'clock', 'ring-garbage'].includes(fault.kind)) {
      const part = fault.kind === 'ring-garbage' ? 'rings' : `${fault.kind} of ${victimOf(fault)}`;
      check(!troubled.has(part), `two faults strike the ${part}`);
      troubled.add(part);
    }
    if (fault.kind !== 'disk') continue;
    check(filed.has(fault.guest), `${fault.guest} has no disk to give trouble to`);
    check(!troubled.has(fault.guest), `two troubles with the disk of ${fault.guest}`);
    troubled.add(fault.guest);
    const lies = BEYOND_CONTRACT.includes(fault.trouble);
    check(lies === beyond, `${fault.trouble}, where beyond the contract is ${beyond}`);
  }
}

test('a random script keeps its budget, whatever the seed', (t) => {
  t.notThrows(() => forSeeds(SEEDS, (random) => keepsBudget(draw(random))));
});

test('crash points of a random script are of the side that is struck', (t) => {
  t.notThrows(() =>
    forSeeds(SEEDS, (random) => {
      for (const fault of draw(random).faults) {
        if (fault.when.kind !== 'crash-point') continue;
        const side = victimOf(fault).endsWith('/driver-vm') ? 'back.' : 'front.';
        check(fault.when.point.startsWith(side), `${fault.kind} at ${fault.when.point}`);
      }
    }),
  );
});

test('every kind of fault and of trigger, and the calm of a single one, are drawn', (t) => {
  const seen = new Map<string, number>();
  const saw = (name: string): void => void seen.set(name, (seen.get(name) ?? 0) + 1);
  forSeeds(SEEDS, (random) => {
    const { faults } = draw(random);
    saw(`${faults.length} faults`);
    for (const fault of faults) for (const name of [fault.kind, fault.when.kind]) saw(name);
    for (const fault of faults) if ('trouble' in fault) saw(faultName(fault));
  });
  const kinds = ['kill-driver', 'kill-guest', 'pause-driver', 'hang-guest', 'power-cut', 'disk'];
  const triggers = ['time', 'progress', 'protocol', 'event', 'recovery', 'crash-point'];
  for (const name of [...kinds, ...triggers, '1 faults', '4 faults']) {
    t.true((seen.get(name) ?? 0) > SEEDS / 50, `${name}: ${seen.get(name) ?? 0}`);
  }
  const rarer = ['link', 'clock', 'ring-garbage', 'link clog', 'link delay'];
  for (const name of [
    ...rarer,
    'clock jump',
    'clock skew',
    'disk torn-write',
    'disk misdirected',
  ]) {
    t.true((seen.get(name) ?? 0) > SEEDS / 200, `${name}: ${seen.get(name) ?? 0}`);
  }
});

test('a third of the scripts cut a power where one can be cut, mostly among flushes', (t) => {
  let cuts = 0;
  let amongFlushes = 0;
  forSeeds(SEEDS, (random) => {
    const faults = randomFaults(random, HOSTS, ON_FILE, false);
    const cut = faults.find(({ kind }) => kind === 'power-cut');
    if (cut === undefined) return;
    cuts++;
    if (cut.when.kind === 'protocol') amongFlushes++;
  });
  t.true(cuts > SEEDS / 3, `${cuts} of ${SEEDS}`);
  t.true(amongFlushes > cuts / 2, `${amongFlushes} of ${cuts}`);
});

test('a pool keeps one whole copy of each block: whoever shares blocks with a disk that fails is spared', (t) => {
  const kinds = new Map<string, number>();
  forSeeds(SEEDS, (random) => {
    const copies = random.chance(0.3) ? 3 : 2;
    const servers = random.between(copies, 6);
    const petal = simPetal(servers, copies, 1e6);
    const faults = poolFaults(random.fork('pool'), petal, HOSTS);
    check(faults.length > 0, 'something happens');
    const store = { sizes: SMALL_SIZES, poolBlocks: 2 * EXTENT_BLOCKS, petal };
    checkFaults({ hosts: HOSTS, guests: ON_FILE, faults, store });
    for (const fault of faults) kinds.set(fault.kind, (kinds.get(fault.kind) ?? 0) + 1);
    for (const fault of faults) if (fault.kind === 'link') kinds.set(linkKindOf(fault), 1);
    const frail = faults.filter(({ kind }) => kind === 'server-disk').map(victimOf);
    check(frail.length <= 1, 'the disks of one server fail');
    const [first] = frail;
    if (first !== undefined) sparesNeighbours(faults, first, servers, copies);
  });
  t.is(kinds.size, 10, [...kinds.keys()].join(' '));
});

function linkKindOf({ link }: Fault & { kind: 'link' }): string {
  return link.endsWith('/directory') ? 'link to the directory' : 'link to the pool';
}

test('a server that is lost with the host of guests that it is on leaves a whole copy of each block', (t) => {
  let lost = 0;
  forSeeds(SEEDS, (random) => {
    const copies = random.chance(0.3) ? 3 : 2;
    const servers = random.between(copies, 6);
    const victim = random.between(1, servers);
    const name = `s${victim}`;
    const petal = { ...simPetal(servers, copies, 1e6), placement: { [name]: 'h0' } };
    const store = { sizes: SMALL_SIZES, poolBlocks: 2 * EXTENT_BLOCKS, petal };
    const onImages = ON_FILE.map((guest) => ({ ...guest, device: 'vdi' as const }));
    const faults = randomFaults(random.fork('faults'), HOSTS, onImages, false, petal);
    checkFaults({ hosts: HOSTS, guests: onImages, faults, store });
    if (!faults.some((fault) => fault.kind === 'host-loss' && fault.host === 'h0')) return;
    lost++;
    const ofServers = faults.filter((fault) => {
      return /^(server-|partition)/.test(fault.kind) || /^s\d/.test(victimOf(fault));
    });
    sparesNeighbours(ofServers, name, servers, copies);
  });
  t.true(lost > SEEDS / 10, `${lost} of ${SEEDS}`);
});

/** Servers are in a circle; who shares blocks is less than `copies` places away. */
function sparesNeighbours(
  faults: readonly Fault[],
  frail: string,
  servers: number,
  copies: number,
): void {
  const placeOf = (name: string): number => Number(/^s(\d+)$/.exec(name)?.[1] ?? Number.NaN);
  let deaths = 0;
  for (const fault of faults) {
    // Leases allow for clocks that go wrong, whoever is left.
    if (fault.kind === 'clock') continue;
    const named = fault.kind === 'partition' ? [fault.server, fault.other] : [victimOf(fault)];
    for (const name of named) {
      const apart = Math.abs(placeOf(name) - placeOf(frail));
      const isNear = Math.min(apart, servers - apart) < copies;
      if (name !== frail) check(!isNear, `${fault.kind} strikes ${name} beside ${frail}`);
      else if (/^server-(kill|power-cut)$/.test(fault.kind)) deaths++;
      else check(fault.kind === 'server-disk', `${fault.kind} strikes ${frail}`);
    }
  }
  check(deaths <= 1, 'it dies once at the most');
}

test('the same seed draws the same script', (t) => {
  const once = (): Fault[] => randomFaults(new Prng(7, 'test'), HOSTS, ON_FILE, false);
  t.deepEqual(once(), once());
});
