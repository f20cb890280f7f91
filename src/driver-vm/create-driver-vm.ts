/** The `ActorFactory` of driver VMs, in both worlds. */
import { invariant } from '../base/invariant.ts';
import type { World } from '../world/world.ts';
import { DriverVm, type DriverVmConfig } from './driver-vm.ts';

export function createDriverVm(world: World, config: unknown): DriverVm {
  invariant(typeof config === 'object' && config !== null, 'a driver VM is started with a config');
  return new DriverVm(world, config as DriverVmConfig);
}
