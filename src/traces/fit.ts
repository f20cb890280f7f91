/**
 * Makes a trace fit the disk it is replayed on. Recorded addresses reach hundreds of GiB, of which
 * a trace touches a small part.
 *
 * - `fitNone` changes nothing and refuses what does not fit.
 * - `fitWrap` folds addresses modulo the size of the disk. Seek distances below that size and the
 *   run of sequential requests stay; blocks that had nothing to do with each other may become one.
 * - `fitCompact` renumbers the 4 KiB blocks that reads and writes touch, in the order of their
 *   first touch. Which request meets which block again stays exactly as recorded, so cache hits,
 *   overwrites and overlaps are true; the disk needs one block for each block touched; seek
 *   distances are lost.
 *
 * How `fitCompact` treats a request of several blocks: it walks the blocks in order and gives each
 * block never seen before the next free number. So a request none of whose blocks was touched gets
 * one contiguous run, and stays one request. A request over blocks that were touched before, by
 * requests that cut the space otherwise, may land on runs that are not neighbours: it is split into
 * one request a run, in address order. All pieces carry the time, the latency and the flags of the
 * whole (a PREFLUSH only the first piece: the flush comes once, before all of it). A piece keeps
 * its offset inside its first block, so 512-byte requests stay so. The notes say how many were
 * split.
 *
 * A discard or zero gives no numbers away, otherwise one trim of a whole disk would make the fitted
 * disk as large as the recorded one. Its parts over blocks that no earlier read or write touched
 * are dropped (they change nothing a later read can see: such blocks are zero on the fitted disk),
 * and the request is dropped if nothing is left. The notes say how many, and how many bytes. Times
 * count from the first request that is left.
 *
 * Several devices of a trace become one disk: `fitCompact` keeps their blocks apart, `fitWrap` lays
 * the devices over each other and says so, `fitNone` refuses. Afterwards each record is of device
 * 0. Splitting is not undone by cutting to the size a ring request can carry: whoever replays does
 * that.
 */
import { UsageError } from '../base/errors.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { RequestKind } from '../world/history.ts';
import { BlockMap, deviceKey } from './block-tables.ts';
import type { Trace } from './trace.ts';
import { isShared, TraceFlag } from './trace.ts';
import { TraceBuilder } from './trace-builder.ts';

export interface FitResult {
  readonly trace: Trace;
  /** Size of the smallest disk that holds the trace, bytes, whole 4 KiB blocks. */
  readonly diskBytes: number;
  /** Requests that became several. */
  readonly splitRequests: number;
  /** Discards and zeroes of which nothing was left. */
  readonly droppedRequests: number;
}

/** Checks that every request lies on a disk of `sizeBytes`. */
export function fitNone(trace: Trace, sizeBytes: number): FitResult {
  const { source, addressEndBytes, devices } = trace.facts;
  if (devices > 1) {
    throw new UsageError(
      'E_TRACE_FIT',
      `${source}: the trace is of ${devices} devices, expected one. Use --fit compact, which ` +
        'keeps their blocks apart on one disk.',
      { fields: { source, devices } },
    );
  }
  for (let record = 0; addressEndBytes > sizeBytes && record < trace.requests; record++) {
    const offset = trace.offset[record] as number;
    const end = offset + (trace.length[record] as number);
    if (end <= sizeBytes) continue;
    throw new UsageError(
      'E_TRACE_FIT',
      `${source}: record ${record} (counted from 0) ends at byte ${end}, beyond the disk of ` +
        `${sizeBytes} bytes; the whole trace reaches ${addressEndBytes}. Use --fit compact to ` +
        'renumber the touched blocks, --fit wrap to fold the addresses, or a larger disk.',
      { fields: { source, record, offset, end, sizeBytes, addressEndBytes } },
    );
  }
  const diskBytes = Math.ceil(addressEndBytes / PAGE_BYTES) * PAGE_BYTES;
  return { trace, diskBytes, splitRequests: 0, droppedRequests: 0 };
}

/** Folds addresses onto a disk of `sizeBytes`; a request over its end goes on at its start. */
export function fitWrap(trace: Trace, sizeBytes: number): FitResult {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % PAGE_BYTES !== 0) {
    throw new UsageError(
      'E_TRACE_FIT',
      `${trace.facts.source}: cannot wrap to ${sizeBytes} bytes, expected a disk size of whole ` +
        `${PAGE_BYTES}-byte blocks above 0.`,
      { fields: { source: trace.facts.source, sizeBytes } },
    );
  }
  return new Wrapper(trace, sizeBytes).run();
}

/** Renumbers the touched blocks so that the trace fits the smallest disk there is for it. */
export function fitCompact(trace: Trace): FitResult {
  return new Compactor(trace).run();
}

/** Writes the pieces of each request of a trace into a new one. */
class PieceWriter {
  readonly trace: Trace;
  readonly builder: TraceBuilder;
  splitRequests = 0;
  droppedRequests = 0;
  pieces = 0;
  #piecesOfRequest = 0;

  constructor(trace: Trace) {
    this.trace = trace;
    this.builder = new TraceBuilder(trace.facts, trace.requests);
  }

  begin(): void {
    this.#piecesOfRequest = 0;
  }

  piece(record: number, offset: number, lengthBytes: number): void {
    const { trace } = this;
    const flags = trace.flags[record] as number;
    this.builder.append(
      trace.t[record] as number,
      trace.op[record] as RequestKind,
      offset,
      lengthBytes,
      trace.latency[record] as number,
      0,
      this.#piecesOfRequest === 0 ? flags : flags & ~TraceFlag.preflush,
    );
    this.#piecesOfRequest++;
  }

  end(): void {
    if (this.#piecesOfRequest === 0) this.droppedRequests++;
    if (this.#piecesOfRequest < 2) return;
    this.splitRequests++;
    this.pieces += this.#piecesOfRequest;
  }

  finish(diskBytes: number): FitResult {
    const { source } = this.trace.facts;
    if (this.builder.requests === 0) {
      throw new UsageError(
        'E_TRACE_FIT',
        `${source}: nothing is left to replay: the trace only discards or zeroes blocks that it ` +
          'never reads or writes before. Use --fit wrap or --fit none.',
        { fields: { source, droppedRequests: this.droppedRequests } },
      );
    }
    if (this.splitRequests > 0) {
      this.builder.note(
        `${this.splitRequests} of ${this.trace.requests} requests were split into ` +
          `${this.pieces} pieces, each with the latency of the whole.`,
      );
    }
    const { splitRequests, droppedRequests } = this;
    const trace = this.builder.seal({ shared: isShared(this.trace) });
    return { trace, diskBytes, splitRequests, droppedRequests };
  }
}

class Compactor {
  readonly #out: PieceWriter;
  readonly #numbers = new BlockMap();
  #nextNumber = 0;
  #droppedBytes = 0;
  #trimmedRequests = 0;

  constructor(trace: Trace) {
    this.#out = new PieceWriter(trace);
  }

  run(): FitResult {
    const { trace, builder } = this.#out;
    for (let record = 0; record < trace.requests; record++) {
      this.#out.begin();
      if (trace.op[record] === RequestKind.flush) this.#out.piece(record, 0, 0);
      else this.#place(record);
      this.#out.end();
    }
    const diskBytes = Math.max(1, this.#nextNumber) * PAGE_BYTES;
    builder.note(
      `Touched blocks were renumbered in first-touch order: ${diskBytes} bytes of disk.`,
    );
    if (this.#trimmedRequests > 0) {
      builder.note(
        `${this.#trimmedRequests} discards and zeroes lost ${this.#droppedBytes} bytes over ` +
          'blocks that nothing had touched; of these requests ' +
          `${this.#out.droppedRequests} were dropped whole.`,
      );
    }
    return this.#out.finish(diskBytes);
  }

  /** Walks the blocks of a request and emits a piece for each run of neighbouring new numbers. */
  #place(record: number): void {
    const { trace } = this.#out;
    const op = trace.op[record] as number;
    const allocates = op === RequestKind.read || op === RequestKind.write;
    const base = deviceKey(trace.device[record] as number);
    const start = trace.offset[record] as number;
    const end = start + (trace.length[record] as number);
    const last = Math.floor((end - 1) / PAGE_BYTES);
    let pieceStart = 0;
    let pieceEnd = 0;
    let lostBytes = 0;
    for (let block = Math.floor(start / PAGE_BYTES); block <= last; block++) {
      const blockStart = block * PAGE_BYTES;
      const from = Math.max(start - blockStart, 0);
      const to = Math.min(end - blockStart, PAGE_BYTES);
      let number = this.#numbers.get(base + block);
      if (number < 0) {
        if (!allocates) {
          lostBytes += to - from;
          continue;
        }
        number = this.#nextNumber++;
        this.#numbers.set(base + block, number);
      }
      const placed = number * PAGE_BYTES;
      // Only the first block of a request can start inside, and no piece is open there.
      if (pieceEnd > pieceStart && placed !== pieceEnd) {
        this.#out.piece(record, pieceStart, pieceEnd - pieceStart);
        pieceStart = pieceEnd;
      }
      if (pieceEnd === pieceStart) pieceStart = placed + from;
      pieceEnd = placed + to;
    }
    if (pieceEnd > pieceStart) this.#out.piece(record, pieceStart, pieceEnd - pieceStart);
    if (lostBytes > 0) this.#trimmedRequests++;
    this.#droppedBytes += lostBytes;
  }
}

class Wrapper {
  readonly #out: PieceWriter;
  readonly #sizeBytes: number;
  #clipped = 0;
  #folded = 0;

  constructor(trace: Trace, sizeBytes: number) {
    this.#out = new PieceWriter(trace);
    this.#sizeBytes = sizeBytes;
  }

  run(): FitResult {
    const { trace, builder } = this.#out;
    for (let record = 0; record < trace.requests; record++) {
      this.#out.begin();
      if (trace.op[record] === RequestKind.flush) this.#out.piece(record, 0, 0);
      else this.#place(record);
      this.#out.end();
    }
    builder.note(`${this.#folded} requests were folded onto a disk of ${this.#sizeBytes} bytes.`);
    if (this.#clipped > 0) {
      builder.note(`${this.#clipped} requests longer than the disk were clipped to its size.`);
    }
    const { devices } = trace.facts;
    if (devices > 1) builder.note(`${devices} devices were laid over each other on one disk.`);
    return this.#out.finish(this.#sizeBytes);
  }

  #place(record: number): void {
    const { trace } = this.#out;
    const recorded = trace.offset[record] as number;
    const offset = recorded % this.#sizeBytes;
    const whole = trace.length[record] as number;
    const lengthBytes = Math.min(whole, this.#sizeBytes);
    if (lengthBytes < whole) this.#clipped++;
    if (recorded + whole > this.#sizeBytes) this.#folded++;
    const first = Math.min(lengthBytes, this.#sizeBytes - offset);
    this.#out.piece(record, offset, first);
    if (first < lengthBytes) this.#out.piece(record, 0, lengthBytes - first);
  }
}
