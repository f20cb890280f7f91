/** The entry of the intent log that a mutation of blocks becomes. */
import type { StoreMutation } from './chunk-store.ts';
import type { IntentEntry } from './formats/intent-group.ts';

export function fillEntry(entry: IntentEntry, mutation: StoreMutation): void {
  entry.op = mutation.op;
  entry.blocks = mutation.blocks;
  entry.dirty = mutation.dirty;
  entry.missing = mutation.missing;
  entry.gmap = mutation.gmap;
  entry.group = mutation.group;
  entry.vdisk = mutation.vdisk;
  entry.epoch = mutation.epoch;
  entry.block = mutation.block;
  entry.term = mutation.term;
  entry.n = mutation.n;
  entry.session = mutation.session;
  entry.seq = mutation.seq;
  entry.conditional = mutation.conditionalVersion;
  for (let i = 0; i < mutation.crcs.length; i++) entry.words[i] = mutation.crcs[i] as number;
}
