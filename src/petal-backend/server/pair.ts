/**
 * What a server knows of one pair, and what it may do there.
 *
 * The directory decides; a server goes by the newest record that it has read. How old that may be
 * is bounded by the *observation lease*: the time of the server's own clock just before it asked,
 * and `leaseNs` from then on. A record that names a dropped member is so forgotten by that member
 * before anybody acknowledges what the member does not know.
 *
 * ```
 * outside    this life is not in sync: it serves nothing, and asks to rejoin
 * secondary  in sync: takes replicated writes, reads what is clean
 * primary    in sync, and the record names it: orders the writes, reads everything
 * ```
 * A primary that has begun its term without a member that was in sync before *holds back*: it
 * acknowledges no write and reads nothing dirty until the member's lease is surely over, or the
 * member itself has told that it knows of the term.
 */
import { invariant } from '../../base/invariant.ts';
import { type Incarnation, type Term, u32 } from '../../base/units.ts';
import type { PairView } from '../directory/pair-directory.ts';
import type { Member, PairRecord } from '../directory/records.ts';

export type PairRole = 'outside' | 'secondary' | 'primary';

export class Pair {
  readonly gmap: number;
  readonly group: number;
  readonly self: number;
  readonly incarnation: Incarnation;
  #view: PairView;
  #leaseUntilNs = 0;
  /** Acknowledgements are held back up to then. */
  #holdUntilNs = 0;
  /** Who may still go by an older record. */
  readonly #mayNotKnow = new Set<number>();

  constructor(view: PairView, self: number, incarnation: number) {
    this.gmap = view.record.gmap;
    this.group = view.record.group;
    this.self = self;
    this.incarnation = u32<Incarnation>(incarnation);
    this.#view = view;
  }

  /** As the directory last showed it. */
  get view(): PairView {
    return this.#view;
  }

  get record(): PairRecord {
    return this.#view.record;
  }

  /** This life of this server. */
  get me(): Member {
    return { server: this.self, incarnation: this.incarnation };
  }

  get term(): Term {
    return this.record.term;
  }

  get role(): PairRole {
    if (!this.isInSync(this.self, this.incarnation)) return 'outside';
    return this.record.primary === this.self ? 'primary' : 'secondary';
  }

  /** Whether this life of a server is in sync. */
  isInSync(server: number, incarnation: number): boolean {
    return this.record.inSync.some(
      (one) => one.server === server && one.incarnation === incarnation,
    );
  }

  /**
   * An operator has decided about the pair since the last term in which this server had everything:
   * what it has may be of a history that was given up, in any version.
   */
  isGivenUp(lastTerm: number): boolean {
    const { inSync, forced } = this.record;
    const isIn = inSync.some(({ server }) => server === this.self);
    return !isIn && forced.some(({ term }) => term > lastTerm);
  }

  /** Place of a server among the members; -1: it is none. */
  memberOf(server: number): number {
    return this.record.members.indexOf(server);
  }

  /** Servers in sync but this one. */
  get others(): readonly number[] {
    return this.record.inSync.map(({ server }) => server).filter((one) => one !== this.self);
  }

  /** Members that are not in sync, as the mask in which a store remembers what they lack. */
  get missingMask(): number {
    const { members, inSync } = this.record;
    let mask = 0;
    members.forEach((server, at) => {
      if (!inSync.some((one) => one.server === server)) mask |= 1 << at;
    });
    return mask;
  }

  hasLease(nowNs: number): boolean {
    return nowNs < this.#leaseUntilNs;
  }

  /** What the directory has shown. An older record changes nothing. */
  observe(view: PairView, leaseNs: number): void {
    const { record, askedNs } = view;
    if (record.term < this.term) return;
    invariant(
      record.term > this.term || view.version === this.#view.version,
      'a pair has one record a term',
    );
    const isNew = record.term > this.term;
    this.#view = view;
    if (isNew) this.#forgetReturned();
    this.#leaseUntilNs = Math.max(this.#leaseUntilNs, askedNs + leaseNs);
  }

  /** The pool is not to be served any more, whoever is in sync. */
  endLease(): void {
    this.#leaseUntilNs = 0;
  }

  /** This server has begun a term without these, whose lease ends by `untilNs`. */
  holdBack(without: readonly number[], untilNs: number): void {
    if (without.length === 0) return;
    this.#holdUntilNs = untilNs;
    for (const server of without) this.#mayNotKnow.add(server);
  }

  /**
   * Who is in sync knows of its term. Who was dropped in an earlier one may go by its lease still,
   * whatever terms have begun since.
   */
  #forgetReturned(): void {
    for (const { server } of this.record.inSync) this.#mayNotKnow.delete(server);
    if (this.#mayNotKnow.size === 0) this.#holdUntilNs = 0;
  }

  /** A server goes by this term. */
  confirmed(server: number, term: Term): void {
    if (term < this.term || !this.#mayNotKnow.delete(server)) return;
    if (this.#mayNotKnow.size === 0) this.#holdUntilNs = 0;
  }

  /** Until when acknowledgements are held back; 0: they are not. */
  get holdUntilNs(): number {
    return this.#holdUntilNs;
  }

  holdsBack(nowNs: number): boolean {
    return nowNs < this.#holdUntilNs;
  }
}
