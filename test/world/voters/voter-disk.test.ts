/** A voter's files: their bytes, what is read back from them, and what is refused. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { Simulator } from '../../../src/world/sim/simulator.ts';
import { type Kept, VoterDisk } from '../../../src/world/voters/voter-disk.ts';
import { runStory } from '../../helpers/directory-bench.ts';
import { resealed } from '../../helpers/golden.ts';

const command = (value: number): Uint8Array => new Uint8Array([0, value]);
const KEPT: Kept = {
  promised: {
    ballot: 7,
    vote: 1,
    baseSlot: 20,
    baseBallot: 5,
    entries: [{ slot: 21, ballot: 6, command: command(1) }],
  },
  copy: { slot: 21, state: new Uint8Array([9, 8, 7]) },
};
const BYTES = 1536;

function host(seed: number) {
  const simulator = new Simulator({ seed });
  const made = simulator.addHost('h0', { memoryBytes: 4096 });
  return { simulator, made, world: simulator.toolstackWorld('dom0', made) };
}

test("a voter's file has the bytes of its golden file, which is read as the same promise", async (t) => {
  const { simulator, made, world } = host(1);
  await runStory(simulator, async () => {
    const { disk, kept } = await VoterDisk.open(world, 2, 65_536, true);
    t.is(kept, null);
    await disk.rewrite(KEPT);
    await disk.append(8, -1, [{ slot: 21, ballot: 8, command: command(2) }]);
    const stored = made.disk('voter-1').peek('durable', 0, BYTES);
    t.deepEqual(stored, new Uint8Array(readFileSync('test/fixtures/v1/voter-file.bin')));
    const again = await VoterDisk.open(world, 2, 65_536, false);
    t.deepEqual(again.kept, {
      promised: {
        ...KEPT.promised,
        ballot: 8,
        vote: -1,
        entries: [{ slot: 21, ballot: 8, command: command(2) }],
      },
      copy: KEPT.copy,
    });
  });
});

test("another voter's file, a newer one, and damage before the last batch are refused", async (t) => {
  const golden = new Uint8Array(readFileSync('test/fixtures/v1/voter-file.bin'));
  const newer = golden.slice(0, 32);
  newer[4] = 2;
  const cases = [
    { voter: 1, header: golden.slice(0, 32), problem: /those of voter 2/ },
    { voter: 2, header: resealed(newer), problem: /newer than version 1; use a newer release/ },
  ];
  for (const { voter, header, problem } of cases) {
    const { simulator, made, world } = host(2);
    await runStory(simulator, async () => {
      const { disk } = await VoterDisk.open(world, 2, 65_536, true);
      await disk.rewrite(KEPT);
      await write(world, made.diskNames()[0] as string, header);
      const opened = VoterDisk.open(world, voter, 65_536, false);
      await t.throwsAsync(opened, { code: 'E_VOTER', message: problem });
    });
  }
  const { simulator, made, world } = host(3);
  await runStory(simulator, async () => {
    const { disk } = await VoterDisk.open(world, 2, 65_536, true);
    await disk.rewrite(KEPT);
    await disk.append(8, 0, []);
    await disk.append(9, 0, []);
    t.not(made.disk('voter-1').rot(1024 + 24, 2), null);
    const opened = VoterDisk.open(world, 2, 65_536, false);
    await t.throwsAsync(opened, { code: 'E_VOTER', message: /damaged at byte 1024/ });
  });
});

async function write(
  world: ReturnType<typeof host>['world'],
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  const disk = await world.disks.open(name, { writable: true });
  await new Promise<void>((resolve) => {
    disk.write({
      buffer: bytes,
      bufferOffset: 0,
      lengthBytes: bytes.length,
      position: 0,
      diskDone: () => resolve(),
    });
  });
}
