/**
 * An actor that lives on the thread of who starts it, beside whatever else that thread's event loop
 * serves: for domains whose work comes from sockets, which only their own thread can read.
 *
 * It is an actor like any other: a domain with memory, a bell and links of its own, driven by the
 * event loop that drives a driver VM. It is killed between two steps, never inside one.
 */
import { MessageChannel } from 'node:worker_threads';
import { StorageError, toErrorRecord } from '../../base/errors.ts';
import type { ActorHandle, ActorSpec, ExitReport, HostedActor } from '../actor.ts';
import type { Link, World } from '../world.ts';
import { SAFETY_POLL_MS } from './bell-watch.ts';
import type { ClockZero } from './clock.ts';
import { EventLoop } from './event-loop.ts';
import { EventSource, PortLink } from './net.ts';
import { toolstackWorld } from './real-world.ts';
import type { HostPlace } from './spawner.ts';
import { bellIndex } from './wake.ts';

export interface ResidentOptions {
  readonly place: HostPlace;
  readonly seed: number;
  readonly clockZero: ClockZero;
  readonly onNote: (text: string) => void;
}

/** What an actor may do to the loop that drives it. */
export interface ResidentLoop {
  /** Takes a step soon. */
  look(): void;
  /** Ends the actor: something outside of its steps has thrown. */
  fail(thrown: unknown): void;
}

/** Makes the actor in its world. */
export type ResidentFactory = (world: World, loop: ResidentLoop) => HostedActor;

class Killed extends Error {}

/** Starts it at once. Nobody calls its control surface over the handle: they have the actor. */
export function startResident(
  spec: ActorSpec,
  { place, seed, clockZero, onNote }: ResidentOptions,
  make: ResidentFactory,
): ActorHandle {
  const channels = spec.links.map((name) => [name, new MessageChannel()] as const);
  const loop: { current: EventLoop | null } = { current: null };
  const look = (): void => loop.current?.look();
  const inner = new Map<string, Link>();
  const outer = new Map<string, Link>();
  for (const [name, { port1, port2 }] of channels) {
    inner.set(name, new PortLink(new EventSource(port1, look), () => {}));
    outer.set(name, new PortLink(new EventSource(port2, () => {}), () => {}));
  }
  const { memory, folder } = place;
  const world = toolstackWorld(
    { name: spec.name, memory, seed, clockZero, folder, onNote },
    look,
    inner,
  );
  const events = new EventLoop({
    words: memory.i32,
    bell: bellIndex(spec.bellAddress),
    mode: 'block',
    safetyPollMs: SAFETY_POLL_MS,
    timers: world.timers,
  });
  loop.current = events;
  const actor = make(world, events);
  const exited = events
    .run(actor)
    .then(
      (result): ExitReport => ({ reason: 'finished', result }),
      (thrown: unknown): ExitReport =>
        thrown instanceof Killed
          ? { reason: 'killed' }
          : { reason: 'failed', error: toErrorRecord(thrown) },
    )
    .then(async (report) => {
      await world.bury();
      return report;
    });
  return {
    name: spec.name,
    links: outer,
    exited,
    kill: () => events.fail(new Killed()),
    call: (method) =>
      Promise.reject(new StorageError('E_RESIDENT', `${spec.name} is not asked for ${method}`)),
  };
}
