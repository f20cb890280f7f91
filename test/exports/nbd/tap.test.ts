/** What is heard of clients' requests. */
import test from 'ava';
import type { RequestTap } from '../../../src/exports/request-tap.ts';
import { RequestKind } from '../../../src/world/history.ts';
import { type BenchStream, BUFFER_PAGES, DISK_BYTES, NbdBench } from './nbd-bench.ts';
import { CLIENT_FLAGS, info, request } from './nbd-client.ts';

const [READ, WRITE, FLUSH, TRIM, CACHE, ZERO] = [0, 1, 3, 4, 5, 6] as const;
const MIB = 2 ** 20;

function tapped(): { bench: NbdBench; stream: BenchStream; heard: string[] } {
  const heard: string[] = [];
  const tap: RequestTap = {
    begun: ({ op, offset, lengthBytes, fua }) => {
      const what = `${op} ${offset}+${lengthBytes}${fua ? ' fua' : ''}`;
      heard.push(what);
      return { ended: (isOk) => heard.push(`${what} ${isOk ? 'ok' : 'failed'}`) };
    },
  };
  const bench = new NbdBench(BUFFER_PAGES, tap);
  const stream = bench.connect();
  stream.push(CLIENT_FLAGS);
  stream.push(info(7, 'disk'));
  return { bench, stream, heard };
}

test('tap: requests are heard of when they are taken, and when they are answered', (t) => {
  const { bench, stream, heard } = tapped();
  stream.push(request({ command: WRITE, length: 512, flags: 1, data: new Uint8Array(512) }));
  stream.push(request({ command: READ, offset: 4096, length: DISK_BYTES - 4096 }));
  t.deepEqual(heard, [
    `${RequestKind.write} 0+512 fua`,
    `${RequestKind.read} 4096+${DISK_BYTES - 4096}`,
  ]);
  heard.length = 0;
  bench.run();
  t.deepEqual(heard.toSorted(), [
    `${RequestKind.read} 4096+${DISK_BYTES - 4096} ok`,
    `${RequestKind.write} 0+512 fua ok`,
  ]);
  heard.length = 0;
  for (const command of [FLUSH, TRIM, ZERO]) {
    stream.push(request({ command, length: command === FLUSH ? 0 : MIB }));
    bench.run();
  }
  t.deepEqual(
    heard.filter((what) => what.endsWith('ok')),
    [
      `${RequestKind.flush} 0+0 ok`,
      `${RequestKind.discard} 0+${MIB} ok`,
      `${RequestKind.zero} 0+${MIB} ok`,
    ],
  );
});

test('tap: what is refused or moves no data is not heard of, and what fails is', (t) => {
  const { bench, stream, heard } = tapped();
  stream.push(request({ command: READ, offset: DISK_BYTES, length: 512 }));
  stream.push(request({ command: CACHE, length: 4096 }));
  stream.push(request({ command: READ, length: 0 }));
  bench.run();
  t.deepEqual(heard, []);
  bench.front.bad = new Set([8]);
  stream.push(request({ command: READ, offset: 4096, length: 512 }));
  bench.run();
  t.deepEqual(heard, [`${RequestKind.read} 4096+512`, `${RequestKind.read} 4096+512 failed`]);
});

test('tap: a write whose client leaves in the middle of its payload never ends', (t) => {
  const { bench, stream, heard } = tapped();
  const data = new Uint8Array(MIB + 512);
  stream.push(request({ command: WRITE, length: 2 * MIB, data }));
  stream.close();
  bench.run();
  t.deepEqual(heard, [`${RequestKind.write} 0+${2 * MIB}`]);
});
