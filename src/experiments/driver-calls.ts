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

/** Images of which it knows that it serves them no more; none of them if nobody can tell. */
export async function fencedImages(driver: DriverDomain | null): Promise<readonly string[]> {
  const images = (await statusOf(driver))?.images ?? [];
  return images.filter(({ state }) => state === 'fenced').map(({ name }) => name);
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

/** What came of asking a driver VM for a planned move. */
export type HandOver = 'done' | 'lost' | 'not-yet';

/** `lost`: the image has lost what was acknowledged, and nobody has accepted that. */
export async function handOverImage(
  driver: DriverDomain | null,
  image: string,
  to: string,
): Promise<HandOver> {
  if (driver === null || driver.exit !== null) return 'not-yet';
  try {
    await driver.handle.call('handOver', image, to);
    return 'done';
  } catch (thrown) {
    if (!(thrown instanceof StorageError)) throw thrown;
    return thrown.code === 'E_IMAGE_LOST' ? 'lost' : 'not-yet';
  }
}

/** False: nobody was there, or it was gone before it had answered. */
export async function acceptLoss(driver: DriverDomain | null, image: string): Promise<boolean> {
  if (driver === null || driver.exit !== null) return false;
  try {
    await driver.handle.call('acceptLoss', image);
    return true;
  } catch (thrown) {
    if (!(thrown instanceof StorageError)) throw thrown;
    return thrown.code === 'E_NOTHING_LOST';
  }
}

/** Settles when all that its images have is published, or after so many looks. */
export async function untilDrained(
  living: () => DriverDomain | null,
  look: { readonly sleep: () => Promise<void>; readonly looks: number },
): Promise<void> {
  for (let looks = 0; looks < look.looks; looks++) {
    await look.sleep();
    const status = await statusOf(living());
    const isIdle = status?.images.every(({ dirtyBytes }) => dirtyBytes === 0) === true;
    if (isIdle && status?.isServing === true) return;
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
