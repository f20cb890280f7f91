/**
 * The control surface of an actor over a Unix socket: one question a connection, for commands that
 * look at a process which serves. Only who may open the file may ask.
 *
 * Question and answer are frames of JSON: `{"method"}`, and `{"value"}` or `{"problem"}`. Methods
 * take no arguments.
 */
import { StorageError } from '../../base/errors.ts';
import type { ControlSurface } from '../actor.ts';
import type { Link } from '../world.ts';
import { connectSocket, listenSockets, type SocketListener } from './sockets.ts';

const LIMITS = { frameBytesMax: 2 ** 20, pressureBytes: 2 ** 20, queueBytesMax: 2 ** 22 };
const CONNECT_MS = 1000;
const ANSWER_MS = 2000;

interface Answer {
  readonly value?: unknown;
  readonly problem?: string;
}

/** Answers until the listener is closed. Rejects with a `StorageError` if it cannot listen. */
export function serveControlSocket(path: string, control: ControlSurface): Promise<SocketListener> {
  return listenSockets({ kind: 'unix', path }, LIMITS, (link) => {
    link.onFrame((bytes) => {
      void answer(control, bytes).then((text) => {
        link.send(new TextEncoder().encode(JSON.stringify(text)));
        link.close();
      });
    });
  });
}

/** Rejects with a `StorageError` if nobody answers, or not in time, or with a problem. */
export async function askControlSocket(path: string, method: string): Promise<unknown> {
  const link = await connectSocket({ kind: 'unix', path }, LIMITS, CONNECT_MS);
  try {
    const { value, problem } = await asked(link, path, method);
    if (problem !== undefined) throw controlError(path, problem);
    return value;
  } finally {
    link.close();
  }
}

async function answer(control: ControlSurface, question: Uint8Array): Promise<Answer> {
  try {
    const { method } = JSON.parse(new TextDecoder().decode(question)) as { method?: unknown };
    const known = typeof method === 'string' && Object.hasOwn(control, method);
    if (!known) return { problem: `there is no method ${JSON.stringify(method)}` };
    return { value: await control[method]?.() };
  } catch (thrown) {
    return { problem: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

function asked(
  link: Link & { onEnd(tell: (why: string | null) => void): void },
  path: string,
  method: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      reject(controlError(path, `no answer in ${ANSWER_MS} ms`));
    }, ANSWER_MS);
    link.onEnd((why) => {
      clearTimeout(late);
      reject(controlError(path, why ?? 'it was closed without an answer'));
    });
    link.onFrame((bytes) => {
      try {
        resolve(JSON.parse(new TextDecoder().decode(bytes)) as Answer);
      } catch {
        reject(controlError(path, 'the answer is not JSON'));
      }
    });
    link.send(new TextEncoder().encode(JSON.stringify({ method })));
  });
}

function controlError(path: string, why: string): StorageError {
  return new StorageError('E_CONTROL', `${path}: ${why}`, { fields: { path } });
}
