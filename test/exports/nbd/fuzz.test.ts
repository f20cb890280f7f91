/**
 * Conversations of the corpus, mutated: whatever a client sends, the server neither throws nor
 * asks the disk for what is not there, and gives back everything when the client is gone.
 */
import test from 'ava';
import { Prng } from '../../../src/base/prng.ts';
import { BUFFER_PAGES, corpus, DISK_BYTES, NbdBench } from './nbd-bench.ts';

const SEED = 20_260;
const MESSAGES = 120_000;
/** What one conversation may have the server send: a few reads of all the disk, and chunks. */
const SENT_BYTES_MAX: number = 256 * DISK_BYTES;
const INTERESTING = [0, 1, 127, 128, 255];

/** A message that is nearly the one given. */
function mutated(random: Prng, message: Uint8Array): Uint8Array {
  const bytes = message.slice();
  const at = random.below(Math.max(1, Math.min(bytes.length, 64)));
  switch (random.below(7)) {
    case 0:
      bytes[at] = random.below(256);
      return bytes;
    case 1:
      bytes[at] = INTERESTING[random.below(INTERESTING.length)] as number;
      return bytes;
    case 2:
      return bytes.subarray(0, random.below(bytes.length + 1));
    case 3:
      return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(0, 64)]);
    case 4:
      bytes.fill(random.below(2) * 255, at, at + 1 + random.below(8));
      return bytes;
    case 5:
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      return bytes;
    default:
      return bytes;
  }
}

test('fuzz: 120,000 mutated messages leave a server that serves, and nothing behind', (t) => {
  const conversations = corpus();
  const random = new Prng(SEED, 'nbd-fuzz');
  const bench = new NbdBench();
  let messages = 0;
  let agreed = 0;
  let ended = 0;
  for (let round = 0; messages < MESSAGES; round++) {
    const conversation = conversations[random.below(conversations.length)];
    const stream = bench.connect();
    stream.keeps = false;
    stream.isReading = random.below(4) > 0;
    // A client that is broken from the first byte on is seen through at once: later is more.
    const sound = random.below((conversation?.messages.length ?? 0) + 1);
    conversation?.messages.forEach((message, at) => {
      const sent = at < sound ? message : mutated(random, message);
      const cut = random.below(sent.length + 1);
      stream.push(sent.subarray(0, cut));
      if (random.below(2) === 0) bench.run();
      stream.push(sent.subarray(cut));
      if (random.below(3) === 0) stream.read();
      messages++;
    });
    bench.run();
    if (bench.server.connections()[0]?.exportName != null) agreed++;
    if (stream.isOver) ended++;
    t.true(stream.sentBytes < SENT_BYTES_MAX, `seed ${SEED}, round ${round}: too much is sent`);
    stream.close();
    bench.run();
    const left = [bench.frames.freePages, bench.server.owedBytes, bench.front.inFlight];
    if (left.join() !== `${BUFFER_PAGES},0,0`)
      t.fail(`seed ${SEED}, round ${round}: ${left.join(', ')}`);
  }
  t.true(agreed > MESSAGES / 60, `${agreed} conversations came to the transmission`);
  t.true(ended > MESSAGES / 60, `${ended} were ended by the server`);
  t.deepEqual(bench.server.connections(), []);
});

test('fuzz: the conversations of the corpus are understood to their ends', async (t) => {
  for (const { name, messages } of corpus()) {
    const bench = new NbdBench();
    const stream = bench.connect();
    for (const message of messages) {
      t.false(stream.isOver, name);
      stream.push(message);
      bench.run();
      // A block status is asked of others.
      await new Promise((resolve) => setImmediate(resolve));
      bench.run();
    }
    t.true(stream.isEnded, name);
    t.false(stream.isDestroyed, name);
    t.deepEqual(bench.notes, [], name);
  }
});
