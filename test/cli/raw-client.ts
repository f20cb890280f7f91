/** A client of NBD of a few lines, for what the programs of others do not do. */
import { connect, type Socket } from 'node:net';
import { bytesOf, CLIENT_FLAGS, info, request } from '../exports/nbd/nbd-client.ts';

export const READ = 0;
export const WRITE = 1;
export const FLUSH = 3;

export interface Reply {
  readonly error: number;
  /** Of a read that succeeded. */
  readonly data: Buffer;
}

export class RawClient {
  readonly socket: Socket;
  #bytes = Buffer.alloc(0);
  #wanted: { readonly bytes: number; readonly taken: (bytes: Buffer) => void } | null = null;
  isClosed = false;

  constructor(path: string) {
    this.socket = connect({ path });
    this.socket.on('data', (part) => {
      this.#bytes = Buffer.concat([this.#bytes, part]);
      this.#look();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** Negotiates an export by name. */
  static async on(path: string, name: string): Promise<RawClient> {
    const client = new RawClient(path);
    await client.read(18);
    client.socket.write(bytesOf(CLIENT_FLAGS, info(7, name)));
    await client.read(20 + 12 + 20);
    return client;
  }

  read(bytes: number): Promise<Buffer> {
    return new Promise((resolve) => {
      this.#wanted = { bytes, taken: resolve };
      this.#look();
    });
  }

  /** Sends a request; settles with the error and the data of its simple reply. */
  async ask(
    command: number,
    offset: number,
    length: number,
    data?: Uint8Array,
    flags = 0,
  ): Promise<Reply> {
    this.socket.write(
      request({ command, offset, length, flags, ...(data === undefined ? {} : { data }) }),
    );
    const header = await this.read(16);
    const error = header.readUInt32BE(4);
    const isRead = command === READ && error === 0;
    return { error, data: isRead ? await this.read(length) : Buffer.alloc(0) };
  }

  #look(): void {
    const wanted = this.#wanted;
    if (wanted === null || this.#bytes.length < wanted.bytes) return;
    this.#wanted = null;
    const taken = this.#bytes.subarray(0, wanted.bytes);
    this.#bytes = this.#bytes.subarray(wanted.bytes);
    wanted.taken(taken);
  }
}
