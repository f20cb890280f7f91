/** Reads a trace of any known format from the bytes of its (uncompressed) file. */
import { UsageError } from '../base/errors.ts';
import { unreachable } from '../base/invariant.ts';
import { ascii, LineCursor } from './line-cursor.ts';
import { readBlkreplay } from './read-blkreplay.ts';
import { CANONICAL_HEADER, readCanonicalCsv } from './read-canonical.ts';
import { FIO_HEADER, readFioIolog } from './read-fio-iolog.ts';
import { readNbdkitLog } from './read-nbdkit.ts';
import { probeVscsi, readVscsi } from './read-vscsi.ts';
import type { Trace, TraceFileFormat } from './trace.ts';
import { TRACE_FORMATS } from './trace.ts';
import type { TraceBuilder } from './trace-builder.ts';
import { excerpt } from './trace-errors.ts';

export interface ReadTraceOptions {
  /** Read as this format, whatever the bytes look like. */
  readonly format?: TraceFileFormat;
  /** Whether worker threads will share the columns. */
  readonly shared?: boolean;
}

const PROBED_BYTES_MAX = 65_536;
const CANONICAL: Uint8Array = ascii(CANONICAL_HEADER);
const FIO: Uint8Array = ascii(FIO_HEADER);
const BLKREPLAY_HEADER: Uint8Array = ascii('start ;');
const BLKREPLAY_SEPARATORS = 5;
const SEMICOLON = 59;
const LINE_FEED = 10;
/** Shape of the time that starts a line of nbdkit's log; 0 stands for any digit. */
const NBDKIT_TIME: Uint8Array = ascii('0000-00-00 00:00:00.000000 ');
const DIGIT_ZERO = 48;

/** Reads and seals a trace. Throws a `UsageError` that says where the input is wrong. */
export function readTrace(bytes: Uint8Array, name: string, options: ReadTraceOptions = {}): Trace {
  if (bytes.length === 0) throw emptyError(name, 'an empty file');
  const format = options.format ?? detectFormat(bytes, name);
  const builder = read(bytes, name, format);
  if (builder.requests === 0) {
    throw emptyError(name, `${bytes.length} bytes read as ${TRACE_FORMATS[format]}`);
  }
  const binary = format === 'vscsi-v1' || format === 'vscsi-v2';
  if (!binary && bytes[bytes.length - 1] !== LINE_FEED) {
    builder.note('The last line has no line feed: the file may be cut inside its last number.');
  }
  return builder.seal({ shared: options.shared ?? false });
}

function emptyError(name: string, found: string): UsageError {
  return new UsageError(
    'E_TRACE_EMPTY',
    `${name}: no request in ${found}. Give a trace that holds requests, or name the right format ` +
      '(--format).',
    { fields: { file: name, found } },
  );
}

function read(bytes: Uint8Array, name: string, format: TraceFileFormat): TraceBuilder {
  switch (format) {
    case 'nbdkit-log':
      return readNbdkitLog(bytes, name);
    case 'blkreplay':
      return readBlkreplay(bytes, name);
    case 'vscsi-v1':
    case 'vscsi-v2':
      return readVscsi(bytes, name, format);
    case 'canonical-csv':
      return readCanonicalCsv(bytes, name);
    case 'fio-iolog':
      return readFioIolog(bytes, name);
    default:
      return unreachable(format);
  }
}

/** Tells the format from the first bytes; the name is for the message if they fit none. */
export function detectFormat(bytes: Uint8Array, name: string): TraceFileFormat {
  if (startsLike(bytes, FIO)) return 'fio-iolog';
  if (startsLike(bytes, CANONICAL)) return 'canonical-csv';
  if (startsLike(bytes, NBDKIT_TIME)) return 'nbdkit-log';
  if (looksLikeBlkreplay(bytes)) return 'blkreplay';
  const vscsi = probeVscsi(bytes);
  if (vscsi !== null) return vscsi;
  const compressed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const known = Object.entries(TRACE_FORMATS).map(([key, title]) => `${key} (${title})`);
  throw new UsageError(
    'E_TRACE_FORMAT',
    `${name}: not a trace of a known format: it starts with ` +
      `${excerpt(bytes, 0, bytes.length)}${compressed ? ' (gzip: unpack it)' : ''}. ` +
      `Known: ${known.join(', ')}. Name the format with --format if it is one of these.`,
    { fields: { file: name, bytes: bytes.length, compressed } },
  );
}

/** Whether `bytes` start with `shape`, where a 0 in the shape stands for any digit. */
function startsLike(bytes: Uint8Array, shape: Uint8Array): boolean {
  if (bytes.length < shape.length) return false;
  for (let at = 0; at < shape.length; at++) {
    const byte = bytes[at] as number;
    const wanted = shape[at] as number;
    const digit = wanted === DIGIT_ZERO && byte >= DIGIT_ZERO && byte < DIGIT_ZERO + 10;
    if (byte !== wanted && !digit) return false;
  }
  return true;
}

/** Looks, behind any text, for the header or a row of a `.load` file. */
function looksLikeBlkreplay(bytes: Uint8Array): boolean {
  const cursor = new LineCursor(bytes.subarray(0, PROBED_BYTES_MAX), '');
  while (cursor.nextLine()) {
    if (cursor.takeWord(BLKREPLAY_HEADER)) return true;
    cursor.skipBlanks();
    const digit = cursor.peek() - DIGIT_ZERO;
    if (digit < 0 || digit > 9) continue;
    let separators = 0;
    for (let at = cursor.at; at < cursor.end; at++) {
      if (bytes[at] === SEMICOLON) separators++;
    }
    if (separators === BLKREPLAY_SEPARATORS) return true;
  }
  return false;
}
