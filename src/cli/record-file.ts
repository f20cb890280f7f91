/**
 * The file of `stordom record`: a trace that grows while clients are served.
 *
 * Lines are gathered, and written whole: once a second, or when there are many. So the file is a
 * trace whenever it is looked at, and of a killed process the last second is missing at most. If it
 * cannot be written any more, that is told, the clients go on, and the command ends with 1.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { StorageError, UsageError } from '../base/errors.ts';
import { formatCount } from '../base/format-units.ts';
import type { RequestTap } from '../exports/request-tap.ts';
import {
  RECORD_FORMATS,
  type RecordedDisk,
  type RecordFormat,
  TraceRecorder,
} from '../traces/trace-recorder.ts';
import { MonotonicClock, startClock } from '../world/real/clock.ts';

const GATHERED_CHARS = 65_536;
const WRITE_MS = 1000;
const ENDINGS: Readonly<Record<RecordFormat, RegExp>> = {
  'canonical-csv': /\.csv$/,
  'fio-iolog': /\.(iolog|fio)$/,
  'nbdkit-log': /\.log$/,
};

/** The format that is asked for, or that the name of the file tells. */
export function recordFormat(path: string, asked: RecordFormat | undefined): RecordFormat {
  const format = asked ?? RECORD_FORMATS.find((one) => ENDINGS[one].test(path));
  if (format !== undefined) return format;
  const text =
    `--out: ${path} does not tell a format; name it .csv, .iolog or .log, or say ` +
    `--format ${RECORD_FORMATS.join('|')}`;
  throw new UsageError('E_RECORD_FORMAT', text, { fields: { path } });
}

export class RecordFile {
  readonly #path: string;
  readonly #recorder: TraceRecorder;
  readonly #onNote: (text: string) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #fd: number;
  #gathered: string[] = [];
  #gatheredChars = 0;
  #failure: unknown = null;

  /** Makes the file, which must not exist. */
  constructor(
    path: string,
    format: RecordFormat,
    disks: readonly RecordedDisk[],
    onNote: (text: string) => void,
  ) {
    if (format === 'nbdkit-log' && disks.length > 1) {
      const text =
        `--format nbdkit-log: a log of nbdkit is of one disk, and ${disks.length} are served; ` +
        'name one: --export NAME=VDI';
      throw new UsageError('E_RECORD_DISKS', text, { fields: { disks: disks.length } });
    }
    this.#path = path;
    this.#onNote = onNote;
    this.#fd = create(path);
    const clock = new MonotonicClock(startClock());
    this.#recorder = new TraceRecorder(format, {
      disks,
      nowNs: () => clock.nowNs(),
      startWallMs: Date.now(),
      put: this.#put,
    });
    this.#write();
    this.#timer = setInterval(this.#write, WRITE_MS).unref();
  }

  /** What an export tells of: device `device` of the trace. */
  tap(device: number): RequestTap {
    const recorder = this.#recorder;
    return {
      begun: (request) => {
        const call = recorder.begun({ ...request, device });
        return { ended: (isOk) => recorder.ended(call, isOk) };
      },
    };
  }

  /** Writes what is left; a sentence for people. Throws if the trace is not whole. */
  close(): string {
    clearInterval(this.#timer);
    this.#recorder.finish();
    this.#write();
    closeSync(this.#fd);
    if (this.#failure !== null) throw this.#incomplete();
    return `${this.#path}: ${formatCount(this.#recorder.requests)} requests`;
  }

  readonly #put = (lines: string): void => {
    this.#gathered.push(lines);
    this.#gatheredChars += lines.length;
    if (this.#gatheredChars >= GATHERED_CHARS) this.#write();
  };

  readonly #write = (): void => {
    const bytes = Buffer.from(this.#gathered.join(''), 'latin1');
    this.#gathered = [];
    this.#gatheredChars = 0;
    if (this.#failure !== null) return;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    } catch (thrown) {
      this.#failure = thrown;
      this.#onNote(`${this.#incomplete().message}; clients are served all the same`);
    }
  };

  #incomplete(): StorageError {
    const why = this.#failure instanceof Error ? this.#failure.message : String(this.#failure);
    const text = `${this.#path} is not a whole record: ${why}`;
    return new StorageError('E_RECORD', text, {
      fields: { path: this.#path },
      cause: this.#failure,
    });
  }
}

function create(path: string): number {
  try {
    return openSync(path, 'wx');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const text =
      code === 'EEXIST' ? `${path} is there already; name another file, or remove it` : message;
    throw new UsageError('E_RECORD_FILE', `--out: ${text}`, { fields: { path }, cause });
  }
}
