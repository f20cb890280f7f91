/** Frames of the Petal protocol: what they are as bytes, and what is refused. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { stordom } from '#petal-wire';
import {
  decodeFrame,
  encodeFrame,
  FRAME_BYTES_MAX,
  HEADER_BYTES_MAX,
  PREFIX_BYTES,
  type RefusalReason,
  WireRefusal,
} from '../../../src/petal-backend/wire/codec.ts';
import { DIRTY_BLOCKS_MAX } from '../../../src/petal-backend/wire/message-rules.ts';
import type { Frame, PetalMessage } from '../../../src/petal-backend/wire/messages.ts';
import { simDigest as digest } from '../../../src/world/sim/sim-digest.ts';
import { check, forSeeds } from '../../helpers/property.ts';
import { anyFrame, dataOf, SAMPLES } from './wire-samples.ts';

const GOLDEN = 'test/fixtures/v1/wire';
const samples = Object.entries(SAMPLES);

function encoded({ message, payload }: Frame): Uint8Array {
  return encodeFrame(message, payload, digest);
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** Data is compared by itself: an assertion over each of its bytes is slow. */
function reads(t: ExecutionContext, bytes: Uint8Array, expected: Frame, name?: string): void {
  const decoded = decodeFrame(bytes, digest);
  if (decoded instanceof WireRefusal) return t.fail(`${name}: ${decoded.why}`);
  t.deepEqual(decoded.message, expected.message, name);
  t.true(isSame(decoded.payload, expected.payload), name);
}

function sample(name: string): Frame {
  const frame = SAMPLES[name];
  if (frame === undefined) throw new Error(`no sample ${name}`);
  return frame;
}

/** Makes the sum of the header right again. */
function resealed(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const dataAt = PREFIX_BYTES + view.getUint32(12, true);
  if (dataAt <= frame.length) view.setUint32(4, digest.crc32(frame, 8, dataAt - 8), true);
  return frame;
}

/** A frame around a header of any bytes. */
function frameAround(header: Uint8Array, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const frame = new Uint8Array(PREFIX_BYTES + header.length + payload.length);
  frame.set(encoded(sample('hello')).subarray(0, PREFIX_BYTES));
  const view = new DataView(frame.buffer);
  view.setUint32(12, header.length, true);
  view.setUint32(16, payload.length, true);
  frame.set(header, PREFIX_BYTES);
  frame.set(payload, PREFIX_BYTES + header.length);
  return resealed(frame);
}

/** The frame of a message that need not keep the rules. */
function forged(message: PetalMessage, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const envelope = { [message.kind]: message } as stordom.petal.Envelope.$Properties;
  return frameAround(stordom.petal.Envelope.encode(envelope).finish(), payload);
}

function refusal(bytes: Uint8Array): WireRefusal {
  const decoded = decodeFrame(bytes, digest);
  if (!(decoded instanceof WireRefusal)) throw new Error('the frame was taken');
  return decoded;
}

function refusedAs(bytes: Uint8Array): RefusalReason {
  return refusal(bytes).reason;
}

test('each kind of message has the bytes of its golden file, which reads as the same message', (t) => {
  const kinds = new Set(samples.map(([, { message }]) => message.kind));
  t.is(kinds.size, 15);
  for (const [name, frame] of samples) {
    const stored = new Uint8Array(readFileSync(`${GOLDEN}/${name}.bin`));
    t.true(isSame(encoded(frame), stored), name);
    reads(t, stored, frame, name);
  }
  t.deepEqual(
    readdirSync(GOLDEN).filter((file) => !(file.replace('.bin', '') in SAMPLES)),
    [],
    'golden files that nobody makes',
  );
  t.true(existsSync(`${GOLDEN}/write.bin`));
});

test('any message comes back from its frame with its data, also through a buffer that is used again', (t) => {
  const into = new Uint8Array(FRAME_BYTES_MAX);
  fc.assert(
    fc.property(anyFrame, (frame) => {
      const own = encoded(frame);
      const shared = encodeFrame(frame.message, frame.payload, digest, into);
      reads(t, own, frame);
      check(shared.buffer === into.buffer, 'it is made where the caller said');
      check(isSame(own, shared), 'it has the same bytes there');
    }),
    { seed: 7, numRuns: 2000 },
  );
});

test('the header is the one field of an Envelope, as any other implementation reads it', (t) => {
  for (const [name, { message, payload }] of samples) {
    const frame = encodeFrame(message, payload, digest);
    const header = frame.subarray(PREFIX_BYTES, frame.length - payload.length);
    const envelope = stordom.petal.Envelope.decode(header);
    t.is(envelope.message, message.kind, name);
    const own = { [message.kind]: message } as stordom.petal.Envelope.$Properties;
    t.deepEqual(new Uint8Array(stordom.petal.Envelope.encode(own).finish()), header.slice(), name);
  }
});

test('a buffer that is too small is left alone', (t) => {
  const into = new Uint8Array(100);
  const { message, payload } = sample('write');
  t.true(isSame(encodeFrame(message, payload, digest, into), encoded(sample('write'))));
  t.deepEqual(into, new Uint8Array(100));
});

test('the data of a decoded frame is a view, not a copy', (t) => {
  const bytes = encoded(sample('write'));
  const decoded = decodeFrame(bytes, digest) as Frame;
  t.is(decoded.payload.buffer, bytes.buffer);
  t.true(isSame(decoded.payload, dataOf(2)));
});

test('a frame that is cut short or longer is damage, at every length', (t) => {
  for (const [name, frame] of samples) {
    const bytes = encoded(frame);
    for (let end = 0; end < bytes.length; end += end < 200 ? 1 : 509) {
      t.is(refusedAs(bytes.slice(0, end)), 'damage', `${name} cut at ${end}`);
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    t.is(refusedAs(longer), 'damage');
  }
});

test('a bit that flips before the data is damage, whichever it is', (t) => {
  const frame = sample('write');
  const bytes = encoded(frame);
  for (let bit = 0; bit < (bytes.length - frame.payload.length) * 8; bit++) {
    const flipped = bytes.slice();
    flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7));
    t.is(refusedAs(flipped), 'damage', `bit ${bit}`);
  }
});

test('a frame of a newer version is refused with both versions in the words', (t) => {
  const bytes = encoded(sample('probe'));
  bytes[8] = 2;
  const { reason, why } = refusal(resealed(bytes));
  t.is(reason, 'version');
  t.is(
    why,
    'a frame has version 2 of the Petal protocol, this program version 1: update this program',
  );
  bytes[8] = 0;
  t.regex(refusal(resealed(bytes)).why, /version 0 .*version 1: update the other one$/);
});

test('lengths beyond the limits are refused before anything is read', (t) => {
  const bytes = encoded(sample('probe'));
  const view = new DataView(bytes.buffer);
  view.setUint32(12, HEADER_BYTES_MAX + 1, true);
  t.regex(refusal(bytes).why, /^the header has 524289 bytes; expected at most 524288$/);
  view.setUint32(12, 1, true);
  view.setUint32(16, 65_537, true);
  t.regex(refusal(bytes).why, /^65537 bytes of data; expected at most 65536$/);
});

test('a header without a message, with two, or with one of an unknown kind is refused', (t) => {
  t.is(refusedAs(frameAround(new Uint8Array(0))), 'illegal');
  const one = stordom.petal.Envelope.encode({ probe: sample('probe').message as never }).finish();
  t.regex(refusal(frameAround(Buffer.concat([one, one]))).why, /one message and nothing else/);
  const unknown = Uint8Array.of(((16 << 3) & 0x7f) | 2 | 0x80, 1, 0);
  t.is(refusal(frameAround(unknown)).why, 'a message of a kind that is not known');
  t.regex(refusal(frameAround(Uint8Array.of(8, 1))).why, /expected a message/);
});

test('each field of each message, if it is left out, is missed by its name', (t) => {
  let missed = 0;
  for (const { message, payload } of Object.values(SAMPLES)) {
    for (const [name, value] of Object.entries(message)) {
      if (name === 'kind' || Array.isArray(value)) continue;
      const bytes = withoutField({ message, payload }, name);
      t.is(refusal(bytes).why, `the header: missing required '${name}'`);
      missed++;
    }
  }
  t.true(missed > 100);
});

/** The frame of a message, less one field: fields are told apart by what changes with them. */
function withoutField({ message, payload }: Frame, name: string): Uint8Array {
  const numbers = fieldNumbers(message.kind);
  const header = encoded({ message, payload }).subarray(PREFIX_BYTES);
  const envelope = new Reading(header);
  const tag = envelope.varint();
  const body = envelope.take(envelope.varint());
  const reading = new Reading(body);
  const kept: Uint8Array[] = [];
  while (reading.at < body.length) {
    const from = reading.at;
    const fieldTag = reading.varint();
    reading.skip(fieldTag & 7);
    if (fieldTag >>> 3 !== numbers.get(name)) kept.push(body.subarray(from, reading.at));
  }
  const rest = Buffer.concat(kept);
  const length = rest.length < 128 ? [rest.length] : [(rest.length & 127) | 128, rest.length >> 7];
  return frameAround(Buffer.concat([Uint8Array.of(tag, ...length), rest]), payload);
}

class Reading {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.at++] as number;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  take(length: number): Uint8Array {
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  skip(wireType: number): void {
    if (wireType === 0) this.varint();
    else if (wireType === 2) this.take(this.varint());
    else this.take(4);
  }
}

/** Numbers of the fields of a kind by our names, from the proto file itself. */
function fieldNumbers(kind: string): Map<string, number> {
  const proto = readFileSync('src/petal-backend/wire/petal.proto', 'utf8');
  const name = kind.charAt(0).toUpperCase() + kind.slice(1);
  const body = new RegExp(`^message ${name} \\{([^}]*)\\}`, 'm').exec(proto)?.[1] ?? '';
  return new Map(
    [...body.matchAll(/ (\w+) = (\d+)/g)].map(([, field, number]) => [
      (field as string).replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      Number(number),
    ]),
  );
}

const read = sample('read').message;
const write = sample('write').message;
const repair = sample('repair').message as Extract<PetalMessage, { kind: 'repair' }>;
const [first, second] = repair.blocks as [(typeof repair.blocks)[0], (typeof repair.blocks)[0]];

/** What breaks one rule each: a message, its data, and what is said. */
const ILLEGAL: readonly (readonly [string, object, number, RegExp])[] = [
  ['a place that spans chunks', { ...read, block: 31, blocks: 2 }, 0, /of two chunks/],
  ['no blocks', { ...read, blocks: 0 }, 0, /blocks is 0; expected 1 to 16/],
  ['too many blocks', { ...read, block: 0, blocks: 17 }, 0, /blocks is 17/],
  ['a block beyond 48 bits', { ...read, block: 2 ** 48 }, 0, /block is .*less than 2\^48/],
  ['a block beyond 53 bits', { ...read, block: 2 ** 60 }, 0, /block is .*less than 2\^48/],
  ['an id beyond 48 bits', { ...read, id: 2 ** 53 }, 0, /id is .*less than 2\^48/],
  ['two conditional blocks', { ...read, conditional: true }, 0, /blocks is 2; expected 1/],
  ['data behind a read', read, 1, /4096 bytes of data; expected 0/],
  ['less data than blocks', write, 1, /4096 bytes of data; expected 8192/],
  ['no data', write, 0, /0 bytes of data; expected 8192/],
  ['a sum too few', { ...write, crcs: [1] }, 2, /1 crcs; expected 2/],
  ['a write without number', { ...write, seq: 0 }, 2, /seq is 0/],
  [
    'a conditional write of two',
    { ...write, kind: 'writeIf', expectedVersion: 1 },
    2,
    /expected 1/,
  ],
  ['a status that is none', { ...sample('repaired').message, status: -7 }, 0, /status is -7/],
  ['data with a failure', { ...sample('reply').message, status: -5 }, 2, /of a success only/],
  ['an unknown mutation', { ...sample('replicate').message, op: 4 }, 2, /op is 4/],
  [
    'a version beyond 48 bits',
    { ...sample('replicate').message, version: { term: 1, n: 2 ** 48 } },
    2,
    /version is 281474976710656 of term 1; expected less/,
  ],
  ['data with a trim', sample('replicate-trim').message, 2, /8192 bytes of data; expected 0/],
  ['protocol 0', { ...sample('hello').message, protocol: 0 }, 0, /protocol is 0/],
  ['a short pool', { ...sample('hello').message, pool: new Uint8Array(15) }, 0, /pool has 15/],
  ['a name with a space', { ...sample('hello').message, from: 'a b' }, 0, /from is not the name/],
  ['a name of 65', { ...sample('hello').message, from: 'a'.repeat(65) }, 0, /from is not/],
  ['no blocks to repair', { ...repair, blocks: [] }, 0, /0 blocks; expected 1 to 16/],
  ['a block twice', { ...repair, blocks: [first, first] }, 2, /block 33 is named twice/],
  ['two chunks', { ...repair, blocks: [first, { ...second, block: 31 }] }, 1, /two chunks/],
  ['lost data that follow', { ...repair, blocks: [{ ...first, isLost: true }] }, 1, /lost/],
  ['data it has not', { ...repair, blocks: [second] }, 1, /4096 bytes of data; expected 0/],
  [
    'too many dirty blocks',
    {
      ...sample('probed').message,
      dirty: Array.from({ length: DIRTY_BLOCKS_MAX + 1 }, () => ({ vdisk: 1, epoch: 1, block: 1 })),
    },
    0,
    /16385 dirty blocks/,
  ],
];

test('a message that breaks a rule is refused by its receiver, with the rule in the words', (t) => {
  for (const [what, message, blocks, words] of ILLEGAL) {
    const { reason, why } = refusal(forged(message as PetalMessage, dataOf(blocks)));
    t.is(reason, 'illegal', what);
    t.regex(why, words, what);
  }
});

test('a message that breaks a rule is a bug of its sender', (t) => {
  for (const [what, message, blocks] of ILLEGAL) {
    const send = (): Uint8Array => encodeFrame(message as PetalMessage, dataOf(blocks), digest);
    t.throws(send, { message: /a message keeps the rules of the wire/ }, what);
  }
});

test('the largest message that the rules allow fits into a header', (t) => {
  const message = {
    ...sample('probed').message,
    dirty: Array.from({ length: DIRTY_BLOCKS_MAX }, () => ({
      vdisk: 2 ** 32 - 1,
      epoch: 2 ** 32 - 1,
      block: 2 ** 48 - 1,
    })),
  } as PetalMessage;
  const bytes = encodeFrame(message, new Uint8Array(0), digest);
  t.deepEqual((decodeFrame(bytes, digest) as Frame).message, message);
});

test('100 000 damaged frames are refused or read, quickly and without a throw', (t) => {
  const frames = samples.map(([, frame]) => encoded(frame));
  const counts = { taken: 0, damage: 0, version: 0, illegal: 0 };
  const startedMs = performance.now();
  forSeeds(1000, (random) => {
    for (let i = 0; i < 100; i++) {
      let bytes = (frames[random.below(frames.length)] as Uint8Array).slice();
      const header = new DataView(bytes.buffer).getUint32(12, true);
      for (let hits = random.between(1, 4); hits > 0; hits--) {
        bytes[random.below(PREFIX_BYTES + header)] = random.nextU32();
      }
      if (random.chance(0.1)) bytes = bytes.slice(0, random.below(bytes.length));
      // Nine of ten have a right sum again: the sum would stop them all.
      if (bytes.length >= PREFIX_BYTES && random.chance(0.9)) {
        bytes.set(frames[0]?.subarray(0, 4) ?? []);
        if (random.chance(0.9)) bytes.set([1, 0, 0, 0], 8);
        resealed(bytes);
      }
      const decoded = decodeFrame(bytes, digest);
      if (decoded instanceof WireRefusal) {
        counts[decoded.reason]++;
        check(decoded.why.length < 300, 'a refusal is short');
      } else {
        counts.taken++;
        encodeFrame(decoded.message, decoded.payload, digest);
      }
    }
  });
  t.true(performance.now() - startedMs < 60_000);
  for (const [what, count] of Object.entries(counts)) t.true(count > 400, `${what} ${count}`);
});

test('headers of any bytes with a right sum are refused or read without a throw', (t) => {
  let refused = 0;
  forSeeds(2000, (random) => {
    const header = Uint8Array.from({ length: random.below(300) }, () => random.nextU32());
    if (header.length > 2 && random.chance(0.7)) {
      header[0] = (random.between(1, 15) << 3) | 2;
      header[1] = Math.min(header.length - 2, 127);
    }
    if (decodeFrame(frameAround(header), digest) instanceof WireRefusal) refused++;
  });
  t.true(refused > 1900);
});
