/**
 * Runs a scenario on a stage: brings hosts, driver VMs and guests up, strikes as the script says,
 * keeps restarting what died, and waits until every guest has read its whole disk back.
 *
 * `story` is one async function over the stage's timers; in the simulator it runs between events
 * like any other story. Whether it ended or not, `account` tells what is known so far: a run that
 * hangs is judged too.
 */
import { type Nanos, nanos } from '../base/units.ts';
import type { DriverVmConfig } from '../driver-vm/driver-vm.ts';
import type { DriverDomain, GuestDomain, Toolstack } from '../hypervisor/toolstack.ts';
import type { Fault } from '../world/faults.ts';
import { OrderTap, recordBufferFor } from '../world/history.ts';
import { GuestTrack } from './guest-track.ts';
import { diskName, GUEST_GRANT_ENTRIES, type GuestScenario, type Scenario } from './scenario.ts';
import type { Stage } from './stage.ts';

export interface HostTrack {
  readonly name: string;
  readonly toolstack: Toolstack;
  readonly tap: OrderTap;
  readonly outages: OutageTrack[];
}

export interface OutageTrack {
  readonly host: string;
  readonly killedAtNs: number;
  /** null: not serving again yet. */
  servingAtNs: number | null;
}

export interface StoryEvent {
  readonly atNs: number;
  readonly text: string;
}

const LOOK_NS = 5e6;
const TAP_SPARE = 16_384;

export class Run {
  readonly scenario: Scenario;
  readonly hosts: HostTrack[] = [];
  readonly guests: GuestTrack[] = [];
  readonly events: StoryEvent[] = [];
  /** What went wrong with the machinery itself. */
  readonly problems: string[] = [];
  readonly #stage: Stage;
  #ending = false;

  constructor(scenario: Scenario, stage: Stage) {
    this.scenario = scenario;
    this.#stage = stage;
    scenario.guests.forEach((guest, at) => {
      this.guests.push(new GuestTrack(guest, at + 1, scenario.plantedBug));
    });
  }

  /** Share of all requests that were issued. */
  get progress(): number {
    const all = this.guests.reduce((sum, guest) => sum + guest.scenario.trace.requests, 0);
    const issued = this.guests.reduce(
      (sum, guest) => sum + guest.progress * guest.scenario.trace.requests,
      0,
    );
    return all === 0 ? 1 : issued / all;
  }

  get finished(): boolean {
    return this.guests.every((guest) => guest.finished || guest.problems.length > 0);
  }

  /** Settles when every guest is done, all driver VMs are ended, or the time is over. */
  async story(): Promise<void> {
    this.#armFaults();
    for (const host of this.scenario.hosts) await this.#openHost(host);
    for (const guest of this.guests) await this.#startGuest(guest);
    const timed = this.scenario.faults.filter(({ when }) => isScripted(when.kind));
    const pending = new Set(timed);
    while (!this.finished && this.#nowNs() < this.scenario.timeLimitNs) {
      for (const fault of pending) {
        if (!this.#isDue(fault)) continue;
        pending.delete(fault);
        this.#strike(fault);
      }
      await this.#stage.timers.sleep(LOOK_NS);
    }
    this.#ending = true;
    for (const { toolstack } of this.hosts) {
      toolstack.driver?.handle.kill();
      await toolstack.driver?.handle.exited;
    }
  }

  tell(text: string): void {
    this.events.push({ atNs: this.#nowNs(), text });
  }

  async #openHost(name: string): Promise<void> {
    const guests = this.guests.filter(({ scenario }) => scenario.host === name);
    const records = guests.reduce((sum, guest) => sum + guest.history.capacity, TAP_SPARE);
    const tap = new OrderTap(recordBufferFor(2 * records));
    const toolstack = this.#stage.openHost(name, {
      driverExited: (driver, atNs) => this.#driverExited(name, driver, atNs),
      guestExited: (guest) => this.#guestExited(guest),
      failed: (thrown) => this.#failed(thrown),
    });
    this.hosts.push({ name, toolstack, tap, outages: [] });
    const { driverHeapBytes, publish, plantedBug } = this.scenario;
    await toolstack.startDriver({
      heapBytes: driverHeapBytes,
      config: (layout): DriverVmConfig => ({ layout, tap: tap.buffer, publish, plantedBug }),
    });
  }

  async #startGuest(track: GuestTrack): Promise<void> {
    const { scenario } = track;
    await this.#host(scenario.host).toolstack.createGuest({
      name: scenario.name,
      heapBytes: scenario.heapBytes,
      grantEntries: GUEST_GRANT_ENTRIES,
      disk: diskOf(scenario),
      config: (layout, frontId) => track.config(layout, frontId),
    });
  }

  #driverExited(host: string, driver: DriverDomain, atNs: Nanos): void {
    if (this.#ending) return;
    if (driver.exit?.reason === 'failed') {
      const { message, stack } = driver.exit.error;
      this.problems.push(`driver VM of ${host} failed: ${message}\n${stack}`);
    }
    const track = this.#host(host);
    const last = track.outages[track.outages.length - 1];
    if (last === undefined || last.servingAtNs !== null) {
      track.outages.push({ host, killedAtNs: atNs, servingAtNs: null });
      this.tell(`driver VM of ${host} is gone`);
    } else {
      this.tell(`driver VM of ${host} is gone again, before it served`);
    }
    this.#bringBack(track).catch((thrown: unknown) => this.#failed(thrown));
  }

  /** The supervisor of a driver VM: a successor after the scenario's delay. */
  async #bringBack(track: HostTrack): Promise<void> {
    await this.#stage.timers.sleep(this.scenario.driverRestartNs);
    if (this.#ending) return;
    const driver = await track.toolstack.restartDriver();
    await track.toolstack.allConnected();
    if (driver.exit !== null || this.#ending) return;
    const outage = track.outages[track.outages.length - 1];
    if (outage !== undefined) outage.servingAtNs = this.#nowNs();
    this.tell(`driver VM of ${track.name} serves again`);
  }

  #guestExited(domain: GuestDomain): void {
    const track = this.#guest(domain.spec.name);
    const report = domain.exit;
    if (report === null || this.#ending) return;
    track.ended(report);
    if (report.reason === 'finished') {
      const end =
        track.workload?.diskFailed === true
          ? 'is done: its disk failed for good, as its policy says'
          : 'has read its disk back and is done';
      this.tell(`${track.name} ${end}`);
      return;
    }
    if (report.reason === 'failed') return;
    this.tell(`${track.name} was killed`);
    this.#bringGuestBack(track).catch((thrown: unknown) => this.#failed(thrown));
  }

  async #bringGuestBack(track: GuestTrack): Promise<void> {
    await this.#stage.timers.sleep(this.scenario.guestRestartNs);
    if (this.#ending) return;
    const { toolstack } = this.#host(track.scenario.host);
    await toolstack.restartGuest(track.name, (layout, frontId) => track.config(layout, frontId));
    this.tell(`${track.name} runs again and checks its disk`);
  }

  #armFaults(): void {
    for (const { when, ...fault } of this.scenario.faults) {
      if (isScripted(when.kind)) continue;
      const actor = fault.kind === 'kill-driver' ? `${fault.host}/driver-vm` : fault.guest;
      this.#stage.arm(actor, when);
    }
  }

  #isDue(fault: Fault): boolean {
    const { when } = fault;
    if (when.kind === 'time') return this.#nowNs() >= when.atNs;
    if (when.kind !== 'progress') return false;
    const guests = this.guests.filter(({ name, scenario }) =>
      fault.kind === 'kill-driver' ? scenario.host === fault.host : name === fault.guest,
    );
    const sum = guests.reduce((total, guest) => total + guest.progress, 0);
    return guests.length > 0 && sum / guests.length >= when.share;
  }

  #strike(fault: Fault): void {
    if (fault.kind === 'kill-driver') {
      const { driver } = this.#host(fault.host).toolstack;
      if (driver === null || driver.exit !== null) return;
      this.tell(`driver VM of ${fault.host} is killed`);
      driver.handle.kill();
      return;
    }
    const { toolstack } = this.#host(this.#guest(fault.guest).scenario.host);
    toolstack.guest(fault.guest).handle.kill();
  }

  #failed(thrown: unknown): void {
    const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    this.problems.push(`the toolstack failed: ${text}`);
  }

  #host(name: string): HostTrack {
    const host = this.hosts.find((track) => track.name === name);
    if (host === undefined) throw new Error(`no host ${name} in the scenario`);
    return host;
  }

  #guest(name: string): GuestTrack {
    const guest = this.guests.find((track) => track.name === name);
    if (guest === undefined) throw new Error(`no guest ${name} in the scenario`);
    return guest;
  }

  #nowNs(): Nanos {
    return nanos(this.#stage.clock.nowNs());
  }
}

function isScripted(kind: Fault['when']['kind']): boolean {
  return kind === 'time' || kind === 'progress';
}

function diskOf(guest: GuestScenario) {
  return {
    kind: guest.device,
    name: diskName(guest.name),
    sectors: guest.diskSectors,
    writable: true,
    weight: 1,
    requestsPerSecond: guest.requestsPerSecond,
    bytesPerSecond: guest.bytesPerSecond,
    bare: false,
  };
}
