/** Each trouble of a link in the vocabulary is what the simulator's model of links calls so. */
import test from 'ava';
import { type Nanos, nanos } from '../../src/base/units.ts';
import { strikeLink } from '../../src/experiments/sim-link-trouble.ts';
import { LINK_TROUBLES, type LinkTrouble } from '../../src/world/faults.ts';
import { stage } from '../world/sim/helper-actors.ts';

const FRAMES = 60;
const EVERY_NS = 10_000;
const BEGIN_NS = 200_000;
const END_NS = 400_000;
const DELAY_NS = 50_000;
const SHARE = 0.5;
/** Frames of this kind, their second byte, are every third one. */
const KIND = 2;

interface Got {
  readonly value: number;
  readonly atNs: number;
}

interface Heard {
  readonly toActor: readonly Got[];
  readonly fromActor: readonly Got[];
}

/** Both ends send a frame every 10 us; the trouble lasts from 200 to 400 us. */
async function heardUnder(trouble: LinkTrouble): Promise<Heard> {
  const { sim, world, spawn } = stage();
  const toActor: Got[] = [];
  const fromActor: Got[] = [];
  const frameOf = (value: number): Uint8Array => Uint8Array.of(value, value % 3);
  const sendAll = (send: (value: number) => void, at: typeof world.timers.at): void => {
    for (let value = 0; value < FRAMES; value++) {
      at(nanos(5_000 + value * EVERY_NS), () => send(value));
    }
  };
  const handle = spawn(
    (own) => ({
      start: async () => {
        const link = own.net.link('l');
        link.onFrame(([value = -1]) => toActor.push({ value, atNs: sim.nowNs }));
        sendAll(
          (value) => link.send(frameOf(value)),
          (atNs: Nanos, fire) => own.timers.at(atNs, fire),
        );
      },
    }),
    { links: ['l'] },
  );
  const far = handle.links.get('l');
  far?.onFrame(([value = -1]) => fromActor.push({ value, atNs: sim.nowNs }));
  sendAll(
    (value) => far?.send(frameOf(value)),
    (atNs: Nanos, fire) => world.timers.at(atNs, fire),
  );
  const measure = { trouble, forNs: END_NS - BEGIN_NS, delayNs: DELAY_NS, share: SHARE };
  world.timers.at(nanos(BEGIN_NS), () => {
    const kindOf = (frame: Uint8Array): number => frame[1] ?? -1;
    const heal = strikeLink(sim.link('g0/l'), { ...measure, messageKind: KIND }, kindOf);
    world.timers.at(nanos(END_NS), heal);
  });
  await sim.run();
  return { toActor, fromActor };
}

const values = (heard: readonly Got[]): number[] => heard.map(({ value }) => value);
const whole = Array.from({ length: FRAMES }, (_, value) => value);
const isInOrder = (heard: readonly Got[]): boolean =>
  values(heard).every((value, at, all) => at === 0 || value > (all[at - 1] as number));
const arrivedWithin = (heard: readonly Got[]): number =>
  heard.filter(({ atNs }) => atNs > BEGIN_NS && atNs < END_NS).length;

/** What one direction heard under each trouble that strikes it. */
const MEANING: Readonly<Record<LinkTrouble, (heard: readonly Got[]) => boolean>> = {
  cut: (heard) => arrivedWithin(heard) === 0 && heard.length < FRAMES,
  'cut-to-actor': (heard) => arrivedWithin(heard) === 0 && heard.length < FRAMES,
  'cut-from-actor': (heard) => arrivedWithin(heard) === 0 && heard.length < FRAMES,
  'cut-kind': (heard) => {
    const missing = whole.filter((value) => !values(heard).includes(value));
    return missing.length > 4 && missing.every((value) => value % 3 === KIND);
  },
  clog: (heard) => arrivedWithin(heard) === 0 && heard.length === FRAMES && isInOrder(heard),
  delay: (heard) =>
    heard.length === FRAMES &&
    isInOrder(heard) &&
    heard.some(({ value, atNs }) => atNs - (5_000 + value * EVERY_NS) >= DELAY_NS),
  duplicate: (heard) => heard.length > FRAMES && new Set(values(heard)).size === FRAMES,
  reorder: (heard) => heard.length === FRAMES && !isInOrder(heard),
  loss: (heard) => heard.length < FRAMES - 4 && arrivedWithin(heard) > 2,
};

for (const trouble of LINK_TROUBLES) {
  test(`link trouble "${trouble}" does what its name says, and ends`, async (t) => {
    const { toActor, fromActor } = await heardUnder(trouble);
    const means = MEANING[trouble];
    t.is(means(toActor), trouble !== 'cut-from-actor', `to the actor: ${values(toActor).join()}`);
    t.is(means(fromActor), trouble !== 'cut-to-actor', `from it: ${values(fromActor).join()}`);
    for (const heard of [toActor, fromActor]) {
      const late = heard.filter(({ value }) => 5_000 + value * EVERY_NS > END_NS + DELAY_NS);
      t.deepEqual(values(late), whole.slice(-late.length), 'sound again after it');
      t.true(late.length > 10);
    }
  });
}
