/**
 * The fault script of a run: when each fault is due, and what it does.
 *
 * Faults by time and progress are looked for by the runner's story; faults at an event or a crash
 * point are armed in the stage before anything runs. Each strikes once. Who is not there to be
 * struck, or is dead already, is left alone, and that is noted.
 */
import { fail, unreachable } from '../base/invariant.ts';
import type { Nanos } from '../base/units.ts';
import type { Fault } from '../world/faults.ts';
import type { GuestTrack } from './guest-track.ts';
import type { HostKeeper } from './host-keeper.ts';
import type { Stage } from './stage.ts';

export interface StrikeParts {
  readonly stage: Stage;
  readonly hosts: readonly HostKeeper[];
  readonly guests: readonly GuestTrack[];
  readonly tell: (text: string) => void;
  readonly failed: (thrown: unknown) => void;
}

export class Strikes {
  readonly #parts: StrikeParts;
  readonly #pending: Set<Fault>;
  /** How often each kind has struck. */
  readonly struck: Map<string, number> = new Map();

  constructor(faults: readonly Fault[], parts: StrikeParts) {
    this.#parts = parts;
    this.#pending = new Set(faults.filter(({ when }) => isScripted(when.kind)));
    for (const fault of faults) {
      if (isScripted(fault.when.kind)) continue;
      const kills = fault.kind === 'kill-driver' || fault.kind === 'kill-guest';
      parts.stage.arm(victimOf(fault), fault.when, kills ? null : () => this.#strike(fault));
    }
  }

  /** Strikes what is due. */
  look(nowNs: Nanos): void {
    for (const fault of this.#pending) {
      if (!this.#isDue(fault, nowNs)) continue;
      this.#pending.delete(fault);
      this.#strike(fault);
    }
  }

  #isDue(fault: Fault, nowNs: Nanos): boolean {
    const { when } = fault;
    if (when.kind === 'time') return nowNs >= when.atNs;
    if (when.kind !== 'progress') return false;
    const guests = this.#parts.guests.filter(({ name, scenario }) =>
      'host' in fault ? scenario.host === fault.host : name === fault.guest,
    );
    const sum = guests.reduce((total, guest) => total + guest.progress, 0);
    return guests.length > 0 && sum / guests.length >= when.share;
  }

  #strike(fault: Fault): void {
    this.struck.set(fault.kind, (this.struck.get(fault.kind) ?? 0) + 1);
    switch (fault.kind) {
      case 'kill-driver':
        this.#host(fault.host).killDriver();
        return;
      case 'pause-driver':
        this.#parts.tell(`driver VM of ${fault.host} stands still for ${ms(fault.forNs)} ms`);
        this.#parts.stage.pause(`${fault.host}/driver-vm`, fault.forNs);
        return;
      case 'kill-guest':
        this.#hostOf(fault.guest).killGuest(fault.guest);
        return;
      case 'hang-guest':
        this.#parts.tell(`${fault.guest} hangs for ${ms(fault.forNs)} ms`);
        this.#parts.stage.pause(fault.guest, fault.forNs);
        return;
      case 'power-cut':
        this.#host(fault.host).cutPower().catch(this.#parts.failed);
        return;
      case 'disk':
        this.#troubleDisk(fault).catch(this.#parts.failed);
        return;
      default:
        unreachable(fault);
    }
  }

  async #troubleDisk(fault: Fault & { kind: 'disk' }): Promise<void> {
    const { stage, tell } = this.#parts;
    const host = this.#hostOf(fault.guest).name;
    tell(`disk of ${fault.guest}: ${fault.trouble} for ${ms(fault.forNs)} ms`);
    const heal = stage.trouble(host, fault.guest, fault.trouble, fault.forNs);
    await stage.timers.sleep(fault.forNs);
    heal();
  }

  #hostOf(guest: string): HostKeeper {
    const track = this.#parts.guests.find(({ name }) => name === guest);
    return this.#host(track?.scenario.host ?? '');
  }

  #host(name: string): HostKeeper {
    return this.#parts.hosts.find((host) => host.name === name) ?? fail('a fault names a host');
  }
}

/** The actor whose events and crash points a trigger of this fault counts. */
function victimOf(fault: Fault): string {
  return 'host' in fault ? `${fault.host}/driver-vm` : fault.guest;
}

function isScripted(kind: Fault['when']['kind']): boolean {
  return kind === 'time' || kind === 'progress';
}

function ms(durationNs: number): string {
  return (durationNs / 1e6).toFixed(1);
}
