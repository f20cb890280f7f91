/**
 * How voters agree on one log of commands: Raft (Ongaro and Ousterhout 2014) without changes of
 * membership, as a machine without clock, disk or network of its own.
 *
 * Why Raft, and not single-decree Paxos per slot or viewstamped replication: its log has no holes
 * and one rule for what a new leader must have, so that state, proof and tests are the smallest of
 * the three. What Raft calls a term is a *ballot* here and an index a *slot*: terms belong to pairs
 * of servers.
 *
 * **Durable**, before anything that follows from it is said: the ballot, the vote in it, the
 * entries. The driver takes records and messages together, makes the records durable, and only then
 * lets the messages go (`voter.ts`).
 *
 * **Leader.** A voter that has heard of no leader for a while asks whether it would be elected
 * (`pre`), which changes nothing anywhere, so that one that was cut off does not depose a leader
 * when it is back. With a majority it takes the next ballot, votes for itself and asks in earnest.
 * A vote is given once a ballot, to who has all that the voter has. A new leader puts an empty
 * command into its first slot: what older ballots left is decided together with it, never by
 * counting (section 5.4.2 of the paper). A leader that no majority answers steps down, so that
 * others may be elected where only one direction of its links is cut.
 *
 * **Decided** is a slot of the leader's own ballot that a majority has durably, and all before it.
 *
 * **Reads** need no log and no clock: what was decided when the read came, after a round of
 * messages in which a majority said that it still follows this ballot (section 6.4 of Ongaro's
 * thesis). A leader whose first slot is not decided waits for that.
 *
 * Not done: changes of membership, transfer of leadership, leases.
 */
import { invariant } from '../../base/invariant.ts';
import type { Prng } from '../../base/prng.ts';
import type {
  AppendedMessage,
  AppendMessage,
  CanvassMessage,
  InstallMessage,
  LogEntry,
  PeerMessage,
  VoteMessage,
} from './messages.ts';
import { SlotLog } from './slot-log.ts';

export interface ConsensusTiming {
  readonly heartbeatNs: number;
  /** No leader for so long, and up to twice that by draw: somebody else stands. */
  readonly electionNs: number;
}

/** What a voter has promised and taken; it survives everything. */
export interface Promised {
  readonly ballot: number;
  /** For whom it voted in it; -1: nobody. */
  readonly vote: number;
  readonly baseSlot: number;
  readonly baseBallot: number;
  readonly entries: readonly LogEntry[];
}

/** The state up to a slot, for who lacks entries before it. */
export interface StateCopy {
  readonly slot: number;
  readonly state: Uint8Array;
}

export interface ConsensusOptions {
  readonly self: number;
  readonly voters: number;
  readonly random: Prng;
  readonly timing: ConsensusTiming;
  readonly promised: Promised;
  /** Everything up to this slot is decided. */
  readonly decided: number;
  readonly stateCopy: () => StateCopy;
  /** Voters that decide a slot: a majority; fewer is a bug that a test must notice. */
  readonly majority: number;
}

export interface Outgoing {
  readonly to: number;
  readonly message: PeerMessage;
}

const ENTRIES_MAX = 128;
const ENTRY_BYTES_MAX = 262_144;
const NO_VOTE = -1;

type Role = 'follower' | 'asking' | 'candidate' | 'leader';

/** What a leader knows of a voter. */
interface Follower {
  /** Its log is the leader's up to here, durably. */
  matched: number;
  /** First slot that it was not sent. */
  next: number;
  /** Newest round that it answered, and when. */
  round: number;
  heardNs: number;
  /** Something is to be sent to it. */
  due: boolean;
  installedNs: number;
}

export class Consensus {
  readonly log: SlotLog;
  readonly #options: ConsensusOptions;
  #ballot: number;
  #vote: number;
  #role: Role = 'follower';
  #leader = NO_VOTE;
  #decided: number;
  /** When a leader was last heard of. */
  #leaderHeardNs = Number.NEGATIVE_INFINITY;
  #deadlineNs = 0;
  readonly #votes = new Set<number>();
  readonly #followers: Follower[] = [];
  #round = 0;
  /** First slot of this leader's ballot. */
  #firstOwnSlot = 0;
  #outgoing: Outgoing[] = [];
  /** First slot of the log that was changed since it was taken; 0: none. */
  #changedFrom = 0;
  #promiseChanged = false;
  #installed: StateCopy | null = null;

  constructor(options: ConsensusOptions, nowNs: number) {
    const { ballot, vote, baseSlot, baseBallot, entries } = options.promised;
    this.#options = options;
    this.#ballot = ballot;
    this.#vote = vote;
    this.#decided = options.decided;
    this.log = new SlotLog(baseSlot, baseBallot, entries);
    this.#rest(nowNs);
  }

  get ballot(): number {
    return this.#ballot;
  }

  get isLeader(): boolean {
    return this.#role === 'leader';
  }

  /** Whom this voter takes for the leader; -1: nobody. */
  get leader(): number {
    return this.#leader;
  }

  get decided(): number {
    return this.#decided;
  }

  get deadlineNs(): number {
    return this.#deadlineNs;
  }

  get promised(): Promised {
    const { baseSlot, baseBallot, entries } = this.log;
    return { ballot: this.#ballot, vote: this.#vote, baseSlot, baseBallot, entries };
  }

  /** The deadline has passed. */
  tick(nowNs: number): void {
    if (nowNs < this.#deadlineNs) return;
    if (this.#role !== 'leader') return this.#stand(nowNs, true);
    const { electionNs, heartbeatNs } = this.#options.timing;
    const heard = this.#followers.filter(({ heardNs }, voter) => {
      return voter === this.#options.self || nowNs - heardNs < 2 * electionNs;
    });
    if (heard.length < this.#fullMajority) return this.#follow(NO_VOTE, nowNs);
    this.#deadlineNs = nowNs + heartbeatNs;
    this.#sendToAll();
  }

  receive(from: number, message: PeerMessage, nowNs: number): void {
    const isPre = 'pre' in message && message.pre;
    if (message.ballot > this.#ballot && !isPre) this.#adopt(message.ballot, nowNs);
    switch (message.kind) {
      case 'canvass':
        return this.#answerCanvass(from, message, nowNs);
      case 'vote':
        return this.#countVote(from, message, nowNs);
      case 'append':
        return this.#takeEntries(from, message, nowNs);
      case 'install':
        return this.#takeState(from, message, nowNs);
      case 'appended':
        return this.#hearFollower(from, message, nowNs);
    }
  }

  /** Puts a command into the log; its slot, or 0 if this is not the leader. */
  propose(command: Uint8Array): number {
    if (this.#role !== 'leader') return 0;
    const slot = this.log.lastSlot + 1;
    this.#put({ slot, ballot: this.#ballot, command });
    this.#sendToAll();
    return slot;
  }

  /** The round and the slot that a read waits for. This is the leader. */
  beginRead(): { readonly round: number; readonly slot: number } {
    invariant(this.#role === 'leader', 'a read begins at a leader');
    this.#round += 1;
    this.#sendToAll();
    return { round: this.#round, slot: Math.max(this.#decided, this.#firstOwnSlot) };
  }

  /** The newest round in which a majority followed this leader. */
  get confirmedRound(): number {
    const rounds = this.#followers.map(({ round }) => round);
    return this.#sharedBy(this.#fullMajority, rounds, this.#round);
  }

  /** What `ballot` had promised up to `slot` is durable here. */
  persisted(ballot: number, slot: number): void {
    const own = this.#followers[this.#options.self];
    if (this.#role !== 'leader' || ballot !== this.#ballot || own === undefined) return;
    own.matched = Math.max(own.matched, slot);
    this.#decide();
  }

  /** Messages that go out when all that was taken before and with them is durable. */
  takeOutgoing(nowNs: number): readonly Outgoing[] {
    if (this.#role === 'leader') {
      this.#followers.forEach((follower, to) => {
        if (follower.due && to !== this.#options.self) this.#send(to, follower, nowNs);
      });
    }
    const outgoing = this.#outgoing;
    this.#outgoing = [];
    return outgoing;
  }

  /** What must become durable: the promise, and the entries from a slot on; null: nothing. */
  takeUnsaved(): { readonly from: number } | null {
    if (!this.#promiseChanged && this.#changedFrom === 0) return null;
    const from = this.#changedFrom === 0 ? this.log.lastSlot + 1 : this.#changedFrom;
    this.#changedFrom = 0;
    this.#promiseChanged = false;
    return { from };
  }

  /** A state that replaces everything up to its slot; the log was restarted behind it. */
  takeInstalled(): StateCopy | null {
    const installed = this.#installed;
    this.#installed = null;
    return installed;
  }

  /** Forgets entries that the stored state holds. */
  forget(slot: number): void {
    this.log.forget(Math.min(slot, this.#decided));
  }

  get #fullMajority(): number {
    return Math.floor(this.#options.voters / 2) + 1;
  }

  #rest(nowNs: number): void {
    const { electionNs } = this.#options.timing;
    this.#deadlineNs = nowNs + electionNs + this.#options.random.below(electionNs);
  }

  #adopt(ballot: number, nowNs: number): void {
    this.#ballot = ballot;
    this.#vote = NO_VOTE;
    this.#promiseChanged = true;
    this.#follow(NO_VOTE, nowNs);
  }

  #follow(leader: number, nowNs: number): void {
    this.#role = 'follower';
    this.#leader = leader;
    this.#followers.length = 0;
    this.#votes.clear();
    this.#rest(nowNs);
  }

  #stand(nowNs: number, pre: boolean): void {
    const { self, voters } = this.#options;
    this.#role = pre ? 'asking' : 'candidate';
    this.#leader = NO_VOTE;
    this.#votes.clear();
    this.#votes.add(self);
    if (!pre) {
      this.#ballot += 1;
      this.#vote = self;
      this.#promiseChanged = true;
    }
    this.#rest(nowNs);
    const { lastSlot, lastBallot } = this.log;
    const ballot = pre ? this.#ballot + 1 : this.#ballot;
    for (let to = 0; to < voters; to++) {
      if (to === self) continue;
      this.#say(to, { kind: 'canvass', ballot, pre, lastSlot, lastBallot });
    }
  }

  #answerCanvass(from: number, canvass: CanvassMessage, nowNs: number): void {
    const { ballot, pre, lastSlot, lastBallot } = canvass;
    const hasAll =
      lastBallot > this.log.lastBallot ||
      (lastBallot === this.log.lastBallot && lastSlot >= this.log.lastSlot);
    const led = nowNs - this.#leaderHeardNs < this.#options.timing.electionNs;
    const granted = pre
      ? ballot > this.#ballot && hasAll && !led && this.#role !== 'leader'
      : ballot === this.#ballot && hasAll && (this.#vote === NO_VOTE || this.#vote === from);
    if (granted && !pre) {
      if (this.#vote !== from) this.#promiseChanged = true;
      this.#vote = from;
      this.#rest(nowNs);
    }
    this.#say(from, { kind: 'vote', ballot: granted ? ballot : this.#ballot, pre, granted });
  }

  #countVote(from: number, { ballot, pre, granted }: VoteMessage, nowNs: number): void {
    if (!granted) {
      if (ballot > this.#ballot) this.#adopt(ballot, nowNs);
      return;
    }
    const wanted = pre ? this.#ballot + 1 : this.#ballot;
    if (this.#role !== (pre ? 'asking' : 'candidate') || ballot !== wanted) return;
    this.#votes.add(from);
    if (this.#votes.size < this.#fullMajority) return;
    if (pre) this.#stand(nowNs, false);
    else this.#lead(nowNs);
  }

  #lead(nowNs: number): void {
    const { self, voters, timing } = this.#options;
    this.#role = 'leader';
    this.#leader = self;
    this.#round = 0;
    const next = this.log.lastSlot + 1;
    this.#followers.length = 0;
    for (let i = 0; i < voters; i++) {
      this.#followers.push({
        matched: 0,
        next,
        round: 0,
        heardNs: nowNs,
        due: false,
        installedNs: Number.NEGATIVE_INFINITY,
      });
    }
    this.#firstOwnSlot = next;
    this.#put({ slot: next, ballot: this.#ballot, command: new Uint8Array(1) });
    this.#deadlineNs = nowNs + timing.heartbeatNs;
    this.#sendToAll();
  }

  #put(entry: LogEntry): void {
    invariant(entry.slot > this.#decided, 'what is decided never changes');
    this.log.put(entry);
    if (this.#changedFrom === 0 || entry.slot < this.#changedFrom) this.#changedFrom = entry.slot;
  }

  #takeEntries(from: number, message: AppendMessage, nowNs: number): void {
    const { ballot, round, prevSlot, prevBallot, entries, commit } = message;
    if (ballot < this.#ballot) return this.#sayAppended(from, round, false, 0);
    this.#hearLeader(from, nowNs);
    if (prevSlot > this.log.lastSlot) {
      return this.#sayAppended(from, round, false, this.log.lastSlot);
    }
    if (prevSlot >= this.log.baseSlot && this.log.ballotAt(prevSlot) !== prevBallot) {
      return this.#sayAppended(from, round, false, this.#before(prevSlot));
    }
    for (const entry of entries) {
      // What is at or before the base is decided, and the same at every leader.
      if (entry.slot <= this.log.baseSlot) continue;
      if (this.log.ballotAt(entry.slot) !== entry.ballot) this.#put(entry);
    }
    const last = prevSlot + entries.length;
    this.#decided = Math.max(this.#decided, Math.min(commit, last));
    this.#sayAppended(from, round, true, last);
  }

  /** The slot before the run of entries that has the ballot of this one, but decided ones stay. */
  #before(slot: number): number {
    const ballot = this.log.ballotAt(slot);
    let at = slot;
    while (at > this.#decided && this.log.ballotAt(at) === ballot) at--;
    return at;
  }

  #takeState(from: number, message: InstallMessage, nowNs: number): void {
    const { ballot, round, slot, slotBallot, state } = message;
    if (ballot < this.#ballot) return this.#sayAppended(from, round, false, 0);
    this.#hearLeader(from, nowNs);
    if (slot > this.#decided) {
      this.#installed = { slot, state };
      this.#decided = slot;
      if (this.log.ballotAt(slot) === slotBallot) this.log.forget(slot);
      else this.log.restart(slot, slotBallot);
      this.#promiseChanged = true;
    }
    this.#sayAppended(from, round, true, slot);
  }

  #hearLeader(from: number, nowNs: number): void {
    invariant(this.#role !== 'leader', 'a ballot has one leader');
    this.#follow(from, nowNs);
    this.#leaderHeardNs = nowNs;
  }

  #sayAppended(to: number, round: number, taken: boolean, slot: number): void {
    this.#say(to, { kind: 'appended', ballot: this.#ballot, round, taken, slot });
  }

  #hearFollower(from: number, message: AppendedMessage, nowNs: number): void {
    const follower = this.#followers[from];
    if (this.#role !== 'leader' || message.ballot !== this.#ballot || follower === undefined)
      return;
    follower.heardNs = nowNs;
    follower.round = Math.max(follower.round, message.round);
    if (message.taken) {
      follower.matched = Math.max(follower.matched, message.slot);
      follower.next = Math.max(follower.next, follower.matched + 1);
      this.#decide();
    } else {
      follower.next = Math.max(follower.matched + 1, Math.min(follower.next, message.slot + 1));
    }
    if (follower.next <= this.log.lastSlot) follower.due = true;
  }

  #decide(): void {
    const { self, majority } = this.#options;
    const slots = this.#followers.map(({ matched }) => matched);
    const decided = this.#sharedBy(majority, slots, this.#followers[self]?.matched ?? 0);
    // Of an older ballot's entries a majority says nothing: a slot of its own must be among them.
    if (decided <= this.#decided || this.log.ballotAt(decided) !== this.#ballot) return;
    this.#decided = decided;
    this.#sendToAll();
  }

  /** The highest value that so many voters have; `own` stands for this one's. */
  #sharedBy(count: number, values: readonly number[], own: number): number {
    const all = values.map((value, voter) => (voter === this.#options.self ? own : value));
    all.sort((one, other) => other - one);
    return all[count - 1] ?? 0;
  }

  #sendToAll(): void {
    for (const follower of this.#followers) follower.due = true;
  }

  #send(to: number, follower: Follower, nowNs: number): void {
    const ballot = this.#ballot;
    const round = this.#round;
    follower.due = false;
    const prevSlot = follower.next - 1;
    if (prevSlot < this.log.baseSlot) {
      // Large: once a while, until it is answered.
      if (nowNs - follower.installedNs < 2 * this.#options.timing.heartbeatNs) return;
      follower.installedNs = nowNs;
      const { slot, state } = this.#options.stateCopy();
      const slotBallot = this.log.ballotAt(slot);
      return this.#say(to, { kind: 'install', ballot, round, slot, slotBallot, state });
    }
    const entries = this.log.from(follower.next, ENTRIES_MAX, ENTRY_BYTES_MAX);
    const prevBallot = this.log.ballotAt(prevSlot);
    const commit = this.#decided;
    this.#say(to, { kind: 'append', ballot, round, commit, prevSlot, prevBallot, entries });
    follower.next += entries.length;
    if (follower.next <= this.log.lastSlot) follower.due = true;
  }

  #say(to: number, message: PeerMessage): void {
    this.#outgoing.push({ to, message });
  }
}
