/**
 * A directory of several voters in the simulator: each on a host of its own, with a disk, and a
 * path to each of the others and to each client. What strikes them is what strikes anybody here:
 * deaths, cuts of power, pauses, wrong clocks, and every trouble of a link; the methods below are
 * those that a script of the whole directory needs.
 */
import { invariant, present } from '../../base/invariant.ts';
import { DEFAULT_VOTER_OPTIONS, Voter, type VoterOptions } from '../voters/voter.ts';
import { VoterDirectory, type VoterDirectoryOptions } from '../voters/voter-directory.ts';
import type { Link, World } from '../world.ts';
import type { DiskModel } from './disk-timing.ts';
import type { Incarnation } from './incarnation.ts';
import type { SimHost } from './sim-host.ts';
import { ActorPath, type LinkDirection } from './sim-link.ts';
import { SimWorld } from './sim-world.ts';
import type { Simulator } from './simulator.ts';

interface Seat {
  readonly name: string;
  readonly host: SimHost;
  incarnation: Incarnation | null;
  voter: Voter | null;
  /** A start of it has succeeded: from then on its files must be there. */
  created: boolean;
}

interface ClientPaths {
  readonly paths: readonly ActorPath[];
  readonly ends: readonly Link[];
}

export class SimVoters {
  readonly #simulator: Simulator;
  readonly #options: VoterOptions;
  readonly #seats: Seat[] = [];
  /** Between voter i and voter j, at `i * count + j` for i < j. */
  readonly #paths = new Map<number, ActorPath>();
  readonly #clients = new Map<string, ClientPaths>();

  constructor(
    simulator: Simulator,
    name: string,
    count: number,
    options: Partial<VoterOptions> = {},
    disks: Partial<DiskModel> = {},
  ) {
    invariant(count >= 3 && count % 2 === 1, 'voters are an odd number, three at least');
    this.#simulator = simulator;
    this.#options = { ...DEFAULT_VOTER_OPTIONS, ...options };
    for (let i = 0; i < count; i++) {
      const host = simulator.addHost(`${name}-v${i}`, { memoryBytes: 4096, disks });
      this.#seats.push({
        name: `${name}/v${i}`,
        host,
        incarnation: null,
        voter: null,
        created: false,
      });
      for (let j = i + 1; j < count; j++) {
        const path = new ActorPath(simulator, `${name}/v${i}`, `${name}/v${j}`);
        this.#paths.set(i * count + j, path);
      }
    }
    for (let i = 0; i < count; i++) this.#start(i);
  }

  get count(): number {
    return this.#seats.length;
  }

  /** The living voter, null if it is dead. */
  voter(index: number): Voter | null {
    const { incarnation, voter } = this.#seat(index);
    return incarnation?.alive === true ? voter : null;
  }

  /** Name of its actor, for deaths by event, pauses and clocks. */
  actorName(index: number): string {
    return this.#seat(index).name;
  }

  host(index: number): SimHost {
    return this.#seat(index).host;
  }

  /** Of those that take themselves for the leader, the one with the highest ballot; -1: none. */
  get leader(): number {
    let leader = -1;
    this.#seats.forEach((_, i) => {
      const voter = this.voter(i);
      if (voter?.isLeader !== true) return;
      if (leader < 0 || voter.ballot > (this.voter(leader)?.ballot ?? 0)) leader = i;
    });
    return leader;
  }

  kill(index: number): void {
    this.#seat(index).incarnation?.kill?.();
  }

  /** The host loses power: what is not durable is kept, dropped or torn by draw. */
  powerCut(index: number): void {
    this.#seat(index).host.powerCut();
  }

  /** Starts a voter that is dead on what its disk has. */
  restart(index: number): void {
    if (this.voter(index) === null) this.#start(index);
  }

  pause(index: number, forNs: number): void {
    this.#simulator.pause(this.#seat(index).name, forNs);
  }

  /** The two directions between two voters, the first from `one` to `other`. */
  between(one: number, other: number): readonly [LinkDirection, LinkDirection] {
    const [low, high] = one < other ? [one, other] : [other, one];
    const path = present(this.#paths.get(low * this.count + high), 'voters have a path');
    const [up, down] = path.directions;
    return one < other ? [up, down] : [down, up];
  }

  /** From a client to a voter, and back. */
  ofClient(name: string, index: number): readonly [LinkDirection, LinkDirection] {
    const client = present(this.#clients.get(name), 'a client is made before it is named');
    return present(client.paths[index], 'a voter has a path to each client').directions;
  }

  /** Every direction there is. */
  directions(): readonly LinkDirection[] {
    const ofClients = [...this.#clients.values()].flatMap(({ paths }) => paths);
    return [...this.#paths.values(), ...ofClients].flatMap(({ directions }) => directions);
  }

  /** Voters of different groups, and clients that are named in another, do not reach each other. */
  partition(groups: readonly (readonly (number | string)[])[]): void {
    const groupOf = (who: number | string): number => groups.findIndex((one) => one.includes(who));
    const set = (directions: readonly LinkDirection[], apart: boolean): void => {
      for (const direction of directions) {
        if (apart) direction.cut();
        else direction.heal();
      }
    };
    for (let i = 0; i < this.count; i++) {
      for (let j = i + 1; j < this.count; j++) set(this.between(i, j), groupOf(i) !== groupOf(j));
      for (const name of this.#clients.keys()) {
        const side = groupOf(name);
        set(this.ofClient(name, i), side >= 0 && side !== groupOf(i));
      }
    }
  }

  /** Every link works as it did, and every dead voter comes back. */
  heal(): void {
    for (const direction of this.directions()) {
      direction.heal();
      direction.unclog();
      direction.set({ loss: 0, duplicate: 0, reorder: 0, jitterNs: 0 });
    }
    this.#seats.forEach((_, i) => this.restart(i));
  }

  /** A client of all voters, in a world that no fault ends. */
  client(name: string, world: World, options: Partial<VoterDirectoryOptions> = {}): VoterDirectory {
    invariant(!this.#clients.has(name), 'a client has a name of its own');
    const paths = this.#seats.map((seat) => new ActorPath(this.#simulator, name, seat.name));
    const ends = paths.map((path) => path.open(0, null));
    this.#clients.set(name, { paths, ends });
    this.#seats.forEach(({ incarnation, voter }, i) => {
      if (incarnation?.alive === true) voter?.serve((paths[i] as ActorPath).open(1, incarnation));
    });
    return new VoterDirectory(ends, world, options);
  }

  #seat(index: number): Seat {
    return present(this.#seats[index], 'a voter is one of them');
  }

  #start(index: number): void {
    const simulator = this.#simulator;
    const seat = this.#seat(index);
    const incarnation = simulator.newIncarnation(seat.name, seat.host);
    const world = new SimWorld(simulator, incarnation, seat.host);
    const fail = (thrown: unknown): void => {
      if (!incarnation.alive) return;
      simulator.recordFailure(incarnation, thrown);
      incarnation.die();
    };
    incarnation.kill = () => incarnation.die();
    incarnation.fail = fail;
    seat.host.addActor(incarnation);
    const peers = new Map<number, Link>();
    this.#seats.forEach((_, other) => {
      if (other === index) return;
      const [low, high] = index < other ? [index, other] : [other, index];
      const path = present(this.#paths.get(low * this.count + high), 'voters have a path');
      peers.set(other, path.open(index < other ? 0 : 1, incarnation));
    });
    const voter = new Voter(world, index, peers, this.#options, fail);
    seat.incarnation = incarnation;
    seat.voter = voter;
    for (const { paths } of this.#clients.values()) {
      voter.serve((paths[index] as ActorPath).open(1, incarnation));
    }
    voter
      .start(!seat.created)
      .then(() => {
        seat.created = true;
      })
      .catch(fail);
  }
}
