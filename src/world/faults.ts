/** Names of faults and of the places they strike: one vocabulary for both worlds. */

/**
 * Where an actor may be ended inside a step: in the order a request passes them, then those of
 * stories that run beside requests, then those of Petal servers and their stores.
 */
export const CRASH_POINTS = [
  'front.after-slot-copy',
  'front.before-index-publish',
  'front.after-index-publish',
  'back.after-request-copy',
  'back.after-order-given',
  'back.before-device-submit',
  'back.before-response-publish',
  'back.after-response-publish',
  'extent.before-claim',
  'extent.after-claim',
  'extent.before-map-write',
  'extent.after-map-write',
  'extent.before-give-back',
  'log.after-append',
  'log.before-write',
  'log.after-write',
  'log.before-sync',
  'log.after-sync',
  'log.before-relocate',
  'log.after-create',
  'log.before-header',
  'log.after-header',
  'log.before-checkpoint',
  'log.after-checkpoint',
  'log.before-remove',
  'log.after-incarnation',
  'log.after-scan',
  'log.after-cut',
  'destage.before-data-write',
  'destage.after-data-write',
  'tree.before-node-write',
  'tree.after-node-write',
  'publish.before-root',
  'publish.after-root',
  'move.before-close',
  'move.after-close',
  'move.after-home',
  'slab.before-table',
  'slab.before-superblock',
  'petal.before-store',
  'petal.after-store',
  'petal.before-answer',
  'petal.after-change',
  'store.before-write',
  'store.after-write',
  'store.before-flush',
  'store.after-flush',
  'store.before-relocate',
  'store.before-data',
  'store.before-data-flush',
  'store.after-data',
  'store.before-pages',
  'store.between-copies',
  'store.after-pages',
  'store.after-replay',
  'store.after-broken',
  'store.after-data-superblocks',
  'store.after-incarnation',
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

/** Bugs that can be switched on to see the checks bite. */
export const PLANTED_BUGS = [
  /** Restart: a successor is given the old rings as they are. */
  'naive-reattach',
  /** Restart: what is unanswered is replayed by slot, not in `frontSeq` order. */
  'unordered-replay',
  /** Restart: the newest unanswered request is not replayed. */
  'forgotten-replay',
  /** Order: numbers are given after the acknowledgement. */
  'late-sequence',
  /** Ring: overlapping requests run beside each other. */
  'ignored-overlap',
  /** Ring: the last page of a write of several pages is not copied. */
  'short-copy',
  /** Grants: now and then a mapping is not given back. */
  'leaked-mapping',
  /** File device: a write is acknowledged before the disk has it. */
  'early-write',
  /** File device: a flush is acknowledged and not done. */
  'skipped-flush',
] as const;

/** Those of Parallax: they show where disks are images of a store. */
export const IMAGE_BUGS = [
  /** A write is acknowledged before the log has synced it. */
  'ack-before-sync',
  /** Images: the log says that it has synced a group, and has not. */
  'unsynced-log',
  /** Images: a publish takes what later batches have of its blocks too. */
  'merged-batches',
  /** Images: the watermark of a publish is of what was acknowledged, not of what is in it. */
  'early-watermark',
  /** Images: of several mutations of a block in the log, a recovery keeps the first. */
  'unordered-log',
  /** Images: the mark of a snapshot enters its batch behind the next write. */
  'late-snapshot',
  /** Images: a start trusts the slab, whatever root its places of blocks are of. */
  'stale-slab',
  /** Images: groups of an older life of a segment are taken for new ones. */
  'old-log-tail',
  /** Images: a start does not raise the generation. */
  'same-generation',
  /** Images: a host that takes an image over goes on in the generation of the one before. */
  'quiet-take-over',
  /** Images: a host that comes back makes no image of what it had beyond a take-over. */
  'forgotten-suffix',
  /** Images: a planned move changes the image's home before all of it is published. */
  'early-hand-over',
] as const;

export type PlantedBug = (typeof PLANTED_BUGS)[number] | (typeof IMAGE_BUGS)[number] | 'none';

/**
 * What happens at the front ends, as a script may name it: `blkfront.ts` says each where it
 * happens, whatever the workload. A request that was sent again because a driver VM died was
 * submitted once. A write of zeros is a write; a barrier or FUA write too.
 */
export const PROTOCOL_EVENTS = [
  /** The guest handed the request over; its disk sends it now, or keeps it until it can. */
  'read-submitted',
  'write-submitted',
  'flush-submitted',
  'discard-submitted',
  /** The guest was told that the request is done, without an error. */
  'read-acknowledged',
  'write-acknowledged',
  'flush-acknowledged',
  'discard-acknowledged',
  /** The guest was told that the request has failed. */
  'request-failed',
  /** A handshake is over: rings are connected, the first time or to a successor. */
  'ring-connected',
  /** What a dead driver VM left unanswered is about to be sent to its successor. */
  'replay-begun',
  /** The last of it was answered. */
  'replay-done',
  /** The front end has learned that its driver VM is gone, and has given up its rings. */
  'driver-lost',
] as const;
export type ProtocolEvent = (typeof PROTOCOL_EVENTS)[number];

/**
 * When a fault strikes. Time, progress and protocol events work in both worlds, events and
 * recoveries only in the simulator; at a crash point threads can only kill.
 */
export type Trigger =
  | { readonly kind: 'time'; readonly atNs: number }
  /** Share of the requests of the host's guests (or of the guest) that were issued, in [0, 1]. */
  | { readonly kind: 'progress'; readonly share: number }
  /**
   * At the n-th such event from the start of the run, of all guests of the host (or of the guest),
   * over all their lives. The simulator strikes there, before anything else happens; threads are
   * looked at every millisecond.
   */
  | { readonly kind: 'protocol'; readonly event: ProtocolEvent; readonly nth: number }
  /** Instead of the actor's n-th event from the start of the run. */
  | { readonly kind: 'event'; readonly nth: number }
  /**
   * Instead of the n-th event of a driver VM, counted from the start of a successor: in recovery.
   */
  | { readonly kind: 'recovery'; readonly nth: number }
  /** Where the actor passes a crash point for the n-th time. */
  | { readonly kind: 'crash-point'; readonly point: CrashPoint; readonly nth: number };

export type ProtocolTrigger = Trigger & { readonly kind: 'protocol' };

/**
 * What goes wrong with a disk. Those of `BEYOND_CONTRACT` are outside of what a file device
 * promises for.
 */
export const DISK_TROUBLES = [
  /** Every operation takes 20 times as long. */
  'slow',
  /** Nothing completes for a while. */
  'stall',
  'read-error',
  'write-error',
  'no-space',
  /** One flush fails; what was written before it may be lost. */
  'flush-fails',
  /** A write fails, and some of its sectors are stored all the same. */
  'torn-write',
  /** Some sectors cannot be read until they are written again. */
  'latent-sectors',
  /** Acknowledged, never stored. */
  'lost-write',
  /** Acknowledged and stored at another place: there it harms, here the old data stays. */
  'misdirected',
  /** Data changes on the medium. */
  'bit-rot',
  /** A flush that flushes nothing. */
  'flush-lies',
] as const;
export type DiskTrouble = (typeof DISK_TROUBLES)[number];
export const BEYOND_CONTRACT: readonly DiskTrouble[] = [
  'lost-write',
  'misdirected',
  'bit-rot',
  'flush-lies',
];

/** What goes wrong with a link. One-way cuts lose what goes to, or comes from, the link's actor. */
export const LINK_TROUBLES = [
  /** Nothing comes through, in either direction. */
  'cut',
  'cut-to-actor',
  'cut-from-actor',
  /** Messages of one kind do not come through (`messageKind`). */
  'cut-kind',
  /** Nothing comes through; all of it comes, in order, when the trouble is over. */
  'clog',
  /** Each message comes `delayNs` later, in order. */
  'delay',
  /** A `share` of the messages comes twice, is overtaken by up to `delayNs`, or is lost. */
  'duplicate',
  'reorder',
  'loss',
] as const;
export type LinkTrouble = (typeof LINK_TROUBLES)[number];

/** What a link may do that promises to lose nothing and keep order, as a ring of the store does. */
export const RELIABLE_LINK_TROUBLES: readonly LinkTrouble[] = ['clog', 'delay'];

/** How much of a trouble a link has; each trouble looks at its own. */
export interface LinkMeasure {
  readonly trouble: LinkTrouble;
  readonly forNs: number;
  readonly delayNs: number;
  /** In [0, 1]. */
  readonly share: number;
  /** Number of the kind, in the protocol that the link carries. */
  readonly messageKind: number;
}

/** What a clock does: it goes fast or slow for a while, or jumps ahead. It never goes back. */
export type ClockTrouble =
  /** Parts in a million that it is too fast; below zero: too slow. What it gained it keeps. */
  | { readonly trouble: 'skew'; readonly driftPpm: number; readonly forNs: number }
  | { readonly trouble: 'jump'; readonly jumpNs: number };

/** Slowest and fastest clock: at half the speed, at ten times the speed. */
export const DRIFT_PPM_MIN = -500_000;
export const DRIFT_PPM_MAX = 9_000_000;
/** Longest jump: ten minutes. */
export const JUMP_NS_MAX = 600e9;

/**
 * What strikes whom. What dies is restarted by the runner, after the scenario's delay; what is said
 * to last is healed when its time is over.
 */
export type SpineFault = { readonly when: Trigger } & (
  | { readonly kind: 'kill-driver'; readonly host: string }
  | { readonly kind: 'pause-driver'; readonly host: string; readonly forNs: number }
  | { readonly kind: 'kill-guest'; readonly guest: string }
  | { readonly kind: 'hang-guest'; readonly guest: string; readonly forNs: number }
  /** Every actor of the host dies, its RAM is lost, its disks keep what is durable. */
  | { readonly kind: 'power-cut'; readonly host: string }
  /**
   * The host is lost for ever, its disks with it. One of the same name takes its place, with empty
   * disks, and its guests start there again on what the store has of their images. With `by`, no
   * other takes its place: that host takes the images over, and the guests start again there.
   */
  | { readonly kind: 'host-loss'; readonly host: string; readonly by?: string }
  /**
   * A host is taken for dead, and stands still for a while. The host `by` takes the images of its
   * guests over, and the guests start again there. The old one goes on as if nothing had happened,
   * and its guests too, until it is switched off; then it comes back with its disks.
   */
  | {
      readonly kind: 'take-over';
      readonly host: string;
      readonly by: string;
      readonly forNs: number;
    }
  /**
   * The images of a host move to another one by plan: their guests are stopped, all that was
   * acknowledged is published, and the guests start again there. Whoever dies meanwhile is waited
   * for.
   */
  | { readonly kind: 'move'; readonly host: string; readonly by: string }
  /** Trouble with the disk below the pool of the store. */
  | { readonly kind: 'pool-disk'; readonly trouble: DiskTrouble; readonly forNs: number }
  /** The directory of the store answers nobody. */
  | { readonly kind: 'directory-majority-loss'; readonly forNs: number }
  /** A Petal server dies. */
  | { readonly kind: 'server-kill'; readonly server: string }
  /** It stands still. */
  | { readonly kind: 'server-pause'; readonly server: string; readonly forNs: number }
  /** Its host loses its power; its disks keep what is durable. */
  | { readonly kind: 'server-power-cut'; readonly server: string }
  /** Trouble with all of its disks. */
  | {
      readonly kind: 'server-disk';
      readonly server: string;
      readonly trouble: DiskTrouble;
      readonly forNs: number;
    }
  /** A server and another one, or a driver VM, do not hear each other. */
  | {
      readonly kind: 'partition';
      readonly server: string;
      readonly other: string;
      /** Only what the server says to the other is lost. */
      readonly oneWay?: boolean;
      readonly forNs: number;
    }
  /** Trouble with the disk of a guest. */
  | {
      readonly kind: 'disk';
      readonly guest: string;
      readonly trouble: DiskTrouble;
      readonly forNs: number;
    }
  /** Trouble with a link, named by its actor and its own name: `g0/xenstore`. */
  | ({ readonly kind: 'link'; readonly link: string } & LinkMeasure)
  /** Trouble with the clock of an actor: `g0`, `h0/driver-vm`. A successor has its own clock. */
  | ({ readonly kind: 'clock'; readonly actor: string } & ClockTrouble)
  /**
   * Random bytes, by `seed`, are written into the ring pages and the event page of a guest. It
   * lives on with them for `forNs` and is then ejected: destroyed and not started again.
   */
  | {
      readonly kind: 'ring-garbage';
      readonly guest: string;
      readonly seed: number;
      readonly forNs: number;
    }
);

/**
 * What no stage can play: a script that names it is refused with what is missing. A server with an
 * old disk comes back with the one that it had `ageNs` ago.
 */
export type FutureFault = { readonly when: Trigger } & {
  readonly kind: 'server-old-disk';
  readonly server: string;
  readonly ageNs: number;
};

export type Fault = SpineFault | FutureFault;

/** The actor that a fault strikes: whose events and crash points its trigger counts. */
export function victimOf(fault: Fault): string {
  switch (fault.kind) {
    case 'kill-driver':
    case 'pause-driver':
    case 'power-cut':
    case 'host-loss':
    case 'take-over':
    case 'move':
      return driverName(fault.host);
    case 'kill-guest':
    case 'hang-guest':
    case 'disk':
    case 'ring-garbage':
      return fault.guest;
    case 'link':
      return fault.link.slice(0, Math.max(0, fault.link.lastIndexOf('/')));
    case 'clock':
      return fault.actor;
    case 'server-kill':
    case 'server-pause':
    case 'server-power-cut':
    case 'server-disk':
    case 'partition':
    case 'server-old-disk':
      return fault.server;
    case 'pool-disk':
      return 'pool';
    case 'directory-majority-loss':
      return 'directory';
  }
}

/** Name of a fault in tables and stories: each trouble of a disk, a link, a clock is its own. */
export function faultName(fault: Fault): string {
  return 'trouble' in fault ? `${fault.kind} ${fault.trouble}` : fault.kind;
}

export function driverName(host: string): string {
  return `${host}/driver-vm`;
}
