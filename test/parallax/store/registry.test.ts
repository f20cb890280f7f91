import test from 'ava';
import { Registry } from '../../../src/parallax/store/registry.ts';
import { EngineBench, STORE } from '../../helpers/engine-bench.ts';

const image = (vdi: number, name: string): Parameters<Registry['add']>[0] => ({
  vdi,
  name,
  host: 'h0',
  createdMs: 5,
});

async function withRegistry(
  story: (registry: Registry, bench: EngineBench) => Promise<void>,
): Promise<void> {
  const bench = new EngineBench();
  await bench.run(() => story(new Registry(bench.directory, STORE), bench));
}

test('a name is given once; the image is found by it, listed by number, and gone when removed', async (t) => {
  await withRegistry(async (registry) => {
    for (const name of ['b', 'a']) await registry.add(image(await registry.newNumber(), name));
    t.deepEqual(
      (await registry.list()).map(({ vdi, name }) => [vdi, name]),
      [
        [1, 'b'],
        [2, 'a'],
      ],
    );
    await t.throwsAsync(registry.add(image(9, 'a')), { code: 'E_NAME_TAKEN' });
    t.is((await registry.find('a'))?.vdi, 2);
    await registry.remove(2);
    await registry.remove(2);
    t.is(await registry.find('a'), null);
    t.is(await registry.newNumber(), 3);
  });
});

test('renaming moves the name; a taken one is refused, and an unknown one says which there are', async (t) => {
  await withRegistry(async (registry) => {
    for (const name of ['one', 'two']) await registry.add(image(await registry.newNumber(), name));
    await registry.rename('one', 'uno');
    t.is((await registry.byName('uno')).vdi, 1);
    await t.throwsAsync(registry.rename('uno', 'two'), { code: 'E_NAME_TAKEN' });
    await t.throwsAsync(registry.byName('one'), { code: 'E_NO_IMAGE', message: /uno, two/ });
    await t.throwsAsync(registry.byName('../x'), { code: 'E_IMAGE_NAME' });
  });
});

test('of two hosts that want an image one gets it', async (t) => {
  await withRegistry(async (registry) => {
    await registry.add({ ...image(1, 'a'), host: '' });
    const moved = await Promise.all(['h1', 'h2'].map((host) => registry.moveTo(1, '', host)));
    t.is(moved.filter((won) => won).length, 1);
    t.false(await registry.moveTo(1, '', 'h3'));
  });
});

test('numbers that are asked for at the same time differ', async (t) => {
  await withRegistry(async (registry) => {
    const numbers = await Promise.all(Array.from({ length: 8 }, () => registry.newNumber()));
    t.is(new Set(numbers).size, 8);
  });
});

test('an entry that is damaged or of a newer format is named, not believed', async (t) => {
  await withRegistry(async (registry, { directory }) => {
    const key = `image/${STORE}/0000000001`;
    const put = (text: string): Promise<boolean> =>
      directory.txn([], [{ key, value: Uint8Array.from(text, (c) => c.charCodeAt(0)) }]);
    await put('{"v":1,"name":"a"}');
    await t.throwsAsync(registry.list(), { code: 'E_DIRECTORY_DAMAGED', message: /lacks a field/ });
    await put('nonsense');
    await t.throwsAsync(registry.list(), { code: 'E_DIRECTORY_DAMAGED', message: /not JSON/ });
    await put('{"v":2}');
    await t.throwsAsync(registry.list(), { code: 'E_FORMAT_NEWER', message: /update stordom/ });
  });
});
