/** Directories to test with: lmdb in a folder, the simulator's, each directly or over a link. */
import type { ExecutionContext } from 'ava';
import { linkPair } from '../../src/hypervisor/xenstore/link-pair.ts';
import type { Directory } from '../../src/world/directory.ts';
import { DirectoryClient, type DirectoryClientOptions } from '../../src/world/directory-client.ts';
import { DirectoryServer } from '../../src/world/directory-server.ts';
import { MonotonicClock, startClock } from '../../src/world/real/clock.ts';
import { NodeTimers } from '../../src/world/real/node-timers.ts';
import type { DiskModel } from '../../src/world/sim/disk-timing.ts';
import { SimDirectory, type SimDirectoryOptions } from '../../src/world/sim/sim-directory.ts';
import type { LinkPath } from '../../src/world/sim/sim-link.ts';
import { SimVoters } from '../../src/world/sim/sim-voters.ts';
import { Simulator } from '../../src/world/sim/simulator.ts';
import type { VoterOptions } from '../../src/world/voters/voter.ts';
import type {
  VoterDirectory,
  VoterDirectoryOptions,
} from '../../src/world/voters/voter-directory.ts';
import type { World } from '../../src/world/world.ts';

/** Runs a story in a simulator to its end; throws what it threw, or says that it hangs. */
export async function runStory(simulator: Simulator, story: () => Promise<void>): Promise<void> {
  let over = false;
  let thrown: unknown = null;
  story().then(
    () => {
      over = true;
    },
    (reason: unknown) => {
      over = true;
      thrown = reason;
    },
  );
  const outcome = await simulator.run({ until: () => over, maxEvents: 20_000_000 });
  if (thrown !== null) throw thrown;
  const [failure] = outcome.failures;
  if (failure !== undefined) throw new Error(`${failure.actor}: ${failure.error.stack}`);
  if (!over) throw new Error(`seed ${simulator.seed}: the story hangs: ${outcome.end}`);
}

/** A client of a directory over a link of this process, in real time. */
export function realClient(t: ExecutionContext, directory: Directory): DirectoryClient {
  const clock = new MonotonicClock(startClock());
  const timers = new NodeTimers(clock, () => {});
  const [near, far] = linkPair();
  const server = new DirectoryServer(directory);
  server.serve(far);
  const client = new DirectoryClient(near, { clock, timers });
  t.teardown(async () => {
    await client.close();
    server.close();
    timers.close();
  });
  return client;
}

export interface SimDirectoryBench {
  readonly simulator: Simulator;
  readonly directory: SimDirectory;
  readonly world: World;
  readonly server: DirectoryServer;
  /** A client over a link of its own, whose two directions can be disturbed. */
  readonly client: (name: string, options?: Partial<DirectoryClientOptions>) => Connected;
}

export interface Connected {
  readonly client: DirectoryClient;
  readonly path: LinkPath;
}

export function simDirectoryBench(
  seed: number,
  options: Partial<SimDirectoryOptions> = {},
): SimDirectoryBench {
  const simulator = new Simulator({ seed });
  const host = simulator.addHost('h0', { memoryBytes: 65_536 });
  const world = simulator.toolstackWorld('dom0', host);
  const directory = new SimDirectory(simulator, 'd', options);
  const server = new DirectoryServer(directory);
  const client: SimDirectoryBench['client'] = (name, clientOptions = {}) => {
    const path = simulator.link(name);
    const { near, far } = path.connect(simulator, simulator.newIncarnation(name, host));
    server.serve(far);
    return { client: new DirectoryClient(near, world, clientOptions), path };
  };
  return { simulator, directory, world, server, client };
}

export interface SimVotersBench {
  readonly simulator: Simulator;
  readonly voters: SimVoters;
  readonly world: World;
  readonly client: (name: string, options?: Partial<VoterDirectoryOptions>) => VoterDirectory;
}

export function simVotersBench(
  seed: number,
  count: number,
  options: Partial<VoterOptions> = {},
  disks: Partial<DiskModel> = {},
): SimVotersBench {
  const simulator = new Simulator({ seed });
  const host = simulator.addHost('h0', { memoryBytes: 4096 });
  const world = simulator.toolstackWorld('dom0', host);
  const voters = new SimVoters(simulator, 'd', count, options, disks);
  return { simulator, voters, world, client: (name, some) => voters.client(name, world, some) };
}
