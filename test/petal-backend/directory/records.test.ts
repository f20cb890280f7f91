/** Records of a pool in the directory, against files that were written once and are kept. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  type Incarnation,
  type MapVersion,
  type PetalEpoch,
  type Term,
  u32,
} from '../../../src/base/units.ts';
import {
  decodeRecord,
  encodeRecord,
  ForcedKind,
  forcedKind,
  gmapKind,
  nameKind,
  type PairRecord,
  PoolState,
  pairKind,
  pairProblem,
  poolKind,
  serverKind,
  VdiskMode,
  vdiskKind,
} from '../../../src/petal-backend/directory/records.ts';
import { simDigest as digest } from '../../../src/world/sim/sim-digest.ts';
import { resealed } from '../../helpers/golden.ts';
import { check, forSeeds } from '../../helpers/property.ts';

const incarnation = (value: number): Incarnation => u32<Incarnation>(value);

const pool = {
  state: PoolState.restoring,
  uuid: Uint8Array.from({ length: 16 }, (_, at) => 0x20 + at),
  createdMs: 1_700_000_000_123,
  lastServer: 4,
  lastGmap: 2,
  lastVdisk: 9,
  lastForced: 1,
};
const server = {
  server: 3,
  incarnation: incarnation(7),
  address: '10.0.0.3:7000',
  site: 'rack-1',
  disks: [2 ** 40, 2 ** 41 + 512],
};
const gmap = { gmap: 2, servers: [4, 1, 3, 2], copies: 2 };
const pair: PairRecord = {
  gmap: 2,
  group: 1,
  term: u32<Term>(12),
  primary: 3,
  inSync: [{ server: 3, incarnation: incarnation(7) }],
  members: [1, 3],
  forced: [{ forced: 1, term: u32<Term>(9) }],
};
const vdisk = {
  vdisk: 9,
  name: 'store-a',
  mode: VdiskMode.shared,
  gmap: 2,
  epoch: u32<PetalEpoch>(1),
  mapVersion: u32<MapVersion>(5),
  sizeBlocks: 2 ** 35,
};
const forced = {
  n: 1,
  kind: ForcedKind.forceIsr,
  atMs: 1_700_000_000_456,
  gmap: 2,
  group: 1,
  termBefore: u32<Term>(8),
  termAfter: u32<Term>(9),
  kept: 3,
  lost: [1],
  operator: 'ada',
  reason: 'server 1 burnt down',
};

interface Golden {
  readonly made: () => Uint8Array;
  readonly read: (value: Uint8Array) => unknown;
  readonly expected: unknown;
}

function golden<T>(kind: Parameters<typeof encodeRecord<T>>[1], record: T): Golden {
  return {
    made: () => encodeRecord(digest, kind, record),
    read: (value) => decodeRecord(digest, kind, { key: 'petal/p/x', value, version: 1 }),
    expected: record,
  };
}

const GOLDEN: Readonly<Record<string, Golden>> = {
  'petal-pool': golden(poolKind, pool),
  'petal-server': golden(serverKind, server),
  'petal-gmap': golden(gmapKind, gmap),
  'petal-pair': golden(pairKind, pair),
  'petal-vdisk': golden(vdiskKind, vdisk),
  'petal-name': golden(nameKind, 9),
  'petal-forced': golden(forcedKind, forced),
};

for (const [name, { made, read, expected }] of Object.entries(GOLDEN)) {
  test(`${name}: the bytes are those of version 1, and mean what they were made of`, (t) => {
    const stored = new Uint8Array(readFileSync(`test/fixtures/v1/${name}.bin`));
    t.deepEqual(made(), stored);
    t.deepEqual(read(stored), expected);
  });

  test(`${name}: what is newer, changed or cut short is refused by its key`, (t) => {
    const newer = made();
    newer[4] = 2;
    t.throws(() => read(newer), { code: 'E_DIRECTORY_DAMAGED', message: /petal\/p\/x/ });
    const sealed = resealed(newer);
    t.throws(() => read(sealed), { code: 'E_FORMAT_NEWER', message: /petal\/p\/x.*newer/ });
    forSeeds(200, (random) => {
      const bytes = made();
      const at = random.below(bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      check(
        throws(() => read(bytes)),
        `byte ${at} was changed`,
      );
      check(
        throws(() => read(made().slice(0, random.below(bytes.length)))),
        'it was cut short',
      );
    });
  });
}

test('a record under a sum that holds, with fields that contradict each other, is damage', (t) => {
  const refused = { code: 'E_DIRECTORY_DAMAGED', message: /contradict/ };
  const unlawful: PairRecord[] = [
    { ...pair, inSync: [] },
    { ...pair, primary: 1 },
    { ...pair, term: u32<Term>(0) },
    { ...pair, members: [1, 2] },
    { ...pair, members: [3, 3] },
  ];
  for (const record of unlawful) {
    t.not(pairProblem(record), null);
    const value = encodeRecord(digest, pairKind, record);
    t.throws(() => decodeRecord(digest, pairKind, { key: 'k', value, version: 1 }), refused);
  }
  const twice = encodeRecord(digest, gmapKind, { ...gmap, servers: [1, 1] });
  t.throws(() => decodeRecord(digest, gmapKind, { key: 'k', value: twice, version: 1 }), refused);
  const longer = resealed(new Uint8Array([...encodeRecord(digest, nameKind, 9), 0]));
  t.throws(() => decodeRecord(digest, nameKind, { key: 'k', value: longer, version: 1 }), refused);
});

function throws(action: () => unknown): boolean {
  try {
    action();
    return false;
  } catch {
    return true;
  }
}
