/**
 * The fault script of a run: when each fault is due, and what it does.
 *
 * Faults by time and progress are looked for by the runner's story; faults at an event, a crash
 * point or a protocol event are armed in the stage before anything runs. Each strikes once. Who is
 * not there to be struck, or is dead already, is left alone.
 */
import { formatDuration } from '../base/format-units.ts';
import { fail, present, unreachable } from '../base/invariant.ts';
import type { Nanos } from '../base/units.ts';
import { driverName, type Fault, faultName, type SpineFault, victimOf } from '../world/faults.ts';
import { isSpineFault } from './check-faults.ts';
import type { GuestTrack } from './guest-track.ts';
import type { HostKeeper } from './host-keeper.ts';
import type { PetalKeeper } from './petal-keeper.ts';
import type { Stage } from './stage.ts';

export interface StrikeParts {
  readonly stage: Stage;
  readonly hosts: readonly HostKeeper[];
  readonly guests: readonly GuestTrack[];
  /** Servers of the pool; null: it has none. */
  readonly petal: PetalKeeper | null;
  readonly tell: (text: string) => void;
  readonly failed: (thrown: unknown) => void;
}

export class Strikes {
  readonly #parts: StrikeParts;
  readonly #pending: Set<Fault>;
  /** Faults that strike in the recovery of a driver VM, by host. */
  readonly #recovering: Set<Fault>;
  #isOver = false;
  readonly #storeTroubles: Promise<void>[] = [];
  /** How often each kind has struck in each phase of its victim: `kill-driver/replay`. */
  readonly struck: Map<string, number> = new Map();

  constructor(faults: readonly Fault[], parts: StrikeParts) {
    this.#parts = parts;
    this.#pending = new Set(faults.filter(({ when }) => isScripted(when.kind)));
    this.#recovering = new Set(faults.filter(({ when }) => when.kind === 'recovery'));
    for (const fault of faults) {
      const { kind } = fault.when;
      if (kind === 'event' || kind === 'crash-point' || kind === 'protocol') this.#arm(fault);
    }
  }

  /** A driver VM of a host is about to be replaced: what waits for a recovery is armed. */
  recoveryBegins(host: string): void {
    for (const fault of this.#recovering) {
      if (!('host' in fault) || fault.host !== host || fault.when.kind !== 'recovery') continue;
      this.#recovering.delete(fault);
      this.#arm({ ...fault, when: { kind: 'event', nth: fault.when.nth } });
    }
  }

  #arm(fault: Fault): void {
    const { when } = fault;
    if (when.kind === 'protocol') {
      const guests = this.#guestsOf(fault).map(({ name }) => name);
      this.#parts.stage.armProtocol(guests, when, () => this.#strike(fault));
      return;
    }
    const kills = fault.kind === 'kill-driver' || fault.kind === 'kill-guest';
    this.#parts.stage.arm(victimOf(fault), when, () => this.#strike(fault), kills);
  }

  /** Strikes what is due. */
  look(nowNs: Nanos): void {
    for (const fault of this.#pending) {
      if (!this.#isDue(fault, nowNs)) continue;
      this.#pending.delete(fault);
      this.#strike(fault);
    }
  }

  /** What has not struck by now never will: what is left is to be looked at. */
  end(): void {
    this.#isOver = true;
  }

  /** Settles when every trouble of the store is over: before that nobody could read it whole. */
  async storeHealed(): Promise<void> {
    await Promise.all(this.#storeTroubles);
  }

  #isDue(fault: Fault, nowNs: Nanos): boolean {
    const { when } = fault;
    if (when.kind === 'time') return nowNs >= when.atNs;
    if (when.kind !== 'progress') return false;
    const guests = this.#guestsOf(fault);
    const sum = guests.reduce((total, guest) => total + guest.progress, 0);
    return guests.length > 0 && sum / guests.length >= when.share;
  }

  #strike(fault: Fault): void {
    if (this.#isOver) return;
    if (!isSpineFault(fault)) fail('a script is checked before it is played');
    const cell = `${faultName(fault)}/${this.#phaseOf(fault)}`;
    this.struck.set(cell, (this.struck.get(cell) ?? 0) + 1);
    if ('forNs' in fault) this.#noteTrouble(fault, fault.forNs);
    switch (fault.kind) {
      case 'kill-driver':
        this.#host(fault.host).killDriver();
        return;
      case 'pause-driver':
        this.#parts.tell(
          `driver VM of ${fault.host} stands still for ${formatDuration(fault.forNs)}`,
        );
        this.#parts.stage.pause(driverName(fault.host), fault.forNs);
        return;
      case 'kill-guest':
        this.#hostOf(fault.guest).killGuest(fault.guest);
        return;
      case 'hang-guest':
        this.#parts.tell(`${fault.guest} hangs for ${formatDuration(fault.forNs)}`);
        this.#parts.stage.pause(this.#guest(fault.guest).domain, fault.forNs);
        return;
      case 'power-cut':
      case 'host-loss':
      case 'take-over':
      case 'move':
        this.#strikeHost(fault).catch(this.#parts.failed);
        return;
      case 'pool-disk':
      case 'directory-majority-loss':
        this.#storeTroubles.push(this.#troubleStore(fault).catch(this.#parts.failed));
        return;
      case 'server-kill':
        this.#pool.kill(fault.server);
        return;
      case 'server-power-cut':
        this.#pool.cutPower(fault.server);
        return;
      case 'server-pause':
        this.#parts.tell(`${fault.server} stands still for ${formatDuration(fault.forNs)}`);
        this.#parts.stage.pause(fault.server, fault.forNs);
        this.#storeTroubles.push(this.#parts.stage.timers.sleep(fault.forNs));
        return;
      case 'server-disk':
      case 'partition':
        this.#storeTroubles.push(this.#troublePool(fault).catch(this.#parts.failed));
        return;
      case 'disk':
        this.#troubleDisk(fault).catch(this.#parts.failed);
        return;
      case 'link':
        this.#storeTroubles.push(this.#troubleLink(fault).catch(this.#parts.failed));
        return;
      case 'clock':
        this.#troubleClock(fault).catch(this.#parts.failed);
        return;
      case 'ring-garbage':
        this.#hostOf(fault.guest)
          .strikeRings(this.#guest(fault.guest), fault.seed, fault.forNs)
          .catch(this.#parts.failed);
        return;
      default:
        unreachable(fault);
    }
  }

  #strikeHost(
    fault: SpineFault & { kind: 'power-cut' | 'host-loss' | 'take-over' | 'move' },
  ): Promise<void> {
    const host = this.#host(fault.host);
    switch (fault.kind) {
      case 'power-cut':
        return host.cutPower();
      case 'host-loss':
        return fault.by === undefined ? host.lose() : host.loseTo(this.#host(fault.by));
      case 'take-over':
        return host.giveWay(this.#host(fault.by), fault.forNs);
      case 'move':
        return host.moveTo(this.#host(fault.by));
    }
  }

  /** Whoever is held up by this fault waits for nobody else's sake. */
  #noteTrouble(fault: Fault, forNs: number): void {
    const fromNs = this.#parts.stage.clock.nowNs();
    for (const guest of this.#guestsOf(fault))
      guest.troubles.push({ fromNs, toNs: fromNs + forNs });
  }

  async #troubleDisk(fault: SpineFault & { kind: 'disk' }): Promise<void> {
    const { stage, tell } = this.#parts;
    const host = this.#hostOf(fault.guest).name;
    tell(`disk of ${fault.guest}: ${fault.trouble} for ${formatDuration(fault.forNs)}`);
    const heal = stage.trouble(host, fault.guest, fault.trouble, fault.forNs);
    await stage.timers.sleep(fault.forNs);
    heal();
  }

  async #troubleStore(
    fault: SpineFault & { kind: 'pool-disk' | 'directory-majority-loss' },
  ): Promise<void> {
    const { stage, tell } = this.#parts;
    const { forNs } = fault;
    const isPool = fault.kind === 'pool-disk';
    const what = isPool ? `the pool: ${fault.trouble}` : 'the directory answers nobody';
    tell(`${what} for ${formatDuration(forNs)}`);
    const heal = isPool ? stage.poolTrouble(fault.trouble, forNs) : stage.directoryLoss();
    await stage.timers.sleep(forNs);
    heal();
  }

  async #troublePool(fault: SpineFault & { kind: 'server-disk' | 'partition' }): Promise<void> {
    const { stage, tell } = this.#parts;
    const { server, forNs } = fault;
    const servers = present(stage.petal, 'a script is checked before it is played');
    const lasts = `for ${formatDuration(forNs)}`;
    let heal: () => void;
    if (fault.kind === 'partition') {
      const { other, oneWay = false } = fault;
      const what = oneWay
        ? `${other} does not hear ${server}`
        : `${server} and ${other} are cut apart`;
      tell(`${what} ${lasts}`);
      heal = servers.partition(server, other, oneWay);
    } else {
      tell(`disks of ${server}: ${fault.trouble} ${lasts}`);
      heal = servers.trouble(server, fault.trouble, forNs);
    }
    await stage.timers.sleep(forNs);
    heal();
  }

  async #troubleLink(fault: SpineFault & { kind: 'link' }): Promise<void> {
    const { stage, tell } = this.#parts;
    tell(`link ${fault.link}: ${fault.trouble} for ${formatDuration(fault.forNs)}`);
    const heal = stage.linkTrouble(fault.link, fault);
    await stage.timers.sleep(fault.forNs);
    heal();
  }

  async #troubleClock(fault: SpineFault & { kind: 'clock' }): Promise<void> {
    const { stage, tell } = this.#parts;
    const { actor } = fault;
    if (fault.trouble === 'jump') {
      tell(`clock of ${actor} jumps ${formatDuration(fault.jumpNs)} ahead`);
      stage.jumpClock(actor, fault.jumpNs);
      return;
    }
    const { driftPpm, forNs } = fault;
    tell(`clock of ${actor} drifts by ${driftPpm} ppm for ${formatDuration(forNs)}`);
    stage.setDrift(actor, driftPpm);
    await stage.timers.sleep(forNs);
    stage.setDrift(actor, 0);
  }

  /** What the victim, or the first unfinished guest of its host, was doing; of a server: any. */
  #phaseOf(fault: Fault): string {
    const struck = this.#guestsOf(fault);
    const guests = struck.length > 0 ? struck : this.#parts.guests;
    const host = guests[0]?.host;
    if (host !== undefined && this.#host(host).isOut) return 'outage';
    return (guests.find(({ finished }) => !finished) ?? guests[0])?.stats.phaseName ?? 'none';
  }

  /** The guest that is struck, or those whose driver VM is; all of them where the store is. */
  #guestsOf(fault: Fault): GuestTrack[] {
    const victim = victimOf(fault);
    const { guests } = this.#parts;
    if (isOfStore(fault)) return [...guests];
    return guests.filter(({ name, host }) => name === victim || driverName(host) === victim);
  }

  #guest(name: string): GuestTrack {
    const track = this.#parts.guests.find((guest) => guest.name === name);
    return present(track, 'a fault names a guest of the run');
  }

  #hostOf(guest: string): HostKeeper {
    return this.#host(this.#guest(guest).host);
  }

  get #pool(): PetalKeeper {
    return present(this.#parts.petal, 'a script is checked before it is played');
  }

  #host(name: string): HostKeeper {
    return this.#parts.hosts.find((host) => host.name === name) ?? fail('a fault names a host');
  }
}

function isScripted(kind: Fault['when']['kind']): boolean {
  return kind === 'time' || kind === 'progress';
}

/** Whoever uses the store may be held up by it. */
function isOfStore(fault: Fault): boolean {
  if (fault.kind === 'link') return /^s\d+\/(petal|directory)$/.test(fault.link);
  const { kind } = fault;
  return kind === 'pool-disk' || kind === 'directory-majority-loss' || 'server' in fault;
}
