/** Parts of a trace: by record number, by time, and one part a guest. */
import { UsageError } from '../base/errors.ts';
import type { Trace } from './trace.ts';
import { allocateColumns, copyColumns, isShared } from './trace.ts';
import { rebase } from './trace-builder.ts';
import { factsOf } from './trace-facts.ts';

/**
 * Records `from` to `to` (not included) as a trace of its own: times start at 0 again and the facts
 * are counted anew. Addresses stay. The slice shares memory as its trace does, but owns its own.
 */
export function sliceTrace(trace: Trace, from: number, to: number): Trace {
  const whole = Number.isInteger(from) && Number.isInteger(to);
  if (!whole || from < 0 || to > trace.requests || from >= to) {
    throw new UsageError(
      'E_TRACE_SLICE',
      `${trace.facts.source}: no records from ${from} to ${to} (not included): the trace has ` +
        `${trace.requests} records, counted from 0. Choose an earlier start or a later end.`,
      { fields: { source: trace.facts.source, from, to, requests: trace.requests } },
    );
  }
  if (from === 0 && to === trace.requests) return trace;
  const columns = allocateColumns(to - from, isShared(trace));
  copyColumns(columns, trace, from, to);
  rebase(columns.t);
  const note = `Records ${from} to ${to - 1} of ${trace.requests}, times counted from the first.`;
  const origin = { ...trace.facts, notes: [...trace.facts.notes, note] };
  return { ...columns, facts: factsOf(columns, origin) };
}

/** The first record issued at `timeNs` or later; the number of records if there is none. */
export function indexAtTime(trace: Trace, timeNs: number): number {
  let low = 0;
  let high = trace.requests;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((trace.t[middle] as number) < timeNs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `guests` consecutive slices, whose sizes differ by one record at most. */
export function splitForGuests(trace: Trace, guests: number): Trace[] {
  if (!Number.isInteger(guests) || guests < 1 || guests > trace.requests) {
    throw new UsageError(
      'E_TRACE_SPLIT',
      `${trace.facts.source}: a trace of ${trace.requests} records cannot be split for ${guests} ` +
        `guests: expected a whole number from 1 to ${trace.requests}.`,
      { fields: { source: trace.facts.source, guests, requests: trace.requests } },
    );
  }
  const slices: Trace[] = [];
  for (let guest = 0; guest < guests; guest++) {
    const from = Math.floor((trace.requests * guest) / guests);
    const to = Math.floor((trace.requests * (guest + 1)) / guests);
    slices.push(sliceTrace(trace, from, to));
  }
  return slices;
}
