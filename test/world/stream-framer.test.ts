/** Frames over a stream of bytes, however it is cut, and streams that are something else. */
import test from 'ava';
import { FRAME_PREFIX_BYTES, framePrefix, StreamFramer } from '../../src/world/stream-framer.ts';
import { check, forSeeds } from '../helpers/property.ts';

const FRAME_BYTES_MAX = 5000;

function streamOf(frames: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(frames.flatMap((frame) => [framePrefix(frame.length), frame])),
  );
}

function frameOf(lengthBytes: number, salt: number): Uint8Array {
  return Uint8Array.from({ length: lengthBytes }, (_, at) => (at * 7 + salt) % 256);
}

function isSame(got: readonly Uint8Array[], sent: readonly Uint8Array[]): boolean {
  return (
    got.length === sent.length &&
    got.every((frame, at) => Buffer.compare(frame, sent[at] as Uint8Array) === 0)
  );
}

/** A framer and what it has delivered. */
function framer(): { framer: StreamFramer; got: Uint8Array[] } {
  const got: Uint8Array[] = [];
  return { framer: new StreamFramer(FRAME_BYTES_MAX, (frame) => got.push(frame)), got };
}

test('frames of a stream that is cut in two anywhere are the frames that went in', (t) => {
  const sent = [frameOf(0, 1), frameOf(1, 2), frameOf(300, 3), frameOf(0, 4), frameOf(90, 5)];
  const stream = streamOf(sent);
  for (let cut = 0; cut <= stream.length; cut++) {
    const { framer: each, got } = framer();
    check(each.push(stream.subarray(0, cut)) === null, `cut at ${cut}: the first part is taken`);
    check(each.push(stream.subarray(cut)) === null, `cut at ${cut}: the second part is taken`);
    check(isSame(got, sent), `cut at ${cut}: all frames are there`);
    check(each.cut === null, `cut at ${cut}: the stream may end here`);
  }
  t.pass();
});

test('frames of a stream that comes byte by byte, or in random pieces, are the frames that went in', (t) => {
  forSeeds(200, (random, seed) => {
    const sent = Array.from({ length: 20 }, (_, at) => frameOf(random.below(400), at));
    const stream = streamOf(sent);
    const { framer: each, got } = framer();
    for (let at = 0; at < stream.length; ) {
      const piece = seed === 1 ? 1 : random.between(1, 700);
      check(each.push(stream.subarray(at, at + piece)) === null, 'a piece is taken');
      at += piece;
    }
    check(isSame(got, sent), 'all frames are there');
  });
  t.pass();
});

test('a frame that lies in one chunk is handed over where it lies, one that does not in its own bytes', (t) => {
  const { framer: each, got } = framer();
  const [one, other] = [frameOf(10, 1), frameOf(20, 2)];
  const stream = streamOf([one, other]);
  const [first, second] = [stream.slice(0, 30), stream.slice(30)];
  each.push(first);
  each.push(second);
  t.true(isSame(got, [one, other]));
  t.deepEqual(
    got.map(({ buffer }) => buffer === first.buffer),
    [true, false],
  );
});

test('a frame that lies in a Buffer is bytes like any other: a slice of it is a copy', (t) => {
  const { framer: each, got } = framer();
  const chunk = Buffer.from(streamOf([frameOf(10, 1)]));
  each.push(chunk);
  const copy = got[0]?.slice();
  chunk.fill(0);
  t.deepEqual(copy, frameOf(10, 1));
});

test('a frame above the limit ends the stream before any of it is kept', (t) => {
  const { framer: each, got } = framer();
  t.is(each.push(streamOf([frameOf(FRAME_BYTES_MAX, 0)])), null);
  t.is(each.push(framePrefix(FRAME_BYTES_MAX + 1)), 'a frame of 5001 bytes; expected at most 5000');
  t.is(each.push(streamOf([frameOf(1, 1)])), null, 'it is said once');
  t.is(got.length, 1, 'and nothing is delivered after it');
});

test('another protocol is seen at its first strange byte, and shown', (t) => {
  const { framer: each } = framer();
  t.is(each.push(Buffer.from('S')), null);
  t.is(
    each.push(Buffer.from('SH-2.0\r\n')),
    'frames begin with SDF1, these bytes with SSH-: another program or version?',
  );
  const { framer: tls } = framer();
  t.regex(tls.push(Uint8Array.of(0x16, 3, 1, 2)) ?? '', /with \\x16\\x03\\x01\\x02:/);
});

test('a stream that ends inside a prefix or a frame says where', (t) => {
  const { framer: each } = framer();
  const stream = streamOf([frameOf(20, 0)]);
  each.push(stream.subarray(0, 3));
  t.is(each.cut, 'it ended inside the prefix of a frame');
  each.push(stream.subarray(3, FRAME_PREFIX_BYTES + 5));
  t.is(each.cut, 'it ended 5 bytes into a frame of 20');
  each.push(stream.subarray(FRAME_PREFIX_BYTES + 5));
  t.is(each.cut, null);
});

test('a receiver that stops the framer gets none of the frames behind in the same chunk', (t) => {
  const got: number[] = [];
  const each = new StreamFramer(FRAME_BYTES_MAX, (frame) => {
    got.push(frame.length);
    if (frame.length === 2) each.stop();
  });
  t.is(each.push(streamOf([frameOf(1, 0), frameOf(2, 0), frameOf(3, 0)])), null);
  t.deepEqual(got, [1, 2]);
});
