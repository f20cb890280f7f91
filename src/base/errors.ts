/**
 * Errors that are not bugs.
 *
 * `UsageError`: what the user gave cannot be used (a flag, a trace, a file). The message names the
 * place, what was expected and what to do; the process exits 2.
 * `StorageError`: an operation failed. `code` is for programs, `fields` for people and reports.
 * Across threads both travel as a plain `ErrorRecord`: structured clone would drop the class, the
 * code, the fields and the cause.
 *
 * Expected outcomes of the data path are not errors but status numbers in a completion.
 */
export type ErrorFields = Readonly<Record<string, string | number | boolean | null>>;

export interface ErrorRecord {
  readonly kind: 'usage' | 'storage' | 'other';
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly stack: string;
  readonly fields: ErrorFields;
  readonly cause: ErrorRecord | null;
}

interface Options {
  readonly fields?: ErrorFields;
  readonly cause?: unknown;
}

export class StorageError extends Error {
  override readonly name: string = 'StorageError';
  readonly code: string;
  readonly fields: ErrorFields;
  constructor(code: string, message: string, options: Options = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.code = code;
    this.fields = options.fields ?? {};
  }
}

export class UsageError extends StorageError {
  override readonly name = 'UsageError';
}

/** The plain form of any thrown value, for a structured clone or a JSON report. */
export function toErrorRecord(thrown: unknown): ErrorRecord {
  if (!(thrown instanceof Error)) {
    return record('other', 'Error', 'E_UNKNOWN', String(thrown), '', {}, undefined);
  }
  const stack = thrown.stack ?? '';
  if (thrown instanceof StorageError) {
    const kind = thrown instanceof UsageError ? 'usage' : 'storage';
    return record(
      kind,
      thrown.name,
      thrown.code,
      thrown.message,
      stack,
      thrown.fields,
      thrown.cause,
    );
  }
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'E_UNKNOWN';
  return record('other', thrown.name, code, thrown.message, stack, {}, thrown.cause);
}

/** The inverse of `toErrorRecord`. */
export function fromErrorRecord(source: ErrorRecord): StorageError {
  const options: Options = {
    fields: source.fields,
    ...(source.cause === null ? {} : { cause: fromErrorRecord(source.cause) }),
  };
  const made =
    source.kind === 'usage'
      ? new UsageError(source.code, source.message, options)
      : new StorageError(source.code, source.message, options);
  made.stack = source.stack;
  return made;
}

function record(
  kind: ErrorRecord['kind'],
  name: string,
  code: string,
  message: string,
  stack: string,
  fields: ErrorFields,
  cause: unknown,
): ErrorRecord {
  const inner = cause === undefined || cause === null ? null : toErrorRecord(cause);
  return { kind, name, code, message, stack, fields, cause: inner };
}
