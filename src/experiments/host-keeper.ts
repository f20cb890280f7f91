/**
 * Keeps one host of a run going: its toolstack, its driver VM and its guests, each brought back
 * after the scenario's delay when it is gone, and the whole host after a power cut.
 *
 * An outage is the time from the death of a driver VM to the moment when all living guests of the
 * host are connected to its successor. What dies again before that belongs to the same outage.
 */
import { present } from '../base/invariant.ts';
import { Prng } from '../base/prng.ts';
import type { FrontId, Nanos } from '../base/units.ts';
import type { DomainLayout } from '../hypervisor/machine.ts';
import type { DriverDomain, GuestDomain, Ids, Toolstack } from '../hypervisor/toolstack.ts';
import { driverName } from '../world/faults.ts';
import { OrderTap, recordBufferFor } from '../world/history.ts';
import {
  fencedImages,
  imagesWithoutLoss,
  snapshotBy,
  takeImage,
  untilDrained,
} from './driver-calls.ts';
import { driverSpecOf } from './driver-spec.ts';
import { type GuestTrack, guestMoved, unlessMoved } from './guest-track.ts';
import { type MovingHost, moveGuests } from './host-move.ts';
import type { OutageTrack } from './outage-track.ts';
import { scribble, sharedPagesOf } from './ring-garbage.ts';
import {
  type Crash,
  diskOf,
  GUEST_GRANT_ENTRIES,
  imageName,
  lossOf,
  type Scenario,
} from './scenario.ts';
import type { Stage } from './stage.ts';

export interface HostKeeperParts {
  readonly name: string;
  readonly scenario: Scenario;
  readonly stage: Stage;
  /** All of the run, on whatever host they are. */
  readonly guests: readonly GuestTrack[];
  readonly ids: Ids;
  readonly tell: (text: string) => void;
  /** A driver VM failed by itself: a bug. */
  readonly problem: (text: string) => void;
  readonly failed: (thrown: unknown) => void;
  /** A successor of a dead driver VM is about to be started. */
  readonly recoveryBegins: (host: string) => void;
}

const TAP_SPARE = 16_384;
/** How long a disk that has lost what was acknowledged answers with errors before it is let go. */
const REATTACH_NS = 2e6;
/** How long a host that was taken for dead goes on as if it had its images. */
const ZOMBIE_NS = 60e6;
/** Between two tries to take an image over, and two looks at what comes of it. */
const TAKE_AGAIN_NS = 5e6;
const DRAIN_LOOKS = 200;

export class HostKeeper implements MovingHost {
  readonly name: string;
  readonly outages: OutageTrack[] = [];
  readonly tap: OrderTap;
  readonly #parts: HostKeeperParts;
  #toolstack: Toolstack | null = null;
  /** Guests that were there when their driver VM died, and all that it had in memory is gone. */
  readonly #mustReattach = new Set<GuestTrack>();
  #powered = true;
  #ending = false;
  /** Another host has its images: whatever still lives here is not brought back. */
  #supplanted = false;
  /** Images go from it to another one by plan, or come. */
  #moves = false;
  /** It was switched off since, and is a host like any other again. */
  #returned = false;
  #givingWay: Promise<void> = Promise.resolve();

  constructor(parts: HostKeeperParts) {
    this.#parts = parts;
    this.name = parts.name;
    const moves = parts.scenario.faults.some(
      (fault) =>
        fault.kind === 'take-over' ||
        fault.kind === 'move' ||
        (fault.kind === 'host-loss' && fault.by !== undefined),
    );
    const tapped = moves ? parts.guests : this.#own;
    const records = tapped.reduce((sum, guest) => sum + guest.history.capacity, TAP_SPARE);
    this.tap = new OrderTap(recordBufferFor(4 * records));
  }

  /** null: no driver VM is there to be asked. */
  get living(): DriverDomain | null {
    return this.#powered ? (this.#toolstack?.driver ?? null) : null;
  }

  /** Guests that are on this host. */
  get #own(): readonly GuestTrack[] {
    return this.#parts.guests.filter(({ host }) => host === this.name);
  }

  /** Those that go on elsewhere if this host does not. */
  get #moving(): readonly GuestTrack[] {
    return this.#own.filter((guest) => !guest.isOver && guest.struckAtNs === null);
  }

  /** Nobody waits for this host any more. */
  get #isLeft(): boolean {
    return this.#supplanted && !this.#returned && this.#own.length === 0;
  }

  /** True from the death of a driver VM until its successor serves. */
  get isOut(): boolean {
    return this.outages[this.outages.length - 1]?.servingAtNs === null;
  }

  get toolstack(): Toolstack {
    return present(this.#toolstack, 'a host is open before it is used');
  }

  /** Brings up toolstack and driver VM. */
  async open(): Promise<void> {
    const { stage, ids, scenario } = this.#parts;
    const toolstack = stage.openHost(this.name, ids, {
      driverExited: (driver, atNs) => this.#driverExited(toolstack, driver, atNs),
      guestExited: (guest) => this.#guestExited(toolstack, guest),
      failed: this.#parts.failed,
    });
    this.#toolstack = toolstack;
    await toolstack.startDriver(driverSpecOf(scenario, stage, this.name, this.tap.buffer));
  }

  async startGuest(track: GuestTrack): Promise<void> {
    const { scenario } = track;
    const starting = this.toolstack.createGuest({
      name: track.domain,
      diskId: track.disk,
      heapBytes: scenario.heapBytes,
      grantEntries: GUEST_GRANT_ENTRIES,
      disk: diskOf(scenario),
      config: (layout, frontId) => this.#configOf(track, layout, frontId),
    });
    await starting.catch(unlessMoved);
  }

  /** Throws for a guest that another host has taken over while it was to be started here. */
  #configOf(track: GuestTrack, layout: DomainLayout, frontId: FrontId) {
    if (track.host === this.name) return track.config(layout, frontId);
    throw guestMoved(track);
  }

  /** Ends the driver VM for good: the run is over. */
  async close(): Promise<void> {
    this.#ending = true;
    const driver = this.#toolstack?.driver ?? null;
    driver?.handle.kill();
    await driver?.handle.exited;
  }

  killDriver(): void {
    const { driver } = this.toolstack;
    if (driver === null || driver.exit !== null || !this.#powered) return;
    this.#parts.tell(`driver VM of ${this.name} is killed`);
    driver.handle.kill();
  }

  killGuest(name: string): void {
    const domain = this.#parts.guests.find((guest) => guest.name === name)?.domain ?? name;
    if (this.#powered && this.toolstack.hasGuest(domain))
      this.toolstack.guest(domain).handle.kill();
  }

  /** Takes a snapshot of a guest's image; see `snapshotBy`. */
  snapshot(guest: GuestTrack, name: string): Promise<number | null | undefined> {
    const driver = this.#ending ? null : this.living;
    return snapshotBy(driver, imageName(guest.name), name);
  }

  /**
   * Garbage is written into the rings of a guest. It lives on with them for a while and is then
   * ejected: a domain that does not keep to its protocol is not given another try.
   */
  async strikeRings(track: GuestTrack, seed: number, forNs: number): Promise<void> {
    const { stage, tell } = this.#parts;
    const toolstack = this.#toolstack;
    if (!this.#powered || toolstack === null || !toolstack.hasGuest(track.domain)) return;
    const guest = toolstack.guest(track.domain);
    if (guest.exit !== null || track.struckAtNs !== null) return;
    const memory = stage.memoryOf(this.name);
    const pages = await sharedPagesOf(toolstack, guest, memory);
    if (!this.#powered || toolstack !== this.#toolstack || track.host !== this.name) return;
    if (guest.exit !== null || track.struckAtNs !== null) return;
    track.struck(stage.clock.nowNs(), this.tap);
    scribble(memory, pages, new Prng(seed, 'ring-garbage'));
    const rings = pages.headPages.length;
    tell(`garbage in ${rings} rings and the event page of ${track.name}`);
    await stage.timers.sleep(forNs);
    await this.#eject(toolstack, track).catch((thrown: unknown) => this.#lost(toolstack, thrown));
  }

  async #eject(toolstack: Toolstack, track: GuestTrack): Promise<void> {
    if (this.#ending || !this.#powered || toolstack !== this.#toolstack) return;
    this.#parts.tell(`${track.name} is ejected`);
    await toolstack.destroyGuest(track.domain);
    this.#ejected(track);
  }

  #ejected(track: GuestTrack): void {
    if (track.ejectedAtNs !== null) return;
    track.ejectedAtNs = this.#parts.stage.clock.nowNs();
    this.#parts.tell(`${track.name} is gone for good; nothing of it is held`);
  }

  /** The host loses its power and comes back after the delay of a driver VM. */
  async cutPower(): Promise<void> {
    await this.#goDown('power-cut', `${this.name} loses its power`);
  }

  /** The host is lost with its disks; another one takes its name after the delay of a driver VM. */
  async lose(): Promise<void> {
    await this.#goDown('host-loss', `${this.name} is lost, and its disks with it`);
  }

  async #goDown(crash: 'power-cut' | 'host-loss', text: string): Promise<void> {
    const { stage, scenario, tell } = this.#parts;
    if (!this.#powered || this.#ending) return;
    const guests = this.#own;
    this.#powered = false;
    if (this.#isLeft) {
      this.toolstack.goDark();
      await (crash === 'power-cut' ? stage.powerCut(this.name) : stage.hostLoss(this.name));
      return;
    }
    this.#beginOutage(stage.clock.nowNs());
    for (const outage of this.outages.slice(-1)) outage.crash = crash;
    tell(text);
    this.toolstack.goDark();
    await (crash === 'power-cut' ? stage.powerCut(this.name) : stage.hostLoss(this.name));
    const unfinished = guests.filter((guest) => !guest.isOver && guest.struckAtNs === null);
    for (const guest of guests) if (guest.struckAtNs !== null) this.#ejected(guest);
    for (const guest of unfinished) {
      if (!guest.isMoving) guest.kills++;
      this.noteLoss(guest, crash);
    }
    await stage.timers.sleep(scenario.driverRestartNs);
    if (this.#ending) return;
    // It stays as it is until it is switched off; but whoever has its images may need its disks.
    if (this.#supplanted && !this.#returned) return stage.petal?.hostUp(this.name);
    this.#parts.recoveryBegins(this.name);
    await this.open();
    this.#powered = true;
    for (const guest of unfinished) if (!guest.isMoving) await this.startGuest(guest);
    // Their images had just been taken over when the power went, and they have not run here yet.
    const adopted = this.#own.filter((guest) => !guests.includes(guest));
    for (const guest of adopted) if (guest.struckAtNs === null) await this.startGuest(guest);
    await this.#untilServing();
  }

  /**
   * The host is taken for dead and stands still; `by` takes its images over, and their guests start
   * there. Then it goes on, a zombie, until it is switched off; at last it comes back with its
   * disks, and no guests.
   */
  giveWay(by: HostKeeper, forNs: number): Promise<void> {
    if (this.#mayLeaveTo(by)) {
      this.#givingWay = this.#beSupplanted(by, forNs);
    }
    return this.#givingWay;
  }

  /** The host is lost with its disks; `by` takes its images over, and their guests start there. */
  loseTo(by: HostKeeper): Promise<void> {
    if (this.#powered && this.#mayLeaveTo(by)) {
      this.#givingWay = this.#beLost(by);
    }
    return this.#givingWay;
  }

  async #beLost(by: HostKeeper): Promise<void> {
    const { stage, tell } = this.#parts;
    const moving = this.#moving;
    this.#supplanted = true;
    this.#powered = false;
    this.#beginOutage(stage.clock.nowNs());
    tell(`${this.name} is lost, and its disks with it`);
    this.toolstack.goDark();
    await stage.hostLoss(this.name);
    for (const guest of moving) await by.adopt(guest, this.tap);
    await by.toolstack.allConnected();
    for (const outage of this.outages.slice(-1)) {
      outage.crash = 'host-loss';
      outage.servingAtNs = stage.clock.nowNs();
    }
    tell(`what ${this.name} had is served by ${by.name}`);
  }

  /** By plan: the guests are stopped, all they were told is published, and `by` starts them. */
  moveTo(by: HostKeeper): Promise<void> {
    if (this.#mayLeaveTo(by)) {
      this.#moves = true;
      by.#moves = true;
      const { stage, tell } = this.#parts;
      this.#givingWay = moveGuests({ stage, tell, from: this, to: by }, this.#moving);
    }
    return this.#givingWay;
  }

  async stopGuest(track: GuestTrack): Promise<void> {
    const toolstack = this.#toolstack;
    if (!this.#powered || toolstack === null || !toolstack.hasGuest(track.domain)) return;
    const stopping = toolstack.destroyGuest(track.domain);
    await stopping.catch((thrown: unknown) => this.#lost(toolstack, thrown));
  }

  /** Guests change their host once in a run. */
  #mayLeaveTo(by: HostKeeper): boolean {
    const isTaken = this.#supplanted || by.#supplanted || this.#moves || by.#moves;
    return !isTaken && !this.#ending;
  }

  get isEnding(): boolean {
    return this.#ending;
  }

  /** Settles when what a take-over has begun is over. */
  async settled(): Promise<void> {
    await this.#givingWay;
  }

  async #beSupplanted(by: HostKeeper, forNs: number): Promise<void> {
    const { stage, tell } = this.#parts;
    const moving = this.#moving;
    if (moving.length === 0) return;
    this.#supplanted = true;
    const untilNs = stage.clock.nowNs() + forNs;
    const driver = this.#toolstack?.driver ?? null;
    if (this.#powered && driver?.exit === null) stage.pause(driverName(this.name), forNs);
    tell(`${this.name} stands still and is taken for dead`);
    for (const guest of moving) await by.adopt(guest, this.tap);
    const restNs = Math.max(0, untilNs - stage.clock.nowNs());
    await stage.timers.sleep(restNs + ZOMBIE_NS);
    const fenced = await fencedImages(this.living);
    for (const { name, takeOver } of moving) {
      if (takeOver !== null) takeOver.fenced = fenced.includes(imageName(name));
    }
    await this.#switchOff();
    await this.open();
    this.#powered = true;
    this.#returned = true;
    // What came back of this host's log is published.
    const sleep = (): Promise<void> => stage.timers.sleep(TAKE_AGAIN_NS);
    await untilDrained(() => this.living, { sleep, looks: DRAIN_LOOKS });
  }

  /**
   * Takes the image of a guest over, as often as it takes, and starts the guest here. One whose
   * rings are struck meanwhile stays where it is: it is ejected there and not started again.
   */
  async adopt(guest: GuestTrack, tap: OrderTap, isPlanned: boolean = false): Promise<void> {
    const { stage, tell } = this.#parts;
    while (!(await takeImage(this.living, imageName(guest.name)))) {
      if (this.#ending) return;
      await stage.timers.sleep(TAKE_AGAIN_NS);
    }
    if (guest.struckAtNs !== null) return;
    tell(`${this.name} has taken over the image of ${guest.name}`);
    guest.takenOver(this.name, stage.clock.nowNs(), tap, isPlanned);
    await this.startGuest(guest).catch((thrown: unknown) => this.#lost(this.toolstack, thrown));
  }

  async #switchOff(): Promise<void> {
    const { stage, tell, guests } = this.#parts;
    this.#powered = false;
    this.toolstack.goDark();
    await stage.powerCut(this.name);
    for (const guest of guests) {
      if (guest.host === this.name && guest.struckAtNs !== null) this.#ejected(guest);
    }
    tell(`${this.name} is switched off, and comes back with its disks`);
  }

  /** A guest of this host is gone, and some of what its disk had acknowledged may be. */
  noteLoss(guest: GuestTrack, crash: Crash): void {
    if (guest.isHandedOver && guest.isMoving) return;
    guest.lost(crash, this.#parts.stage.clock.nowNs(), this.tap);
    this.#mustReattach.delete(guest);
  }

  #driverExited(toolstack: Toolstack, driver: DriverDomain, atNs: Nanos): void {
    if (this.#ending || toolstack !== this.#toolstack) return;
    if (driver.exit?.reason === 'failed') {
      const { message, stack } = driver.exit.error;
      this.#parts.problem(`driver VM of ${this.name} failed: ${message}\n${stack}`);
    }
    if (this.#isLeft) return;
    const again = this.#beginOutage(atNs) ? '' : ' again, before it served';
    this.#parts.tell(`driver VM of ${this.name} is gone${again}`);
    for (const guest of this.#own) {
      const isLost = lossOf(guest.scenario, 'driver-death') !== 'nothing';
      if (isLost && !guest.isOver && guest.struckAtNs === null) this.#mustReattach.add(guest);
    }
    this.#bringDriverBack(toolstack).catch((thrown: unknown) => this.#lost(toolstack, thrown));
  }

  /** False when an outage is going on already. */
  #beginOutage(atNs: number): boolean {
    const last = this.outages[this.outages.length - 1];
    if (last !== undefined && last.servingAtNs === null) {
      last.diedAgain = true;
      return false;
    }
    this.outages.push({
      host: this.name,
      killedAtNs: atNs,
      crash: 'driver-death',
      diedAgain: false,
      servingAtNs: null,
    });
    return true;
  }

  async #bringDriverBack(toolstack: Toolstack): Promise<void> {
    await this.#parts.stage.timers.sleep(this.#parts.scenario.driverRestartNs);
    if (this.#ending || toolstack !== this.#toolstack || !this.#powered) return;
    this.#parts.recoveryBegins(this.name);
    await toolstack.restartDriver();
    await this.#untilServing();
  }

  async #untilServing(): Promise<void> {
    const { driver } = this.toolstack;
    await this.toolstack.allConnected();
    if (driver === null || driver.exit !== null || driver !== this.toolstack.driver) return;
    if (this.#ending || !this.#powered) return;
    const outage = this.outages[this.outages.length - 1];
    if (outage === undefined || outage.servingAtNs !== null) return;
    outage.servingAtNs = this.#parts.stage.clock.nowNs();
    this.#parts.tell(`driver VM of ${this.name} serves again`);
    await this.#reattach(this.toolstack);
  }

  /**
   * Guests whose disks have lost what was acknowledged, and answer with errors, are given a moment
   * to see that; then they are started again, which accepts the loss.
   */
  async #reattach(toolstack: Toolstack): Promise<void> {
    if (this.#mustReattach.size === 0) return;
    const whole = await imagesWithoutLoss(this.living);
    for (const guest of this.#mustReattach) {
      if (whole.includes(imageName(guest.name))) this.#mustReattach.delete(guest);
    }
    await this.#parts.stage.timers.sleep(REATTACH_NS);
    if (this.#ending || toolstack !== this.#toolstack || !this.#powered) return;
    for (const { name } of this.#mustReattach) this.killGuest(name);
  }

  #guestExited(toolstack: Toolstack, domain: GuestDomain): void {
    // A zombie ends as it may: its image is served elsewhere.
    const track = this.#own.find((guest) => guest.domain === domain.spec.name);
    const report = domain.exit;
    if (track === undefined || report === null || this.#ending) return;
    track.ended(report);
    if (track.struckAtNs !== null || track.isMoving) return;
    if (report.reason === 'finished') {
      const end =
        track.workload?.diskFailed === true
          ? 'is done: its disk failed for good, as its policy says'
          : 'has read its disk back and is done';
      this.#parts.tell(`${track.name} ${end}`);
      return;
    }
    if (report.reason === 'failed') return;
    this.#parts.tell(`${track.name} was killed`);
    this.#bringGuestBack(toolstack, track).catch((thrown: unknown) =>
      this.#lost(toolstack, thrown),
    );
  }

  async #bringGuestBack(toolstack: Toolstack, track: GuestTrack): Promise<void> {
    await this.#parts.stage.timers.sleep(this.#parts.scenario.guestRestartNs);
    if (this.#ending || toolstack !== this.#toolstack || !this.#powered) return;
    if (track.host !== this.name || track.isMoving) return;
    await toolstack
      .restartGuest(track.domain, (layout, frontId) => {
        // Of the life before nothing is under way any more: what it wrote is in the tap by now.
        const isLost = track.host === this.name && this.#mustReattach.has(track);
        if (isLost) this.noteLoss(track, 'driver-death');
        return this.#configOf(track, layout, frontId);
      })
      .catch(unlessMoved);
    if (track.host !== this.name) return;
    this.#parts.tell(`${track.name} runs again and checks its disk`);
  }

  /** A story broke off: that is a bug, unless the power of its host was cut under it. */
  #lost(toolstack: Toolstack, thrown: unknown): void {
    if (toolstack === this.#toolstack && this.#powered) this.#parts.failed(thrown);
  }
}
