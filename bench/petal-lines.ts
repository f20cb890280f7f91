/**
 * The lines of `bench petal` that real processes are measured by: two servers with two copies of
 * each block, a client in this process, Unix sockets between them.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Prng } from '../src/base/prng.ts';
import { openPetalClient, type PetalClient } from '../src/cli/petal-client.ts';
import { poolCall } from '../src/parallax/story-io.ts';
import type { PetalPoolOptions } from '../src/petal-backend/client/petal-pool.ts';
import { groupOf } from '../src/petal-backend/placement.ts';
import { DEFAULT_SERVER_OPTIONS, othersLeaseNs } from '../src/petal-backend/server/ports.ts';
import { type BlockPool, EXTENT_BLOCKS, type PoolIo, PoolStatus } from '../src/world/block-pool.ts';
import { sleepMs } from './machine.ts';
import { becomesClean, PetalRig } from './petal-rig.ts';
import { RawLog } from './vdi-baselines.ts';

export interface PetalScale {
  readonly rounds: number;
  /** Of each measurement. */
  readonly roundMs: number;
  readonly warmUpMs: number;
  readonly takeovers: number;
  /** Of the simulated pool of which one fails. */
  readonly servers: number;
}

export interface SpeedLine {
  readonly petalSpeeds: number[];
  readonly baseSpeeds: number[];
}

const BLOCK_BYTES = 4096;
const QUESTION_BYTES = 28;
const ANSWER_BYTES = BLOCK_BYTES;
const DEPTH = 32;
/** 16 MiB: in the page cache of every server, and many times the size of a chunk. */
const BLOCKS = 4096;
const DISK_BYTES = 512 * 2 ** 20;
const CLEAN_MS = 30_000;
const TAKEOVER_SERVERS = 3;
const GIVE_UP_NS = 8e9;

/** Durable writes at depth 32, against a bare loop that appends 32 blocks and syncs. */
export function measureWrites(scale: PetalScale): Promise<SpeedLine> {
  return withPair(async (client, rig) => {
    const rawLog = new RawLog(rig.path);
    const line: SpeedLine = { petalSpeeds: [], baseSpeeds: [] };
    await speedOf(client.pool, 'write', scale.warmUpMs);
    for (let round = 0; round < scale.rounds; round++) {
      line.baseSpeeds.push(rawLog.speed(scale.roundMs, DEPTH));
      line.petalSpeeds.push(await speedOf(client.pool, 'write', scale.roundMs));
    }
    rawLog.close();
    return line;
  });
}

/** Reads of blocks that all servers have in their page cache, against a bare exchange. */
export function measureReads(scale: PetalScale): Promise<SpeedLine> {
  return withPair(async (client, rig) => {
    const bare = await BareExchange.open(join(rig.path, 'bare.sock'));
    const line: SpeedLine = { petalSpeeds: [], baseSpeeds: [] };
    const everything = new Uint8Array(16 * BLOCK_BYTES).fill(7);
    for (let block = 0; block < BLOCKS; block += 16) {
      await poolCall(client.pool, 'write', EXTENT_BLOCKS + block, everything);
    }
    try {
      await speedOf(client.pool, 'read', scale.warmUpMs);
      await bare.speed(scale.warmUpMs);
      for (let round = 0; round < scale.rounds; round++) {
        line.baseSpeeds.push(await bare.speed(scale.roundMs));
        line.petalSpeeds.push(await speedOf(client.pool, 'read', scale.roundMs));
      }
    } finally {
      await bare.close();
    }
    return line;
  });
}

/**
 * Seconds from the SIGKILL of a primary to the next acknowledged write of its group, without the
 * time that the dead one's lease must be waited out. On a machine so busy that the other copy was
 * taken for dead just before, nobody can take over: that kill is not counted.
 */
export async function measureTakeovers(scale: PetalScale): Promise<number[]> {
  const rig = await PetalRig.open({ servers: TAKEOVER_SERVERS, copies: 2, diskBytes: DISK_BYTES });
  try {
    return await withClient(rig, { giveUpNs: GIVE_UP_NS }, async ({ pool }) => {
      const seconds: number[] = [];
      for (let kill = 0; seconds.length < scale.takeovers; kill++) {
        if (kill === scale.takeovers * 2) throw failed();
        const took = await takeOver(pool, rig, EXTENT_BLOCKS + kill);
        if (took !== null) seconds.push(took);
      }
      return seconds;
    });
  } finally {
    await rig.close();
  }
}

async function takeOver(pool: BlockPool, rig: PetalRig, block: number): Promise<number | null> {
  const leaseS = othersLeaseNs(DEFAULT_SERVER_OPTIONS) / 1e9;
  const map = { gmap: 1, servers: rig.servers, copies: 2 };
  const data = new Uint8Array(BLOCK_BYTES).fill(7);
  if ((await poolCall(pool, 'write', block, data)) !== PoolStatus.ok) return null;
  const primary = await primaryOf(rig, groupOf(map, block));
  const startMs = performance.now();
  await rig.end(primary, 'SIGKILL');
  const status = await poolCall(pool, 'write', block, data);
  const seconds = (performance.now() - startMs) / 1000 - leaseS;
  rig.start(primary);
  await becomesClean(rig, CLEAN_MS);
  return status === PoolStatus.ok ? seconds : null;
}

async function primaryOf(rig: PetalRig, group: number): Promise<number> {
  for (const server of rig.servers) {
    const report = await rig.reportOf(server);
    const pair = report?.pairs.find((one) => one.group === group && one.role === 'primary');
    if (pair !== undefined) return server;
  }
  throw new Error(`group ${group} has no primary`);
}

async function withPair<T>(
  measure: (client: PetalClient, rig: PetalRig) => Promise<T>,
): Promise<T> {
  const rig = await PetalRig.open({ servers: 2, copies: 2, diskBytes: DISK_BYTES });
  try {
    return await withClient(rig, {}, (client) => measure(client, rig));
  } finally {
    await rig.close();
  }
}

/** A client that is left open dials for ever, and the process would never end. */
async function withClient<T>(
  rig: PetalRig,
  options: Partial<PetalPoolOptions>,
  measure: (client: PetalClient) => Promise<T>,
): Promise<T> {
  const client = await openPetalClient(rig.folder, 'bench', () => {}, options);
  try {
    return await measure(client);
  } finally {
    await client.close();
  }
}

/** Operations on random blocks a second, 32 under way. */
async function speedOf(
  pool: BlockPool,
  kind: 'read' | 'write',
  durationMs: number,
): Promise<number> {
  const startMs = performance.now();
  const random = new Prng(1, 'petal-speed');
  let done = 0;
  let isOver = false;
  const lane = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const io: PoolIo = {
        block: 0,
        blocks: 1,
        buffer: new Uint8Array(BLOCK_BYTES).fill(7),
        bufferOffset: 0,
        poolDone: (status) => {
          if (status !== PoolStatus.ok) return reject(failed());
          done++;
          if (isOver) resolve();
          else next();
        },
      };
      const next = (): void => {
        io.block = EXTENT_BLOCKS + random.below(BLOCKS);
        pool[kind](io);
      };
      next();
    });
  const lanes = Promise.all(Array.from({ length: DEPTH }, lane));
  await Promise.race([sleepMs(durationMs), lanes]);
  const speed = (done * 1000) / (performance.now() - startMs);
  isOver = true;
  await lanes;
  return speed;
}

function failed(): Error {
  return new Error('an operation of the benchmark has failed');
}

/**
 * 28 bytes out, 4 KiB back into a buffer of whoever asked, 32 under way, with a process that does
 * nothing else.
 */
class BareExchange {
  readonly #peer: ChildProcess;
  readonly #socket: Socket;
  readonly #question = new Uint8Array(QUESTION_BYTES);
  readonly #answer = new Uint8Array(ANSWER_BYTES);
  #answers = 0;
  #underWay = 0;
  /** Of the answer that comes now. */
  #bytes = 0;
  #isOver = true;
  #drained: () => void = () => {};

  static async open(path: string): Promise<BareExchange> {
    const file = new URL('./peers/socket-peer.js', import.meta.url);
    const peer = fork(file, [path, String(QUESTION_BYTES), String(ANSWER_BYTES)]);
    await new Promise((resolve) => peer.once('message', resolve));
    const socket = connect(path);
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    return new BareExchange(peer, socket);
  }

  private constructor(peer: ChildProcess, socket: Socket) {
    this.#peer = peer;
    this.#socket = socket;
    socket.on('data', (chunk) => {
      socket.cork();
      this.#take(chunk);
      socket.uncork();
    });
  }

  async speed(durationMs: number): Promise<number> {
    this.#answers = 0;
    this.#isOver = false;
    const drained = new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
    const startMs = performance.now();
    while (this.#underWay < DEPTH) this.#ask();
    await sleepMs(durationMs);
    const speed = (this.#answers * 1000) / (performance.now() - startMs);
    this.#isOver = true;
    await drained;
    return speed;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#peer.once('exit', resolve));
    this.#socket.destroy();
    await ended;
  }

  #ask(): void {
    this.#underWay++;
    this.#socket.write(this.#question);
  }

  #take(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const taken = Math.min(ANSWER_BYTES - this.#bytes, chunk.length - at);
      this.#answer.set(chunk.subarray(at, at + taken), this.#bytes);
      this.#bytes += taken;
      at += taken;
      if (this.#bytes === ANSWER_BYTES) this.#answered();
    }
  }

  #answered(): void {
    this.#bytes = 0;
    this.#answers++;
    this.#underWay--;
    if (!this.#isOver) this.#ask();
    else if (this.#underWay === 0) this.#drained();
  }
}
