/**
 * Listening for connections as streams of bytes, over TCP and Unix sockets.
 *
 * Bytes are received into one buffer a connection, which is lent to the user, and not into a new
 * one each time: that and the single system call for what is sent in a turn is most of the speed
 * that a server in Node can have. `net.Server` cannot be told of such a buffer, so it accepts with
 * reading paused, and the accepted handle goes into a socket made with one. A buffer that is not
 * used takes no memory of the machine: its pages were never touched. Inside TLS the library makes
 * the buffers, and each is lent in turn.
 *
 * A user that has not taken everything stops the reading. What it left stays in the buffer, where
 * nothing is written meanwhile, and is offered again after `resume`.
 */
import { createServer, type Server, Socket } from 'node:net';
import { invariant } from '../../base/invariant.ts';
import type { ByteStream, StreamUser } from '../byte-stream.ts';
import { bindServer, type SocketAddress } from './sockets.ts';
import { type TlsKeys, TlsUpgrade } from './tls-upgrade.ts';

export interface StreamListener {
  /** With the port that was given. */
  readonly address: SocketAddress;
  /** Listens no more; connections go on. Settles when the last has closed. */
  close(): Promise<void>;
}

export interface StreamServerOptions {
  readonly connectionsMax: number;
  /** For users who ask their stream to be encrypted. */
  readonly tls: TlsKeys | null;
  /** A user has thrown: a bug. */
  readonly failed: (thrown: unknown) => void;
}

const RECEIVE_BYTES = 262_144;
/** Between two probes of a connection on which nothing is sent. */
const KEEP_ALIVE_MS = 60_000;
/** How long a client may take to read the end of what was sent to it. */
const END_MS = 5_000;

/** Rejects with a `StorageError` if the address cannot be listened on. */
export async function listenStreams(
  address: SocketAddress,
  options: StreamServerOptions,
  accept: (stream: ByteStream) => StreamUser,
): Promise<StreamListener> {
  const tls = options.tls === null ? null : new TlsUpgrade(options.tls);
  const server: Server = createServer({ pauseOnConnect: true }, (accepted) => {
    const stream = new SocketStream(accepted, tls, options.failed);
    stream.start(accept);
  });
  server.maxConnections = options.connectionsMax;
  const bound = await bindServer(server, address);
  return {
    address: bound,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  };
}

/** What Node does not say of its sockets: the handle of the operating system's socket. */
interface WithHandle {
  _handle: object | null;
}

class SocketStream implements ByteStream {
  readonly peer: string;
  /** What the server has accepted, without its handle: the server counts it until it closes. */
  readonly #accepted: Socket;
  readonly #plain: Socket;
  /** What is written to: `#plain`, and inside TLS what encrypts for it. */
  #socket: Socket;
  readonly #tls: TlsUpgrade | null;
  readonly #failed: (thrown: unknown) => void;
  /** What is lent. */
  #buffer: Uint8Array = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  #user: StreamUser | null = null;
  /** What of the buffer was not taken. */
  #from = 0;
  #to = 0;
  #isOffering = false;
  #resumeAgain = false;
  #isCorked = false;
  #isClosed = false;
  #isEnding = false;
  /** TLS is being agreed on. */
  #isUpgrading = false;

  constructor(accepted: Socket, tls: TlsUpgrade | null, failed: (thrown: unknown) => void) {
    this.#failed = failed;
    this.#tls = tls;
    this.#accepted = accepted;
    const { remoteAddress, remotePort } = accepted;
    this.peer =
      remoteAddress === undefined ? 'over a Unix socket' : `${remoteAddress}:${remotePort}`;
    this.#plain = this.#withBuffer(accepted);
    this.#socket = this.#plain;
    this.#plain.setNoDelay(true);
    this.#plain.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#plain.on('error', () => this.destroy());
    this.#plain.on('end', () => this.destroy());
    this.#plain.on('close', () => this.#closed());
  }

  start(accept: (stream: ByteStream) => StreamUser): void {
    this.#guarded(() => {
      this.#user = accept(this);
      this.#socket.resume();
    });
  }

  send(bytes: Uint8Array, lengthBytes: number, done: () => void): void {
    if (this.#isClosed) return queueMicrotask(done);
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      queueMicrotask(this.#uncork);
    }
    this.#socket.write(bytes.subarray(0, lengthBytes), () => this.#guarded(done));
  }

  resume(): void {
    this.#resumeAgain = true;
    if (!this.#isOffering) this.#offer();
  }

  encrypt(done: (problem: string | null) => void): void {
    invariant(this.#tls !== null, 'only a listener with keys is asked to encrypt');
    this.#isUpgrading = true;
    this.#tls.upgrade(this.#plain, (secure, problem) => {
      this.#isUpgrading = false;
      if (secure !== null) this.#useSecure(secure);
      this.#guarded(() => done(problem));
    });
  }

  end(): void {
    if (this.#isEnding || this.#isClosed) return;
    if (this.#isUpgrading) return this.destroy();
    this.#isEnding = true;
    this.#uncork();
    this.#socket.end();
    // To close over unread bytes resets the connection, and the reset overtakes what was sent.
    this.#socket.resume();
    setTimeout(() => this.destroy(), END_MS).unref();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#plain.destroy();
  }

  #useSecure(secure: Socket): void {
    this.#socket = secure;
    secure.on('error', () => this.destroy());
    secure.on('end', () => this.destroy());
    secure.on('close', () => this.destroy());
    secure.on('data', (bytes: Uint8Array) => {
      this.#buffer = bytes;
      if (!this.#received(bytes.length)) secure.pause();
    });
  }

  #withBuffer(accepted: Socket): Socket {
    const handle = (accepted as unknown as WithHandle)._handle;
    const options = {
      handle,
      readable: true,
      writable: true,
      onread: { buffer: this.#buffer, callback: (bytes: number) => this.#received(bytes) },
    };
    // The handle has one owner: the socket that it came with must not close it.
    (accepted as unknown as WithHandle)._handle = null;
    return new Socket(options as ConstructorParameters<typeof Socket>[0]);
  }

  /** False: no more is to be read for now. */
  #received(bytes: number): boolean {
    if (this.#isEnding) return true;
    this.#from = 0;
    this.#to = bytes;
    this.#resumeAgain = true;
    this.#offer();
    return this.#from === this.#to;
  }

  /** Offers what is in the buffer as long as the user takes some, and reads on if it took all. */
  #offer(): void {
    const before = this.#to;
    this.#isOffering = true;
    this.#guarded(() => {
      while (this.#resumeAgain && this.#from < this.#to && !this.#isClosed && !this.#isEnding) {
        this.#resumeAgain = false;
        this.#from = this.#user?.received(this.#buffer, this.#from, this.#to) ?? this.#to;
      }
    });
    this.#isOffering = false;
    if (before > 0 && this.#from === this.#to) this.#socket.resume();
  }

  readonly #uncork = (): void => {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#socket.uncork();
  };

  #closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#accepted.destroy();
    this.#guarded(() => this.#user?.closed());
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      this.destroy();
      this.#failed(thrown);
    }
  }
}
