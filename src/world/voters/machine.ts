/**
 * The state that the log's commands make: the table of the directory, and which txns of which
 * clients are in it. The same commands make the same state at every voter, byte for byte.
 *
 * **A txn that is asked twice is made once.** A client opens a session and numbers its txns; it
 * asks one again, with the same number, until it has an answer. The outcome of each is kept until
 * the client says (`floor`) that it is settled; below that a txn is not made any more, so that a
 * copy that comes late finds its client's floor above it. Sessions are bounded: the one that was
 * used longest ago is forgotten, and a txn of a session that is not known is refused, never made
 * anew.
 */
import { ByteReader, ByteWriter } from '../../base/formats/byte-stream.ts';
import type { DirectoryEntry } from '../directory.ts';
import type { Command, TxnCommand } from './command.ts';
import { CommandStatus } from './messages.ts';

export const SESSIONS_MAX = 1024;
/** Txns of a session above its floor: others wait at the client. */
export const SESSION_WINDOW = 256;

interface Session {
  floor: number;
  /** Outcomes of those that are not settled, by their numbers. */
  readonly outcomes: Map<number, boolean>;
}

export interface Applied {
  readonly status: CommandStatus;
  readonly session: number;
  /** Keys that were changed. */
  readonly changed: readonly string[];
}

const NOTHING: readonly string[] = [];

export class DirectoryMachine {
  readonly #table = new Map<string, DirectoryEntry>();
  /** In the order of their last use. */
  readonly #sessions = new Map<number, Session>();
  #lastTxn = 0;
  /** Sees every txn as a new one: for a test that must notice. */
  readonly #forgetful: boolean;

  constructor(state: Uint8Array | null, forgetful: boolean) {
    this.#forgetful = forgetful;
    if (state !== null) this.#load(new ByteReader(state));
  }

  get(key: string): DirectoryEntry | null {
    return this.#table.get(key) ?? null;
  }

  list(prefix: string): readonly DirectoryEntry[] {
    const keys = [...this.#table.keys()].filter((key) => key.startsWith(prefix)).sort();
    return keys.map((key) => this.#table.get(key) as DirectoryEntry);
  }

  apply(slot: number, command: Command): Applied {
    switch (command.kind) {
      case 'none':
        return { status: CommandStatus.made, session: 0, changed: NOTHING };
      case 'open':
        this.#sessions.set(slot, { floor: 1, outcomes: new Map() });
        this.#forgetOldest();
        return { status: CommandStatus.opened, session: slot, changed: NOTHING };
      case 'txn':
        return this.#applyTxn(command);
    }
  }

  encode(): Uint8Array {
    const writer = new ByteWriter(4096);
    writer.u53(this.#lastTxn);
    writer.u32(this.#table.size);
    for (const { key, version, value } of this.list('')) {
      writer.text(key);
      writer.u53(version);
      writer.bytes(value);
    }
    writer.u32(this.#sessions.size);
    for (const [number, { floor, outcomes }] of this.#sessions) {
      writer.u53(number);
      writer.u53(floor);
      writer.u32(outcomes.size);
      for (const [seq, made] of outcomes) {
        writer.u53(seq);
        writer.u8(made ? 1 : 0);
      }
    }
    return writer.done();
  }

  #applyTxn(txn: TxnCommand): Applied {
    const { session: number, seq } = txn;
    const session = this.#sessions.get(number);
    const refused = (status: CommandStatus): Applied => {
      return { status, session: number, changed: NOTHING };
    };
    if (session === undefined) return refused(CommandStatus.expired);
    this.#sessions.delete(number);
    this.#sessions.set(number, session);
    if (seq < session.floor) return refused(CommandStatus.settled);
    const known = this.#forgetful ? undefined : session.outcomes.get(seq);
    if (known !== undefined) return refused(known ? CommandStatus.made : CommandStatus.notMade);
    const made = this.#decide(txn);
    session.outcomes.set(seq, made);
    if (txn.floor > session.floor) {
      session.floor = txn.floor;
      for (const old of session.outcomes.keys()) if (old < txn.floor) session.outcomes.delete(old);
    }
    if (!made) return refused(CommandStatus.notMade);
    const changed = txn.changes.map(({ key }) => key);
    return { status: CommandStatus.made, session: number, changed };
  }

  #decide({ comparisons, changes }: TxnCommand): boolean {
    const holds = comparisons.every(({ key, version }) => {
      return (this.#table.get(key)?.version ?? 0) === version;
    });
    if (!holds || changes.length === 0) return holds;
    this.#lastTxn += 1;
    for (const { key, value } of changes) {
      if (value === null) this.#table.delete(key);
      else this.#table.set(key, { key, value, version: this.#lastTxn });
    }
    return true;
  }

  #forgetOldest(): void {
    if (this.#sessions.size <= SESSIONS_MAX) return;
    for (const oldest of this.#sessions.keys()) {
      this.#sessions.delete(oldest);
      return;
    }
  }

  /** What `encode` gave: it has been checked by whoever brought it. */
  #load(reader: ByteReader): void {
    this.#lastTxn = reader.u53();
    for (let left = reader.u32(); left > 0; left--) {
      const [key, version] = [reader.text(), reader.u53()];
      this.#table.set(key, { key, version, value: reader.bytes() });
    }
    for (let left = reader.u32(); left > 0; left--) {
      const [number, floor] = [reader.u53(), reader.u53()];
      const outcomes = new Map<number, boolean>();
      for (let some = reader.u32(); some > 0; some--) outcomes.set(reader.u53(), reader.u8() === 1);
      this.#sessions.set(number, { floor, outcomes });
    }
  }
}
