/** Main program of a driver VM's thread. */
import { hostDriver } from '../world/real/host-worker.ts';
import { createDriverVm } from './create-driver-vm.ts';

await hostDriver(createDriverVm);
