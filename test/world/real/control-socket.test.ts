/** The control socket of a process: questions, answers, and who does not keep to them. */
import { statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { StorageError, UsageError } from '../../../src/base/errors.ts';
import {
  answeredBy,
  askControlSocket,
  serveControlSocket,
} from '../../../src/world/real/control-socket.ts';
import { folderOf } from './helpers.ts';

test('a question is answered with what the method gives, or with why it failed', async (t) => {
  const path = join(await folderOf(t), 'control');
  const surface = {
    status: () => ({ up: true }),
    later: () => Promise.resolve([1, 2]),
    broken: () => {
      throw new StorageError('E_BROKEN', 'it is broken');
    },
  };
  const listener = await serveControlSocket(path, answeredBy(surface));
  t.teardown(() => listener.close());
  t.is(statSync(path).mode & 0o777, 0o600);
  t.deepEqual(await askControlSocket(path, 'status'), { up: true });
  t.deepEqual(await askControlSocket(path, 'later'), [1, 2]);
  await t.throwsAsync(askControlSocket(path, 'broken'), { code: 'E_BROKEN', message: /broken/ });
  await t.throwsAsync(askControlSocket(path, 'constructor'), {
    instanceOf: UsageError,
    message: /no command "constructor"/,
  });
});

test('a command is handed its arguments', async (t) => {
  const path = join(await folderOf(t), 'control');
  const echo = (command: string, args: readonly string[]) => Promise.resolve({ command, args });
  const listener = await serveControlSocket(path, echo);
  t.teardown(() => listener.close());
  const asked = { command: 'snapshot', args: ['disk', 'a "name"\n'] };
  t.deepEqual(await askControlSocket(path, asked.command, asked.args), asked);
});

test('what is no question is answered with what one is; where nobody listens the path is named', async (t) => {
  const path = join(await folderOf(t), 'control');
  const listener = await serveControlSocket(path, answeredBy({}));
  const socket = connect({ path });
  socket.setEncoding('utf8');
  const answer = new Promise<string>((resolve) => {
    socket.on('data', (part: string) => resolve(part));
  });
  socket.write(Uint8Array.of(0xff, 0x7b, 0x0a));
  t.regex(await answer, /"code":"E_CONTROL"/);
  socket.destroy();
  await listener.close();
  await t.throwsAsync(askControlSocket(path, 'status'), {
    code: 'E_CONTROL_NOBODY',
    message: new RegExp(path),
  });
});

test('who answers nothing, or something else, is given up', async (t) => {
  const path = join(await folderOf(t), 'control');
  let isAsked: () => void = () => undefined;
  const silent = await serveControlSocket(path, () => {
    isAsked();
    return new Promise(() => {});
  });
  await t.throwsAsync(askControlSocket(path, 'status', [], 20), { code: 'E_CONTROL_CUT' });
  const ended = new Promise<void>((resolve) => {
    isAsked = resolve;
  }).then(() => silent.close());
  await t.throwsAsync(askControlSocket(path, 'status'), { code: 'E_CONTROL_CUT' });
  await ended;
  const foreign = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', () => socket.end('null\n'));
  }).listen(path);
  await new Promise((resolve) => foreign.once('listening', resolve));
  t.teardown(() => foreign.close());
  await t.throwsAsync(askControlSocket(path, 'status'), { code: 'E_CONTROL_CUT' });
});
