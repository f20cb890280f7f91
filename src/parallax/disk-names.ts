/** The disks of Parallax: the pool's one, and those of its own on each host. */
import { IDENTITY_DISK } from './log/log-identity.ts';
import { parseLogName } from './log/log-names.ts';

/** The pool's file, and the slab's on the host's own disk. */
export const POOL_DISK = 'blocks';
export const SLAB_DISK = 'slab';

/** Whether a disk of a host is one of Parallax's own: its log or its slab. */
export function isParallaxDisk(name: string): boolean {
  return name === SLAB_DISK || name === IDENTITY_DISK || parseLogName(name) !== null;
}
