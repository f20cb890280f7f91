/** Refuses everything that would change the device below, and says so in its information. */
import {
  type BlockDevice,
  type DeviceInfo,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
} from '../../world/block-device.ts';
import { Filter } from './filter.ts';

export class ReadonlyFilter extends Filter {
  readonly #info: DeviceInfo;

  constructor(inner: BlockDevice) {
    super(inner);
    this.#info = { ...inner.info, readonly: true, discard: false };
  }

  override get info(): DeviceInfo {
    return this.#info;
  }

  override submit(request: DeviceRequest): void {
    if (request.op === DeviceOp.write || request.op === DeviceOp.discard) {
      request.deviceDone(DeviceStatus.ioError);
      return;
    }
    this.inner.submit(request);
  }

  override async resize(sectors: number): Promise<void> {
    await this.inner.resize(sectors);
    this.#info.sectors = sectors;
  }
}
