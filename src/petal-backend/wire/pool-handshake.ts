/**
 * The handshake of a pool's connections (`hello.ts`) in bytes.
 *
 * Who says that it is a server has the name of one, and nobody else has: messages of servers are
 * believed by that name. A name is not proved (there is no authentication), but one program does
 * not take another's by mistake.
 */
import type { Incarnation } from '../../base/units.ts';
import type { Handshake } from '../../world/handshake.ts';
import type { Digest } from '../../world/world.ts';
import { isServerName } from '../server/ports.ts';
import { decodeFrame, encodeFrame, WireRefusal } from './codec.ts';
import { helloProblem, makeHello } from './hello.ts';

export interface PoolMember {
  /** Uuid of the pool. */
  readonly pool: Uint8Array;
  readonly name: string;
  /** Asked at every connection: a server knows it when its disks are open. */
  readonly incarnation: () => Incarnation;
}

const NO_DATA = new Uint8Array(0);

export function poolHandshake(digest: Digest, self: PoolMember): Handshake {
  const { pool, name } = self;
  const isServer = isServerName(name);
  return {
    hello: () => {
      const message = makeHello({ pool, from: name, isServer, incarnation: self.incarnation() });
      return encodeFrame(message, NO_DATA, digest);
    },
    judge: (first, called) => {
      const frame = decodeFrame(first, digest);
      if (frame instanceof WireRefusal) return { problem: `the first frame: ${frame.why}` };
      const { message } = frame;
      const wanted = { pool, from: called, isServer: called === null ? null : true };
      const problem = helloProblem(message, wanted);
      if (problem !== null || message.kind !== 'hello') return { problem: problem ?? '' };
      const { from } = message;
      if (isServerName(from) !== message.isServer) {
        const claims = message.isServer ? 'a server' : 'a client';
        return { problem: `${claims} goes by the name ${from}: servers are s1, s2, ...` };
      }
      return from === name
        ? { problem: `another ${name} is there: one process goes by a name` }
        : { name: from };
    },
  };
}
