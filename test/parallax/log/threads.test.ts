/** The dirty log over real files. */
import { readdir } from 'node:fs/promises';
import test from 'ava';
import { type LogEntry, MutationKind } from '../../../src/parallax/formats/log-group.ts';
import { DirtyLog } from '../../../src/parallax/log/dirty-log.ts';
import type { Mutation } from '../../../src/parallax/log/mutation.ts';
import { recoverLog } from '../../../src/parallax/log/recovery.ts';
import { startClock } from '../../../src/world/real/clock.ts';
import { toolstackWorld } from '../../../src/world/real/real-world.ts';
import { createHostMemory } from '../../../src/world/real/wasm-memory.ts';
import { folderOf } from '../../world/real/helpers.ts';
import { copyOf, fillPayload, SMALL } from './log-bench.ts';

const PAYLOAD_ADDRESS = 4096;
const READ_ADDRESS = 16_384;

test('over real files: written, killed, recovered, read back, retired', async (t) => {
  const folder = await folderOf(t);
  const memory = createHostMemory(1 << 20);
  const open = () =>
    toolstackWorld({
      name: 'd0',
      memory,
      seed: 1,
      clockZero: startClock(),
      folder,
      poolFolder: null,
      onNote: (text) => t.log(text),
    });
  const first = open();
  let onRoom = (): void => {};
  const found0 = await recoverLog(first, SMALL, () => {});
  const log = new DirtyLog(first, SMALL, found0, () => onRoom());
  t.true(await log.start());
  for (let vdiSeq = 1; vdiSeq <= 12; vdiSeq++) {
    await new Promise<void>((resolve) => {
      const mutation: Mutation = {
        kind: MutationKind.write,
        vdi: 7,
        generation: 1,
        vdiSeq,
        frontId: 1,
        frontSeq: vdiSeq,
        partOffset: 0,
        unitSectors: 0,
        writeIndex: vdiSeq,
        lba: vdiSeq * 8,
        sectors: 8,
        address: PAYLOAD_ADDRESS,
        detail: 0,
        needsSync: true,
        segment: 0,
        offset: 0,
        pieceCrcs: new Uint32Array(2),
        logged: (status) => {
          t.is(status, 0);
          resolve();
        },
      };
      fillPayload(memory.u8.subarray(PAYLOAD_ADDRESS, PAYLOAD_ADDRESS + 4096), 7, vdiSeq);
      // A file may be slower than its writer: then it is told when there is room again.
      onRoom = (): void => {
        onRoom = () => {};
        if (!log.append(mutation)) t.fail('there is room when it says so');
        log.step();
      };
      if (!log.append(mutation)) return;
      onRoom = () => {};
      log.step();
    });
  }
  await first.bury();
  memory.clear(0, memory.sizeBytes);

  const second = open();
  const entries: LogEntry[] = [];
  const found = await recoverLog(second, SMALL, (entry) => {
    entries.push(copyOf(entry));
  });
  t.deepEqual(found.damage, []);
  t.is(entries.length, 12);
  const next = new DirtyLog(second, SMALL, found, () => {});
  t.true(await next.start());
  const expected = new Uint8Array(4096);
  for (const { vdiSeq, segment, offset } of entries) {
    t.is(next.readNow(segment, offset, 4096, READ_ADDRESS), 0);
    fillPayload(expected, 7, vdiSeq);
    t.deepEqual(memory.u8.slice(READ_ADDRESS, READ_ADDRESS + 4096), expected);
    t.true(next.answered(1, vdiSeq, 0));
  }
  next.published(7, 12);
  t.true(await next.checkpoint());
  t.true(await next.checkpoint());
  await next.close();
  const files = await readdir(folder);
  t.false(
    files.some((name) => name.startsWith('log-1-') || name.startsWith('ckpt-1-')),
    `what is published needs no files: ${files.join(' ')}`,
  );
  await second.bury();
});
