/**
 * From our own records to the bytes of their headers and back, by the generated code of
 * `petal.proto`. Only the codec comes here: everything else knows the records of `messages.ts`.
 *
 * The envelope around a message, which has one field, is written and read here, one tag and one
 * length: its generated decoder empties the fields of the other kinds one by one, which takes twice
 * as long as the message itself. The bytes are the same, but an envelope that holds two messages,
 * or anything else, is refused.
 *
 * On the way out our records are encoded as they are, for the names of the fields are the same. On
 * the way in every record is made anew, field by field, so that its shape is always the same one
 * and nothing else that a peer has sent comes along. Numbers are as the peer sent them: the rules
 * of `message-rules.ts` have not been asked yet.
 */

import type { Reader, Writer } from 'protobufjs/minimal.js';
import { stordom } from '#petal-wire';
import type { Fence, MapVersion, Session, Term } from '../../base/units.ts';
import type {
  BlockVersion,
  DirtyBlock,
  FetchedMessage,
  FetchMessage,
  HelloMessage,
  MutationOp,
  PetalMessage,
  PetalStatus,
  ProbedMessage,
  ProbeMessage,
  ReadMessage,
  RejoinMessage,
  RepairBlock,
  RepairedMessage,
  RepairMessage,
  ReplicatedMessage,
  ReplicateMessage,
  ReplyMessage,
  TrimMessage,
  WriteIfMessage,
  WriteMessage,
} from './messages.ts';

const petal: typeof stordom.petal = stordom.petal;

/** Numbers of the fields of `Envelope`. */
const FIELD = {
  hello: 1,
  read: 2,
  write: 3,
  trim: 4,
  writeIf: 5,
  reply: 6,
  replicate: 7,
  replicated: 8,
  probe: 9,
  probed: 10,
  rejoin: 11,
  repair: 12,
  repaired: 13,
  fetch: 14,
  fetched: 15,
} as const;
/** What follows a tag is a length and so many bytes. */
const DELIMITED = 2;

type Mutable<T> = {
  -readonly [K in keyof T]: T[K] extends readonly (infer Item)[] ? Item[] : T[K];
};

/** Appends the envelope with the message. */
export function encodeEnvelope(message: PetalMessage, writer: Writer): void {
  writer.uint32((FIELD[message.kind] << 3) | DELIMITED).fork();
  encodeMessage(message, writer);
  writer.ldelim();
}

/**
 * The message of the envelope that reaches from the reader's position to its end; null if it is of
 * a kind that this version does not know. Throws an `Error` if these are not the bytes of one.
 */
export function decodeEnvelope(reader: Reader): PetalMessage | null {
  const tag = reader.tag();
  if ((tag & 7) !== DELIMITED) throw new Error('expected a message');
  const length = reader.size();
  if (reader.pos + length !== reader.len) throw new Error('expected one message and nothing else');
  return decodeMessage(tag >>> 3, reader, length);
}

function encodeMessage(message: PetalMessage, writer: Writer): Writer {
  switch (message.kind) {
    case 'hello':
      return petal.Hello.encode(message, writer);
    case 'read':
      return petal.Read.encode(message, writer);
    case 'write':
      return petal.Write.encode(encodable(message), writer);
    case 'trim':
      return petal.Trim.encode(message, writer);
    case 'writeIf':
      return petal.WriteIf.encode(encodable(message), writer);
    case 'reply':
      return petal.Reply.encode(encodable(message), writer);
    case 'replicate':
      return petal.Replicate.encode(encodable(message), writer);
    case 'replicated':
      return petal.Replicated.encode(message, writer);
    case 'probe':
      return petal.Probe.encode(message, writer);
    case 'probed':
      return petal.Probed.encode(encodable(message), writer);
    case 'rejoin':
      return petal.Rejoin.encode(message, writer);
    case 'repair':
      return petal.Repair.encode(encodable(message), writer);
    case 'repaired':
      return petal.Repaired.encode(message, writer);
    case 'fetch':
      return petal.Fetch.encode(message, writer);
    case 'fetched':
      return petal.Fetched.encode(encodable(message), writer);
  }
}

function decodeMessage(field: number, reader: Reader, length: number): PetalMessage | null {
  switch (field) {
    case FIELD.hello:
      return helloOf(petal.Hello.decode(reader, length));
    case FIELD.read:
      return readOf(petal.Read.decode(reader, length));
    case FIELD.write:
      return writeOf(petal.Write.decode(reader, length));
    case FIELD.trim:
      return trimOf(petal.Trim.decode(reader, length));
    case FIELD.writeIf:
      return writeIfOf(petal.WriteIf.decode(reader, length));
    case FIELD.reply:
      return replyOf(petal.Reply.decode(reader, length));
    case FIELD.replicate:
      return replicateOf(petal.Replicate.decode(reader, length));
    case FIELD.replicated:
      return replicatedOf(petal.Replicated.decode(reader, length));
    case FIELD.probe:
      return probeOf(petal.Probe.decode(reader, length));
    case FIELD.probed:
      return probedOf(petal.Probed.decode(reader, length));
    case FIELD.rejoin:
      return rejoinOf(petal.Rejoin.decode(reader, length));
    case FIELD.repair:
      return repairOf(petal.Repair.decode(reader, length));
    case FIELD.repaired:
      return repairedOf(petal.Repaired.decode(reader, length));
    case FIELD.fetch:
      return fetchOf(petal.Fetch.decode(reader, length));
    case FIELD.fetched:
      return fetchedOf(petal.Fetched.decode(reader, length));
    default:
      return null;
  }
}

/** The generated types have no word for a list that is only read. */
function encodable<T extends PetalMessage>(message: T): Mutable<T> {
  return message as unknown as Mutable<T>;
}

function helloOf(from: stordom.petal.Hello.$Properties): HelloMessage {
  return {
    kind: 'hello',
    protocol: from.protocol,
    // It is kept as long as the link: the frame must not be.
    pool: from.pool.slice(),
    from: from.from,
    isServer: from.isServer,
    incarnation: from.incarnation,
  };
}

function readOf(from: stordom.petal.Read.$Properties): ReadMessage {
  return {
    kind: 'read',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    vdisk: from.vdisk,
    epoch: from.epoch,
    block: from.block,
    blocks: from.blocks,
    session: from.session as Session,
    fence: from.fence as Fence,
    mapVersion: from.mapVersion as MapVersion,
    conditional: from.conditional,
  };
}

function writeOf(from: stordom.petal.Write.$Properties): WriteMessage {
  return {
    kind: 'write',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    vdisk: from.vdisk,
    epoch: from.epoch,
    block: from.block,
    blocks: from.blocks,
    session: from.session as Session,
    fence: from.fence as Fence,
    mapVersion: from.mapVersion as MapVersion,
    seq: from.seq,
    crcs: from.crcs ?? [],
  };
}

function trimOf(from: stordom.petal.Trim.$Properties): TrimMessage {
  return {
    kind: 'trim',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    vdisk: from.vdisk,
    epoch: from.epoch,
    block: from.block,
    blocks: from.blocks,
    session: from.session as Session,
    fence: from.fence as Fence,
    mapVersion: from.mapVersion as MapVersion,
    seq: from.seq,
  };
}

function writeIfOf(from: stordom.petal.WriteIf.$Properties): WriteIfMessage {
  return {
    kind: 'writeIf',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    vdisk: from.vdisk,
    epoch: from.epoch,
    block: from.block,
    blocks: from.blocks,
    session: from.session as Session,
    fence: from.fence as Fence,
    mapVersion: from.mapVersion as MapVersion,
    seq: from.seq,
    expectedVersion: from.expectedVersion,
    crcs: from.crcs ?? [],
  };
}

function replyOf(from: stordom.petal.Reply.$Properties): ReplyMessage {
  return {
    kind: 'reply',
    id: from.id,
    status: from.status as PetalStatus,
    term: from.term as Term,
    primary: from.primary,
    queue: from.queue,
    version: from.version,
    crcs: from.crcs ?? [],
  };
}

function replicateOf(from: stordom.petal.Replicate.$Properties): ReplicateMessage {
  return {
    kind: 'replicate',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    vdisk: from.vdisk,
    epoch: from.epoch,
    block: from.block,
    blocks: from.blocks,
    session: from.session as Session,
    seq: from.seq,
    op: from.op as MutationOp,
    version: versionOf(from.version),
    conditionalVersion: from.conditionalVersion,
    crcs: from.crcs ?? [],
    committed: versionOf(from.committed),
  };
}

function replicatedOf(from: stordom.petal.Replicated.$Properties): ReplicatedMessage {
  return {
    kind: 'replicated',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    status: from.status as PetalStatus,
  };
}

function repairedOf(from: stordom.petal.Repaired.$Properties): RepairedMessage {
  return {
    kind: 'repaired',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    status: from.status as PetalStatus,
  };
}

function probeOf(from: stordom.petal.Probe.$Properties): ProbeMessage {
  return {
    kind: 'probe',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    committed: versionOf(from.committed),
    wantsDirty: from.wantsDirty,
    after: dirtyBlockOf(from.after),
  };
}

function probedOf(from: stordom.petal.Probed.$Properties): ProbedMessage {
  return {
    kind: 'probed',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    incarnation: from.incarnation,
    dirty: (from.dirty ?? []).map(dirtyBlockOf),
  };
}

function rejoinOf(from: stordom.petal.Rejoin.$Properties): RejoinMessage {
  return {
    kind: 'rejoin',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    incarnation: from.incarnation,
    lastTerm: from.lastTerm as Term,
  };
}

function repairOf(from: stordom.petal.Repair.$Properties): RepairMessage {
  return {
    kind: 'repair',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    vdisk: from.vdisk,
    epoch: from.epoch,
    blocks: (from.blocks ?? []).map(repairBlockOf),
  };
}

function repairBlockOf(from: stordom.petal.RepairBlock.$Properties): RepairBlock {
  return {
    block: from.block,
    version: versionOf(from.version),
    session: from.session as Session,
    seq: from.seq,
    conditionalVersion: from.conditionalVersion,
    crc: from.crc,
    hasData: from.hasData,
    force: from.force,
    isLost: from.isLost,
  };
}

function fetchOf(from: stordom.petal.Fetch.$Properties): FetchMessage {
  return {
    kind: 'fetch',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    vdisk: from.vdisk,
    epoch: from.epoch,
    block: from.block,
  };
}

function fetchedOf(from: stordom.petal.Fetched.$Properties): FetchedMessage {
  return {
    kind: 'fetched',
    id: from.id,
    gmap: from.gmap,
    group: from.group,
    term: from.term as Term,
    status: from.status as PetalStatus,
    blocks: (from.blocks ?? []).map(repairBlockOf),
  };
}

function versionOf({ term, n }: stordom.petal.BlockVersion.$Properties): BlockVersion {
  return { term: term as Term, n };
}

function dirtyBlockOf({ vdisk, epoch, block }: stordom.petal.DirtyBlock.$Properties): DirtyBlock {
  return { vdisk, epoch, block };
}
