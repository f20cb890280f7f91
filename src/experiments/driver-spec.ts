/** The driver VM of a host in a run: what it serves, and what it is linked to. */
import type { DriverVmConfig } from '../driver-vm/driver-vm.ts';
import type { DomainLayout } from '../hypervisor/machine.ts';
import type { DriverSpec } from '../hypervisor/toolstack.ts';
import { ramBytes } from '../parallax/vdi/sizes.ts';
import { PETAL_LINK } from '../petal-backend/wire/link-net.ts';
import { DIRECTORY_LINK } from '../world/directory-client.ts';
import { driverName } from '../world/faults.ts';
import type { Link } from '../world/world.ts';
import { RUN_POOL } from './petal-scenario.ts';
import { RUN_STORE } from './run-store.ts';
import type { Scenario } from './scenario.ts';
import type { Stage } from './stage.ts';

/** `tap`: where it tells the order of mutations. */
export function driverSpecOf(
  scenario: Scenario,
  stage: Stage,
  host: string,
  tap: SharedArrayBuffer,
): DriverSpec {
  const { driverHeapBytes, publish, plantedBug } = scenario;
  const common = { tap, publish, plantedBug };
  if (stage.store === null) {
    const config = (layout: DomainLayout): DriverVmConfig => ({ ...common, layout });
    return { heapBytes: driverHeapBytes, config };
  }
  const { serve, plan } = stage.store;
  const { sizes, petal } = plan;
  const plug = (far: Link): void => stage.petal?.plug(driverName(host), far);
  const onPetal = petal === undefined ? {} : { petal: { pool: RUN_POOL, options: petal.client } };
  const store = { name: RUN_STORE, host, sizes, ...onPetal };
  return {
    heapBytes: driverHeapBytes + ramBytes(sizes),
    links: { [DIRECTORY_LINK]: serve, ...(petal === undefined ? {} : { [PETAL_LINK]: plug }) },
    config: (layout): DriverVmConfig => ({ ...common, layout, store }),
  };
}
