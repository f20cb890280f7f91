/**
 * A world for tests of the store: time that moves only when told, and peers that send raw frames.
 */
import { type DomainId, type Nanos, NEVER, nanos, u32 } from '../../src/base/units.ts';
import { XenstoreClient } from '../../src/hypervisor/xenstore/client.ts';
import { linkPair } from '../../src/hypervisor/xenstore/link-pair.ts';
import { permit } from '../../src/hypervisor/xenstore/permissions.ts';
import type { XenstoreQuota } from '../../src/hypervisor/xenstore/quota.ts';
import {
  XenstoreServer,
  type XenstoreServerOptions,
} from '../../src/hypervisor/xenstore/server.ts';
import {
  decodeMessage,
  encodeMessage,
  type Message,
  splitTexts,
} from '../../src/hypervisor/xenstore/wire.ts';
import type { Link, TimerId, World } from '../../src/world/world.ts';

interface Timer {
  readonly id: number;
  readonly deadlineNs: number;
  readonly fire: () => void;
}

/** Clock, timers and log of a world whose time is moved by hand. */
export class ManualWorld implements Pick<World, 'clock' | 'timers' | 'log'> {
  readonly notes: string[] = [];
  #nowNs = 0;
  #lastTimer = 0;
  #timers: Timer[] = [];

  readonly clock: World['clock'] = { nowNs: () => nanos(this.#nowNs) };
  readonly timers: World['timers'] = {
    at: (deadlineNs: Nanos, fire: () => void): TimerId => {
      this.#lastTimer++;
      this.#timers.push({ id: this.#lastTimer, deadlineNs, fire });
      return this.#lastTimer as TimerId;
    },
    cancel: (timer: TimerId): void => {
      this.#timers = this.#timers.filter((one) => one.id !== timer);
    },
    sleep: (durationNs: number): Promise<void> =>
      new Promise((resolve) => {
        this.timers.at(nanos(this.#nowNs + durationNs), resolve);
      }),
  };
  readonly log: World['log'] = {
    event: () => undefined,
    note: (text: string) => {
      this.notes.push(text);
    },
  };

  /** Lets everything run that can run without time passing. */
  async settle(): Promise<void> {
    do {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    } while (this.#fireOneDue());
  }

  async advance(durationNs: number): Promise<void> {
    const endNs = this.#nowNs + durationNs;
    await this.settle();
    for (let nextNs = this.#nextNs(); nextNs <= endNs; nextNs = this.#nextNs()) {
      this.#nowNs = nextNs;
      await this.settle();
    }
    this.#nowNs = endNs;
    await this.settle();
  }

  #nextNs(): number {
    return Math.min(NEVER, ...this.#timers.map((timer) => timer.deadlineNs));
  }

  #fireOneDue(): boolean {
    const nextNs = this.#nextNs();
    if (nextNs > this.#nowNs) return false;
    const due = this.#timers.find((timer) => timer.deadlineNs === nextNs);
    if (due === undefined) return false;
    this.#timers = this.#timers.filter((timer) => timer !== due);
    due.fire();
    return true;
  }
}

export const DOM0: DomainId = u32<DomainId>(0);

export function domain(number: number): DomainId {
  return u32<DomainId>(number);
}

/** A server with a toolstack, to which tests attach guests. */
export class Bench {
  readonly world: ManualWorld = new ManualWorld();
  readonly server: XenstoreServer;
  readonly toolstack: XenstoreClient;

  constructor(options: XenstoreServerOptions = {}) {
    this.server = new XenstoreServer(this.world, options);
    this.toolstack = this.server.local();
  }

  /** Attaches a domain with a home of its own, as a toolstack does. */
  async guest(domid: DomainId, quota: Partial<XenstoreQuota> = {}): Promise<XenstoreClient> {
    return new XenstoreClient(await this.#attach(domid, quota));
  }

  async rawGuest(domid: DomainId, quota: Partial<XenstoreQuota> = {}): Promise<RawPeer> {
    return new RawPeer(await this.#attach(domid, quota));
  }

  async #attach(domid: DomainId, quota: Partial<XenstoreQuota>): Promise<Link> {
    await this.toolstack.mkdir(`/local/domain/${domid}`);
    await this.toolstack.setPermissions(`/local/domain/${domid}`, [permit('n', domid)]);
    const [near, far] = linkPair();
    this.server.attach(domid, far, quota);
    return near;
  }
}

/** A peer that sends whatever it likes and remembers what it gets. */
export class RawPeer {
  readonly received: Message[] = [];
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
    link.onFrame((frame) => {
      const message = decodeMessage(frame);
      if (message !== null) this.received.push(message);
    });
  }

  send(type: number, payload: string, requestId = 1, transactionId = 0): void {
    this.#link.send(encodeMessage({ type, requestId, transactionId, payload }));
  }

  sendBytes(bytes: readonly number[]): void {
    this.#link.send(Uint8Array.from(bytes));
  }

  /** Type and texts of the last message: what most tests compare. */
  last(): { readonly type: number; readonly texts: readonly string[] } | null {
    const message = this.received.at(-1);
    if (message === undefined) return null;
    return { type: message.type, texts: splitTexts(message.payload) ?? [message.payload] };
  }
}
