/** The facts of a trace: one pass over its columns. */
import { PAGE_BYTES } from '../base/units.ts';
import { RequestKind } from '../world/history.ts';
import { BlockSet, deviceKey } from './block-tables.ts';
import type { PerOp, TraceColumns, TraceFacts, TraceOrigin } from './trace.ts';

const OP_COUNT: number = Object.keys(RequestKind).length;

/** Counts `columns`, whose times are in order and start at 0, and joins what `origin` knows. */
export function factsOf(columns: TraceColumns, origin: TraceOrigin): TraceFacts {
  const { requests, op, offset, length, latency, device } = columns;
  const counts = new Float64Array(OP_COUNT);
  const bytes = new Float64Array(OP_COUNT);
  const blocks = new BlockSet();
  let addressEndBytes = 0;
  let missingLatencies = 0;
  let deviceMax = 0;
  for (let i = 0; i < requests; i++) {
    const kind = op[i] as number;
    const start = offset[i] as number;
    const lengthBytes = length[i] as number;
    const end = start + lengthBytes;
    counts[kind] = (counts[kind] as number) + 1;
    bytes[kind] = (bytes[kind] as number) + lengthBytes;
    if (end > addressEndBytes) addressEndBytes = end;
    if (Number.isNaN(latency[i] as number)) missingLatencies++;
    if ((device[i] as number) > deviceMax) deviceMax = device[i] as number;
    if (kind === RequestKind.read || kind === RequestKind.write) {
      const base = deviceKey(device[i] as number);
      blocks.addRange(
        base + Math.floor(start / PAGE_BYTES),
        base + Math.floor((end - 1) / PAGE_BYTES),
      );
    }
  }
  return {
    format: origin.format,
    source: origin.source,
    clockGranularityNs: origin.clockGranularityNs,
    exportBytes: origin.exportBytes,
    notes: [...origin.notes],
    requests,
    counts: perOp(counts),
    bytes: perOp(bytes),
    spanNs: requests === 0 ? 0 : (columns.t[requests - 1] as number),
    distinctBlocks: blocks.size,
    addressEndBytes,
    devices: deviceMax + 1,
    missingLatencies,
  };
}

function perOp(values: Float64Array): PerOp {
  return {
    read: values[RequestKind.read] as number,
    write: values[RequestKind.write] as number,
    flush: values[RequestKind.flush] as number,
    discard: values[RequestKind.discard] as number,
    zero: values[RequestKind.zero] as number,
  };
}
