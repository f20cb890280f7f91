/** What goes wrong in a Petal pool of the simulator: drawn from a seed, and healed at the end. */
import type { Prng } from '../../src/base/prng.ts';
import type { PairRecord } from '../../src/petal-backend/directory/records.ts';
import { StoreStatus } from '../../src/petal-backend/store/chunk-store.ts';
import type { SimVoters } from '../../src/world/sim/sim-voters.ts';
import type { MemoryDisk } from './memory-store.ts';
import type { SimPetal } from './sim-petal.ts';

type Trouble = (petal: SimPetal, random: Prng) => Promise<string>;

function anyServer(petal: SimPetal, random: Prng): number {
  return 1 + random.below(petal.map.servers.length);
}

const TROUBLES: readonly Trouble[] = [
  async (petal, random) => {
    const server = anyServer(petal, random);
    if (!petal.isUp(server)) return `s${server} is down already`;
    await petal.kill(server);
    await petal.world.timers.sleep(random.between(0, 80e6));
    if (!petal.isUp(server)) petal.start(server);
    return `s${server} was killed`;
  },
  async (petal, random) => {
    const server = anyServer(petal, random);
    // Ten leases are the longest.
    const forNs = random.between(5e6, random.chance(0.3) ? 400e6 : 120e6);
    petal.pause(server, forNs);
    await petal.world.timers.sleep(forNs);
    return `s${server} stood still`;
  },
  async (petal, random) => {
    const one = anyServer(petal, random);
    const pair = [one, (one % petal.map.servers.length) + 1];
    if (random.chance(0.5)) pair.reverse();
    for (const server of pair) {
      if (petal.isUp(server)) await petal.kill(server);
      await petal.world.timers.sleep(random.between(0, 120e6));
    }
    for (const server of pair) {
      if (!petal.isUp(server)) petal.start(server);
      await petal.world.timers.sleep(random.between(0, 40e6));
    }
    return `s${pair.join(', then s')} died`;
  },
  async (petal, random) => {
    const name = `s${anyServer(petal, random)}`;
    const { toActor, fromActor } = petal.simulator.link(`${name}/directory`);
    const ways = random.pick([[toActor], [fromActor], [toActor, fromActor]]);
    for (const way of ways) way.cut();
    await petal.world.timers.sleep(random.between(5e6, 150e6));
    for (const way of ways) way.heal();
    return `${name} and the directory were cut`;
  },
  async (petal, random) => {
    const [one, other] = [anyServer(petal, random), anyServer(petal, random)];
    petal.net.cut(`s${one}`, `s${other}`);
    if (random.chance(0.6)) petal.net.cut(`s${other}`, `s${one}`);
    await petal.world.timers.sleep(random.between(5e6, 100e6));
    petal.net.heal();
    return `s${one} and s${other} were cut`;
  },
  async (petal, random) => {
    const name = `s${anyServer(petal, random)}`;
    const reorderNs = random.between(1e6, 40e6);
    petal.disturb(name, { loss: 0.1, duplicate: 0.2, reorder: 0.2, reorderNs });
    await petal.world.timers.sleep(random.between(5e6, 80e6));
    petal.disturb(name, { loss: 0, duplicate: 0, reorder: 0 });
    return `frames of ${name} were lost, doubled and late`;
  },
  async (petal, random) => {
    const name = `s${anyServer(petal, random)}`;
    const link = random.chance(0.7) ? 'petal' : 'directory';
    const directions = petal.simulator.link(`${name}/${link}`).directions;
    const direction = directions[random.below(2)] as (typeof directions)[0];
    direction.clog();
    await petal.world.timers.sleep(random.between(5e6, 100e6));
    direction.unclog();
    return `a direction of the ${link} link of ${name} held everything back`;
  },
  async (petal, random) => {
    const health = random.chance(0.5) ? 'down' : 'no-majority';
    petal.directory.setHealth(health);
    await petal.world.timers.sleep(random.between(1e6, 60e6));
    petal.directory.setHealth('up');
    return `the directory was ${health}`;
  },
  async (petal, random) => {
    petal.directory.set({ lostAnswers: 0.5 });
    await petal.world.timers.sleep(random.between(20e6, 200e6));
    petal.directory.set({ lostAnswers: 0 });
    return 'the directory did not say what it had done';
  },
  // Always of the same server, and what others have too: one good copy remains.
  async (petal, random) => {
    const disk = petal.disks.get(1) as MemoryDisk;
    const records = await Promise.all(
      petal.map.servers.map((_, group) => petal.record(group)),
    ).catch(() => null);
    if (records === null) return 'nobody could say which blocks others have';
    const isWhole = ({ inSync, members }: PairRecord): boolean => inSync.length === members.length;
    for (const [key, { group, data, dirty }] of disk.blocks) {
      if (data === null || dirty || !random.chance(0.2)) continue;
      if (!isWhole(records[group] as PairRecord)) continue;
      if (random.chance(0.5)) disk.unreadable.add(key);
      else data[random.below(data.length)] = 0xee;
    }
    return 'blocks of s1 were damaged';
  },
  async (petal, random) => {
    const server = anyServer(petal, random);
    const disk = petal.disks.get(server) as MemoryDisk;
    disk.trouble = random.chance(0.5) ? StoreStatus.ioError : StoreStatus.noSpace;
    await petal.world.timers.sleep(random.between(1e6, 40e6));
    disk.trouble = null;
    return `the disk of s${server} failed`;
  },
];

function anyVoter(voters: SimVoters, random: Prng): number {
  return random.below(voters.count);
}

/** Of the voters that the directory is, if it is several. */
const VOTER_TROUBLES: readonly ((
  voters: SimVoters,
  petal: SimPetal,
  random: Prng,
) => Promise<string>)[] = [
  async (voters, petal, random) => {
    const leader = Math.max(0, voters.leader);
    if (random.chance(0.5)) voters.kill(leader);
    else voters.powerCut(leader);
    await petal.world.timers.sleep(random.between(0, 80e6));
    voters.restart(leader);
    return `the leader, voter ${leader}, was gone`;
  },
  async (voters, petal, random) => {
    const [one, other] = [anyVoter(voters, random), anyVoter(voters, random)];
    for (const voter of [one, other]) voters.kill(voter);
    await petal.world.timers.sleep(random.between(1e6, 80e6));
    for (const voter of [one, other]) voters.restart(voter);
    return `voters ${one} and ${other} were dead`;
  },
  async (voters, petal, random) => {
    const all = Array.from({ length: voters.count }, (_, at) => at);
    const apart = random.chance(0.5) ? Math.max(0, voters.leader) : anyVoter(voters, random);
    const rest = all.filter((one) => one !== apart);
    // Who asks is with the majority, or with the one that is alone.
    const isAlone = random.chance(0.4);
    voters.partition(isAlone ? [[apart, 'dom0'], rest] : [[apart], [...rest, 'dom0']]);
    await petal.world.timers.sleep(random.between(5e6, 120e6));
    voters.heal();
    return `voter ${apart} was apart${isAlone ? ', with all clients' : ''}`;
  },
  async (voters, petal, random) => {
    const voter = random.chance(0.6) ? Math.max(0, voters.leader) : anyVoter(voters, random);
    const forNs = random.between(5e6, 120e6);
    voters.pause(voter, forNs);
    await petal.world.timers.sleep(forNs);
    return `voter ${voter} stood still`;
  },
  async (voters, petal, random) => {
    for (const direction of voters.directions()) {
      direction.set({ loss: 0.1, duplicate: 0.1, reorder: 0.1, jitterNs: 2e6 });
    }
    await petal.world.timers.sleep(random.between(5e6, 120e6));
    voters.heal();
    return 'frames of the voters were lost, doubled and late';
  },
];

function anyTrouble(petal: SimPetal, random: Prng): Promise<string> {
  const { voters } = petal;
  if (voters !== null && random.chance(0.5)) {
    const trouble = VOTER_TROUBLES[random.below(VOTER_TROUBLES.length)];
    if (trouble !== undefined) return trouble(voters, petal, random);
  }
  return (TROUBLES[random.below(TROUBLES.length)] as Trouble)(petal, random);
}

/** So many troubles, one or two at a time; everything is well again when it settles. */
export async function strike(petal: SimPetal, random: Prng, troubles: number): Promise<string[]> {
  const story: string[] = [];
  for (let i = 0; i < troubles; i++) {
    await petal.world.timers.sleep(random.between(1e6, 60e6));
    const count = random.chance(0.3) ? 2 : 1;
    const both = Array.from({ length: count }, () => anyTrouble(petal, random));
    story.push(...(await Promise.all(both)));
  }
  petal.net.heal();
  petal.voters?.heal();
  petal.directory.setHealth('up');
  petal.directory.set({ lostAnswers: 0 });
  for (const server of petal.map.servers) {
    if (!petal.isUp(server)) petal.start(server);
  }
  return story;
}

/**
 * Settles when every pair has all its members in sync, in the lives that they have now and as they
 * know themselves; throws if that takes longer than `forNs`.
 */
export async function becomesClean(petal: SimPetal, forNs: number): Promise<void> {
  const untilNs = petal.world.clock.nowNs() + forNs;
  for (;;) {
    const records = await Promise.all(petal.map.servers.map((_, group) => petal.record(group)));
    const behind = records.filter(({ inSync, members }) => inSync.length < members.length);
    if (behind.length === 0 && petal.allKnowThemselvesInSync()) return;
    if (petal.world.clock.nowNs() > untilNs) {
      const status = [...petal.servers].map(([server, one]) => [server, one.status()]);
      throw new Error(`pairs are not in sync: ${JSON.stringify({ behind, status })}`);
    }
    await petal.world.timers.sleep(5e6);
  }
}

/** Settles when nothing is dirty or marked as missing anywhere; throws if that takes too long. */
export async function becomesQuiet(petal: SimPetal, forNs: number): Promise<void> {
  const untilNs = petal.world.clock.nowNs() + forNs;
  for (;;) {
    const why = petal.invariants?.unclean() ?? null;
    if (why === null) return petal.invariants?.checkClean();
    if (petal.world.clock.nowNs() > untilNs) throw new Error(why);
    await petal.world.timers.sleep(5e6);
  }
}

/** Copies of a pair's members that are not the same; null: all are. */
export function differingCopies(petal: SimPetal): string | null {
  const seen = new Map<string, { readonly crc: number; readonly server: number }>();
  for (const [server, disk] of petal.disks) {
    for (const [key, { crc, version }] of disk.blocks) {
      const other = seen.get(key);
      if (other === undefined) seen.set(key, { crc, server });
      else if (other.crc !== crc) {
        const { term, n } = version;
        return `${key}: s${other.server} and s${server} differ (version ${term}/${n})`;
      }
    }
  }
  return null;
}
