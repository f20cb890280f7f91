/**
 * What voters and their clients say to each other, as bytes: one message a frame.
 *
 * Offset  Size  Field (little-endian)
 *      0     4  magic, "SDVM"
 *      4     2  version of this format
 *      6     2  kind
 *      8        body, up to the end of the frame: the fields of the message in the order below
 *
 * A frame that is no whole, lawful message of this version is dropped by whoever receives it.
 */
import { ByteReader, ByteWriter } from '../../base/formats/byte-stream.ts';
import { DIRECTORY_TXN_KEYS, type DirectoryEntry } from '../directory.ts';
import { isKey, isPrefix } from '../directory-rules.ts';
import { type Command, readCommand, writeCommand } from './command.ts';

/** An entry of the log: the command of a slot, and the ballot whose leader put it there. */
export interface LogEntry {
  readonly slot: number;
  readonly ballot: number;
  readonly command: Uint8Array;
}

/** Asks for a vote in `ballot`; `pre`: asks whether it would be given, and promises nothing. */
export interface CanvassMessage {
  readonly kind: 'canvass';
  readonly ballot: number;
  readonly pre: boolean;
  readonly lastSlot: number;
  readonly lastBallot: number;
}

export interface VoteMessage {
  readonly kind: 'vote';
  /** The one that was asked for; refused: the voter's own. */
  readonly ballot: number;
  readonly pre: boolean;
  readonly granted: boolean;
}

/** Entries that follow `prevSlot`; without any it only says who leads, and what is decided. */
export interface AppendMessage {
  readonly kind: 'append';
  readonly ballot: number;
  readonly round: number;
  readonly commit: number;
  readonly prevSlot: number;
  readonly prevBallot: number;
  readonly entries: readonly LogEntry[];
}

/** The whole state, for a voter that lacks entries which nobody keeps any more. */
export interface InstallMessage {
  readonly kind: 'install';
  readonly ballot: number;
  readonly round: number;
  readonly slot: number;
  readonly slotBallot: number;
  readonly state: Uint8Array;
}

/** Answers `append` and `install`. */
export interface AppendedMessage {
  readonly kind: 'appended';
  readonly ballot: number;
  readonly round: number;
  readonly taken: boolean;
  /** Taken: its log is the leader's up to here, durably. Else: it may be so up to here. */
  readonly slot: number;
}

export type PeerMessage =
  | CanvassMessage
  | VoteMessage
  | AppendMessage
  | InstallMessage
  | AppendedMessage;

export type Question =
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'list'; readonly prefix: string }
  | { readonly kind: 'command'; readonly command: Command };

/** `client` is drawn by each client, so that an answer to another life of it is not taken. */
export interface AskMessage {
  readonly kind: 'ask';
  readonly client: number;
  readonly request: number;
  readonly question: Question;
}

/** All watches of a client; a higher `revision` replaces a lower one. */
export interface WatchesMessage {
  readonly kind: 'watches';
  readonly revision: number;
  readonly watches: readonly { readonly watch: number; readonly prefix: string }[];
}

export const CommandStatus = { notMade: 0, made: 1, opened: 2, expired: 3, settled: 4 } as const;
export type CommandStatus = (typeof CommandStatus)[keyof typeof CommandStatus];

export type Answer =
  | { readonly kind: 'entries'; readonly entries: readonly DirectoryEntry[] }
  | { readonly kind: 'decided'; readonly status: CommandStatus; readonly session: number }
  /** Ask `leader`, if it is a voter; the sender cannot answer. */
  | { readonly kind: 'elsewhere'; readonly leader: number };

export interface AnswerMessage {
  readonly kind: 'answer';
  readonly client: number;
  readonly request: number;
  readonly answer: Answer;
}

export interface HintMessage {
  readonly kind: 'hint';
  readonly watch: number;
  readonly key: string;
}

export type VoterMessage = PeerMessage | AskMessage | WatchesMessage | AnswerMessage | HintMessage;

const MAGIC = 0x4d56_4453;
const VERSION = 1;
/** No voter: in `elsewhere`, nobody is known to lead. */
export const NOBODY = 0xffff;

const Kind = {
  canvass: 1,
  vote: 2,
  append: 3,
  install: 4,
  appended: 5,
  ask: 16,
  watches: 17,
  answer: 18,
  hint: 19,
} as const;
const QUESTIONS = ['get', 'list', 'command'] as const;
const ANSWERS = ['entries', 'decided', 'elsewhere'] as const;

export function encodeVoterMessage(message: VoterMessage): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(MAGIC);
  writer.u16(VERSION);
  writer.u16(Kind[message.kind]);
  writeBody(writer, message);
  return writer.done();
}

/** Null: no message of this version. */
export function decodeVoterMessage(frame: Uint8Array): VoterMessage | null {
  const reader = new ByteReader(frame);
  if (reader.u32() !== MAGIC || reader.u16() !== VERSION) return null;
  const message = readBody(reader, reader.u16());
  return message !== null && reader.isAtEnd ? message : null;
}

export function writeEntries(writer: ByteWriter, entries: readonly LogEntry[]): void {
  writer.u16(entries.length);
  for (const { slot, ballot, command } of entries) {
    writer.u53(slot);
    writer.u32(ballot);
    writer.bytes(command);
  }
}

export function readEntries(reader: ByteReader): LogEntry[] {
  return reader.list(() => ({
    slot: reader.u53(),
    ballot: reader.u32(),
    command: reader.bytes(),
  }));
}

function writeBody(writer: ByteWriter, message: VoterMessage): void {
  switch (message.kind) {
    case 'canvass':
      writer.u32(message.ballot);
      writer.u8(message.pre ? 1 : 0);
      writer.u53(message.lastSlot);
      return writer.u32(message.lastBallot);
    case 'vote':
      writer.u32(message.ballot);
      writer.u8(message.pre ? 1 : 0);
      return writer.u8(message.granted ? 1 : 0);
    case 'append':
      writer.u32(message.ballot);
      writer.u53(message.round);
      writer.u53(message.commit);
      writer.u53(message.prevSlot);
      writer.u32(message.prevBallot);
      return writeEntries(writer, message.entries);
    case 'install':
      writer.u32(message.ballot);
      writer.u53(message.round);
      writer.u53(message.slot);
      writer.u32(message.slotBallot);
      return writer.bytes(message.state);
    case 'appended':
      writer.u32(message.ballot);
      writer.u53(message.round);
      writer.u8(message.taken ? 1 : 0);
      return writer.u53(message.slot);
    case 'ask':
      writer.u32(message.client);
      writer.u53(message.request);
      return writeQuestion(writer, message.question);
    case 'watches':
      writer.u53(message.revision);
      writer.u16(message.watches.length);
      for (const { watch, prefix } of message.watches) {
        writer.u53(watch);
        writer.text(prefix);
      }
      return;
    case 'answer':
      writer.u32(message.client);
      writer.u53(message.request);
      return writeAnswer(writer, message.answer);
    case 'hint':
      writer.u53(message.watch);
      return writer.text(message.key);
  }
}

function writeQuestion(writer: ByteWriter, question: Question): void {
  writer.u8(QUESTIONS.indexOf(question.kind));
  if (question.kind === 'get') writer.text(question.key);
  else if (question.kind === 'list') writer.text(question.prefix);
  else writeCommand(writer, question.command);
}

function writeAnswer(writer: ByteWriter, answer: Answer): void {
  writer.u8(ANSWERS.indexOf(answer.kind));
  if (answer.kind === 'entries') {
    writer.u32(answer.entries.length);
    for (const { key, version, value } of answer.entries) {
      writer.text(key);
      writer.u53(version);
      writer.bytes(value);
    }
  } else if (answer.kind === 'decided') {
    writer.u8(answer.status);
    writer.u53(answer.session);
  } else {
    writer.u16(answer.leader);
  }
}

function readBody(reader: ByteReader, kind: number): VoterMessage | null {
  switch (kind) {
    case Kind.canvass: {
      const [ballot, pre] = [reader.u32(), reader.u8() === 1];
      return { kind: 'canvass', ballot, pre, lastSlot: reader.u53(), lastBallot: reader.u32() };
    }
    case Kind.vote: {
      const [ballot, pre] = [reader.u32(), reader.u8() === 1];
      return { kind: 'vote', ballot, pre, granted: reader.u8() === 1 };
    }
    case Kind.append: {
      const [ballot, round, commit] = [reader.u32(), reader.u53(), reader.u53()];
      const [prevSlot, prevBallot] = [reader.u53(), reader.u32()];
      const entries = readEntries(reader);
      const inOrder = entries.every(({ slot }, at) => slot === prevSlot + 1 + at);
      return inOrder
        ? { kind: 'append', ballot, round, commit, prevSlot, prevBallot, entries }
        : null;
    }
    case Kind.install: {
      const [ballot, round, slot] = [reader.u32(), reader.u53(), reader.u53()];
      const slotBallot = reader.u32();
      return { kind: 'install', ballot, round, slot, slotBallot, state: reader.bytes() };
    }
    case Kind.appended: {
      const [ballot, round, taken] = [reader.u32(), reader.u53(), reader.u8() === 1];
      return { kind: 'appended', ballot, round, taken, slot: reader.u53() };
    }
    default:
      return readOfClient(reader, kind);
  }
}

function readOfClient(reader: ByteReader, kind: number): VoterMessage | null {
  switch (kind) {
    case Kind.ask: {
      const [client, request] = [reader.u32(), reader.u53()];
      const question = readQuestion(reader);
      return question === null ? null : { kind: 'ask', client, request, question };
    }
    case Kind.watches: {
      const revision = reader.u53();
      const watches = reader.list(() => ({ watch: reader.u53(), prefix: reader.text() }));
      const lawful = watches.every(({ prefix }) => isPrefix(prefix));
      return lawful ? { kind: 'watches', revision, watches } : null;
    }
    case Kind.answer: {
      const [client, request] = [reader.u32(), reader.u53()];
      const answer = readAnswer(reader);
      return answer === null ? null : { kind: 'answer', client, request, answer };
    }
    case Kind.hint:
      return { kind: 'hint', watch: reader.u53(), key: reader.text() };
    default:
      return null;
  }
}

function readQuestion(reader: ByteReader): Question | null {
  switch (QUESTIONS[reader.u8()]) {
    case 'get': {
      const key = reader.text();
      return isKey(key) ? { kind: 'get', key } : null;
    }
    case 'list': {
      const prefix = reader.text();
      return isPrefix(prefix) ? { kind: 'list', prefix } : null;
    }
    case 'command': {
      const command = readCommand(reader, DIRECTORY_TXN_KEYS);
      return command === null ? null : { kind: 'command', command };
    }
    default:
      return null;
  }
}

function readAnswer(reader: ByteReader): Answer | null {
  switch (ANSWERS[reader.u8()]) {
    case 'entries': {
      const entries: DirectoryEntry[] = [];
      const count = reader.u32();
      for (let i = 0; i < count && !reader.failed; i++) {
        const [key, version] = [reader.text(), reader.u53()];
        entries.push({ key, version, value: reader.bytes() });
      }
      return { kind: 'entries', entries };
    }
    case 'decided': {
      const status = reader.u8();
      const known = Object.values(CommandStatus).find((value) => value === status);
      const session = reader.u53();
      return known === undefined ? null : { kind: 'decided', status: known, session };
    }
    case 'elsewhere':
      return { kind: 'elsewhere', leader: reader.u16() };
    default:
      return null;
  }
}
