/**
 * What the protocol says of a request before anything is done for it: every check, in one place.
 *
 * In this order: command and flags known, writing allowed, range inside the export, aligned. The
 * first check that fails decides the error.
 */
import { Command, CommandFlag, NbdError, type ReplyMode } from './protocol.ts';

/** Smallest unit of a request. */
export const BLOCK_BYTES_MIN = 512;
export const BLOCK_BYTES_PREFERRED = 4096;
/** Longest payload that a client may count on; longer ones are taken too. */
export const BLOCK_BYTES_MAX = 33_554_432;
/** A read that must not be answered in pieces is not longer than one transfer. */
export const UNFRAGMENTED_BYTES_MAX = 1_048_576;
/** Longest read or payload that is taken at all. */
export const DATA_BYTES_MAX = 67_108_864;

export interface Judged {
  readonly command: number;
  readonly flags: number;
  /** Infinity if it is no safe integer: then it is outside of everything. */
  readonly offset: number;
  readonly length: number;
}

export interface Terms {
  readonly mode: ReplyMode;
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  readonly canDiscard: boolean;
  /** Contexts of block status that were chosen. */
  readonly contexts: number;
}

export interface Refusal {
  readonly error: NbdError;
  readonly why: string;
}

const UNKNOWN_COMMAND = refusal(NbdError.invalid, 'the command is unknown, or was not offered');
const UNKNOWN_FLAG = refusal(NbdError.invalid, 'a flag is unknown, or not of this command');
const READ_ONLY = refusal(NbdError.notPermitted, 'the export is read-only');
const OUTSIDE = refusal(NbdError.invalid, 'the range is not inside the export');
const NO_ROOM = refusal(NbdError.noSpace, 'the range is not inside the export');
const UNALIGNED = refusal(NbdError.invalid, 'offset and length are not multiples of 512');
const TOO_LONG = refusal(NbdError.invalid, 'the data is longer than 64 MiB');
const FRAGMENTS = refusal(NbdError.overflow, 'longer than 1 MiB, and not to be fragmented');
const NOT_FAST = refusal(NbdError.notSupported, 'zeros that leave no hole are not fast');
const NO_CONTEXT = refusal(NbdError.invalid, 'no context of block status was chosen');
const NOT_ZERO = refusal(NbdError.invalid, 'offset and length of a flush are zero');

/** Why the request must be refused; null if it is to be done. */
export function refusalOf(request: Judged, terms: Terms): Refusal | null {
  const { command, flags } = request;
  const known = flagsOf(command, terms);
  if (known < 0) return UNKNOWN_COMMAND;
  if ((flags & ~known) !== 0) return UNKNOWN_FLAG;
  const writes = isMutation(command);
  if (writes && terms.isReadOnly) return READ_ONLY;
  if (command === Command.flush) return emptyRange(request);
  return rangeProblem(request, terms) ?? limitOf(request, terms);
}

export function isMutation(command: number): boolean {
  return command === Command.write || command === Command.trim || command === Command.writeZeroes;
}

/** Flags that a command may have; -1: there is no such command here. */
function flagsOf(command: number, { mode, canDiscard }: Terms): number {
  const { fua, noHole, df, reqOne, fastZero, payloadLength } = CommandFlag;
  switch (command) {
    case Command.read:
      return mode === 'simple' ? fua : fua | df;
    case Command.write:
      return mode === 'extended' ? fua | payloadLength : fua;
    case Command.flush:
    case Command.cache:
      return fua;
    case Command.trim:
      return canDiscard ? fua : -1;
    case Command.writeZeroes:
      return canDiscard ? fua | noHole | fastZero : -1;
    case Command.blockStatus:
      return mode === 'simple' ? -1 : fua | reqOne;
    default:
      return -1;
  }
}

function emptyRange({ offset, length }: Judged): Refusal | null {
  return offset === 0 && length === 0 ? null : NOT_ZERO;
}

function rangeProblem({ command, offset, length }: Judged, { sizeBytes }: Terms): Refusal | null {
  const grows = command === Command.write || command === Command.writeZeroes;
  if (!(offset <= sizeBytes && length <= sizeBytes - offset)) return grows ? NO_ROOM : OUTSIDE;
  const isAligned = offset % BLOCK_BYTES_MIN === 0 && length % BLOCK_BYTES_MIN === 0;
  return isAligned ? null : UNALIGNED;
}

function limitOf({ command, flags, length }: Judged, { contexts }: Terms): Refusal | null {
  switch (command) {
    case Command.read:
      if ((flags & CommandFlag.df) !== 0 && length > UNFRAGMENTED_BYTES_MAX) return FRAGMENTS;
      return length > DATA_BYTES_MAX ? TOO_LONG : null;
    case Command.write:
      return length > DATA_BYTES_MAX ? TOO_LONG : null;
    case Command.writeZeroes: {
      const both = CommandFlag.noHole | CommandFlag.fastZero;
      return (flags & both) === both ? NOT_FAST : null;
    }
    case Command.blockStatus:
      return contexts === 0 || length === 0 ? NO_CONTEXT : null;
    default:
      return null;
  }
}

function refusal(error: NbdError, why: string): Refusal {
  return { error, why };
}
