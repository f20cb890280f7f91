/** From a guest's history to the numbers of a report. */
import { HISTOGRAM_BYTES, Histogram } from '../base/histogram.ts';
import { SECTOR_BYTES } from '../base/units.ts';
import { type History, HistoryKind, HistoryStatus, isLossRecord } from '../world/history.ts';
import type { GuestTrack } from './guest-track.ts';
import type { GuestResult, OpCounts, Series } from './result.ts';

export function accountOf(track: GuestTrack, durationNs: number, bucketNs: number): GuestResult {
  const { history, workload } = track;
  const isTimed = track.scenario.pace.kind === 'timed';
  const service = new Histogram(new ArrayBuffer(HISTOGRAM_BYTES));
  const counts = { reads: 0, writes: 0, flushes: 0, discards: 0, errors: 0 };
  let bytesRead = 0;
  let bytesWritten = 0;
  for (let at = 0; at < history.length; at++) {
    const { kind, status, sectors, invokeNs, ackNs } = history.record(at);
    if (status === HistoryStatus.unknown || isLossRecord(kind)) continue;
    count(counts, kind);
    if (status === HistoryStatus.error) counts.errors++;
    if (kind === HistoryKind.read) bytesRead += sectors * SECTOR_BYTES;
    if (kind === HistoryKind.write) bytesWritten += sectors * SECTOR_BYTES;
    service.record(ackNs - invokeNs);
  }
  return {
    name: track.name,
    host: track.host,
    requests: counts satisfies OpCounts,
    bytesRead,
    bytesWritten,
    sectorsVerified: workload?.sectorsVerified ?? 0,
    readBackSectors: workload?.readBackSectors ?? 0,
    replayedRequests: track.replayedRequests,
    violations: workload?.violations ?? [],
    ...(track.ejectedAtNs === null ? {} : { ejectedAtNs: track.ejectedAtNs }),
    latency: service.summary(),
    // In a closed loop a request has no intended start: it begins when another has ended.
    responseLatency: (isTimed ? new Histogram(track.responses) : service).summary(),
    series: seriesOf(history, durationNs, bucketNs),
  };
}

function count(counts: { -readonly [K in keyof OpCounts]: number }, kind: HistoryKind): void {
  switch (kind) {
    case HistoryKind.read:
      counts.reads++;
      return;
    case HistoryKind.write:
    case HistoryKind.zero:
      counts.writes++;
      return;
    case HistoryKind.flush:
      counts.flushes++;
      return;
    case HistoryKind.discard:
      counts.discards++;
      return;
    case HistoryKind.powerCut:
    case HistoryKind.loss:
      return;
  }
}

/** Requests, bytes and latency by time of completion. */
function seriesOf(history: History, durationNs: number, bucketNs: number): Series {
  const buckets = Math.max(1, Math.ceil(durationNs / bucketNs));
  const latencies: number[][] = Array.from({ length: buckets }, () => []);
  const bytes = latencies.map(() => 0);
  for (let at = 0; at < history.length; at++) {
    const { kind, status, sectors, invokeNs, ackNs } = history.record(at);
    if (status === HistoryStatus.unknown || isLossRecord(kind)) continue;
    const bucket = Math.min(buckets - 1, Math.floor(ackNs / bucketNs));
    (latencies[bucket] as number[]).push(ackNs - invokeNs);
    bytes[bucket] = (bytes[bucket] as number) + sectors * SECTOR_BYTES;
  }
  for (const list of latencies) list.sort((a, b) => a - b);
  const at = (share: number): (number | null)[] =>
    latencies.map(
      (list) => list[Math.min(list.length - 1, Math.floor(list.length * share))] ?? null,
    );
  return {
    bucketNs,
    requests: latencies.map((list) => list.length),
    bytes,
    p50Ns: at(0.5),
    p99Ns: at(0.99),
    maxNs: latencies.map((list) => list[list.length - 1] ?? null),
  };
}
