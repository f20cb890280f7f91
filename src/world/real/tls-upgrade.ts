/**
 * TLS for sockets whose protocol began in the clear, by Node's own library.
 *
 * A TLS server that never listens is given each socket when its time has come, and does all that is
 * decided in a handshake: the key, the client's certificate, the time that it may take. It tells of
 * its own sockets only; which of ours one is for, Node knows as the parent.
 */
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { invariant } from '../../base/invariant.ts';

export type TlsKeys =
  | {
      readonly kind: 'certificate';
      /** All three as PEM. */
      readonly certificate: string;
      readonly key: string;
      /** Who signs the certificates of clients; null: clients need none. */
      readonly clientAuthority: string | null;
    }
  /** Keys that both sides have had before, by the name of who has it. */
  | { readonly kind: 'shared'; readonly keys: ReadonlyMap<string, Uint8Array> };

/** The socket to go on with, or why there is none. */
type Upgraded = (secure: TLSSocket | null, problem: string | null) => void;

interface WithParent {
  readonly _parent?: Socket;
}

const HANDSHAKE_MS = 30_000;
/** A shared key has no certificate beside it: these are all suites that do without. */
const SHARED_KEY_SUITES = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-PSK-CHACHA20-POLY1305',
  'DHE-PSK-AES256-GCM-SHA384',
  'DHE-PSK-AES128-GCM-SHA256',
].join(':');

export class TlsUpgrade {
  readonly #server: Server;
  readonly #whyEnded: string;
  readonly #waiting = new Map<Socket, Upgraded>();

  /** Throws what Node throws if the keys are no keys, or do not belong together. */
  constructor(keys: TlsKeys) {
    this.#server = serverWith(keys);
    // Node ends a client with a strange certificate without a word.
    const asksClients = keys.kind === 'certificate' && keys.clientAuthority !== null;
    this.#whyEnded = asksClients
      ? 'the client has left, or its certificate is not signed by the authority'
      : 'the client has left';
    this.#server.on('secureConnection', (secure) => {
      // A client that negotiates again costs us far more than itself, and nobody needs it.
      secure.disableRenegotiation();
      this.#settle(secure, null);
    });
    this.#server.on('tlsClientError', (error, failed) => this.#settle(failed, reasonOf(error)));
  }

  /** `done` is called once, also if the socket closes first. */
  upgrade(socket: Socket, done: Upgraded): void {
    this.#waiting.set(socket, done);
    // Told before the owner of the socket hears of the end, who would have nobody to tell then.
    socket.prependOnceListener('close', () => this.#tell(socket, null, this.#whyEnded));
    this.#server.emit('connection', socket);
  }

  #settle(secure: TLSSocket, problem: string | null): void {
    const { _parent: socket } = secure as unknown as WithParent;
    invariant(socket !== undefined, 'the socket of an upgrade has a parent');
    this.#tell(socket, problem === null ? secure : null, problem);
  }

  #tell(socket: Socket, secure: TLSSocket | null, problem: string | null): void {
    const done = this.#waiting.get(socket);
    this.#waiting.delete(socket);
    done?.(secure, problem);
  }
}

/** OpenSSL says in a few words what Node says with its place in the source. */
function reasonOf(error: Error): string {
  return 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message;
}

function serverWith(keys: TlsKeys): Server {
  const always = { minVersion: 'TLSv1.2', handshakeTimeout: HANDSHAKE_MS } as const;
  if (keys.kind === 'shared') {
    const pskCallback = (_socket: TLSSocket, name: string): Uint8Array | null =>
      keys.keys.get(name) ?? null;
    return createServer({ ...always, ciphers: SHARED_KEY_SUITES, pskCallback });
  }
  const { certificate, key, clientAuthority } = keys;
  const mine = { ...always, cert: certificate, key };
  if (clientAuthority === null) return createServer(mine);
  return createServer({
    ...mine,
    ca: clientAuthority,
    requestCert: true,
    rejectUnauthorized: true,
  });
}
