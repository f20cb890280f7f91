/**
 * The troubles of the fault vocabulary on a path of the simulator. Of two troubles of one kind on
 * one path, the first that ends heals both.
 */
import type { LinkMeasure } from '../world/faults.ts';
import type { LinkDirection, LinkPath } from '../world/sim/sim-link.ts';

/** Reads the kind of a message, in the protocol that the link carries. */
export type KindOf = (frame: Uint8Array) => number;

/** Begins a trouble; the function it gives back ends it. */
export function strikeLink(path: LinkPath, measure: LinkMeasure, kindOf: KindOf): () => void {
  const { toActor, fromActor, directions } = path;
  const { trouble, delayNs, share, messageKind } = measure;
  switch (trouble) {
    case 'cut':
      return onAll(directions, cut);
    case 'cut-to-actor':
      return cut(toActor);
    case 'cut-from-actor':
      return cut(fromActor);
    case 'cut-kind':
      return onAll(directions, (direction) => {
        direction.cutSome((frame) => kindOf(frame) === messageKind);
        return () => direction.cutSome(null);
      });
    case 'clog':
      return onAll(directions, (direction) => {
        direction.clog();
        return () => direction.unclog();
      });
    case 'delay':
      return onAll(directions, (direction) => {
        direction.set({ latencyNs: direction.parameters.latencyNs + delayNs });
        return () => direction.set({ latencyNs: direction.parameters.latencyNs - delayNs });
      });
    case 'duplicate':
      return onAll(directions, (direction) => {
        direction.set({ duplicate: share });
        return () => direction.set({ duplicate: 0 });
      });
    case 'reorder':
      return onAll(directions, (direction) => {
        direction.set({ reorder: share, reorderNs: delayNs });
        return () => direction.set({ reorder: 0 });
      });
    case 'loss':
      return onAll(directions, (direction) => {
        direction.set({ loss: share });
        return () => direction.set({ loss: 0 });
      });
  }
}

function cut(direction: LinkDirection): () => void {
  direction.cut();
  return () => direction.heal();
}

function onAll(
  directions: readonly LinkDirection[],
  strike: (direction: LinkDirection) => () => void,
): () => void {
  const heals = directions.map(strike);
  return () => {
    for (const heal of heals) heal();
  };
}
