/**
 * Keys of the store that are stordom's own, beside those of xenbus. A peer that does not know them
 * works without: it then has no exactly-once replay, no FUA and no policy but stalling.
 */

/** In the front end's directory. */
export const FrontendExtra = {
  /** By the toolstack: raised at each (re)connection; the front end starts over when it changes. */
  ringEpoch: 'ring-epoch',
  /** By the toolstack: 0 from the observed exit of a driver VM until its successor is there. */
  backendAlive: 'backend-alive',
  /** By the toolstack: number of this connection lifetime, kept over restarts of the driver VM. */
  frontId: 'front-id',
  /**
   * By the front end, with its ring keys: the ring epoch they are for. A back end ignores keys of
   * another epoch: they were on their way when its predecessor died.
   */
  frontEpoch: 'front-epoch',
  /** By the front end: grants of a queue's side pages, `side-ref0` and on. */
  sideRef: 'side-ref',
} as const;

/** In the back end's directory. */
export const BackendExtra = {
  frontId: 'front-id',
  /** Number of the disk, kept when another guest takes it over: whose order the mutations get. */
  disk: 'disk-id',
  ringEpoch: 'ring-epoch',
  /** Size of the disk, in 512-byte sectors, as the toolstack wants it. */
  size: 'size-sectors',
  /** Share of a round, at least 1. */
  weight: 'weight',
  /** Limits; 0 is none. */
  requestsPerSecond: 'requests-per-second',
  bytesPerSecond: 'bytes-per-second',
  /** 1: no filters in the path, for benchmarks. */
  bare: 'bare',
  /** 1: the back end takes `fua` in the side page. */
  featureFua: 'feature-fua',
  /** By the back end: why it gave the device up. */
  error: 'error',
} as const;
