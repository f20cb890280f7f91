/** From what the toolstack writes in the store to a device with its filters. */
import { StorageError } from '../base/errors.ts';
import { SECTOR_BYTES } from '../base/units.ts';
import type { BlockDevice } from '../world/block-device.ts';
import type { World } from '../world/world.ts';
import { FileDevice } from './devices/file-device.ts';
import { MemoryDevice } from './devices/memory-device.ts';
import { NullDevice } from './devices/null-device.ts';
import { PatternDevice } from './devices/pattern-device.ts';
import { DelayFilter, type Delays } from './filters/delay-filter.ts';
import { ErrorFilter, type ErrorRule } from './filters/error-filter.ts';
import { MediumFilter, type MediumTrouble } from './filters/medium-filter.ts';
import { ReadonlyFilter } from './filters/readonly-filter.ts';
import { type DeviceStats, StatsFilter } from './filters/stats-filter.ts';

export interface DeviceDescription {
  readonly type: string;
  /** `file`: name of the disk. `memory`: address in host RAM. Others: not used. */
  readonly params: string;
  readonly sectors: number;
  readonly writable: boolean;
}

export const NO_DELAY: Delays = { readNs: 0, writeNs: 0, flushNs: 0, jitterNs: 0 };

/** A disk's device and the handles by which its filters are changed while it serves. */
export class DeviceStack {
  readonly device: BlockDevice;
  readonly #errors: ErrorFilter;
  readonly #stats: StatsFilter;
  readonly #delay: DelayFilter;
  readonly #medium: MediumFilter;

  /** Filters are left out of the path where they would do nothing (`bare`), for benchmarks. */
  constructor(bottom: BlockDevice, world: World, writable: boolean, bare: boolean) {
    const random = world.random.fork(`filters/${bottom.info.kind}`);
    this.#medium = new MediumFilter(bottom, random);
    this.#delay = new DelayFilter(this.#medium, NO_DELAY, world.clock, world.timers, random);
    this.#errors = new ErrorFilter(this.#delay, [], random);
    this.#stats = new StatsFilter(this.#errors, world.clock);
    const top = bare ? bottom : this.#stats;
    this.device = writable ? top : new ReadonlyFilter(top);
  }

  setErrors(rules: readonly ErrorRule[]): void {
    this.#errors.setRules(rules);
  }

  setDelays(delays: Delays): void {
    this.#delay.setDelays(delays);
  }

  setMedium(trouble: MediumTrouble | null): void {
    this.#medium.setTrouble(trouble);
  }

  stats(): DeviceStats {
    return this.#stats.snapshot();
  }
}

/** Opens the device a description names. Throws `StorageError` or `UsageError` if it cannot be. */
export async function openDevice(
  description: DeviceDescription,
  world: World,
): Promise<BlockDevice> {
  const { type, params, sectors, writable } = description;
  switch (type) {
    case 'null':
      return new NullDevice(world.memory, sectors);
    case 'pattern':
      return new PatternDevice(world.memory, sectors);
    case 'memory':
      return openMemory(params, sectors, world);
    case 'file': {
      const lengthBytes = sectors * SECTOR_BYTES;
      const disk = await world.disks.open(params, { writable, createBytes: lengthBytes });
      return new FileDevice(disk, world.memory, sectors);
    }
    default:
      throw new StorageError('E_DEVICE_TYPE', `no device of type ${type}`, { fields: { type } });
  }
}

function openMemory(params: string, sectors: number, world: World): MemoryDevice {
  const address = Number(params);
  const end = address + sectors * SECTOR_BYTES;
  if (!Number.isSafeInteger(address) || address <= 0 || end > world.memory.sizeBytes) {
    throw new StorageError(
      'E_DEVICE_PARAMS',
      `a memory device needs ${sectors} sectors of host RAM at a byte address, not ${params}`,
      { fields: { params, sectors } },
    );
  }
  return new MemoryDevice(world.memory, address, sectors);
}
