/**
 * A Linux guest over many deaths of its driver VM, its server and itself:
 * `npm run soak:guest [CYCLES [SEED [PETAL]]]`, the last with its image on so many Petal servers,
 * which die too. Ends with 1 if a file whose fsync had returned was lost, a file system was not
 * clean, or anybody did not go on.
 */

import { drawVictims, PETAL_VICTIMS, playOrdeal, VICTIMS } from './guest-ordeal.ts';
import { findGuestParts, hasKvm } from './guest-parts.ts';

const [cycles = 50, seed = 1, petal = null] = process.argv.slice(2).map(Number);

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

const parts = findGuestParts();
if ('kernel' in parts) {
  const place = petal === null ? 'on a file' : `on ${petal} Petal servers`;
  const by = hasKvm() ? 'KVM' : 'QEMU translates';
  say(`${cycles} cycles ${place}, seed ${seed}, ${by}, ${parts.kernel}`);
  const victims = drawVictims(cycles, seed, petal === null ? VICTIMS : PETAL_VICTIMS);
  const options = {
    parts,
    victims,
    seed,
    petal,
    policy: 'W2',
    takesSnapshot: true,
    onCycle: say,
  } as const;
  const verdict = await playOrdeal(options);
  const { problem, fsyncs, comparisons } = verdict;
  const counted = `${verdict.cycles} cycles, ${fsyncs} fsyncs, ${comparisons} comparisons`;
  say(`${problem === null ? '✔' : '✘'} seed ${seed}: ${counted}`);
  if (problem !== null) say(`  ${problem}`);
  process.exitCode = problem === null ? 0 : 1;
} else {
  say(
    `no guest can be booted here; missing are the Debian packages ${parts.join(', ')} ` +
      '(node scripts/fetch-guest-kernel.mjs unpacks a kernel and installs nothing)',
  );
  process.exitCode = 2;
}
