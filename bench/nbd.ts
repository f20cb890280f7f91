/**
 * `bench nbd`: our exports, through ring, driver VM and log, against the C servers that people use,
 * with fio over Unix sockets.
 *
 * A round measures both servers of a line, one after the other; values are medians of the rounds'
 * ratios, because the machine's own speed swings more than they do. Peers: nbdkit's memory plugin
 * for cached reads, which keeps nothing; qemu-nbd on a raw file, whose writes are volatile until
 * they are flushed, where ours are durable when they are answered; and qemu-nbd on qcow2 right
 * after a snapshot.
 */
import type { BenchTarget } from '../src/cli/bench-output.ts';
import { type BenchOptions, type BenchResult, medianOf, spreadOf, target } from './bench-result.ts';
import { describeMachine } from './machine.ts';
import { type Load, NbdRig, needPrograms, type Server } from './nbd-rig.ts';

interface Scale {
  readonly rounds: number;
  readonly seconds: number;
  readonly snapshots: number;
}

const FULL: Scale = { rounds: 3, seconds: 2, snapshots: 100 };
const QUICK: Scale = { rounds: 1, seconds: 1, snapshots: 2 };
const MIB = 2 ** 20;
const IMAGE_BYTES: number = 256 * MIB;
/** Fits the memory cache of a driver VM. */
const CACHED_BYTES: number = 32 * MIB;

const small = (kind: Load['kind'], depth: number, fsync = 0): Load => ({
  kind,
  blockBytes: 4096,
  depth,
  fsync,
  spanBytes: CACHED_BYTES,
});
const large = (kind: Load['kind']): Load => ({
  kind,
  blockBytes: MIB,
  depth: 4,
  fsync: 0,
  spanBytes: CACHED_BYTES,
});

interface Line {
  readonly id: string;
  readonly goal: number;
  readonly peer: 'memory' | 'raw';
  readonly load: Load;
}

const LINES: readonly Line[] = [
  line('read.mem.qd32.vs-nbdkit-memory', 0.6, 'memory', small('randread', 32)),
  line('read.mem.qd1.vs-nbdkit-memory', 0.4, 'memory', small('randread', 1)),
  line('write.durable.qd32.vs-qemu-nbd', 1.5, 'raw', small('randwrite', 32)),
  line('write.fsync1.vs-qemu-nbd', 1.1, 'raw', small('randwrite', 1, 1)),
  line('seq1m.read.vs-qemu-nbd', 1, 'raw', large('read')),
  line('seq1m.write.vs-qemu-nbd', 0.5, 'raw', large('write')),
];

export async function run(options: BenchOptions = {}): Promise<BenchResult> {
  needPrograms();
  const scale = options.quick === true ? QUICK : FULL;
  const machine = describeMachine();
  const targets: BenchTarget[] = [];
  const samples: object[] = [];
  const add = (id: string, goal: number, ours: number[], theirs: number[]): void => {
    const ratios = ours.map((speed, round) => speed / (theirs[round] ?? Number.NaN));
    targets.push(target(`nbd.${id}`, medianOf(ratios), 'higher', goal));
    const [perSecond, peerPerSecond] = [spreadOf(ours), spreadOf(theirs)];
    samples.push({ line: id, perSecond, peerPerSecond, ratios: spreadOf(ratios) });
  };
  const rig = new NbdRig(IMAGE_BYTES);
  try {
    await peerLines(rig, scale, add);
    await afterSnapshot(rig, scale, add);
    await hundredSnapshots(rig, scale, add);
  } finally {
    await rig.close();
  }
  return { bench: 'nbd', machine, runs: scale.rounds, targets, samples };
}

type Add = (id: string, goal: number, ours: number[], theirs: number[]) => void;

async function peerLines(rig: NbdRig, { rounds, seconds }: Scale, add: Add): Promise<void> {
  const own = await rig.stordom();
  const peers = { memory: await rig.nbdkitMemory(), raw: await rig.qemuNbd('raw') };
  const all: Server[] = [own, peers.memory, peers.raw];
  for (const server of all) await rig.fill(server, CACHED_BYTES);
  for (const { id, goal, peer, load } of LINES) {
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      ours.push(await rig.measure(own, load, seconds));
      theirs.push(await rig.measure(peers[peer], load, seconds));
    }
    add(id, goal, ours, theirs);
  }
  for (const server of all) await server.stop();
}

/** Each round writes at random right after a snapshot of a full image. */
async function afterSnapshot(rig: NbdRig, { rounds, seconds }: Scale, add: Add): Promise<void> {
  const load: Load = { ...small('randwrite', 32), spanBytes: IMAGE_BYTES };
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const own = await rig.stordom();
    await rig.fill(own, IMAGE_BYTES);
    await own.snapshot('one');
    ours.push(await rig.measure(own, load, seconds));
    await own.stop();
    const before = await rig.qemuNbd('qcow2');
    await rig.fill(before, IMAGE_BYTES);
    await before.stop();
    const after = await rig.qemuNbdAfterSnapshot(before.image);
    theirs.push(await rig.measure(after, load, seconds));
    await after.stop();
  }
  add('write.after-snapshot.vs-qcow2', 5, ours, theirs);
}

/** Random reads of an image with so many snapshots, and of one without. */
async function hundredSnapshots(rig: NbdRig, scale: Scale, add: Add): Promise<void> {
  const { rounds, seconds, snapshots } = scale;
  const load = small('randread', 32);
  const [plain, deep] = [await rig.stordom(), await rig.stordom()];
  for (const server of [plain, deep]) await rig.fill(server, CACHED_BYTES);
  for (let at = 1; at <= snapshots; at++) await deep.snapshot(`s${at}`);
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    ours.push(await rig.measure(deep, load, seconds));
    theirs.push(await rig.measure(plain, load, seconds));
  }
  add('read.100-snapshots.ratio', 0.9, ours, theirs);
  await Promise.all([plain.stop(), deep.stop()]);
}

function line(id: string, goal: number, peer: Line['peer'], load: Load): Line {
  return { id, goal, peer, load };
}
