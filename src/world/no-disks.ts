/** The disks of an actor that has none: of a pool that it was not started with. */
import { StorageError } from '../base/errors.ts';
import type { Disks } from './world.ts';

export const noDisks: Disks = {
  open: (name) =>
    Promise.reject(
      new StorageError('E_NO_POOL', `this run has no pool, so no disk "${name}" in it`, {
        fields: { name },
      }),
    ),
  list: () => Promise.resolve([]),
  remove: () => Promise.resolve(),
};
