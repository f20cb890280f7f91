/** What `stordom ctl` can ask of a server, on the server's side. */
import { UsageError } from '../base/errors.ts';
import { PAGE_BYTES } from '../base/units.ts';
import type { NbdServer } from '../exports/nbd/server.ts';
import {
  requireFreeSnapshotName,
  requireSnapshot,
  type StoreView,
} from '../parallax/store/store-view.ts';
import type { Policy } from '../parallax/vdi/policy.ts';
import { unknownName } from './flags.ts';
import type { PlannedExport } from './serve-exports.ts';
import type { ServeHost } from './serve-host.ts';
import { resizeServed } from './serve-resize.ts';
import type { StorePool } from './store-pool.ts';
import { checkSnapshotName, parseImage, parseTarget, readHost } from './vdi-names.ts';

export interface ControlParts {
  readonly host: ServeHost;
  readonly pool: StorePool;
  readonly server: NbdServer;
  readonly exports: readonly PlannedExport[];
  readonly view: StoreView;
  /** Of the host, in the store. */
  readonly hostName: string;
}

const COMMANDS = ['status', 'snapshot', 'clone', 'resize', 'move', 'accept-loss', 'kill'];

export class ServeControl {
  readonly #parts: ControlParts;
  /** Names are looked at and taken one command after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: ControlParts) {
    this.#parts = parts;
  }

  readonly handle = (command: string, args: readonly string[]): Promise<object> => {
    const [first = '', second = ''] = args;
    switch (command) {
      case 'status':
        return this.#status();
      case 'kill':
        return this.#kill(first);
      case 'snapshot':
        return this.#inTurn(() => this.#snapshot(first, second));
      case 'clone':
        return this.#inTurn(() => this.#clone(first, second));
      case 'resize':
        return this.#inTurn(() =>
          resizeServed(this.#parts, first, Number(second), args[2] === 'shrink'),
        );
      case 'move':
        return this.#inTurn(() => this.#move(first, second));
      case 'accept-loss':
        return this.#inTurn(() => this.#acceptLoss(first));
      default:
        return Promise.reject(unknownName('ctl', command, COMMANDS));
    }
  };

  #inTurn(work: () => Promise<object>): Promise<object> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #status(): Promise<object> {
    const { host, pool, server, exports } = this.#parts;
    const driver = await host.status().catch(() => null);
    const connections = server.connections();
    return {
      driverVm: driver === null ? 'gone' : driver.isServing ? 'serving' : 'starting',
      restarts: host.restarts,
      owedBytes: server.owedBytes,
      exports: exports.map(({ wanted, isReadOnly, sizeBlocks }) => ({
        name: wanted.name,
        image: wanted.image,
        snapshot: wanted.snapshot,
        isReadOnly,
        sizeBytes: sizeBlocks * PAGE_BYTES,
        connections: connections.filter(({ exportName }) => exportName === wanted.name).length,
      })),
      images: driver?.images ?? [],
      servers: await pool.servers(),
    };
  }

  async #kill(what: string): Promise<object> {
    if (what !== 'driver-vm') throw unknownName('ctl kill', what, ['driver-vm']);
    return { killed: this.#parts.host.killDriver() };
  }

  async #snapshot(given: string, snapshot: string): Promise<object> {
    const { host, view } = this.#parts;
    const name = parseImage(given);
    checkSnapshotName(snapshot);
    const { vdi } = await view.images.registry.byName(name);
    const { image } = await view.images.read(vdi);
    requireFreeSnapshotName(await view.snapshots(image), name, snapshot);
    const id = await host.ask('snapshot', [name, snapshot, false], false);
    for (const served of this.#parts.exports) {
      if (served.image === name) served.snapshots.push(snapshot);
    }
    return { image: name, snapshot, id };
  }

  async #acceptLoss(given: string): Promise<object> {
    const image = parseImage(given);
    await this.#parts.view.images.registry.byName(image);
    await this.#parts.host.ask('acceptLoss', [image], false);
    return { image };
  }

  /** Of an image that no export has: a guest's disk does not move under it. */
  async #move(given: string, to: string): Promise<object> {
    const image = parseImage(given);
    const { host } = await this.#parts.view.images.registry.byName(image);
    const used = this.#parts.exports.find((one) => one.image === image);
    if (used !== undefined) {
      const text =
        `${image} is served as export ${used.wanted.name}, and a disk does not move under its ` +
        'clients: serve the store without it, or stop and use stordom vdi move';
      throw new UsageError('E_IMAGE_IN_USE', text, { fields: { image } });
    }
    await this.#parts.host.ask('handOver', [image, readHost(to)], true);
    return { image, from: host, to };
  }

  async #clone(given: string, to: string): Promise<object> {
    const { view, hostName } = this.#parts;
    const { image: name, snapshot } = parseTarget(given);
    const clone = parseImage(to);
    if (snapshot === null) {
      const text = `${given} is no snapshot; expected NAME@SNAPSHOT: take one with ctl snapshot`;
      throw new UsageError('E_NOT_A_SNAPSHOT', text, { fields: { given } });
    }
    const { vdi } = await view.images.registry.byName(name);
    const { image } = await view.images.read(vdi);
    const record = requireSnapshot(await view.snapshots(image), name, snapshot);
    const { sizeBlocks } = record;
    const policy = image.policy as Policy;
    const spec = { name: clone, sizeBlocks, policy, host: hostName };
    const made = await view.images.clone(vdi, record, spec);
    return { image: clone, vdi: made.vdi, origin: given, sizeBytes: sizeBlocks * PAGE_BYTES };
  }
}
