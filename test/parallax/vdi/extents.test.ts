import test from 'ava';
import type { BlockRun } from '../../../src/parallax/vdi/extents.ts';
import { DeviceStatus } from '../../../src/world/block-device.ts';
import { EngineBench } from '../../helpers/engine-bench.ts';

const OK = DeviceStatus.ok;

/** As `3 data, 5 empty`. */
function text(runs: readonly BlockRun[]): string {
  return runs.map(({ blocks, isSet }) => `${blocks} ${isSet ? 'data' : 'empty'}`).join(', ');
}

test('extents: what is dirty or mapped is data, before and after it is published', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    const disk = await (await bench.start()).image('a');
    const { served } = disk;
    t.is(text(await served.extents('allocation', 0, 128)), '128 empty');
    t.is(await disk.write(8 * 10, 8 * 3, 7), OK);
    t.is(await disk.write(8 * 20 + 3, 1, 7), OK);
    const expected = '10 empty, 3 data, 7 empty, 1 data, 107 empty';
    t.is(text(await served.extents('allocation', 0, 128)), expected);
    t.is(text(await served.extents('dirty', 0, 128)), expected);
    await served.drain();
    t.is(text(await served.extents('allocation', 0, 128)), expected);
    t.is(text(await served.extents('dirty', 0, 128)), '128 empty');
    t.is(text(await served.extents('allocation', 11, 21)), '2 data, 7 empty, 1 data');
    t.is(text(await served.extents('allocation', 5, 5)), '');
    await served.snapshot('one', false);
    t.is(text(await served.extents({ since: 'one' }, 0, 128)), '128 empty');
    t.is(await disk.write(8 * 11, 8, 9), OK);
    t.is(await disk.write(8 * 60, 8, 9), OK);
    const changed = '11 empty, 1 data, 48 empty, 1 data, 67 empty';
    t.is(text(await served.extents({ since: 'one' }, 0, 128)), changed, 'not published yet');
    await served.drain();
    t.is(text(await served.extents({ since: 'one' }, 0, 128)), changed);
    await t.throwsAsync(served.extents({ since: 'two' }, 0, 128), { code: 'E_NO_SNAPSHOT' });
  });
});
