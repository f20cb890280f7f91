/** The control surface of a process, asked over a socket. */
import { join } from 'node:path';
import test from 'ava';
import { askControlSocket, serveControlSocket } from '../../../src/world/real/control-socket.ts';
import { connectSocket } from '../../../src/world/real/sockets.ts';
import { folderOf } from './helpers.ts';

const LIMITS = { frameBytesMax: 2 ** 20, pressureBytes: 2 ** 20, queueBytesMax: 2 ** 22 };

test('a question is answered with what the method gives, or with why it failed', async (t) => {
  const path = join(await folderOf(t), 'control');
  const listener = await serveControlSocket(path, {
    status: () => ({ up: true }),
    later: () => Promise.resolve([1, 2]),
    broken: () => {
      throw new Error('it is broken');
    },
  });
  t.teardown(() => listener.close());
  t.deepEqual(await askControlSocket(path, 'status'), { up: true });
  t.deepEqual(await askControlSocket(path, 'later'), [1, 2]);
  await t.throwsAsync(askControlSocket(path, 'broken'), { message: /it is broken/ });
  await t.throwsAsync(askControlSocket(path, 'constructor'), {
    message: /no method "constructor"/,
  });
});

test('what is no question is answered with a problem; where nobody listens the path is named', async (t) => {
  const path = join(await folderOf(t), 'control');
  const listener = await serveControlSocket(path, {});
  const link = await connectSocket({ kind: 'unix', path }, LIMITS);
  const answer = new Promise<string>((resolve) => {
    link.onFrame((frame) => resolve(new TextDecoder().decode(frame)));
  });
  link.send(Uint8Array.of(0xff, 0x7b));
  t.regex(await answer, /"problem"/);
  link.close();
  await listener.close();
  await t.throwsAsync(askControlSocket(path, 'status'), { message: new RegExp(path) });
});
