/**
 * The laws of a Petal pool (`petal.md` 6), which hold at every moment of a run, and what is thrown
 * where one does not.
 *
 * I8, about reconfiguration, is not here: there is none yet. I11, about the shares of reads after a
 * failure, is no law of a moment: it is measured (`bench/petal-failed-reads.ts`). `once` and
 * `written` are what the contract of the pool says of a write that was sent twice, and of damage.
 */
export const PETAL_LAWS = {
  I1: 'what was acknowledged, or shown, is on every server in sync',
  I2: 'a term has one primary, which alone acknowledges and has copies made, and terms only grow',
  I3: 'those in sync are some of the members, and never nobody',
  I4: 'where nothing is dirty, copies in sync are the same',
  I5: 'what a member lacks is marked at the primary, or dirty',
  I6: 'a global map never changes',
  I7: 'a slot of a disk is that of one chunk, or free',
  I9: 'nobody is shown, or may be shown, what is older than what was shown or acknowledged before',
  I10: 'when all is well again, nothing is dirty or missing, and all copies are the same',
  I12: 'what a client was asked is answered, under way or waiting',
  once: 'a mutation that was acknowledged is not done again',
  written: 'what is shown of a block was written there',
  I13: 'nobody answers by a term that is over for longer than a lease',
} as const;
export type PetalLaw = keyof typeof PETAL_LAWS;

export class BrokenLaw extends Error {
  override readonly name = 'BrokenLaw';
  readonly law: PetalLaw;

  constructor(law: PetalLaw, witness: string) {
    super(`${law}, ${PETAL_LAWS[law]}: ${witness}`);
    this.law = law;
  }
}
