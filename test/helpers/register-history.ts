/**
 * Linearizability of a directory's keys, each a register: every write has a value of its own, so a
 * read tells which write it saw, and a register is linearizable if and only if the zones of its
 * values fit (Gibbons and Korach 1997). A zone spans from the first acknowledgement to the last
 * invocation of what touched a value: two that lie forwards may not overlap, and one that lies
 * backwards may not be inside one that lies forwards.
 *
 * Directories say more than registers do, and that is checked as well: a value has one version for
 * ever, versions never go back in time, and of the txns that compared one version one was made.
 */
export interface RegisterOperation {
  readonly key: string;
  readonly kind: 'read' | 'write';
  /** 0: the key was not there. */
  readonly value: number;
  readonly invokeNs: number;
  /** Infinity: nobody knows whether it was made. */
  readonly ackNs: number;
  /** Of what a read saw; of a write the version that it compared, -1: none. */
  readonly version: number;
}

interface Zone {
  readonly value: number;
  readonly fromNs: number;
  readonly toNs: number;
}

/** What is wrong with a history; null if nothing is. */
export function registerProblem(history: readonly RegisterOperation[]): string | null {
  for (const key of new Set(history.map((operation) => operation.key))) {
    const ofKey = history.filter((operation) => operation.key === key);
    const problem = zoneProblem(ofKey) ?? versionProblem(ofKey) ?? swapProblem(ofKey);
    if (problem !== null) return `${key}: ${problem}`;
  }
  return null;
}

function zoneProblem(history: readonly RegisterOperation[]): string | null {
  const forwards: Zone[] = [];
  const backwards: Zone[] = [];
  for (const value of new Set(history.map((operation) => operation.value))) {
    const touching = history.filter((operation) => operation.value === value);
    const reads = touching.filter(({ kind }) => kind === 'read');
    const write = touching.find(({ kind }) => kind === 'write');
    if (write === undefined && value !== 0) return `value ${value} was read, nobody wrote it`;
    // What may not have been made and was never seen was not made.
    if (write?.ackNs === Number.POSITIVE_INFINITY && reads.length === 0) continue;
    const writtenNs = write?.invokeNs ?? -1;
    const early = reads.find(({ ackNs }) => ackNs < writtenNs);
    if (early !== undefined) return `value ${value} was read before it was written`;
    // That there is nothing was so before everything.
    const firstAckNs = Math.min(write?.ackNs ?? -1, ...reads.map(({ ackNs }) => ackNs));
    const lastInvokeNs = Math.max(writtenNs, ...reads.map(({ invokeNs }) => invokeNs));
    if (firstAckNs < lastInvokeNs) {
      forwards.push({ value, fromNs: firstAckNs, toNs: lastInvokeNs });
    } else {
      backwards.push({ value, fromNs: lastInvokeNs, toNs: firstAckNs });
    }
  }
  forwards.sort((one, other) => one.fromNs - other.fromNs);
  for (let i = 1; i < forwards.length; i++) {
    const [one, other] = [forwards[i - 1] as Zone, forwards[i] as Zone];
    if (other.fromNs < one.toNs) return `values ${one.value} and ${other.value} cross in time`;
  }
  for (const inner of backwards) {
    const outer = forwards.find(({ fromNs, toNs }) => fromNs < inner.fromNs && inner.toNs < toNs);
    if (outer !== undefined) return `value ${inner.value} lies inside value ${outer.value}`;
  }
  return null;
}

function versionProblem(history: readonly RegisterOperation[]): string | null {
  const versions = new Map<number, number>();
  const reads = history.filter(({ kind }) => kind === 'read');
  for (const { value, version } of reads) {
    if (value === 0) continue;
    const known = versions.get(value) ?? version;
    if (known !== version) return `value ${value} has versions ${known} and ${version}`;
    versions.set(value, version);
  }
  const byAck = reads.toSorted((one, other) => one.ackNs - other.ackNs);
  const byInvoke = reads.toSorted((one, other) => one.invokeNs - other.invokeNs);
  let newest = 0;
  let next = 0;
  for (const read of byInvoke) {
    for (; (byAck[next] as RegisterOperation).ackNs < read.invokeNs; next++) {
      newest = Math.max(newest, (byAck[next] as RegisterOperation).version);
    }
    if (read.version < newest) return `version ${read.version} was read after ${newest}`;
  }
  return null;
}

function swapProblem(history: readonly RegisterOperation[]): string | null {
  const compared = new Set<number>();
  const seen = new Set(history.filter(({ kind }) => kind === 'read').map(({ value }) => value));
  for (const { kind, version, ackNs, value } of history) {
    if (kind !== 'write' || version < 0) continue;
    if (ackNs === Number.POSITIVE_INFINITY && !seen.has(value)) continue;
    if (compared.has(version)) return `two txns that compared version ${version} were made`;
    compared.add(version);
  }
  return null;
}
