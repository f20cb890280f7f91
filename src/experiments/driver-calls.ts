/**
 * What a run asks of the driver VM of a host, which may be gone, and may go while it is asked.
 */
import { StorageError } from '../base/errors.ts';
import type { DriverVmStatus } from '../driver-vm/driver-vm.ts';
import type { DriverDomain } from '../hypervisor/toolstack.ts';

/** null: nobody is there, or it was gone before it had answered. */
export async function statusOf(driver: DriverDomain | null): Promise<DriverVmStatus | null> {
  if (driver === null || driver.exit !== null) return null;
  try {
    return (await driver.handle.call('status')) as DriverVmStatus;
  } catch (thrown) {
    if (thrown instanceof StorageError) return null;
    throw thrown;
  }
}

/**
 * Images that are served, which just after the death of a driver VM says that they have lost
 * nothing: it had not served them yet. None of them if nobody can tell.
 */
export async function imagesWithoutLoss(driver: DriverDomain | null): Promise<readonly string[]> {
  const images = (await statusOf(driver))?.images ?? [];
  return images.filter(({ state }) => state === 'serving').map(({ name }) => name);
}

/** Whether the host has taken an image over. False: nobody was there to do it, or died in it. */
export async function takeImage(driver: DriverDomain | null, image: string): Promise<boolean> {
  if (driver === null || driver.exit !== null) return false;
  try {
    await driver.handle.call('takeOver', image);
    return true;
  } catch (thrown) {
    if (!(thrown instanceof StorageError)) throw thrown;
    // A driver VM that died in it, and has a successor, has done it.
    return thrown.code === 'E_IMAGE_HERE';
  }
}

/**
 * Takes a snapshot: its id, when it is in the pool. null: nobody can say what became of it;
 * undefined: nobody was there to be asked.
 */
export async function snapshotBy(
  driver: DriverDomain | null,
  image: string,
  name: string,
): Promise<number | null | undefined> {
  if (driver === null || driver.exit !== null) return undefined;
  try {
    return (await driver.handle.call('snapshot', image, name, false)) as number;
  } catch (thrown) {
    if (thrown instanceof StorageError) return null;
    throw thrown;
  }
}
