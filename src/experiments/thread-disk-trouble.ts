/**
 * Disk troubles in threads: the filters of the driver VM inject what they can. They do not outlive
 * the driver VM; a restarted one begins healthy.
 */
import { UsageError } from '../base/errors.ts';
import { NO_DELAY } from '../driver-vm/device-factory.ts';
import type { Delays } from '../driver-vm/filters/delay-filter.ts';
import { ALWAYS_FAIL, type ErrorRule } from '../driver-vm/filters/error-filter.ts';
import type { MediumTrouble } from '../driver-vm/filters/medium-filter.ts';
import type { Toolstack } from '../hypervisor/toolstack.ts';
import type { DiskTrouble } from '../world/faults.ts';
import { LATENT_EVERY_NTH } from './sim-disk-trouble.ts';

const SLOW: Delays = { readNs: 5e6, writeNs: 5e6, flushNs: 20e6, jitterNs: 2e6 };
const MEDIUM: Partial<Record<DiskTrouble, MediumTrouble>> = {
  'torn-write': { kind: 'torn-write' },
  'latent-sectors': { kind: 'latent-sectors', everyNth: LATENT_EVERY_NTH },
  misdirected: { kind: 'misdirected' },
};

/** Throws `UsageError` for a trouble that needs a simulated disk. */
export function checkTrouble(trouble: DiskTrouble): void {
  if (trouble !== 'slow' && MEDIUM[trouble] === undefined) rulesFor(trouble);
}

/** Begins a trouble now; the function it gives back ends it. */
export function troubleByFilter(
  toolstack: Toolstack,
  guest: string,
  trouble: DiskTrouble,
): () => void {
  if (trouble === 'slow') {
    tell(toolstack, guest, 'setDelays', SLOW);
    return () => tell(toolstack, guest, 'setDelays', NO_DELAY);
  }
  const medium = MEDIUM[trouble];
  if (medium !== undefined) {
    tell(toolstack, guest, 'setMedium', medium);
    return () => tell(toolstack, guest, 'setMedium', null);
  }
  tell(toolstack, guest, 'setErrors', rulesFor(trouble));
  return () => tell(toolstack, guest, 'setErrors', []);
}

function rulesFor(trouble: DiskTrouble): readonly ErrorRule[] {
  switch (trouble) {
    case 'read-error':
      return [{ ...ALWAYS_FAIL, op: 'read' }];
    case 'write-error':
    case 'no-space':
      return [{ ...ALWAYS_FAIL, op: 'write' }];
    case 'flush-fails':
      return [{ ...ALWAYS_FAIL, op: 'flush', times: 1 }];
    case 'slow':
    case 'torn-write':
    case 'latent-sectors':
    case 'misdirected':
    case 'stall':
    case 'lost-write':
    case 'bit-rot':
    case 'flush-lies':
      throw new UsageError(
        'E_TROUBLE_WORLD',
        `disk trouble "${trouble}" needs a simulated disk; run it with --world sim`,
        { fields: { trouble } },
      );
  }
}

/** A driver VM that is gone, or going, has no disk to give trouble to. */
function tell(toolstack: Toolstack, guest: string, method: string, value: unknown): void {
  const { driver } = toolstack;
  if (driver === null || driver.exit !== null) return;
  driver.handle.call(method, toolstack.diskPath(guest), value).catch(() => undefined);
}
