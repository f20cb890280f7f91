/** What a thread is given to host one incarnation of an actor, and what it tells while it lives. */
import type { MessagePort } from 'node:worker_threads';
import type { ActorKind, ExitReport } from '../actor.ts';
import type { WaitMode } from './bell-watch.ts';
import type { ClockZero } from './clock.ts';
import type { HostMemoryTransfer } from './wasm-memory.ts';

/** Structured-cloneable; the ports are transferred with it. */
export interface ActorBoot {
  readonly kind: ActorKind;
  readonly name: string;
  readonly memory: HostMemoryTransfer;
  readonly bellAddress: number;
  readonly config: unknown;
  readonly seed: number;
  /** How many actors of this name were started before: each has random numbers of its own. */
  readonly incarnation: number;
  readonly clockZero: ClockZero;
  /** The folder of its host, where its disks are. */
  readonly folder: string;
  /** Where the disks of the pool are; null: there is no pool. */
  readonly poolFolder: string | null;
  readonly mode: WaitMode;
  readonly safetyPollMs: number;
  /** Buffer of its `ActorWords`. */
  readonly words: SharedArrayBuffer;
  /** Comlink: its control surface. */
  readonly control: MessagePort;
  /** `ActorNews`, to whoever started it. */
  readonly news: MessagePort;
  readonly links: readonly (readonly [name: string, port: MessagePort])[];
}

export type ActorNews =
  | { readonly kind: 'note'; readonly text: string }
  /** The thread has reached its armed crash point and waits to be terminated. */
  | { readonly kind: 'parked'; readonly point: string }
  | { readonly kind: 'exit'; readonly report: ExitReport };
