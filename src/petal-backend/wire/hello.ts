/**
 * The handshake of a link: both sides send `hello` as their first frame, without waiting for the
 * other's, and each judges what it gets. Who has refused a hello closes the link and tells why;
 * nothing is answered, for the other side may not understand the answer.
 *
 * There is one version of the protocol, so it is equal or the link is refused. A frame of another
 * version is refused by the codec already, in the same words. A program that speaks several will
 * send its hello as a frame of the lowest, with the highest in `protocol`, and both go on with the
 * lower of the two highest.
 *
 * A hello says who is there, not that it is true: there is no authentication here.
 */
import type { Incarnation } from '../../base/units.ts';
import { versionProblem } from './codec.ts';
import { type HelloMessage, PETAL_PROTOCOL, type PetalMessage } from './messages.ts';

export interface HelloFrom {
  /** Of the pool: 16 bytes; borrowed. */
  readonly pool: Uint8Array;
  /** The sender: `s3`, or a host's name. */
  readonly from: string;
  readonly isServer: boolean;
  readonly incarnation: Incarnation;
}

/** What the receiver knows about the other side before it has said anything. */
export interface HelloWanted {
  readonly pool: Uint8Array;
  /** Who should be there, of a link that was opened to somebody; null: anybody. */
  readonly from: string | null;
  /** True: only a server may be there; null: anybody. */
  readonly isServer: boolean | null;
}

export function makeHello({ pool, from, isServer, incarnation }: HelloFrom): HelloMessage {
  return { kind: 'hello', protocol: PETAL_PROTOCOL, pool, from, isServer, incarnation };
}

/** Why the first message of a link is not the hello that is wanted, for people; null if it is. */
export function helloProblem(first: PetalMessage, wanted: HelloWanted): string | null {
  if (first.kind !== 'hello') return `the first message is ${first.kind}; expected hello`;
  const { from } = first;
  if (first.protocol !== PETAL_PROTOCOL) return versionProblem(from, first.protocol);
  if (!isSame(first.pool, wanted.pool)) {
    return `${from} is of pool ${hex(first.pool)}, expected ${hex(wanted.pool)}: wrong address?`;
  }
  if (wanted.from !== null && from !== wanted.from) {
    return `${from} answers where ${wanted.from} was expected: wrong address?`;
  }
  if (wanted.isServer !== null && first.isServer !== wanted.isServer) {
    return `${from} is ${kindOf(first.isServer)}; expected ${kindOf(wanted.isServer)}`;
  }
  return null;
}

function kindOf(isServer: boolean): string {
  return isServer ? 'a server' : 'a client';
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
