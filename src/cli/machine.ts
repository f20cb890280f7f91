/** What is known of the machine a run was made on. */
import { arch, availableParallelism, cpus, release, type as systemName } from 'node:os';
import type { MachineFacts } from '../experiments/result.ts';

export function machineFacts(): MachineFacts {
  return {
    node: process.version,
    cpu: cpus()[0]?.model.trim() || arch(),
    cores: availableParallelism(),
    os: `${systemName()} ${release()} ${arch()}`,
  };
}
