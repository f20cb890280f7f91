/**
 * The directory as its voters keep it: what a host asks, through links to all of them.
 *
 * A call goes to whom it takes for the leader, and to another voter when that one sends it
 * elsewhere or says nothing for a while, until its time is over; then it rejects with
 * `E_DIRECTORY`. Asking again is safe. A read is answered by what was decided after it came. A txn
 * has a number of this client's session and is made once however often it arrives (`machine.ts`);
 * after it was given up it may still be made, until a later txn of this client carries its floor
 * past it.
 *
 * The session is opened by the first txn. One that the voters have forgotten ends the txns that
 * were asked by it, their outcomes unknown, and the next one opens another.
 *
 * Watches are told to all voters again and again, since any of them may lead later and none keeps
 * them over its death; hints come from who leads.
 */
import { StorageError } from '../../base/errors.ts';
import { present } from '../../base/invariant.ts';
import { nanos } from '../../base/units.ts';
import type { Change, Comparison, Directory, DirectoryEntry } from '../directory.ts';
import { checkKey, checkPrefix, checkTxn, directoryError } from '../directory-rules.ts';
import type { Link, TimerId, World } from '../world.ts';
import { SESSION_WINDOW } from './machine.ts';
import {
  type Answer,
  CommandStatus,
  decodeVoterMessage,
  encodeVoterMessage,
  type Question,
} from './messages.ts';

export interface VoterDirectoryOptions {
  /** How long a call is tried. */
  readonly timeoutNs: number;
  /** How long one voter is waited for. */
  readonly attemptNs: number;
  /** Before asking again when nobody is known to lead. */
  readonly pauseNs: number;
  /** How often watches are told again. */
  readonly watchNs: number;
}

const DEFAULT_OPTIONS: VoterDirectoryOptions = {
  timeoutNs: 2_000_000_000,
  attemptNs: 150_000_000,
  pauseNs: 10_000_000,
  watchNs: 500_000_000,
};

interface Call {
  readonly question: Question;
  readonly endNs: number;
  /** When it is asked again. */
  timer: TimerId | null;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: StorageError) => void;
}

interface Watch {
  readonly prefix: string;
  readonly changed: (key: string) => void;
}

type ClientWorld = Pick<World, 'clock' | 'timers' | 'random'>;

export class VoterDirectory implements Directory {
  readonly #links: readonly Link[];
  readonly #world: ClientWorld;
  readonly #options: VoterDirectoryOptions;
  readonly #client: number;
  readonly #calls = new Map<number, Call>();
  readonly #watches = new Map<number, Watch>();
  #lastRequest = 0;
  #lastWatch = 0;
  #revision = 0;
  #watchTimer: TimerId | null = null;
  /** Whom the next call is asked. */
  #leader = 0;
  #session: Promise<number> | null = null;
  #lastSeq = 0;
  /** Numbers of txns that are not settled, in order. */
  readonly #unsettled = new Set<number>();
  readonly #waiting: (() => void)[] = [];
  #open = true;

  /** `links`: to voter 0, 1, and so on. */
  constructor(
    links: readonly Link[],
    world: ClientWorld,
    options: Partial<VoterDirectoryOptions> = {},
  ) {
    this.#links = links;
    this.#world = world;
    this.#options = { ...DEFAULT_OPTIONS, ...options };
    this.#client = world.random.nextU32();
    for (const link of links) link.onFrame((frame) => this.#receive(frame));
  }

  async get(key: string): Promise<DirectoryEntry | null> {
    checkKey(key);
    const entries = await this.#entries({ kind: 'get', key });
    return entries[0] ?? null;
  }

  list(prefix: string): Promise<readonly DirectoryEntry[]> {
    checkPrefix(prefix);
    return this.#entries({ kind: 'list', prefix });
  }

  async txn(comparisons: readonly Comparison[], changes: readonly Change[]): Promise<boolean> {
    checkTxn(comparisons, changes);
    // The caller's arrays and bytes are the caller's again when this call has returned.
    const kept = {
      comparisons: comparisons.map(({ key, version }) => ({ key, version })),
      changes: changes.map(({ key, value }) => ({ key, value: value?.slice() ?? null })),
    };
    const endNs = this.#world.clock.nowNs() + this.#options.timeoutNs;
    while (this.#isWindowFull) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#lastSeq += 1;
    const seq = this.#lastSeq;
    this.#unsettled.add(seq);
    try {
      const session = await this.#openSession(endNs);
      const floor = this.#floor;
      const command = { kind: 'txn', session, seq, floor, ...kept } as const;
      const answer = await this.#call({ kind: 'command', command }, endNs);
      const status = answer.kind === 'decided' ? answer.status : CommandStatus.expired;
      if (status === CommandStatus.expired) this.#session = null;
      if (status === CommandStatus.made || status === CommandStatus.notMade) {
        return status === CommandStatus.made;
      }
      throw directoryError('it has forgotten the session of this client');
    } finally {
      this.#unsettled.delete(seq);
      for (const go of this.#waiting.splice(0)) go();
    }
  }

  watch(prefix: string, changed: (key: string) => void): () => void {
    checkPrefix(prefix);
    this.#lastWatch += 1;
    const watch = this.#lastWatch;
    this.#watches.set(watch, { prefix, changed });
    this.#tellWatches();
    return () => {
      if (this.#watches.delete(watch)) this.#tellWatches();
    };
  }

  close(): Promise<void> {
    if (!this.#open) return Promise.resolve();
    this.#watches.clear();
    this.#tellWatches();
    this.#open = false;
    if (this.#watchTimer !== null) this.#world.timers.cancel(this.#watchTimer);
    for (const request of this.#calls.keys()) {
      this.#take(request)?.reject(directoryError('it was closed'));
    }
    for (const link of this.#links) link.close();
    return Promise.resolve();
  }

  get #floor(): number {
    for (const seq of this.#unsettled) return seq;
    return this.#lastSeq + 1;
  }

  get #isWindowFull(): boolean {
    return this.#lastSeq + 1 >= this.#floor + SESSION_WINDOW;
  }

  #openSession(endNs: number): Promise<number> {
    if (this.#session === null) {
      const opening = this.#call({ kind: 'command', command: { kind: 'open' } }, endNs).then(
        (answer) => {
          if (answer.kind === 'decided' && answer.status === CommandStatus.opened) {
            return answer.session;
          }
          throw directoryError('it has opened no session');
        },
      );
      this.#session = opening;
      opening.catch(() => {
        if (this.#session === opening) this.#session = null;
      });
    }
    return this.#session;
  }

  async #entries(question: Question): Promise<readonly DirectoryEntry[]> {
    const endNs = this.#world.clock.nowNs() + this.#options.timeoutNs;
    const answer = await this.#call(question, endNs);
    if (answer.kind !== 'entries') throw directoryError('its answer does not fit the question');
    return answer.entries;
  }

  #call(question: Question, endNs: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (!this.#open) return reject(directoryError('it was closed'));
      this.#lastRequest += 1;
      const request = this.#lastRequest;
      this.#calls.set(request, { question, endNs, timer: null, resolve, reject });
      this.#ask(request);
    });
  }

  /** Asks, and again later, unless its time is over. */
  #ask(request: number): void {
    const call = this.#calls.get(request);
    if (call === undefined) return;
    const nowNs = this.#world.clock.nowNs();
    if (nowNs >= call.endNs) {
      const why = `no majority, or no way to it, within ${this.#options.timeoutNs / 1e6} ms`;
      return this.#take(request)?.reject(directoryError(why));
    }
    const asked = this.#leader;
    const link = present(this.#links[asked], 'a voter has a link');
    const { question } = call;
    link.send(encodeVoterMessage({ kind: 'ask', client: this.#client, request, question }));
    this.#askLater(request, call, this.#options.attemptNs, () => {
      if (this.#leader === asked) this.#leader = (asked + 1) % this.#links.length;
    });
  }

  #askLater(request: number, call: Call, delayNs: number, before: () => void): void {
    if (call.timer !== null) this.#world.timers.cancel(call.timer);
    const atNs = nanos(Math.min(this.#world.clock.nowNs() + delayNs, call.endNs));
    call.timer = this.#world.timers.at(atNs, () => {
      call.timer = null;
      before();
      this.#ask(request);
    });
  }

  #take(request: number): Call | null {
    const call = this.#calls.get(request);
    if (call === undefined) return null;
    this.#calls.delete(request);
    if (call.timer !== null) this.#world.timers.cancel(call.timer);
    return call;
  }

  #receive(frame: Uint8Array): void {
    if (!this.#open) return;
    const message = decodeVoterMessage(frame);
    if (message?.kind === 'hint') {
      this.#watches.get(message.watch)?.changed(message.key);
    } else if (message?.kind === 'answer' && message.client === this.#client) {
      const { request, answer } = message;
      if (answer.kind === 'elsewhere') this.#goElsewhere(request, answer.leader);
      else this.#take(request)?.resolve(answer);
    }
  }

  #goElsewhere(request: number, leader: number): void {
    const call = this.#calls.get(request);
    if (call === undefined) return;
    const known = leader < this.#links.length;
    this.#leader = known ? leader : (this.#leader + 1) % this.#links.length;
    // Never at once: two voters that take each other for the leader would keep it busy.
    this.#askLater(request, call, known ? 1_000 : this.#options.pauseNs, () => {});
  }

  #tellWatches(): void {
    if (!this.#open) return;
    this.#revision += 1;
    const watches = [...this.#watches].map(([watch, { prefix }]) => ({ watch, prefix }));
    const frame = encodeVoterMessage({ kind: 'watches', revision: this.#revision, watches });
    for (const link of this.#links) link.send(frame.slice());
    if (this.#watchTimer !== null) this.#world.timers.cancel(this.#watchTimer);
    this.#watchTimer = null;
    if (watches.length === 0) return;
    const nextNs = nanos(this.#world.clock.nowNs() + this.#options.watchNs);
    this.#watchTimer = this.#world.timers.at(nextNs, () => {
      this.#watchTimer = null;
      this.#tellWatches();
    });
  }
}
