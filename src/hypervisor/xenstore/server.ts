/**
 * The xenstore daemon: serves every attached domain over its link.
 *
 * Work is done in turns. A turn goes round the connections, a few requests each, until nothing is
 * left that may be served now or the turn has done its share; then each connection is told its
 * events. The next turn begins with the next connection. The first turn after a quiet time runs in
 * a microtask after the frame came, so that a handshake is quick; a turn that leaves work behind is
 * continued by a timer, so that other events of this actor get in between. With the bounds of
 * `quota.ts` this is what keeps one domain's flood from starving another.
 *
 * A request is atomic: no other runs between its check and its effect. Its reply is sent before the
 * events that it caused.
 *
 * Domain 0's clients use the same messages over an inner link (`local`), so that the stories that
 * wait for a watch are the same for toolstack, front end and back end; several can be open. What a
 * checker or a view needs at once, without a message, is in `store`.
 *
 * After `release` the nodes of a domain stay, as in Xen, until the toolstack removes them. That is
 * safe because a domain's number is never used again.
 */
import type { ErrorFields } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { type DomainId, type Nanos, NEVER, nanos } from '../../base/units.ts';
import type { Link, TimerId, World } from '../../world/world.ts';
import { XenstoreClient } from './client.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import { ChangeHistory } from './history.ts';
import { linkPair } from './link-pair.ts';
import { INTRODUCE_DOMAIN, RELEASE_DOMAIN } from './paths.ts';
import { callerOf, PRIVILEGED_DOMAIN } from './permissions.ts';
import { DEFAULT_QUOTA, UNLIMITED_QUOTA, type XenstoreQuota } from './quota.ts';
import { handleRequest } from './requests.ts';
import { Store } from './store.ts';
import type { Watch, WatchDelivery } from './watches.ts';
import type { Message } from './wire.ts';

/** Requests of one connection before the next one has its turn. */
const REQUESTS_PER_VISIT = 4;
const REQUESTS_PER_TURN = 256;
/** Events told to one connection in a turn. */
const EVENTS_PER_TURN = 64;
/** Deliveries held back at once for one connection; beyond them events are not late any more. */
const HELD_MAX = 256;

export interface XenstoreServerOptions {
  readonly history?: ChangeHistory;
  /** Duplicates and delays watch events; absent: each is told once and soon. */
  readonly delivery?: WatchDelivery;
}

export interface DomainStatus {
  readonly domid: DomainId;
  readonly nodes: number;
  readonly watches: number;
  /** Counters of its connection; see `Connection.status`. */
  readonly connection: ErrorFields;
}

export class XenstoreServer {
  readonly store: Store;
  readonly #world: Pick<World, 'clock' | 'timers' | 'log'>;
  readonly #delivery: WatchDelivery | null;
  /** In the order of service. */
  readonly #connections: Connection[] = [];
  readonly #domains = new Map<DomainId, Connection>();
  readonly #held = new Map<Connection, number>();
  readonly #host: ConnectionHost;
  #turnIsNear = false;
  #timer: TimerId | null = null;
  #timerNs: Nanos = NEVER;

  constructor(world: Pick<World, 'clock' | 'timers' | 'log'>, options: XenstoreServerOptions = {}) {
    this.#world = world;
    this.#delivery = options.delivery ?? null;
    const history = options.history ?? new ChangeHistory();
    this.store = new Store(world.clock, history, (watch, path) => this.#emit(watch, path));
    this.#host = {
      nowNs: () => world.clock.nowNs(),
      handle: (connection, request) => this.#handle(connection, request),
      ready: () => this.#ready(),
      dropped: (connection) => this.#dropped(connection),
    };
  }

  /**
   * Introduces a domain and serves it over `link`. `quota` replaces single defaults: a driver VM
   * with many disks needs more nodes and watches than a guest.
   */
  attach(domid: DomainId, link: Link, quota: Partial<XenstoreQuota> = {}): void {
    invariant(domid !== PRIVILEGED_DOMAIN, 'domain 0 is served through local()');
    invariant(!this.#domains.has(domid), 'a domain is attached once until it is released');
    const connection = this.#connect(domid, link, { ...DEFAULT_QUOTA, ...quota });
    this.#domains.set(domid, connection);
    connection.start();
    this.store.fireSpecial(INTRODUCE_DOMAIN);
    this.#ready();
  }

  /** The domain is gone: drops its watches and transactions, its nodes stay. */
  release(domid: DomainId): void {
    const connection = this.#domains.get(domid);
    if (connection === undefined) return;
    this.#domains.delete(domid);
    this.#disconnect(connection);
    this.store.fireSpecial(RELEASE_DOMAIN);
    this.#ready();
  }

  isIntroduced(domid: DomainId): boolean {
    return domid === PRIVILEGED_DOMAIN || this.#domains.has(domid);
  }

  /** A client for the toolstack, as domain 0. Closing it drops what it held. */
  local(): XenstoreClient {
    const [near, far] = linkPair();
    const connection = this.#connect(PRIVILEGED_DOMAIN, far, UNLIMITED_QUOTA);
    connection.start();
    return new XenstoreClient({
      send: (frame) => near.send(frame),
      onFrame: (receive) => near.onFrame(receive),
      close: () => this.#disconnect(connection),
    });
  }

  /** What every introduced domain holds and waits for. */
  status(): readonly DomainStatus[] {
    return [...this.#domains].map(([domid, connection]) => ({
      domid,
      nodes: this.store.tree.owned(domid),
      watches: this.store.watches.count(connection),
      connection: connection.status(),
    }));
  }

  checkInvariants(): void {
    this.store.checkInvariants();
    for (const connection of this.#connections) {
      invariant(connection.open, 'only open connections are served');
    }
  }

  #connect(domid: DomainId, link: Link, quota: XenstoreQuota): Connection {
    const connection = new Connection({ ...callerOf(domid), quota }, link, this.#host);
    this.#connections.push(connection);
    return connection;
  }

  #disconnect(connection: Connection): void {
    connection.close();
    this.store.watches.removeAll(connection);
    const index = this.#connections.indexOf(connection);
    if (index >= 0) this.#connections.splice(index, 1);
  }

  #dropped(connection: Connection): void {
    this.#disconnect(connection);
    const { domid } = connection.who;
    const why = connection.status()['droppedFor'];
    this.#world.log.event('xenstore-dropped', domid);
    this.#world.log.note(`xenstore: domain ${domid} is disconnected: ${why}`);
  }

  #handle(connection: Connection, request: Message): string {
    return handleRequest({
      store: this.store,
      connection,
      request,
      isIntroduced: (domid) => this.isIntroduced(domid),
      release: (domid) => this.release(domid),
      announce: (watch) => this.#emit(watch, watch.path),
    });
  }

  #ready(): void {
    if (this.#turnIsNear) return;
    this.#turnIsNear = true;
    void Promise.resolve().then(() => this.#turn());
  }

  #turn(): void {
    this.#turnIsNear = true;
    const order = [...this.#connections];
    let left = REQUESTS_PER_TURN;
    let moved = true;
    while (moved && left > 0) {
      moved = false;
      for (const connection of order) {
        const done = connection.serve(Math.min(left, REQUESTS_PER_VISIT));
        left -= done;
        if (done > 0) moved = true;
      }
    }
    for (const connection of order) connection.tell(EVENTS_PER_TURN);
    const [first] = this.#connections.splice(0, 1);
    if (first !== undefined) this.#connections.push(first);
    this.#turnIsNear = false;
    this.#planNextTurn();
  }

  #planNextTurn(): void {
    let nextNs = NEVER;
    for (const connection of this.#connections) {
      const readyNs = connection.readyNs();
      if (readyNs < nextNs) nextNs = readyNs;
    }
    if (nextNs >= this.#timerNs) return;
    if (this.#timer !== null) this.#world.timers.cancel(this.#timer);
    this.#timerNs = nextNs;
    this.#timer = this.#world.timers.at(nextNs, () => {
      this.#timer = null;
      this.#timerNs = NEVER;
      this.#turn();
    });
  }

  #emit(watch: Watch, eventPath: string): void {
    if (this.#delivery === null) {
      this.#deliver(watch, eventPath);
      return;
    }
    const delays = this.#delivery.delaysNs(watch, eventPath);
    invariant(delays.length > 0, 'no watch event is lost');
    for (const delayNs of delays) this.#deliverLater(watch, eventPath, delayNs);
  }

  #deliverLater(watch: Watch, eventPath: string, delayNs: number): void {
    const connection = connectionOf(watch);
    const held = this.#held.get(connection) ?? 0;
    if (delayNs === 0 || held >= HELD_MAX) {
      this.#deliver(watch, eventPath);
      return;
    }
    this.#held.set(connection, held + 1);
    this.#world.timers.at(nanos(this.#world.clock.nowNs() + delayNs), () => {
      const left = (this.#held.get(connection) ?? 1) - 1;
      if (left === 0) this.#held.delete(connection);
      else this.#held.set(connection, left);
      if (this.store.watches.has(watch)) this.#deliver(watch, eventPath);
    });
  }

  #deliver(watch: Watch, eventPath: string): void {
    connectionOf(watch).events.push(watch, eventPath);
    this.#ready();
  }
}

/** Only connections hold watches here. */
function connectionOf(watch: Watch): Connection {
  const { holder } = watch;
  invariant(holder instanceof Connection, 'a watch belongs to a connection');
  return holder;
}
