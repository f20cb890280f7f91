/**
 * The control socket of a process that serves: a question and an answer a connection, each a line
 * of JSON.
 *
 * ```
 * {"command":"snapshot","args":["disk","before"]}
 * {"ok":true,"result":{...}}   or   {"ok":false,"isUsage":true,"code":"E_...","message":"..."}
 * ```
 * It is a Unix socket that its owner alone can open.
 */
import { chmod } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { StorageError, toErrorRecord, UsageError } from '../../base/errors.ts';
import type { ControlSurface } from '../actor.ts';
import { bindServer } from './sockets.ts';

/** Does what a question asks; rejects with what the asker is to be told. */
export type ControlHandler = (command: string, args: readonly string[]) => Promise<unknown>;

export interface ControlListener {
  /** Cuts off who is still connected. */
  close(): Promise<void>;
}

type ControlAnswer =
  | { readonly ok: true; readonly result: unknown }
  | {
      readonly ok: false;
      readonly isUsage: boolean;
      readonly code: string;
      readonly message: string;
    };

const QUESTION_LENGTH_MAX = 65_536;
const ANSWER_LENGTH_MAX = 2 ** 24;
const SILENT_MS = 10_000;

/** Answers until it is closed. Rejects with a `StorageError` if it cannot listen. */
export async function serveControlSocket(
  path: string,
  handler: ControlHandler,
): Promise<ControlListener> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(SILENT_MS, () => socket.destroy());
    readLine(socket, QUESTION_LENGTH_MAX, (line) => {
      // What is asked for may take as long as it likes; only the question may not.
      socket.setTimeout(0);
      void answer(line, handler).then((text) => socket.end(`${JSON.stringify(text)}\n`));
    });
  });
  await bindServer(server, { kind: 'unix', path });
  await chmod(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** The control surface of an actor as commands without arguments. */
export function answeredBy(surface: ControlSurface): ControlHandler {
  return async (command) => {
    if (Object.hasOwn(surface, command)) return surface[command]?.();
    throw new UsageError('E_CONTROL', `there is no command ${JSON.stringify(command)}`);
  };
}

/**
 * Asks, and waits for `patienceMs` at most if that is given. Rejects with what the process has
 * answered; with `E_CONTROL_NOBODY` if none listens, `E_CONTROL_CUT` if it ends or is silent.
 */
export async function askControlSocket(
  path: string,
  command: string,
  args: readonly string[] = [],
  patienceMs: number = 0,
): Promise<unknown> {
  const line = await new Promise<string>((resolve, reject) => {
    const socket = connect({ path });
    socket.setTimeout(patienceMs, () => {
      reject(cutOff(path, `nothing was answered in ${patienceMs} ms`));
      socket.destroy();
    });
    socket.on('error', (cause) => reject(nobodyThere(path, cause)));
    socket.on('close', () => reject(cutOff(path, 'the process ended before it had answered')));
    readLine(socket, ANSWER_LENGTH_MAX, (text) => {
      resolve(text);
      socket.destroy();
    });
    socket.write(`${JSON.stringify({ command, args })}\n`);
  });
  const answered = decodeAnswer(path, line);
  if (answered.ok) return answered.result;
  const { isUsage, code, message } = answered;
  throw isUsage ? new UsageError(code, message) : new StorageError(code, message);
}

async function answer(line: string, handler: ControlHandler): Promise<ControlAnswer> {
  try {
    const { command, args } = decodeQuestion(line);
    return { ok: true, result: await handler(command, args) };
  } catch (thrown) {
    const { kind, code, message } = toErrorRecord(thrown);
    return { ok: false, isUsage: kind === 'usage', code, message };
  }
}

function decodeQuestion(line: string): { command: string; args: string[] } {
  try {
    const { command, args } = JSON.parse(line) as { command?: unknown; args?: unknown };
    const isText = (one: unknown): one is string => typeof one === 'string';
    if (isText(command) && Array.isArray(args) && args.every(isText)) return { command, args };
  } catch {
    // Told below.
  }
  throw new UsageError('E_CONTROL', 'a line of the control socket is {"command":..,"args":[..]}');
}

function decodeAnswer(path: string, line: string): ControlAnswer {
  try {
    const answered = JSON.parse(line) as ControlAnswer | null;
    if (typeof answered?.ok === 'boolean') return answered;
  } catch {
    // Told below.
  }
  throw cutOff(path, 'the answer is not one of a control socket');
}

function readLine(socket: Socket, lengthMax: number, then: (line: string) => void): void {
  let text = '';
  let isDone = false;
  socket.setEncoding('utf8');
  socket.on('data', (part: string) => {
    if (isDone) return;
    text += part;
    const end = text.indexOf('\n');
    if (end < 0) {
      if (text.length > lengthMax) socket.destroy();
      return;
    }
    isDone = true;
    then(text.slice(0, end));
  });
}

function nobodyThere(path: string, cause: Error): StorageError {
  const text = `${path} does not answer (${cause.message})`;
  return new StorageError('E_CONTROL_NOBODY', text, { fields: { path }, cause });
}

function cutOff(path: string, why: string): StorageError {
  return new StorageError('E_CONTROL_CUT', `${path}: ${why}`, { fields: { path } });
}
