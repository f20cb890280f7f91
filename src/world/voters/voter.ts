/**
 * One voter: the consensus with a disk, links, a clock, and the clients that ask it.
 *
 * One thing at a time goes to the disk: a batch of all that is not saved, or a whole new file. The
 * messages that were ready when it began go out when it is durable; what is ready meanwhile waits
 * for the next one. So nobody ever hears of a vote or an entry that a cut of power could take back,
 * and a busy voter syncs once for many.
 *
 * Clients are answered by the leader: a command when its slot is decided and done, a read when the
 * consensus says that it is of now. Who is no leader, or stops being it with commands under way,
 * sends its clients elsewhere; they ask again, and the session's numbers keep that from being done
 * twice. A disk that fails ends the voter: it starts again and reads what it has.
 */
import { StorageError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { nanos } from '../../base/units.ts';
import { DIRECTORY_TXN_KEYS } from '../directory.ts';
import type { Link, TimerId, World } from '../world.ts';
import { decodeCommand, encodeCommand } from './command.ts';
import { Consensus, type ConsensusTiming, type Outgoing, type StateCopy } from './consensus.ts';
import { type Applied, DirectoryMachine } from './machine.ts';
import {
  type Answer,
  type AskMessage,
  decodeVoterMessage,
  encodeVoterMessage,
  type LogEntry,
  NOBODY,
  type VoterMessage,
  type WatchesMessage,
} from './messages.ts';
import { type Kept, VoterDisk } from './voter-disk.ts';

/** Bugs of voters that can be switched on to see a check bite. */
export const VOTER_BUGS = [
  /** A vote, or an entry, is told before it is on the disk. */
  'unsynced-promise',
  /** A slot counts as decided when one voter has it. */
  'minority-decides',
  /** A txn that is asked again is made again. */
  'txn-made-twice',
  /** A leader answers reads without asking whether it still is one. */
  'unconfirmed-read',
] as const;
export type VoterBug = (typeof VOTER_BUGS)[number];

export interface VoterOptions extends ConsensusTiming {
  /** Bytes of log before it is cut. */
  readonly logBytes: number;
  readonly bug: VoterBug | 'none';
}

export const DEFAULT_VOTER_OPTIONS: VoterOptions = {
  heartbeatNs: 20_000_000,
  electionNs: 100_000_000,
  logBytes: 1_048_576,
  bug: 'none',
};

/** Entries that are kept beyond the stored state, for voters that are a little behind. */
const KEPT_ENTRIES = 64;
/** Reads and commands of clients under way. */
const IN_FLIGHT_MAX = 4096;
const WATCHES_MAX = 256;

interface Client {
  readonly link: Link;
  watches: WatchesMessage;
}

interface Waiting {
  readonly client: Client;
  readonly ask: AskMessage;
}

interface WaitingRead extends Waiting {
  readonly round: number;
  readonly slot: number;
}

interface WaitingCommand extends Waiting {
  readonly ballot: number;
}

export class Voter {
  readonly #world: World;
  readonly #self: number;
  readonly #peers: ReadonlyMap<number, Link>;
  readonly #options: VoterOptions;
  readonly #broken: (thrown: unknown) => void;
  readonly #clients = new Set<Client>();
  #disk: VoterDisk | null = null;
  #consensus: Consensus | null = null;
  #machine: DirectoryMachine;
  /** Every command up to this slot is done. */
  #applied = 0;
  #reads: WaitingRead[] = [];
  readonly #commands = new Map<number, WaitingCommand>();
  #saving = false;
  #rewriting = false;
  #timer: TimerId | null = null;
  #timerNs = 0;
  #strayFrames = 0;

  /**
   * `peers`: links to the other voters, by their numbers. `broken` hears of a bug: whoever hosts
   * the voter ends it.
   */
  constructor(
    world: World,
    self: number,
    peers: ReadonlyMap<number, Link>,
    options: VoterOptions,
    broken: (thrown: unknown) => void,
  ) {
    this.#broken = broken;
    this.#world = world;
    this.#self = self;
    this.#peers = peers;
    this.#options = options;
    this.#machine = this.#newMachine(null);
  }

  /** `create`: this voter has never been before. */
  async start(create: boolean): Promise<void> {
    const { disk, kept } = await VoterDisk.open(
      this.#world,
      this.#self,
      this.#options.logBytes,
      create,
    );
    const empty: Kept = {
      promised: { ballot: 0, vote: -1, baseSlot: 0, baseBallot: 0, entries: [] },
      copy: { slot: 0, state: this.#machine.encode() },
    };
    if (kept === null) await disk.rewrite(empty);
    await disk.rewrite(kept ?? empty);
    const { promised, copy } = kept ?? empty;
    this.#disk = disk;
    this.#machine = this.#newMachine(copy.state);
    this.#applied = copy.slot;
    const voters = this.#peers.size + 1;
    const lawful = Math.floor(voters / 2) + 1;
    this.#consensus = new Consensus(
      {
        self: this.#self,
        voters,
        random: this.#world.random.fork('elections'),
        timing: this.#options,
        promised,
        decided: copy.slot,
        stateCopy: () => this.#stateCopy(),
        majority: this.#options.bug === 'minority-decides' ? 1 : lawful,
      },
      this.#world.clock.nowNs(),
    );
    for (const [from, link] of this.#peers) {
      link.onFrame((frame) => this.#hearPeer(from, frame));
    }
    this.#go();
  }

  /** Serves a client at the other end of a link until the function it gives back is called. */
  serve(link: Link): () => void {
    const client: Client = { link, watches: { kind: 'watches', revision: 0, watches: [] } };
    this.#clients.add(client);
    link.onFrame((frame) => this.#hearClient(client, frame));
    return () => {
      this.#clients.delete(client);
      link.close();
    };
  }

  get isLeader(): boolean {
    return this.#consensus?.isLeader === true;
  }

  get ballot(): number {
    return this.#consensus?.ballot ?? 0;
  }

  /** Entries that it keeps in memory: bounded. */
  get keptEntries(): number {
    return this.#consensus?.log.entries.length ?? 0;
  }

  get applied(): number {
    return this.#applied;
  }

  /** The state that its commands have made. */
  state(): Uint8Array {
    return this.#machine.encode();
  }

  /** Frames that were no message for a voter. */
  get strayFrames(): number {
    return this.#strayFrames;
  }

  #newMachine(state: Uint8Array | null): DirectoryMachine {
    return new DirectoryMachine(state, this.#options.bug === 'txn-made-twice');
  }

  #stateCopy(): StateCopy {
    return { slot: this.#applied, state: this.#machine.encode() };
  }

  #hearPeer(from: number, frame: Uint8Array): void {
    const message = decodeVoterMessage(frame);
    const kind = message?.kind;
    if (
      message === null ||
      kind === 'ask' ||
      kind === 'watches' ||
      kind === 'answer' ||
      kind === 'hint'
    ) {
      this.#strayFrames += 1;
      return;
    }
    this.#consensus?.receive(from, message as Outgoing['message'], this.#world.clock.nowNs());
    this.#go();
  }

  #hearClient(client: Client, frame: Uint8Array): void {
    const message = decodeVoterMessage(frame);
    if (message?.kind === 'watches') {
      const { revision, watches } = message;
      if (revision < client.watches.revision || watches.length > WATCHES_MAX) return;
      client.watches = message;
    } else if (message?.kind === 'ask') {
      this.#ask(client, message);
      this.#go();
    } else {
      this.#strayFrames += 1;
    }
  }

  #ask(client: Client, ask: AskMessage): void {
    const consensus = this.#consensus;
    if (consensus === null) return;
    const waiting = { client, ask };
    const inFlight = this.#reads.length + this.#commands.size;
    if (!consensus.isLeader || inFlight >= IN_FLIGHT_MAX) return this.#sendElsewhere(waiting);
    const { question } = ask;
    if (question.kind === 'command') {
      const slot = consensus.propose(encodeCommand(question.command));
      this.#commands.set(slot, { ...waiting, ballot: consensus.ballot });
    } else if (this.#options.bug === 'unconfirmed-read') {
      this.#answerRead(waiting);
    } else {
      this.#reads.push({ ...waiting, ...consensus.beginRead() });
    }
  }

  /** After each event: does what is decided, answers, saves, sends, and sets the timer. */
  #go(): void {
    const consensus = this.#consensus;
    if (consensus === null) return;
    const installed = consensus.takeInstalled();
    if (installed !== null) {
      this.#machine = this.#newMachine(installed.state);
      this.#applied = installed.slot;
      this.#rewriting = true;
    }
    this.#applyDecided(consensus);
    this.#answerReads(consensus);
    if (!consensus.isLeader) this.#sendAllElsewhere();
    this.#save(consensus);
    this.#setTimer(consensus);
  }

  #applyDecided(consensus: Consensus): void {
    while (this.#applied < consensus.decided) {
      const entry = consensus.log.at(this.#applied + 1);
      invariant(entry !== undefined, 'what is decided and not done is in the log');
      const command = decodeCommand(entry.command, DIRECTORY_TXN_KEYS);
      invariant(command !== null, 'the log holds commands');
      const applied = this.#machine.apply(entry.slot, command);
      this.#applied = entry.slot;
      this.#answerCommand(entry, applied);
      if (consensus.isLeader) this.#hint(applied.changed);
    }
  }

  #answerCommand(entry: LogEntry, { status, session }: Applied): void {
    const waiting = this.#commands.get(entry.slot);
    if (waiting === undefined) return;
    this.#commands.delete(entry.slot);
    if (waiting.ballot === entry.ballot)
      this.#answer(waiting, { kind: 'decided', status, session });
    else this.#sendElsewhere(waiting);
  }

  #answerReads(consensus: Consensus): void {
    if (this.#reads.length === 0 || !consensus.isLeader) return;
    const round = consensus.confirmedRound;
    const ready = this.#reads.filter((read) => read.round <= round && read.slot <= this.#applied);
    if (ready.length === 0) return;
    this.#reads = this.#reads.filter((read) => !ready.includes(read));
    for (const read of ready) this.#answerRead(read);
  }

  #answerRead(waiting: Waiting): void {
    const { question } = waiting.ask;
    if (question.kind === 'list') {
      this.#answer(waiting, { kind: 'entries', entries: this.#machine.list(question.prefix) });
    } else if (question.kind === 'get') {
      const entry = this.#machine.get(question.key);
      this.#answer(waiting, { kind: 'entries', entries: entry === null ? [] : [entry] });
    }
  }

  #sendAllElsewhere(): void {
    for (const waiting of this.#commands.values()) this.#sendElsewhere(waiting);
    for (const waiting of this.#reads) this.#sendElsewhere(waiting);
    this.#commands.clear();
    this.#reads.length = 0;
  }

  #sendElsewhere(waiting: Waiting): void {
    const leader = this.#consensus?.leader ?? -1;
    const known = leader >= 0 && leader !== this.#self;
    this.#answer(waiting, { kind: 'elsewhere', leader: known ? leader : NOBODY });
  }

  #answer({ client, ask }: Waiting, answer: Answer): void {
    if (!this.#clients.has(client)) return;
    const message: VoterMessage = {
      kind: 'answer',
      client: ask.client,
      request: ask.request,
      answer,
    };
    client.link.send(encodeVoterMessage(message));
  }

  #hint(changed: readonly string[]): void {
    if (changed.length === 0) return;
    for (const { link, watches } of this.#clients) {
      for (const { watch, prefix } of watches.watches) {
        for (const key of changed) {
          if (key.startsWith(prefix)) link.send(encodeVoterMessage({ kind: 'hint', watch, key }));
        }
      }
    }
  }

  #save(consensus: Consensus): void {
    if (this.#saving) return;
    const outgoing = consensus.takeOutgoing(this.#world.clock.nowNs());
    const unsaved = consensus.takeUnsaved();
    if (unsaved === null && !this.#rewriting) return this.#send(outgoing);
    if (this.#options.bug === 'unsynced-promise') this.#send(outgoing);
    const { ballot, log } = consensus;
    const { lastSlot } = log;
    this.#saving = true;
    const from = unsaved?.from ?? lastSlot + 1;
    this.#write(consensus, from)
      .then(
        () => {
          this.#saving = false;
          consensus.persisted(ballot, lastSlot);
          if (this.#options.bug !== 'unsynced-promise') this.#send(outgoing);
          this.#go();
        },
        (thrown: unknown) => this.#fail(thrown),
      )
      .catch(this.#broken);
  }

  /** Nothing of it may be said any more: what the disk has is known after a restart only. */
  #fail(thrown: unknown): void {
    this.#consensus = null;
    if (this.#timer !== null) this.#world.timers.cancel(this.#timer);
    this.#timer = null;
    if (!(thrown instanceof StorageError)) throw thrown;
    this.#world.log.note(thrown.message);
  }

  async #write(consensus: Consensus, from: number): Promise<void> {
    const disk = this.#disk;
    invariant(disk !== null, 'a voter that runs has a disk');
    const { ballot, vote, entries } = consensus.promised;
    const unsaved = entries.filter(({ slot }) => slot >= from);
    if (!this.#rewriting && disk.fits(unsaved)) return await disk.append(ballot, vote, unsaved);
    this.#rewriting = false;
    consensus.forget(this.#applied - KEPT_ENTRIES);
    await disk.rewrite({ promised: { ...consensus.promised }, copy: this.#stateCopy() });
  }

  #send(outgoing: readonly Outgoing[]): void {
    for (const { to, message } of outgoing) {
      this.#peers.get(to)?.send(encodeVoterMessage(message));
    }
  }

  #setTimer(consensus: Consensus): void {
    const { deadlineNs } = consensus;
    if (this.#timer !== null && this.#timerNs === deadlineNs) return;
    if (this.#timer !== null) this.#world.timers.cancel(this.#timer);
    this.#timerNs = deadlineNs;
    this.#timer = this.#world.timers.at(nanos(deadlineNs), () => {
      this.#timer = null;
      this.#consensus?.tick(this.#world.clock.nowNs());
      this.#go();
    });
  }
}
