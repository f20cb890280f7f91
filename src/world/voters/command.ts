/** Commands of the replicated log: what every voter does, in the order of their slots. */
import { ByteReader, ByteWriter } from '../../base/formats/byte-stream.ts';
import type { Change, Comparison } from '../directory.ts';
import { isTxn } from '../directory-rules.ts';

/** A txn as its client asks it, again and again with the same number until it is answered. */
export interface TxnCommand {
  readonly kind: 'txn';
  readonly session: number;
  /** From 1, one more for each txn of the session. */
  readonly seq: number;
  /** Every txn of the session below this is settled at its client, and is not made any more. */
  readonly floor: number;
  readonly comparisons: readonly Comparison[];
  readonly changes: readonly Change[];
}

/** `none`: a new leader's first one. `open`: a session, whose number is the command's slot. */
export type Command = { readonly kind: 'none' } | { readonly kind: 'open' } | TxnCommand;

const KINDS = ['none', 'open', 'txn'] as const;

export function encodeCommand(command: Command): Uint8Array {
  const writer = new ByteWriter(64);
  writeCommand(writer, command);
  return writer.done();
}

/** Null: the bytes are no command. */
export function decodeCommand(bytes: Uint8Array, keysMax: number): Command | null {
  const reader = new ByteReader(bytes);
  const command = readCommand(reader, keysMax);
  return reader.isAtEnd ? command : null;
}

export function writeCommand(writer: ByteWriter, command: Command): void {
  writer.u8(KINDS.indexOf(command.kind));
  if (command.kind !== 'txn') return;
  writer.u53(command.session);
  writer.u53(command.seq);
  writer.u53(command.floor);
  writer.u16(command.comparisons.length);
  for (const { key, version } of command.comparisons) {
    writer.text(key);
    writer.u53(version);
  }
  writer.u16(command.changes.length);
  for (const { key, value } of command.changes) {
    writer.text(key);
    writer.u8(value === null ? 0 : 1);
    if (value !== null) writer.bytes(value);
  }
}

export function readCommand(reader: ByteReader, keysMax: number): Command | null {
  const kind = KINDS[reader.u8()];
  if (kind === undefined || reader.failed) return null;
  if (kind !== 'txn') return { kind };
  const [session, seq, floor] = [reader.u53(), reader.u53(), reader.u53()];
  const comparisons = reader.list(() => ({ key: reader.text(), version: reader.u53() }));
  const changes = reader.list(() => {
    const key = reader.text();
    return { key, value: reader.u8() === 0 ? null : reader.bytes() };
  });
  if (reader.failed || comparisons.length > keysMax || !isTxn(comparisons, changes)) return null;
  return { kind, session, seq, floor, comparisons, changes };
}
