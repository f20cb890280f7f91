/**
 * A server of NBD: the exports that it has, and the connections to them.
 *
 * It knows no sockets: whoever listens gives it each connection as a stream of bytes.
 */
import { type Nanos, nanos, SECOND } from '../../base/units.ts';
import type { ByteStream, StreamUser } from '../../world/byte-stream.ts';
import type { Clock, TimerId, Timers } from '../../world/world.ts';
import type { NbdCatalog, NbdExport } from './catalog.ts';
import type { TlsRule } from './handshake.ts';
import { OutBudget } from './out-budget.ts';
import { SlabPool } from './out-stream.ts';
import { NbdSession, type SessionStatus } from './session.ts';

export interface NbdServerParts {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly exports: readonly NbdExport[];
  readonly tls: TlsRule;
  readonly note: (text: string) => void;
  /** A bug. */
  readonly failed: (thrown: unknown) => void;
}

export class NbdServer implements NbdCatalog {
  readonly #parts: NbdServerParts;
  readonly #byName: ReadonlyMap<string, NbdExport>;
  readonly #slabs = new SlabPool();
  readonly #budget = new OutBudget();
  readonly #sessions = new Set<NbdSession>();
  #ticking: TimerId | null = null;
  #isShuttingDown = false;
  #onEmpty: (() => void) | null = null;

  constructor(parts: NbdServerParts) {
    this.#parts = parts;
    this.#byName = new Map(parts.exports.map((one) => [one.name, one]));
  }

  list(): readonly NbdExport[] {
    return this.#parts.exports;
  }

  /** Where there is one export only, it is the default one too. */
  find(name: string): NbdExport | null {
    const { exports } = this.#parts;
    if (name === '' && exports.length === 1) return exports[0] ?? null;
    return this.#byName.get(name) ?? null;
  }

  /** Bytes that all connections owe their clients. */
  get owedBytes(): number {
    return this.#budget.owedBytes;
  }

  connections(): readonly SessionStatus[] {
    return [...this.#sessions].map(({ status }) => status);
  }

  accept(stream: ByteStream): StreamUser {
    const { note, failed, tls } = this.#parts;
    const session = new NbdSession(stream, {
      catalog: this,
      slabs: this.#slabs,
      budget: this.#budget,
      tls,
      ended: (ended) => this.#ended(ended),
      note,
      failed,
    });
    this.#sessions.add(session);
    if (this.#isShuttingDown) session.shutDown();
    if (this.#ticking === null) this.#tickLater();
    return session;
  }

  /** Refuses new requests; settles when all that were taken are answered and nobody is left. */
  async shutDown(): Promise<void> {
    this.#isShuttingDown = true;
    for (const session of this.#sessions) session.shutDown();
    if (this.#sessions.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  #ended(session: NbdSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    if (this.#ticking !== null) this.#parts.timers.cancel(this.#ticking);
    this.#ticking = null;
    this.#onEmpty?.();
  }

  #tickLater(): void {
    const { clock, timers } = this.#parts;
    const nextNs: Nanos = nanos(clock.nowNs() + SECOND);
    this.#ticking = timers.at(nextNs, () => {
      for (const session of this.#sessions) session.tick();
      this.#ticking = null;
      if (this.#sessions.size > 0) this.#tickLater();
    });
  }
}
