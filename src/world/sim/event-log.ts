/**
 * What happened, as one number: a rolling hash over (time, actor, kind, a, b) of every event and of
 * every line that actors log. Two runs with equal hashes are the same run.
 *
 * The hash is kept at every 1,024th record (`checkpoints`), so that two runs that differ can be
 * compared by halves without keeping their records. Records themselves are kept only on request:
 * the last `last` of them, up to record `stopAt`; that serves both the tail that goes with a
 * failure and the window that `replay-check` looks into.
 *
 * Two lanes of 32 bits, multiply and rotate after murmur3; doubles go in by their bits.
 */
import { invariant } from '../../base/invariant.ts';
import { EVENT_KIND_NAMES, type EventKind } from './event-queue.ts';

export const CHECKPOINT_RECORDS = 1024;
/** Above the event kinds: the text of a log line's kind is hashed into the other 31 bits. */
const LINE_BIT = 0x80000000;
const NOTE_LIMIT = 1000;

export interface TraceWindow {
  /** How many records are kept: the last ones. */
  readonly last: number;
  /** Records from this number on are not kept. */
  readonly stopAt?: number;
}

export interface LogRecord {
  /** Number of the record in its run, from 0. */
  readonly record: number;
  readonly timeNs: number;
  readonly actor: string;
  readonly kind: string;
  readonly a: number;
  readonly b: number;
}

export interface LogNote {
  readonly timeNs: number;
  readonly actor: string;
  readonly text: string;
}

export class EventLog {
  /** Two numbers a checkpoint: the lanes after record 1,024, 2,048 and so on. */
  readonly checkpoints: number[] = [];
  /** The last sentences for people; older ones are dropped. */
  readonly notes: LogNote[] = [];
  readonly #lineKinds = new Map<string, number>();
  readonly #doubles = new Float64Array(3);
  readonly #words = new Uint32Array(this.#doubles.buffer);
  readonly #ring: LogRecord[] = [];
  readonly #keepLast: number;
  readonly #stopAt: number;
  #records = 0;
  #laneA = 0x2545f491;
  #laneB = 0x6c62272e;

  constructor(trace: TraceWindow | null) {
    this.#keepLast = trace === null ? 0 : trace.last;
    this.#stopAt = trace?.stopAt ?? Number.POSITIVE_INFINITY;
    invariant(this.#keepLast >= 0, 'a trace keeps a number of records');
  }

  get records(): number {
    return this.#records;
  }

  /** The hash so far, 16 hexadecimal digits. */
  get hash(): string {
    return hex(this.#laneA) + hex(this.#laneB);
  }

  /** Records an event. */
  event(
    timeNs: number,
    actorId: number,
    actor: string,
    kind: EventKind,
    a: number,
    b: number,
  ): void {
    this.#mix(timeNs, actorId, kind, a, b);
    if (this.#keepLast > 0) this.#keep(timeNs, actor, EVENT_KIND_NAMES[kind] as string, a, b);
    this.#count();
  }

  /** Records a line that an actor (or the simulator) wrote. */
  line(timeNs: number, actorId: number, actor: string, kind: string, a: number, b: number): void {
    let code = this.#lineKinds.get(kind);
    if (code === undefined) {
      code = (hashText(kind) | LINE_BIT) >>> 0;
      this.#lineKinds.set(kind, code);
    }
    this.#mix(timeNs, actorId, code, a, b);
    if (this.#keepLast > 0) this.#keep(timeNs, actor, kind, a, b);
    this.#count();
  }

  note(timeNs: number, actorId: number, actor: string, text: string): void {
    this.line(timeNs, actorId, actor, 'note', hashText(text), text.length);
    if (this.notes.length === NOTE_LIMIT) this.notes.shift();
    this.notes.push({ timeNs, actor, text });
  }

  /** The records that were kept, oldest first. */
  kept(): readonly LogRecord[] {
    if (this.#ring.length < this.#keepLast) return [...this.#ring];
    const head = Math.min(this.#records, this.#stopAt) % this.#keepLast;
    return [...this.#ring.slice(head), ...this.#ring.slice(0, head)];
  }

  #keep(timeNs: number, actor: string, kind: string, a: number, b: number): void {
    const record = this.#records;
    if (record < this.#stopAt) {
      this.#ring[record % this.#keepLast] = { record, timeNs, actor, kind, a, b };
    }
  }

  #count(): void {
    this.#records++;
    if (this.#records % CHECKPOINT_RECORDS === 0) {
      this.checkpoints.push(this.#laneA, this.#laneB);
    }
  }

  #mix(timeNs: number, actorId: number, kind: number, a: number, b: number): void {
    this.#doubles[0] = timeNs;
    this.#doubles[1] = a;
    this.#doubles[2] = b;
    this.#mixWord(actorId);
    this.#mixWord(kind);
    for (let i = 0; i < 6; i++) this.#mixWord(this.#words[i] as number);
  }

  #mixWord(word: number): void {
    const first = Math.imul(this.#laneA ^ word, 0x85ebca6b);
    this.#laneA = (first << 13) | (first >>> 19);
    const second = Math.imul(this.#laneB + word, 0xc2b2ae35);
    this.#laneB = second ^ (second >>> 15);
  }
}

/** A 32-bit hash of a text: FNV-1a. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}

function hex(lane: number): string {
  return (lane >>> 0).toString(16).padStart(8, '0');
}
