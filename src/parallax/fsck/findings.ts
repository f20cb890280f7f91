/**
 * What a check of a store can find: a closed list of codes, each with how bad it is and what can be
 * done about it.
 *
 * An *error* is something that no crash of a driver VM or a host leaves behind: data or its place
 * is lost, or the program has a bug. A *warning* is what a crash may leave and somebody should look
 * at. An *info* is normal and worth knowing. Only errors make a store unclean.
 */
export type Severity = 'error' | 'warning' | 'info';

export type FindingCode =
  | 'directory'
  | 'superblock'
  | 'store-unfinished'
  | 'store-newer'
  | 'pool-file'
  | 'pool-label'
  | 'image-counter'
  | 'image-entry'
  | 'name-entry'
  | 'name-without-root'
  | 'root-without-name'
  | 'root-block'
  | 'root-fields'
  | 'root-version'
  | 'unordered'
  | 'session'
  | 'node-damaged'
  | 'node-unreadable'
  | 'data-damaged'
  | 'data-unreadable'
  | 'entry-place'
  | 'entry-birth'
  | 'entry-stray'
  | 'two-crcs'
  | 'two-places'
  | 'beyond-size'
  | 'mapped-count'
  | 'snapshot-record'
  | 'snapshot-order'
  | 'extent-record'
  | 'extent-unclaimed'
  | 'extent-map'
  | 'free-in-use'
  | 'extent-left-open'
  | 'log-damaged'
  | 'log-newer'
  | 'log-remark'
  | 'slab-damaged'
  | 'slab-foreign';

interface Kind {
  readonly severity: Severity;
  readonly remedy: string;
}

const RESTORE_DIRECTORY = 'restore the directory from a copy';
const RESTORE_RANGE =
  'restore these blocks from a copy: reads of them fail, the rest of the image is served';
const REPORT = 'keep the store as it is and report this: the program that wrote it has a bug';

const FINDINGS: Readonly<Record<FindingCode, Kind>> = {
  directory: { severity: 'error', remedy: RESTORE_DIRECTORY },
  superblock: { severity: 'error', remedy: RESTORE_DIRECTORY },
  'store-unfinished': {
    severity: 'error',
    remedy: 'create the store again: it goes on from there',
  },
  'store-newer': { severity: 'error', remedy: 'check it with the release that wrote it' },
  'pool-file': { severity: 'error', remedy: 'bring the pool file back, or restore it from a copy' },
  'pool-label': {
    severity: 'error',
    remedy: 'name the right pool file; if it is the right one, restore its first block from a copy',
  },
  'image-counter': { severity: 'error', remedy: RESTORE_DIRECTORY },
  'image-entry': { severity: 'error', remedy: RESTORE_DIRECTORY },
  'name-entry': { severity: 'error', remedy: RESTORE_DIRECTORY },
  'name-without-root': { severity: 'error', remedy: `${RESTORE_DIRECTORY}, or delete the image` },
  'root-without-name': {
    severity: 'warning',
    remedy: 'its creation or removal was cut short; its blocks stay in use until a sweep finds out',
  },
  'root-block': { severity: 'error', remedy: RESTORE_DIRECTORY },
  'root-fields': { severity: 'error', remedy: REPORT },
  'root-version': { severity: 'error', remedy: REPORT },
  unordered: {
    severity: 'info',
    remedy: 'after a lost host such an image may hold newer blocks without older ones',
  },
  session: { severity: 'error', remedy: RESTORE_DIRECTORY },
  'node-damaged': { severity: 'error', remedy: RESTORE_RANGE },
  'node-unreadable': { severity: 'error', remedy: RESTORE_RANGE },
  'data-damaged': { severity: 'error', remedy: RESTORE_RANGE },
  'data-unreadable': { severity: 'error', remedy: RESTORE_RANGE },
  'entry-place': { severity: 'error', remedy: REPORT },
  'entry-birth': { severity: 'error', remedy: REPORT },
  'entry-stray': { severity: 'error', remedy: REPORT },
  'two-crcs': { severity: 'error', remedy: REPORT },
  'two-places': { severity: 'error', remedy: REPORT },
  'beyond-size': { severity: 'error', remedy: REPORT },
  'mapped-count': { severity: 'error', remedy: REPORT },
  'snapshot-record': {
    severity: 'error',
    remedy: 'restore the block from a copy; until then this snapshot cannot be read',
  },
  'snapshot-order': { severity: 'error', remedy: REPORT },
  'extent-record': { severity: 'error', remedy: RESTORE_DIRECTORY },
  'extent-unclaimed': { severity: 'error', remedy: REPORT },
  'extent-map': {
    severity: 'error',
    remedy: 'nothing now: who claims the extent finds the same and closes it',
  },
  'free-in-use': {
    severity: 'error',
    remedy: 'attach no host: the next one may write over these blocks; report this',
  },
  'extent-left-open': {
    severity: 'info',
    remedy: 'nothing: the next attachment of its host closes it, and a sweep reopens it',
  },
  'log-damaged': {
    severity: 'error',
    remedy: 'start the host to see what is lost, then accept the loss or restore its disk',
  },
  'log-newer': { severity: 'error', remedy: 'check it with the release that wrote it' },
  'log-remark': { severity: 'warning', remedy: 'nothing: it made no difference' },
  'slab-damaged': {
    severity: 'warning',
    remedy: 'nothing: what cannot be used of a cache is filled again from the pool',
  },
  'slab-foreign': {
    severity: 'warning',
    remedy: 'nothing: the next start lays the cache out anew',
  },
};

export interface Finding {
  readonly severity: Severity;
  readonly code: FindingCode;
  /** Image, snapshot and blocks, or key of the directory, or file and byte. */
  readonly where: string;
  readonly what: string;
  readonly remedy: string;
}

/** Findings that are kept word for word; the others are counted. */
export const FINDINGS_MAX = 1000;

/** Gathers findings; a store that is all damage does not fill the memory. */
export class Findings {
  readonly kept: Finding[] = [];
  readonly #counts = { error: 0, warning: 0, info: 0 };

  add(code: FindingCode, where: string, what: string): void {
    const { severity, remedy } = FINDINGS[code];
    this.#counts[severity]++;
    if (this.kept.length < FINDINGS_MAX) this.kept.push({ severity, code, where, what, remedy });
  }

  count(severity: Severity): number {
    return this.#counts[severity];
  }

  get omitted(): number {
    const { error, warning, info } = this.#counts;
    return error + warning + info - this.kept.length;
  }
}
