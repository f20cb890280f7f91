import test from 'ava';
import { PayloadMemory } from '../../../src/parallax/vdi/payload-memory.ts';
import { PublishTurn } from '../../../src/parallax/vdi/publish-turn.ts';

test('pages are given out once each and come back by any address in them', (t) => {
  const memory = new PayloadMemory({ address: 8192, bytes: 3 * 4096 });
  const pages = [memory.take(), memory.take(), memory.take()];
  t.deepEqual(
    pages.toSorted((a, b) => a - b),
    [8192, 12_288, 16_384],
  );
  t.is(memory.free, 0);
  t.throws(() => memory.take(), { message: /where one is free/ });
  memory.give(12_288 + 1536);
  t.is(memory.take(), 12_288);
});

test('stories take turns in the order in which they asked, also after one that failed', async (t) => {
  const turn = new PublishTurn();
  const told: string[] = [];
  const story = (name: string, fails: boolean) => async (): Promise<string> => {
    told.push(`${name} begins`);
    await Promise.resolve();
    told.push(`${name} ends`);
    if (fails) throw new Error(name);
    return name;
  };
  const all = [
    turn.take(story('a', false)),
    turn.take(story('b', true)),
    turn.take(story('c', false)),
  ];
  const [a, b, c] = await Promise.allSettled(all);
  t.deepEqual([a?.status, b?.status, c?.status], ['fulfilled', 'rejected', 'fulfilled']);
  t.deepEqual(told, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});
