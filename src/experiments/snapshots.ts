/**
 * Snapshots that a run takes of its images under load, and what each holds: read from the pool as
 * soon as it is acknowledged, and again when all is over, by somebody whom no fault reaches.
 *
 * A snapshot that was asked for and never acknowledged, because its driver VM died, may be there or
 * not. One that was acknowledged is in the pool, and stays as it is whatever is lost later.
 */
import { StorageError, toErrorRecord } from '../base/errors.ts';
import type { GuestTrack } from './guest-track.ts';
import type { HostKeeper } from './host-keeper.ts';
import type { SnapshotScenario } from './scenario.ts';
import type { Stage } from './stage.ts';
import type { StoredSnapshot } from './stored-snapshots.ts';

export interface SnapshotTrack {
  readonly guest: GuestTrack;
  readonly name: string;
  readonly requestedNs: number;
  /** null: it was never acknowledged. */
  acknowledgedNs: number | null;
  id: number;
  /** As it was read after the acknowledgement; null: nobody could. */
  first: StoredSnapshot | null;
}

export interface SnapshotParts {
  readonly stage: Stage;
  readonly hosts: readonly HostKeeper[];
  readonly guests: readonly GuestTrack[];
  readonly tell: (text: string) => void;
  readonly problem: (text: string) => void;
}

/** A pool that cannot be read is tried again: its troubles pass. */
const TRIES = 40;
const PAUSE_NS = 50e6;

export class Snapshots {
  readonly taken: SnapshotTrack[] = [];
  /** What each image has at the end, by guest; empty until then. */
  readonly stored: Map<GuestTrack, readonly StoredSnapshot[]> = new Map();
  readonly #parts: SnapshotParts;
  readonly #pending: Set<SnapshotScenario>;
  #underWay = 0;

  constructor(wanted: readonly SnapshotScenario[], parts: SnapshotParts) {
    this.#parts = parts;
    this.#pending = new Set(wanted);
    for (const one of wanted) {
      if (one.when.kind !== 'protocol') continue;
      this.#pending.delete(one);
      parts.stage.armProtocol([one.guest], one.when, () => this.#begin(one));
    }
  }

  /** Takes those that are due. */
  look(nowNs: number): void {
    for (const one of this.#pending) {
      const { when } = one;
      const { progress } = this.#guest(one.guest);
      const isDue =
        when.kind === 'time'
          ? nowNs >= when.atNs
          : when.kind === 'progress' && progress >= when.share;
      if (!isDue) continue;
      this.#pending.delete(one);
      this.#begin(one);
    }
  }

  /** Reads every snapshot that the images have. */
  async readAll(): Promise<void> {
    const { stage, guests } = this.#parts;
    while (this.#underWay > 0) await stage.timers.sleep(PAUSE_NS);
    for (const guest of guests) {
      if (guest.scenario.device !== 'vdi' || stage.store === null) continue;
      const found = await this.#patiently(() => stage.store?.snapshotsOf(guest));
      if (found !== undefined) this.stored.set(guest, found);
      else this.#parts.problem(`the snapshots of ${guest.name} cannot be read`);
    }
  }

  #begin(one: SnapshotScenario): void {
    this.#underWay++;
    this.#take(one)
      .catch((thrown: unknown) => {
        this.#parts.problem(`a snapshot of ${one.guest}: ${toErrorRecord(thrown).stack}`);
      })
      .finally(() => {
        this.#underWay--;
      });
  }

  async #take({ guest: name, name: snapshot }: SnapshotScenario): Promise<void> {
    const { stage, hosts, tell } = this.#parts;
    const guest = this.#guest(name);
    const host = hosts.find((one) => one.name === guest.host);
    const requestedNs = stage.clock.nowNs();
    const track: SnapshotTrack = {
      guest,
      name: snapshot,
      requestedNs,
      acknowledgedNs: null,
      id: 0,
      first: null,
    };
    const id = await host?.snapshot(guest, snapshot);
    if (id === undefined) return;
    this.taken.push(track);
    if (id === null) return;
    track.id = id;
    track.acknowledgedNs = stage.clock.nowNs();
    tell(`snapshot ${snapshot} of ${name} is taken`);
    const all = await stage.store?.snapshotsOf(guest).catch(onlyStorageErrors);
    track.first = all?.find((found) => found.id === id) ?? null;
  }

  async #patiently<T>(read: () => Promise<T> | undefined): Promise<T | undefined> {
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await read()?.catch(onlyStorageErrors);
      if (found !== undefined) return found;
      await this.#parts.stage.timers.sleep(PAUSE_NS);
    }
    return undefined;
  }

  #guest(name: string): GuestTrack {
    const found = this.#parts.guests.find((guest) => guest.name === name);
    if (found === undefined) throw new StorageError('E_NO_GUEST', `no guest ${name} to snapshot`);
    return found;
  }
}

function onlyStorageErrors(thrown: unknown): undefined {
  if (!(thrown instanceof StorageError)) throw thrown;
  return undefined;
}
