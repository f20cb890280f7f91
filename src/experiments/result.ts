/**
 * What a run leaves behind, as one JSON value. `report/` formats it and computes nothing else from
 * anywhere else, so that any picture can be made again from `result.json` alone.
 * All times are nanoseconds since the run began; all sizes are bytes.
 */

export interface RunResult {
  readonly format: 'stordom-result';
  readonly version: 1;
  readonly title: string;
  /** One sentence: what was run. */
  readonly summary: string;
  readonly world: 'threads' | 'sim';
  readonly seed: number;
  readonly machine: MachineFacts;
  readonly startedAtIso: string;
  readonly durationNs: number;
  readonly ok: boolean;
  readonly checks: readonly Check[];
  readonly guests: readonly GuestResult[];
  readonly outages: readonly Outage[];
  /** Deaths of servers of the store's pool; absent: it has no servers. */
  readonly serverDeaths?: readonly ServerOutage[];
  /** The story, in order: what happened to whom. */
  readonly story: readonly StoryLine[];
  /** What limits the result: synthetic flushes, wrapped addresses, late requests. */
  readonly limits: readonly string[];
  /** The command that repeats the run. */
  readonly command: string;
}

export interface MachineFacts {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly os: string;
}

export interface Check {
  /** `read-your-writes`, `full-read-back`, `order-tap`, `fate-sharing`, `liveness`... */
  readonly name: string;
  readonly ok: boolean;
  /** What holds, with the numbers; or what is broken, with two witnesses. */
  readonly text: string;
}

export interface StoryLine {
  readonly atNs: number;
  readonly text: string;
}

/** A time in which a driver VM was gone or not yet serving. */
export interface Outage {
  readonly host: string;
  readonly killedAtNs: number;
  readonly servingAtNs: number;
  /** Guests with a request outstanding for longer than 100 ms during the outage. */
  readonly stalled: readonly StalledGuest[];
  /** Guests of that driver VM that had nothing outstanding. */
  readonly idle: readonly string[];
  /** Those that were on the host when it began; absent: those that it has at the end. */
  readonly guests?: readonly string[];
  /** The host was lost with its disks, and others serve what it had. Absent: it was not. */
  readonly hostLost?: boolean;
  readonly replayedRequests: number;
}

/** A time in which a server of the pool was dead, or behind the others. */
export interface ServerOutage {
  readonly server: string;
  readonly killedAtNs: number;
  /** After the end of the run: not in it. */
  readonly runningAtNs: number;
  readonly inSyncAtNs: number;
}

export interface StalledGuest {
  readonly guest: string;
  readonly longestNs: number;
}

export interface GuestResult {
  readonly name: string;
  readonly host: string;
  readonly requests: OpCounts;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly sectorsVerified: number;
  readonly readBackSectors: number;
  readonly replayedRequests: number;
  readonly violations: readonly string[];
  /** When it was thrown out because its rings held garbage; absent: it was not. */
  readonly ejectedAtNs?: number;
  readonly latency: LatencySummary;
  /** From the intended start of each request; equal to `latency` unless the pace is timed. */
  readonly responseLatency: LatencySummary;
  readonly series: Series;
}

export interface OpCounts {
  readonly reads: number;
  readonly writes: number;
  readonly flushes: number;
  readonly discards: number;
  readonly errors: number;
}

export interface LatencySummary {
  readonly count: number;
  readonly meanNs: number;
  readonly p50Ns: number;
  readonly p90Ns: number;
  readonly p99Ns: number;
  readonly p999Ns: number;
  readonly maxNs: number;
}

/**
 * One value a bucket; bucket `i` covers `[i * bucketNs, (i + 1) * bucketNs)`, by completion time.
 */
export interface Series {
  readonly bucketNs: number;
  readonly requests: readonly number[];
  readonly bytes: readonly number[];
  /** null: nothing completed in the bucket. */
  readonly p50Ns: readonly (number | null)[];
  readonly p99Ns: readonly (number | null)[];
  readonly maxNs: readonly (number | null)[];
}
