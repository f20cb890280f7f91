/**
 * The planted bugs of the file device, `early-write` and `skipped-flush`, as a filter: a device
 * that says it is done before it is. In a sound driver VM it is not in the path.
 */
import {
  type BlockDevice,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
} from '../../world/block-device.ts';
import type { PlantedBug } from '../../world/faults.ts';
import { Filter } from './filter.ts';

/** The device itself, or the device with a planted bug over it. */
export function plant(device: BlockDevice, bug: PlantedBug): BlockDevice {
  if (bug === 'early-write') return new EarlyWrite(device);
  return bug === 'skipped-flush' ? new SkippedFlush(device) : device;
}

class EarlyWrite extends Filter {
  override submit(request: DeviceRequest): void {
    if (request.op !== DeviceOp.write) {
      this.inner.submit(request);
      return;
    }
    this.pass(request, 0);
    request.deviceDone(DeviceStatus.ok);
  }

  protected override completed(): void {}
}

class SkippedFlush extends Filter {
  override submit(request: DeviceRequest): void {
    if (request.op === DeviceOp.flush) request.deviceDone(DeviceStatus.ok);
    else this.inner.submit(request);
  }
}
