/**
 * `stordom vdi`: images and snapshots in a store of this machine. The commands are in `vdi-look.ts`
 * (which change nothing), `vdi-change.ts` and `vdi-copy.ts`.
 */
import type { Command } from 'commander';
import { addExamples } from './flags.ts';
import { addChangeCommands } from './vdi-change.ts';
import { addCopyCommands } from './vdi-copy.ts';
import { addLookCommands } from './vdi-look.ts';
import { addMoveCommand } from './vdi-move.ts';
import { addOrphanCommands } from './vdi-orphan.ts';
import { addTakeoverCommand } from './vdi-takeover.ts';

export function addVdiCommand(program: Command): void {
  const vdi = program
    .command('vdi')
    .description('make, snapshot, clone, copy and look at virtual disk images');
  addLookCommands(vdi);
  addChangeCommands(vdi);
  addCopyCommands(vdi);
  addMoveCommand(vdi);
  addTakeoverCommand(vdi);
  addOrphanCommands(vdi);
  addExamples(
    vdi,
    'stordom vdi create first --store my-store --size 10g',
    'stordom vdi ls --store my-store',
  );
}
