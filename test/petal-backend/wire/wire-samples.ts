/** One message of each kind, and any message: for the tests of the wire. */
import fc from 'fast-check';
import {
  type Brand,
  type Fence,
  type MapVersion,
  type Session,
  type Term,
  u32,
} from '../../../src/base/units.ts';
import {
  CHUNK_BLOCKS,
  type Frame,
  MutationOp,
  type PetalMessage,
  PetalStatus,
} from '../../../src/petal-backend/wire/messages.ts';
import { BLOCK_BYTES } from '../../../src/world/block-pool.ts';

export const POOL: Uint8Array = Uint8Array.from({ length: 16 }, (_, at) => 0x10 + at);

/** `blocks` blocks of data that no two messages share. */
export function dataOf(blocks: number, salt = 1): Uint8Array {
  return Uint8Array.from({ length: blocks * BLOCK_BYTES }, (_, at) => (at * 31 + salt) % 251);
}

const pair = { id: 2 ** 40 + 1, gmap: 3, group: 7, term: u32<Term>(0xffff_ffff) } as const;
const place = { vdisk: 5, epoch: 2, block: 2 ** 47 + 14, blocks: 2 } as const;
const client = {
  ...pair,
  ...place,
  session: u32<Session>(11),
  fence: u32<Fence>(12),
  mapVersion: u32<MapVersion>(13),
} as const;
const origin = { session: u32<Session>(11), seq: 2 ** 48 - 1 } as const;
const crcs = [0xdead_beef, 1];

/** By name of the golden file. */
export const SAMPLES: Readonly<Record<string, Frame>> = {
  hello: framed({
    kind: 'hello',
    protocol: 1,
    pool: POOL,
    from: 's3',
    isServer: true,
    incarnation: 4,
  }),
  read: framed({ kind: 'read', ...client, conditional: false }),
  write: framed({ kind: 'write', ...client, seq: 2 ** 33, crcs }, dataOf(2)),
  trim: framed({ kind: 'trim', ...client, seq: 1 }),
  'write-if': framed(
    { kind: 'writeIf', ...client, blocks: 1, seq: 9, expectedVersion: 2 ** 32, crcs: [0] },
    dataOf(1),
  ),
  reply: framed(
    {
      kind: 'reply',
      id: 0,
      status: PetalStatus.ok,
      term: u32(0),
      primary: 2,
      queue: 64,
      version: 0,
      crcs,
    },
    dataOf(2, 5),
  ),
  'reply-refused': framed({
    kind: 'reply',
    id: 1,
    status: PetalStatus.otherVersion,
    term: u32(9),
    primary: 0,
    queue: 0,
    version: 2 ** 48 - 1,
    crcs: [],
  }),
  replicate: framed(
    {
      kind: 'replicate',
      ...pair,
      ...place,
      ...origin,
      op: MutationOp.write,
      version: { term: u32(8), n: 2 ** 48 - 1 },
      conditionalVersion: 0,
      crcs,
      committed: { term: u32(8), n: 2 ** 48 - 2 },
    },
    dataOf(2, 9),
  ),
  'replicate-trim': framed({
    kind: 'replicate',
    ...pair,
    ...place,
    ...origin,
    op: MutationOp.trim,
    version: { term: u32(1), n: 1 },
    conditionalVersion: 0,
    crcs: [],
    committed: { term: u32(0), n: 0 },
  }),
  replicated: framed({ kind: 'replicated', ...pair, status: PetalStatus.wrongTerm }),
  probe: framed({
    kind: 'probe',
    ...pair,
    committed: { term: u32(8), n: 2 ** 40 },
    wantsDirty: true,
    after: { vdisk: 7, epoch: 1, block: 2 ** 33 - 1 },
  }),
  probed: framed({
    kind: 'probed',
    ...pair,
    incarnation: 6,
    dirty: [
      { vdisk: 7, epoch: 1, block: 2 ** 33 },
      { vdisk: 8, epoch: 3, block: 2 ** 48 - 1 },
    ],
  }),
  rejoin: framed({
    kind: 'rejoin',
    ...pair,
    incarnation: 6,
    lastTerm: u32(8),
  }),
  repair: framed(
    {
      kind: 'repair',
      ...pair,
      vdisk: 5,
      epoch: 2,
      blocks: [
        {
          block: 33,
          version: { term: u32(8), n: 2 ** 41 },
          ...origin,
          conditionalVersion: 3,
          crc: 0x8000_0000,
          hasData: true,
          force: true,
          isLost: false,
        },
        {
          block: 32,
          version: { term: u32(0), n: 0 },
          session: u32(0),
          seq: 0,
          conditionalVersion: 0,
          crc: 0,
          hasData: false,
          force: false,
          isLost: true,
        },
      ],
    },
    dataOf(1, 7),
  ),
  repaired: framed({ kind: 'repaired', ...pair, status: PetalStatus.noSpace }),
  fetch: framed({ kind: 'fetch', ...pair, vdisk: 5, epoch: 2, block: 2 ** 47 + 14 }),
  fetched: framed(
    {
      kind: 'fetched',
      ...pair,
      status: PetalStatus.ok,
      blocks: [
        {
          block: 2 ** 47 + 14,
          version: { term: u32(8), n: 5 },
          ...origin,
          conditionalVersion: 0,
          crc: 0xdead_beef,
          hasData: true,
          force: false,
          isLost: false,
        },
      ],
    },
    dataOf(1, 3),
  ),
  'fetched-refused': framed({
    kind: 'fetched',
    ...pair,
    status: PetalStatus.ioError,
    blocks: [],
  }),
};

function framed(message: PetalMessage, payload: Uint8Array = new Uint8Array(0)): Frame {
  return { message, payload };
}

const anyU32 = fc.oneof(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 0, max: 300 }));
const anyU48 = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  fc.integer({ min: 0, max: 300 }),
  fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1),
);
const anySeq = anyU48.map((value) => Math.max(value, 1));
const anyStatus = fc.constantFrom(...Object.values(PetalStatus));
const anyBrand = <T extends Brand<number, string>>(): fc.Arbitrary<T> =>
  anyU32.map((value) => u32<T>(value));
const anySums = (count: number): fc.Arbitrary<number[]> =>
  fc.array(anyU32, { minLength: count, maxLength: count });

const anyVersion = fc.record({ term: anyBrand(), n: anyU48 });
const anyPlaceOfOne = { vdisk: anyU32, epoch: anyU32, block: anyU48 } as const;
const anyDirty = fc.array(fc.record(anyPlaceOfOne), { maxLength: 40 });
const anyPair = { id: anyU48, gmap: anyU32, group: anyU32, term: anyBrand() } as const;
/** Inside one chunk, as a place must be. */
const anyPlace = fc
  .record({
    vdisk: anyU32,
    epoch: anyU32,
    chunk: fc.integer({ min: 0, max: 2 ** 44 - 1 }),
    at: fc.integer({ min: 0, max: CHUNK_BLOCKS - 1 }),
    most: fc.integer({ min: 1, max: CHUNK_BLOCKS }),
  })
  .map(({ vdisk, epoch, chunk, at, most }) => ({
    vdisk,
    epoch,
    block: chunk * CHUNK_BLOCKS + at,
    blocks: Math.min(most, CHUNK_BLOCKS - at),
  }));
const anyClient = fc
  .tuple(
    anyPlace,
    fc.record({ ...anyPair, session: anyBrand(), fence: anyBrand(), mapVersion: anyBrand() }),
  )
  .map(([where, who]) => ({ ...who, ...where }));

type Client = typeof anyClient extends fc.Arbitrary<infer T> ? T : never;

function ofClient(make: (header: Client) => fc.Arbitrary<Frame>): fc.Arbitrary<Frame> {
  return anyClient.chain(make);
}

const anyReplicate = fc
  .tuple(anyPlace, fc.constantFrom(...Object.values(MutationOp)))
  .chain(([where, op]) => {
    const blocks = op === MutationOp.writeIf ? 1 : where.blocks;
    const count = op === MutationOp.trim ? 0 : blocks;
    const record = fc.record({
      ...anyPair,
      session: anyBrand(),
      seq: anyU48,
      version: anyVersion,
      conditionalVersion: anyU48,
      crcs: anySums(count),
      committed: anyVersion,
    });
    return record.map((rest) =>
      framed({ kind: 'replicate', ...where, blocks, op, ...rest } as PetalMessage, dataOf(count)),
    );
  });

const anyRepairFacts = fc
  .record({
    version: anyVersion,
    session: anyBrand(),
    seq: anyU48,
    conditionalVersion: anyU48,
    crc: anyU32,
    hasData: fc.boolean(),
    force: fc.boolean(),
    isLost: fc.boolean(),
  })
  .map((facts) => ({ ...facts, isLost: facts.isLost && !facts.hasData }));

const anyRepair = fc
  .record({
    chunk: fc.integer({ min: 0, max: 2 ** 44 - 1 }),
    places: fc.uniqueArray(fc.integer({ min: 0, max: CHUNK_BLOCKS - 1 }), { minLength: 1 }),
    header: fc.record({ ...anyPair, vdisk: anyU32, epoch: anyU32 }),
    facts: fc.array(anyRepairFacts, { minLength: CHUNK_BLOCKS, maxLength: CHUNK_BLOCKS }),
  })
  .map(({ chunk, places, header, facts }) => {
    const blocks = places.map((at) => ({ block: chunk * CHUNK_BLOCKS + at, ...facts[at] }));
    const withData = blocks.filter(({ hasData }) => hasData).length;
    return framed({ kind: 'repair', ...header, blocks } as PetalMessage, dataOf(withData));
  });

const anyFetched = fc
  .tuple(fc.record(anyPair), anyStatus, anyU48, anyRepairFacts)
  .map(([header, status, block, facts]) => {
    const blocks = status === PetalStatus.ok ? [{ block, ...facts }] : [];
    const count = blocks.filter(({ hasData }) => hasData).length;
    return framed({ kind: 'fetched', ...header, status, blocks } as PetalMessage, dataOf(count));
  });

const anyReply = fc
  .tuple(anyStatus, fc.integer({ min: 0, max: CHUNK_BLOCKS }))
  .chain(([status, most]) => {
    const count = status === PetalStatus.ok ? most : 0;
    const record = fc.record({
      id: anyU48,
      term: anyBrand(),
      primary: anyU32,
      queue: anyU32,
      version: anyU48,
      crcs: anySums(count),
    });
    return record.map((rest) =>
      framed({ kind: 'reply', status, ...rest } as PetalMessage, dataOf(count)),
    );
  });

function bare(kind: string, fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Frame> {
  return fc.record(fields).map((rest) => framed({ kind, ...rest } as PetalMessage));
}

/** Any frame that keeps the rules of the wire. */
export const anyFrame: fc.Arbitrary<Frame> = fc.oneof(
  bare('hello', {
    protocol: fc.integer({ min: 1, max: 2 ** 16 - 1 }),
    pool: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    from: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$/),
    isServer: fc.boolean(),
    incarnation: anyU32,
  }),
  ofClient((header) =>
    fc.boolean().map((asked) => {
      const conditional = asked && header.blocks === 1;
      return framed({ kind: 'read', ...header, conditional } as PetalMessage);
    }),
  ),
  ofClient((header) =>
    fc
      .record({ seq: anySeq, crcs: anySums(header.blocks) })
      .map((rest) =>
        framed({ kind: 'write', ...header, ...rest } as PetalMessage, dataOf(header.blocks)),
      ),
  ),
  ofClient((header) =>
    anySeq.map((seq) => framed({ kind: 'trim', ...header, seq } as PetalMessage)),
  ),
  ofClient((header) =>
    fc
      .record({ seq: anySeq, expectedVersion: anyU48, crcs: anySums(1) })
      .map((rest) =>
        framed({ kind: 'writeIf', ...header, blocks: 1, ...rest } as PetalMessage, dataOf(1)),
      ),
  ),
  anyReply,
  anyReplicate,
  bare('replicated', { ...anyPair, status: anyStatus }),
  bare('probe', {
    ...anyPair,
    committed: anyVersion,
    wantsDirty: fc.boolean(),
    after: fc.record(anyPlaceOfOne),
  }),
  bare('probed', { ...anyPair, incarnation: anyU32, dirty: anyDirty }),
  bare('rejoin', { ...anyPair, incarnation: anyU32, lastTerm: anyU32 }),
  anyRepair,
  bare('repaired', { ...anyPair, status: anyStatus }),
  bare('fetch', { ...anyPair, ...anyPlaceOfOne }),
  anyFetched,
);
