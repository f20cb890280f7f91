/**
 * How much all connections of a server may owe their clients: data of reads that are on their way,
 * and replies that have not left.
 *
 * What one connection may owe is a share of what is left, so that it shrinks as others owe more:
 * clients that ask and never read cannot take all of it, however many they are (the dynamic
 * threshold of shared-memory switches). Each may always owe one answer.
 */
const BUDGET_BYTES = 268_435_456;
const SHARE = 4;

export class OutBudget {
  #owedBytes = 0;

  /** Of all connections. */
  get owedBytes(): number {
    return this.#owedBytes;
  }

  /** Whether a connection that owes `owedBytes` may owe `moreBytes` on top. */
  allows(owedBytes: number, moreBytes: number): boolean {
    return owedBytes === 0 || owedBytes + moreBytes <= (BUDGET_BYTES - this.#owedBytes) / SHARE;
  }

  /** What a connection owes has changed. */
  change(byBytes: number): void {
    this.#owedBytes += byBytes;
  }
}
