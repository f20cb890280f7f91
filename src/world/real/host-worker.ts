/**
 * The inside of an actor's thread: builds the world, makes the actor, drives it to its end.
 *
 * A `worker.ts` file is one line over this: a guest's exports `main = hostGuest(createGuest)` for
 * piscina, a driver VM's calls `hostDriver(createDriverVm)`.
 *
 * Whatever goes wrong in the thread ends the actor with the report `failed`, also an exception in a
 * completion or an unhandled rejection in a story: a broken invariant must not be survived. The
 * world is buried before the report is given, so that a finished or failed actor has nothing in
 * flight; a guest's thread lives on and serves the next one.
 */
import { type MessagePort, workerData } from 'node:worker_threads';
import { toErrorRecord } from '../../base/errors.ts';
import type { ActorFactory, ExitReport, HostedActor } from '../actor.ts';
import type { Link } from '../world.ts';
import { ActorWords } from './actor-words.ts';
import { BlockingLoop } from './blocking-loop.ts';
import type { ActorBoot, ActorNews } from './boot.ts';
import { serveControl } from './endpoint.ts';
import { EventLoop } from './event-loop.ts';
import { EventSource, type MessageSource, PolledInbox, PortLink } from './net.ts';
import {
  type ActorWorldOptions,
  blockingWorld,
  eventLoopWorld,
  type RealWorld,
} from './real-world.ts';
import { bellIndex } from './wake.ts';
import { openHostMemory } from './wasm-memory.ts';

/** A guest's piscina task. The thread sleeps on the actor's bell. */
export function hostGuest(factory: ActorFactory): (boot: ActorBoot) => Promise<ExitReport> {
  return (boot) => host(factory, boot, runBlocking);
}

/** The main program of a driver VM's worker. Ends the thread when the actor has ended. */
export async function hostDriver(factory: ActorFactory): Promise<void> {
  const boot = workerData as ActorBoot;
  const report = await host(factory, boot, runWithEvents);
  tell(boot.news, { kind: 'exit', report });
  process.exit();
}

type Run = (factory: ActorFactory, boot: ActorBoot, hosted: Hosted) => Promise<unknown>;

/** What of a hosted actor can fail or must be undone. */
interface Hosted {
  world: RealWorld | null;
  fail: (thrown: unknown) => void;
}

async function host(factory: ActorFactory, boot: ActorBoot, run: Run): Promise<ExitReport> {
  const hosted: Hosted = { world: null, fail: () => {} };
  const onUncaught = (thrown: unknown): void => hosted.fail(thrown);
  // An unhandled rejection arrives here too: Node turns it into an uncaught exception.
  process.on('uncaughtException', onUncaught);
  let report: ExitReport;
  try {
    const result = await run(factory, boot, hosted);
    // What cannot be cloned must fail here, where the report can still say so.
    report = { reason: 'finished', result: structuredClone(result) };
  } catch (thrown) {
    report = { reason: 'failed', error: toErrorRecord(thrown) };
    const events = hosted.world?.log.lastEvents() ?? '';
    const text = `${boot.name} failed; its last events (ms, kind, numbers):\n${events}`;
    if (events !== '') tell(boot.news, { kind: 'note', text });
  }
  await hosted.world?.bury();
  // The call that ended the actor is answered by promise jobs: they come first.
  await new Promise((resolve) => setImmediate(resolve));
  boot.control.close();
  process.off('uncaughtException', onUncaught);
  return report;
}

async function runBlocking(
  factory: ActorFactory,
  boot: ActorBoot,
  hosted: Hosted,
): Promise<unknown> {
  const memory = openHostMemory(boot.memory);
  const words = new ActorWords(boot.words);
  const inbox = new PolledInbox(words);
  const source = (port: MessagePort): MessageSource => inbox.source(port);
  let look = (): void => {};
  const world = blockingWorld({
    ...worldOptions(boot, words, linksOf(boot, source)),
    memory,
    onActivity: () => look(),
  });
  hosted.world = world;
  const actor = makeActor(factory, boot, world, source(boot.control));
  const loop = new BlockingLoop({
    words: memory.i32,
    bell: bellIndex(boot.bellAddress),
    mode: boot.mode,
    safetyPollMs: boot.safetyPollMs,
    clock: world.clock,
    timers: world.timers,
    inbox,
    inFlight: () => world.diskOperations,
  });
  ({ look, fail: hosted.fail } = loop);
  return loop.run(actor);
}

async function runWithEvents(
  factory: ActorFactory,
  boot: ActorBoot,
  hosted: Hosted,
): Promise<unknown> {
  const memory = openHostMemory(boot.memory);
  const words = new ActorWords(boot.words);
  let look = (): void => {};
  const source = (port: MessagePort): MessageSource => new EventSource(port, () => look());
  const world = eventLoopWorld({
    ...worldOptions(boot, words, linksOf(boot, source)),
    memory,
    onActivity: () => look(),
  });
  hosted.world = world;
  const actor = makeActor(factory, boot, world, source(boot.control));
  const loop = new EventLoop({
    words: memory.i32,
    bell: bellIndex(boot.bellAddress),
    mode: boot.mode,
    safetyPollMs: boot.safetyPollMs,
    timers: world.timers,
  });
  ({ look, fail: hosted.fail } = loop);
  return loop.run(actor);
}

function makeActor(
  factory: ActorFactory,
  boot: ActorBoot,
  world: RealWorld,
  control: MessageSource,
): HostedActor {
  const actor = factory(world, boot.config, boot.bellAddress);
  serveControl(actor.control, control);
  return actor;
}

function worldOptions(
  boot: ActorBoot,
  words: ActorWords,
  links: ReadonlyMap<string, Link>,
): Omit<ActorWorldOptions, 'memory' | 'onActivity'> {
  return {
    name: boot.name,
    seed: boot.seed,
    incarnation: boot.incarnation,
    clockZero: boot.clockZero,
    words,
    folder: boot.folder,
    poolFolder: boot.poolFolder,
    links,
    onNote: (text) => tell(boot.news, { kind: 'note', text }),
    crashPoint: (point) => {
      words.pauseIfAsked();
      if (!words.isLastPass(point)) return;
      tell(boot.news, { kind: 'parked', point });
      words.park();
    },
    protocolEvent: (event) => words.countEvent(event),
  };
}

/** The receiver is the toolstack, which has an event loop: it needs no bell. */
function linksOf(
  boot: ActorBoot,
  source: (port: MessagePort) => MessageSource,
): ReadonlyMap<string, Link> {
  return new Map(
    boot.links.map(([name, port]) => [name, new PortLink(source(port), () => {})] as const),
  );
}

function tell(port: MessagePort, news: ActorNews): void {
  port.postMessage(news);
}
