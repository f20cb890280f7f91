/**
 * What a message must be to be sent or believed: one function, which the sender asks before it
 * encodes (a message that breaks a rule is a bug there) and the receiver after it has decoded (it
 * may be anything there).
 *
 * The rules look at one message by itself: ranges of numbers, places inside one chunk, counts, and
 * that as much data follows as the message says. Whether its term, fence, session and map version
 * are those of now is for the server to say. Nothing is allocated for a message that keeps them.
 */
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import {
  type BlockVersion,
  CHUNK_BLOCKS,
  type DirtyBlock,
  type FetchedMessage,
  type HelloMessage,
  MutationOp,
  type PairTerm,
  type PetalMessage,
  PetalStatus,
  type Place,
  type RepairBlock,
  type RepairMessage,
  type ReplicateMessage,
  type ReplyMessage,
} from './messages.ts';

/** Data behind one message, bytes: a chunk. */
export const PAYLOAD_BYTES_MAX: number = CHUNK_BLOCKS * BLOCK_BYTES;
/** Dirty blocks in one message: who has more tells the rest when it is asked on. */
export const DIRTY_BLOCKS_MAX = 16_384;
export const POOL_ID_BYTES = 16;

const U32_END = 2 ** 32;
const U48_END = 2 ** 48;
const PROTOCOL_END = 2 ** 16;
/** Of a server or a host: `s3`, `h0/driver-vm`. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$/;
const STATUSES: ReadonlySet<number> = new Set(Object.values(PetalStatus));
const OPS: ReadonlySet<number> = new Set(Object.values(MutationOp));

/** Why `message` with so much data behind it is none, for people; null if it is one. */
export function messageProblem(message: PetalMessage, payloadBytes: number): string | null {
  switch (message.kind) {
    case 'hello':
      return helloNumbers(message) ?? data(0, payloadBytes);
    case 'read':
      return (
        client(message) ??
        (message.conditional ? oneBlock(message.blocks) : null) ??
        data(0, payloadBytes)
      );
    case 'write':
      return (
        client(message) ?? seq(message.seq) ?? sums(message.crcs, message.blocks, payloadBytes)
      );
    case 'trim':
      return client(message) ?? seq(message.seq) ?? data(0, payloadBytes);
    case 'writeIf':
      return (
        client(message) ??
        seq(message.seq) ??
        u48('expectedVersion', message.expectedVersion) ??
        oneBlock(message.blocks) ??
        sums(message.crcs, 1, payloadBytes)
      );
    case 'reply':
      return reply(message, payloadBytes);
    case 'replicate':
      return replicate(message, payloadBytes);
    case 'replicated':
    case 'repaired':
      return (
        u48('id', message.id) ?? pair(message) ?? status(message.status) ?? data(0, payloadBytes)
      );
    case 'probe':
      return (
        u48('id', message.id) ??
        pair(message) ??
        version('committed', message.committed) ??
        dirtyBlock('after', message.after) ??
        data(0, payloadBytes)
      );
    case 'probed':
      return (
        u48('id', message.id) ??
        pair(message) ??
        u32('incarnation', message.incarnation) ??
        dirtyBlocks(message.dirty) ??
        data(0, payloadBytes)
      );
    case 'rejoin':
      return (
        u48('id', message.id) ??
        pair(message) ??
        u32('incarnation', message.incarnation) ??
        u32('lastTerm', message.lastTerm) ??
        data(0, payloadBytes)
      );
    case 'repair':
      return repair(message, payloadBytes);
    case 'fetch':
      return (
        u48('id', message.id) ??
        pair(message) ??
        dirtyBlock('fetch', message) ??
        data(0, payloadBytes)
      );
    case 'fetched':
      return fetched(message, payloadBytes);
  }
}

function helloNumbers(message: HelloMessage): string | null {
  if (!isBelow(message.protocol, PROTOCOL_END) || message.protocol === 0) {
    return `protocol is ${message.protocol}; expected 1 to ${PROTOCOL_END - 1}`;
  }
  if (message.pool.length !== POOL_ID_BYTES) {
    return `pool has ${message.pool.length} bytes; expected ${POOL_ID_BYTES}`;
  }
  if (!NAME.test(message.from)) return 'from is not the name of a server or a host';
  return u32('incarnation', message.incarnation);
}

type Client = PairTerm & Place & { id: number; session: number; fence: number; mapVersion: number };

function client(message: Readonly<Client>): string | null {
  return (
    u48('id', message.id) ??
    pair(message) ??
    place(message) ??
    u32('session', message.session) ??
    u32('fence', message.fence) ??
    u32('mapVersion', message.mapVersion)
  );
}

function reply(message: ReplyMessage, payloadBytes: number): string | null {
  const { crcs } = message;
  if (message.status !== PetalStatus.ok && crcs.length > 0) {
    return `status is ${message.status} and data follows; expected data of a success only`;
  }
  if (crcs.length > CHUNK_BLOCKS) return `${crcs.length} crcs; expected at most ${CHUNK_BLOCKS}`;
  return (
    u48('id', message.id) ??
    status(message.status) ??
    u32('term', message.term) ??
    u32('primary', message.primary) ??
    u32('queue', message.queue) ??
    u48('version', message.version) ??
    sums(crcs, crcs.length, payloadBytes)
  );
}

function replicate(message: ReplicateMessage, payloadBytes: number): string | null {
  if (!OPS.has(message.op)) return `op is ${message.op}; expected 1, 2 or 3`;
  return (
    u48('id', message.id) ??
    pair(message) ??
    place(message) ??
    u32('session', message.session) ??
    u48('seq', message.seq) ??
    version('version', message.version) ??
    u48('conditionalVersion', message.conditionalVersion) ??
    version('committed', message.committed) ??
    (message.op === MutationOp.writeIf ? oneBlock(message.blocks) : null) ??
    sums(message.crcs, message.op === MutationOp.trim ? 0 : message.blocks, payloadBytes)
  );
}

function dirtyBlocks(dirty: readonly DirtyBlock[]): string | null {
  if (dirty.length > DIRTY_BLOCKS_MAX) {
    return `${dirty.length} dirty blocks; expected at most ${DIRTY_BLOCKS_MAX}`;
  }
  for (const one of dirty) {
    const problem = dirtyBlock('dirty', one);
    if (problem !== null) return problem;
  }
  return null;
}

function dirtyBlock(name: string, { vdisk, epoch, block }: DirtyBlock): string | null {
  const problem = u32('vdisk', vdisk) ?? u32('epoch', epoch) ?? u48('block', block);
  return problem === null ? null : `${name}: ${problem}`;
}

function repair(message: RepairMessage, payloadBytes: number): string | null {
  const { blocks } = message;
  const count = blocks.length;
  if (count === 0 || count > CHUNK_BLOCKS) {
    return `${count} blocks; expected 1 to ${CHUNK_BLOCKS}`;
  }
  let withData = 0;
  let named = 0;
  for (const block of blocks) {
    const problem = repairBlock(block);
    if (problem !== null) return `blocks: ${problem}`;
    if (chunkOf(block.block) !== chunkOf(blocks[0]?.block ?? 0)) {
      return 'blocks are of two chunks; expected one';
    }
    const bit = 1 << (block.block % CHUNK_BLOCKS);
    if ((named & bit) !== 0) return `block ${block.block} is named twice`;
    named |= bit;
    if (block.hasData) withData++;
  }
  return (
    u48('id', message.id) ??
    pair(message) ??
    u32('vdisk', message.vdisk) ??
    u32('epoch', message.epoch) ??
    data(withData, payloadBytes)
  );
}

function repairBlock(block: RepairBlock): string | null {
  if (block.isLost && block.hasData) return 'data that are lost follow';
  return (
    u48('block', block.block) ??
    u32('session', block.session) ??
    u48('seq', block.seq) ??
    version('version', block.version) ??
    u48('conditionalVersion', block.conditionalVersion) ??
    u32('crc', block.crc)
  );
}

/** Of a success one block, else none. */
function fetched(message: FetchedMessage, payloadBytes: number): string | null {
  const { blocks } = message;
  const expected = message.status === PetalStatus.ok ? 1 : 0;
  if (blocks.length !== expected) return `${blocks.length} blocks; expected ${expected}`;
  const [block] = blocks;
  const problem = block === undefined ? null : repairBlock(block);
  if (problem !== null) return `blocks: ${problem}`;
  return (
    u48('id', message.id) ??
    pair(message) ??
    status(message.status) ??
    data(block?.hasData === true ? 1 : 0, payloadBytes)
  );
}

function pair(message: PairTerm): string | null {
  return u32('gmap', message.gmap) ?? u32('group', message.group) ?? u32('term', message.term);
}

function place({ vdisk, epoch, block, blocks }: Place): string | null {
  const problem = u32('vdisk', vdisk) ?? u32('epoch', epoch) ?? u48('block', block);
  if (problem !== null) return problem;
  if (!isBelow(blocks, CHUNK_BLOCKS + 1) || blocks === 0) {
    return `blocks is ${blocks}; expected 1 to ${CHUNK_BLOCKS}`;
  }
  if ((block % CHUNK_BLOCKS) + blocks > CHUNK_BLOCKS) {
    return `blocks ${block} to ${block + blocks - 1} are of two chunks; expected one`;
  }
  return null;
}

function version(name: string, { term, n }: BlockVersion): string | null {
  if (isBelow(term, U32_END) && isBelow(n, U48_END)) return null;
  return `${name} is ${n} of term ${term}; expected less than 2^48 and 2^32`;
}

function chunkOf(block: number): number {
  return Math.floor(block / CHUNK_BLOCKS);
}

/** Of a client's mutation, whose numbers start at 1. */
function seq(value: number): string | null {
  return value === 0 ? 'seq is 0; expected 1 or more' : u48('seq', value);
}

function oneBlock(blocks: number): string | null {
  return blocks === 1 ? null : `blocks is ${blocks}; expected 1, for the block is conditional`;
}

/** One sum and one block of data for each of `blocks`. */
function sums(crcs: readonly number[], blocks: number, payloadBytes: number): string | null {
  if (crcs.length !== blocks) return `${crcs.length} crcs; expected ${blocks}`;
  for (const crc of crcs) {
    const problem = u32('crc', crc);
    if (problem !== null) return problem;
  }
  return data(blocks, payloadBytes);
}

function data(blocks: number, payloadBytes: number): string | null {
  const expected = blocks * BLOCK_BYTES;
  if (payloadBytes === expected) return null;
  return `${payloadBytes} bytes of data; expected ${expected}`;
}

function status(value: number): string | null {
  return STATUSES.has(value) ? null : `status is ${value}, which is none`;
}

function u32(name: string, value: number): string | null {
  return isBelow(value, U32_END) ? null : `${name} is ${value}; expected less than 2^32`;
}

function u48(name: string, value: number): string | null {
  return isBelow(value, U48_END) ? null : `${name} is ${value}; expected less than 2^48`;
}

function isBelow(value: number, end: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value < end;
}
