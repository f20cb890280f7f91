/**
 * `result.json`: how a `RunResult` is written, and read back with suspicion.
 *
 * A result file outlives the program that wrote it and is passed between people. A file that is no
 * result, of a newer version, or damaged is refused with the path of the field, what was expected
 * there and what was found. Members this version does not know are ignored, as an addition does
 * not change the meaning of the rest; a change of meaning raises the version.
 *
 * The shapes below are checked by the compiler against the contract: a field added to `RunResult`
 * and not here does not compile. The writer checks them too, since JSON would turn an infinite
 * time into `null` without a word and leave a file that cannot be read.
 */
import { UsageError } from '../base/errors.ts';
import { fail, invariant } from '../base/invariant.ts';
import type {
  Check,
  GuestResult,
  LatencySummary,
  MachineFacts,
  OpCounts,
  Outage,
  RunResult,
  Series,
  ServerOutage,
  StalledGuest,
  StoryLine,
} from '../experiments/result.ts';

const FORMAT = 'stordom-result';
const VERSION = 1;

/** Says what is wrong with a value, or null. `T` ties a shape to the type it admits. */
interface Shape<T> {
  readonly admits?: T;
  problem(value: unknown, path: string): string | null;
}

/** The text of a result file. */
export function stringifyResult(result: RunResult): string {
  const problem = RUN_RESULT.problem(result, 'result');
  if (problem !== null) fail(`a run leaves a result that can be read back: ${problem}`);
  return `${JSON.stringify(result)}\n`;
}

/** Reads a result file; `place` names it in errors. */
export function parseResult(text: string, place: string): RunResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw refusal('E_RESULT_JSON', place, `is not JSON: ${why}`, cause);
  }
  if (!isRecord(value) || value['format'] !== FORMAT) {
    const found = isRecord(value) ? shown(value['format']) : shown(value);
    throw refusal(
      'E_RESULT_FORMAT',
      place,
      `is not a result of a run: expected "format": "${FORMAT}", found ${found}`,
    );
  }
  const version = value['version'];
  if (typeof version === 'number' && version > VERSION) {
    throw refusal(
      'E_RESULT_NEWER',
      place,
      `has version ${version}, and this program reads up to version ${VERSION}; ` +
        'use the stordom that wrote it, or a newer one',
    );
  }
  const problem = RUN_RESULT.problem(value, 'result');
  if (problem !== null) throw refusal('E_RESULT_DAMAGED', place, `is damaged: ${problem}`);
  return value as unknown as RunResult;
}

function refusal(code: string, place: string, what: string, cause?: unknown): UsageError {
  const fields = { file: place };
  return new UsageError(
    code,
    `${place} ${what}`,
    cause === undefined ? { fields } : { fields, cause },
  );
}

const text: Shape<string> = leaf('a text', (value) => typeof value === 'string');
const flag: Shape<boolean> = leaf('true or false', (value) => typeof value === 'boolean');
const amount: Shape<number> = leaf(
  'a number that is not negative',
  (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0,
);
const positive: Shape<number> = leaf(
  'a number above 0',
  (value) => typeof value === 'number' && Number.isFinite(value) && value > 0,
);
const amountIfThere: Shape<number | undefined> = leaf(
  'a number that is not negative, or nothing',
  (value) => value === undefined || amount.problem(value, '') === null,
);
const amountOrNull: Shape<number | null> = leaf(
  'a number that is not negative, or null',
  (value) => value === null || amount.problem(value, '') === null,
);

const CHECK: Shape<Check> = object<Check>({ name: text, ok: flag, text });
const STORY_LINE: Shape<StoryLine> = object<StoryLine>({ atNs: amount, text });
const STALLED: Shape<StalledGuest> = object<StalledGuest>({ guest: text, longestNs: amount });
const MACHINE: Shape<MachineFacts> = object<MachineFacts>({
  node: text,
  cpu: text,
  cores: amount,
  os: text,
});
const OUTAGE: Shape<Outage> = object<Outage>({
  host: text,
  killedAtNs: amount,
  servingAtNs: amount,
  stalled: list(STALLED),
  idle: list(text),
  guests: ifThere(list(text)),
  hostLost: ifThere(flag),
  replayedRequests: amount,
});
const SERVER_OUTAGE: Shape<ServerOutage> = object<ServerOutage>({
  server: text,
  killedAtNs: amount,
  runningAtNs: amount,
  inSyncAtNs: amount,
});
const OP_COUNTS: Shape<OpCounts> = object<OpCounts>({
  reads: amount,
  writes: amount,
  flushes: amount,
  discards: amount,
  errors: amount,
});
const LATENCY: Shape<LatencySummary> = object<LatencySummary>({
  count: amount,
  meanNs: amount,
  p50Ns: amount,
  p90Ns: amount,
  p99Ns: amount,
  p999Ns: amount,
  maxNs: amount,
});
const SERIES: Shape<Series> = object<Series>({
  bucketNs: positive,
  requests: list(amount),
  bytes: list(amount),
  p50Ns: list(amountOrNull),
  p99Ns: list(amountOrNull),
  maxNs: list(amountOrNull),
});
const GUEST: Shape<GuestResult> = object<GuestResult>({
  name: text,
  host: text,
  requests: OP_COUNTS,
  bytesRead: amount,
  bytesWritten: amount,
  sectorsVerified: amount,
  readBackSectors: amount,
  replayedRequests: amount,
  violations: list(text),
  ejectedAtNs: amountIfThere,
  latency: LATENCY,
  responseLatency: LATENCY,
  series: SERIES,
});
const RUN_RESULT: Shape<RunResult> = object<RunResult>({
  format: oneOf([FORMAT]),
  version: oneOf([VERSION]),
  title: text,
  summary: text,
  world: oneOf(['threads', 'sim']),
  seed: amount,
  machine: MACHINE,
  startedAtIso: text,
  durationNs: amount,
  ok: flag,
  checks: list(CHECK),
  guests: list(GUEST),
  outages: list(OUTAGE),
  serverDeaths: ifThere(list(SERVER_OUTAGE)),
  story: list(STORY_LINE),
  limits: list(text),
  command: text,
});

function leaf<T>(expected: string, admits: (value: unknown) => boolean): Shape<T> {
  return {
    problem: (value, path) => (admits(value) ? null : mismatch(path, expected, value)),
  };
}

function ifThere<T>(shape: Shape<T>): Shape<T | undefined> {
  return {
    problem: (value, path) => (value === undefined ? null : shape.problem(value, path)),
  };
}

function oneOf<const T extends string | number>(choices: readonly T[]): Shape<T> {
  invariant(choices.length > 0, 'a choice has something to choose from');
  const expected = choices.map((choice) => JSON.stringify(choice)).join(' or ');
  return leaf(expected, (value) => choices.some((choice) => choice === value));
}

function list<T>(item: Shape<T>): Shape<readonly T[]> {
  return {
    problem(value, path) {
      if (!Array.isArray(value)) return mismatch(path, 'a list', value);
      for (let i = 0; i < value.length; i++) {
        const found = item.problem(value[i], `${path}[${i}]`);
        if (found !== null) return found;
      }
      return null;
    },
  };
}

function object<T>(members: { readonly [K in keyof T]-?: Shape<T[K]> }): Shape<T> {
  const entries = Object.entries<Shape<unknown>>(members);
  return {
    problem(value, path) {
      if (!isRecord(value)) return mismatch(path, 'an object', value);
      for (const [name, shape] of entries) {
        const found = shape.problem(value[name], `${path}.${name}`);
        if (found !== null) return found;
      }
      return null;
    },
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mismatch(path: string, expected: string, value: unknown): string {
  return `${path}: expected ${expected}, found ${shown(value)}`;
}

/** A value short enough for an error message. */
function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (isRecord(value)) return 'an object';
  const json = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return json.length > 40 ? `${json.slice(0, 40)}...` : json;
}
