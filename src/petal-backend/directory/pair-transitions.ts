/**
 * Every lawful change of a pair's record, as pure functions: a record in, the next record or the
 * reason of a refusal out.
 *
 * States: who is in sync. Each change makes a new term, because a term has one primary and one set
 * in sync for ever.
 *
 * ```
 *   all in sync --takeOver, dropMembers--> some in sync --rejoin--> all in sync
 *   any --resume--> the same servers, one of them in its next incarnation
 *   any --handBack--> the same set, another primary of it
 *   any --stepDown--> without its primary; if that is alone in sync: the same, a new term
 *   any --forceIsr(lossy)--> one member alone: an operator says that the others' data is lost
 * ```
 * What the caller vouches for, and nobody can see here: `takeOver` and `dropMembers`, that it waits
 * as the protocol says before it acknowledges by the new term; `rejoin`, that the server has all
 * that the primary has; `resume`, that the server's disks are whole and are those with which it was
 * in sync. An older picture of a disk that was taken within one incarnation cannot be told from it.
 *
 * The set in sync is never empty and the primary is in it: if nobody in sync is left, the record
 * stays as it is and the pair stops, until one of them resumes or an operator decides.
 */
import { invariant } from '../../base/invariant.ts';
import { type Incarnation, type Term, u32 } from '../../base/units.ts';
import { type Member, type PairRecord, pairProblem } from './records.ts';

/** Not done, for the reason that ends the sentence "the pair was not changed: ". */
export interface Refusal {
  readonly refused: string;
}

export type PairStep = PairRecord | Refusal;
/** Looks at the newest record and gives the next one. */
export type PairTransition = (pair: PairRecord) => PairStep;

const TERM_MAX = 2 ** 32 - 1;
/** Acts of operators that fit the record of one pair. */
const FORCED_MAX = 500;

export function isRefusal<T extends object>(step: T | Refusal): step is Refusal {
  return 'refused' in step;
}

export function isInSync(pair: PairRecord, { server, incarnation }: Member): boolean {
  return pair.inSync.some((one) => one.server === server && one.incarnation === incarnation);
}

/** `self` becomes primary, without those that are `gone`: its old primary among them. */
export function takeOver(self: Member, gone: readonly number[]): PairTransition {
  return (pair) => {
    if (!isInSync(pair, self)) return refusal(`server ${self.server} is not in sync`);
    if (pair.primary === self.server) return refusal(`server ${self.server} is its primary`);
    if (!gone.includes(pair.primary)) return refusal(`server ${pair.primary} is its primary`);
    return without(pair, self.server, gone);
  };
}

/** The primary `self` goes on without those that are `gone`. */
export function dropMembers(self: Member, gone: readonly number[]): PairTransition {
  return (pair) => {
    const notPrimary = primaryProblem(pair, self);
    if (notPrimary !== null) return notPrimary;
    if (!pair.inSync.some(({ server }) => gone.includes(server))) {
      return refusal('who is to be dropped is not in sync');
    }
    return without(pair, self.server, gone);
  };
}

/** The primary `self` has brought a member up to date. An older incarnation of it gives way. */
export function rejoin(self: Member, returning: Member): PairTransition {
  return (pair) => {
    const notPrimary = primaryProblem(pair, self);
    if (notPrimary !== null) return notPrimary;
    const { server, incarnation } = returning;
    if (!pair.members.includes(server)) return refusal(`server ${server} is no member`);
    if (server === self.server) return refusal(`server ${server} is its primary`);
    const older = pair.inSync.find((one) => one.server === server);
    if (older !== undefined && older.incarnation >= incarnation) {
      return refusal(`server ${server} is in sync as incarnation ${older.incarnation}`);
    }
    const others = pair.inSync.filter((one) => one.server !== server);
    return next(pair, pair.primary, [...others, returning]);
  };
}

/** A server that was in sync when it stopped goes on as a later incarnation, disks as they were. */
export function resume(server: number, was: Incarnation, now: Incarnation): PairTransition {
  return (pair) => {
    if (now <= was) return refusal(`incarnation ${now} does not follow ${was}`);
    if (!isInSync(pair, { server, incarnation: was })) {
      return refusal(`server ${server} is not in sync as incarnation ${was}`);
    }
    const inSync = pair.inSync.map((one) =>
      one.server === server ? { server, incarnation: now } : one,
    );
    return next(pair, pair.primary, inSync);
  };
}

/** The primary `self` makes another one in sync the primary. */
export function handBack(self: Member, to: number): PairTransition {
  return (pair) => {
    const notPrimary = primaryProblem(pair, self);
    if (notPrimary !== null) return notPrimary;
    if (to === self.server) return refusal(`server ${to} is its primary`);
    if (!pair.inSync.some(({ server }) => server === to)) {
      return refusal(`server ${to} is not in sync`);
    }
    return next(pair, to, pair.inSync);
  };
}

/**
 * The primary `self` could not keep what it was told: another one in sync goes on without it. If
 * there is none, what it has is all there is, and a new term begins with that.
 */
export function stepDown(self: Member): PairTransition {
  return (pair) => {
    const notPrimary = primaryProblem(pair, self);
    if (notPrimary !== null) return notPrimary;
    const left = pair.inSync.filter(({ server }) => server !== self.server);
    const [to] = left;
    return to === undefined ? next(pair, self.server, pair.inSync) : next(pair, to.server, left);
  };
}

/**
 * An operator makes a member the only one in sync, whatever it has: what only others had is lost.
 * `forced` is the number of the act's own record.
 */
export function forceIsr(kept: Member, forced: number, lossy: boolean): PairTransition {
  return (pair) => {
    if (!lossy) return refusal('data that only other copies have would be lost: say lossy');
    if (!pair.members.includes(kept.server)) return refusal(`server ${kept.server} is no member`);
    return marked(next(pair, kept.server, [kept]), forced);
  };
}

/**
 * The pair as the reports of its members show it, for a directory that came from a copy: a term
 * above all that were seen, and in sync whom the newest term had.
 */
export function restorePair(
  inSync: readonly Member[],
  termSeen: Term,
  forced: number,
): PairTransition {
  return (pair) => {
    const [first] = inSync;
    if (first === undefined) return refusal('no member has all data of any term');
    if (!inSync.every(({ server }) => pair.members.includes(server))) {
      return refusal('who is in sync is a member');
    }
    const kept = inSync.find(({ server }) => server === pair.primary) ?? first;
    const term = u32<Term>(Math.max(pair.term, termSeen));
    return marked(next({ ...pair, term }, kept.server, inSync), forced);
  };
}

/** The first record of a pair whose members have nothing yet. */
export function newPair(gmap: number, group: number, members: readonly Member[]): PairRecord {
  const [first] = members;
  invariant(first !== undefined, 'a pair has members');
  const pair: PairRecord = {
    gmap,
    group,
    term: u32<Term>(1),
    primary: first.server,
    inSync: [...members],
    members: members.map(({ server }) => server),
    forced: [],
  };
  checkPair(pair);
  return pair;
}

export function checkPair(pair: PairRecord): void {
  const problem = pairProblem(pair);
  invariant(problem === null, 'a pair has a primary and a set in sync that are lawful');
}

/** The laws between a record and any later one. */
export function checkPairOrder(before: PairRecord, after: PairRecord): void {
  checkPair(after);
  invariant(after.term > before.term, 'each change of a pair makes a new term');
  invariant(
    before.members.join() === after.members.join() &&
      before.gmap === after.gmap &&
      before.group === after.group,
    'members of a pair never change',
  );
  invariant(
    before.forced.every(({ forced }, at) => after.forced[at]?.forced === forced),
    'acts of operators are never forgotten',
  );
}

function primaryProblem(pair: PairRecord, self: Member): Refusal | null {
  if (pair.primary !== self.server) return refusal(`server ${pair.primary} is its primary`);
  return isInSync(pair, self) ? null : refusal(`server ${self.server} has started since`);
}

function without(pair: PairRecord, primary: number, gone: readonly number[]): PairStep {
  if (gone.includes(primary)) return refusal(`server ${primary} cannot drop itself`);
  const inSync = pair.inSync.filter(({ server }) => !gone.includes(server));
  return next(pair, primary, inSync);
}

function next(pair: PairRecord, primary: number, inSync: readonly Member[]): PairStep {
  if (pair.term >= TERM_MAX) return refusal('all of its 2^32 terms are used up');
  const after: PairRecord = { ...pair, term: u32<Term>(pair.term + 1), primary, inSync };
  checkPairOrder(pair, after);
  return after;
}

function marked(step: PairStep, forced: number): PairStep {
  if (isRefusal(step)) return step;
  if (step.forced.length >= FORCED_MAX) return refusal(`it was forced ${FORCED_MAX} times`);
  return { ...step, forced: [...step.forced, { forced, term: step.term }] };
}

function refusal(refused: string): Refusal {
  return { refused };
}
