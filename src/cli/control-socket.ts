/**
 * The control socket of a served store: a request and an answer a connection, each a line of JSON.
 *
 * ```
 * {"command":"snapshot","args":["disk","before"]}
 * {"ok":true,"result":{...}}   or   {"ok":false,"isUsage":true,"code":"E_...","message":"..."}
 * ```
 * It is a Unix socket that its owner alone can open.
 */
import { chmod } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { StorageError, toErrorRecord, UsageError } from '../base/errors.ts';
import { bindServer, type SocketAddress } from '../world/real/sockets.ts';

export type ControlAnswer =
  | { readonly ok: true; readonly result: object }
  | {
      readonly ok: false;
      readonly isUsage: boolean;
      readonly code: string;
      readonly message: string;
    };

/** Does what a request asks; rejects with what the asker is to be told. */
export type ControlHandler = (command: string, args: readonly string[]) => Promise<object>;

const LINE_BYTES_MAX = 65_536;
const SILENT_MS = 10_000;

/** Settles with a function that closes it. */
export async function serveControlSocket(
  address: SocketAddress,
  handler: ControlHandler,
): Promise<() => Promise<void>> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setTimeout(SILENT_MS, () => socket.destroy());
    readLine(socket, (line) => {
      // What is asked for may take as long as it likes; only the question may not.
      socket.setTimeout(0);
      void answer(line, handler).then((text) => socket.end(`${JSON.stringify(text)}\n`));
    });
  });
  await bindServer(server, address);
  if (address.kind === 'unix') await chmod(address.path, 0o600);
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
}

/** Asks over the control socket. Rejects with what the server has answered. */
export async function askControl(
  address: SocketAddress & { readonly kind: 'unix' },
  command: string,
  args: readonly string[],
): Promise<object> {
  const line = await new Promise<string>((resolve, reject) => {
    const socket = connect({ path: address.path });
    socket.on('error', (cause) => reject(nobodyThere(address.path, cause)));
    socket.on('close', () => reject(cutOff()));
    readLine(socket, resolve);
    socket.write(`${JSON.stringify({ command, args })}\n`);
  });
  const answered = JSON.parse(line) as ControlAnswer;
  if (answered.ok) return answered.result;
  const { isUsage, code, message } = answered;
  throw isUsage ? new UsageError(code, message) : new StorageError(code, message);
}

async function answer(line: string, handler: ControlHandler): Promise<ControlAnswer> {
  try {
    const { command, args } = decode(line);
    return { ok: true, result: await handler(command, args) };
  } catch (thrown) {
    const { kind, code, message } = toErrorRecord(thrown);
    return { ok: false, isUsage: kind === 'usage', code, message };
  }
}

function decode(line: string): { command: string; args: string[] } {
  try {
    const { command, args } = JSON.parse(line) as { command?: unknown; args?: unknown };
    const isText = (one: unknown): one is string => typeof one === 'string';
    if (isText(command) && Array.isArray(args) && args.every(isText)) return { command, args };
  } catch {
    // Told below.
  }
  throw new UsageError('E_CONTROL', 'a line of the control socket is {"command":..,"args":[..]}');
}

function readLine(socket: Socket, then: (line: string) => void): void {
  let text = '';
  let isDone = false;
  socket.setEncoding('utf8');
  socket.on('data', (part: string) => {
    if (isDone) return;
    text += part;
    const end = text.indexOf('\n');
    if (end < 0) {
      if (text.length > LINE_BYTES_MAX) socket.destroy();
      return;
    }
    isDone = true;
    then(text.slice(0, end));
  });
}

function nobodyThere(path: string, cause: Error): UsageError {
  const text =
    `nobody serves this store: ${path} does not answer (${cause.message}); ` +
    'start stordom serve, or look at the store with stordom vdi ls';
  return new UsageError('E_NOT_SERVED', text, { fields: { path }, cause });
}

function cutOff(): StorageError {
  return new StorageError('E_CONTROL_CUT', 'the server has ended before it had answered');
}
