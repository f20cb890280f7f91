/**
 * `stordom serve`: images of a store as disks of real clients, over NBD.
 *
 * One process has the store while it serves it. It ends by SIGTERM or Ctrl-C: no new requests are
 * taken, those in flight are answered, everything acknowledged is published, the store is left.
 * Killed at any moment it loses nothing that its policy has promised: the next start finds it in
 * the log.
 */
import { join } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from '../base/errors.ts';
import { formatBytesExact } from '../base/format-units.ts';
import { present } from '../base/invariant.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { NbdServer } from '../exports/nbd/server.ts';
import type { StoreView } from '../parallax/store/store-view.ts';
import type { RecordedDisk } from '../traces/trace-recorder.ts';
import { type ControlListener, serveControlSocket } from '../world/real/control-socket.ts';
import type { SocketAddress } from '../world/real/sockets.ts';
import { listenStreams, type StreamListener } from '../world/real/stream-server.ts';
import { CONTROL_SOCKET } from './ctl.ts';
import { addExamples, readCount } from './flags.ts';
import { reserveFrontIds } from './front-ids.ts';
import { untilInterrupted } from './interrupt.ts';
import type { RecordFile } from './record-file.ts';
import { ServeControl } from './serve-control.ts';
import { exportOf, type PlannedExport, planExports, SERVED_CLONE } from './serve-exports.ts';
import { ServeHost } from './serve-host.ts';
import { readExports, type ServeFlags, uriOf, type WantedExport } from './serve-plan.ts';
import { addTlsFlags, readTls, type TlsPlan } from './serve-tls.ts';
import { addRemoteFlag, isLocal, parseListen, unixAddress } from './socket-address.ts';
import { unlessInterrupted } from './store-engine.ts';
import {
  DEFAULT_HOST,
  hasStore,
  STORE_NAME,
  type StoreFolder,
  type StoreUser,
} from './store-folder.ts';
import { openOn, readServers } from './store-making.ts';
import { StoreOwner } from './store-owner.ts';
import type { StorePool } from './store-pool.ts';
import { table } from './table.ts';
import { readHost } from './vdi-names.ts';

const NBD_SOCKET = 'nbd.sock';
const LISTEN = {
  danger: 'can read and write every export',
  rather: 'listen on localhost, require TLS (--tls-cert, --tls-psk)',
  isTold: false,
} as const;
const PATIENCE_MS = 10_000;
const EXPORTS_MAX = 32;
const CONNECTIONS_MAX = 4096;

export function addServeCommand(program: Command): void {
  const command = program
    .command('serve')
    .description('serve images of a store to NBD clients (QEMU, nbdcopy, fio) until it is ended');
  addServeFlags(command).action((flags: ServeFlags) => serve(flags));
  addExamples(
    command,
    'stordom serve --store my-store --export disk=mail --listen unix:mail.sock',
    'stordom serve --store my-store --export old=disk@first --listen tcp:0',
  );
}

export function addServeFlags(command: Command): Command {
  command
    .requiredOption('--store <dir>', 'folder of the store')
    .option(
      '--export <name=vdi>',
      'what to serve, as NAME=VDI or NAME=VDI@SNAPSHOT, which is read-only; may be repeated ' +
        '(default: each image of the host under its own name)',
      collect,
      [],
    )
    .option(
      '--listen <address>',
      'unix:PATH, tcp:PORT or tcp:HOST:PORT; may be repeated (default: unix:<store>/nbd.sock)',
      collect,
      [],
    )
    .option('--host <host>', 'the host of the store that serves', readHost, DEFAULT_HOST)
    .option(
      '--max-connections <n>',
      'clients at a time',
      readCount('--max-connections', { from: 1, to: 65_536 }),
      CONNECTIONS_MAX,
    )
    .option(
      '--petal <n>',
      'the store is on so many Petal servers, which run as processes of their own as long as it ' +
        'is served (default: as the store was made)',
      readServers,
    )
    .option('--json', 'print what is served as JSON on stdout, and nothing else there', false)
    .option('--quiet', 'print nothing but errors', false);
  return addTlsFlags(addRemoteFlag(command));
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

/** Begins to record what is served, when it is known; what it gives ends with the service. */
export type StartRecording = (
  disks: readonly RecordedDisk[],
  onNote: (text: string) => void,
) => RecordFile;

/** Until it is interrupted; with `record`, what clients do is recorded. */
export async function serve(flags: ServeFlags, record?: StartRecording): Promise<void> {
  const wanted = readExports(flags.export);
  const tls = await readTls(flags);
  const addresses = flags.listen.map((text) =>
    parseListen(text, { ...LISTEN, allowRemote: flags.allowRemote || tls.isRequired }),
  );
  const onNote = (text: string): void => note(flags, text);
  const claim = { command: 'stordom serve', serves: true, patienceMs: PATIENCE_MS };
  const store = await openToServe(flags, { ...claim, onNote });
  try {
    await untilInterrupted(async (signal) => {
      const view = await unlessInterrupted(signal, store.view());
      const claiming = StoreOwner.claim(store.directory, STORE_NAME, claim);
      const owner = await unlessInterrupted(signal, claiming);
      try {
        const all = wanted.length > 0 ? wanted : await allImages(view, flags.host);
        if (all.length > EXPORTS_MAX) throw tooMany(all.length);
        const exports = await planExports(view, flags.host, all);
        await store.prepareHost(flags.host);
        const { directory } = store;
        const fronts = await reserveFrontIds(directory, STORE_NAME, flags.host, exports.length);
        const pool = await store.pool();
        const service = new Service(
          flags,
          tls,
          store,
          pool,
          view,
          exports,
          addresses,
          fronts,
          record,
        );
        await service.run(signal);
      } finally {
        await view.close();
        await owner.release();
      }
    });
  } finally {
    await store.close();
  }
}

/** A store that is not there is not made: it would have nothing to serve. */
async function openToServe(flags: ServeFlags, user: StoreUser): Promise<StoreFolder> {
  const { petal, store } = flags;
  if (petal === undefined || (await hasStore(store))) return openOn(flags, user);
  const text =
    `--store: there is no store in ${store}; make one on servers, with an image to serve: ` +
    `stordom vdi create disk --size 2g --store ${store} --petal ${petal}`;
  throw new UsageError('E_STORE_MISSING', text, { fields: { store } });
}

function note({ quiet }: ServeFlags, text: string): void {
  if (!quiet) process.stderr.write(`stordom: ${text}\n`);
}

async function allImages(view: StoreView, host: string): Promise<WantedExport[]> {
  const images = await view.images.registry.list();
  const own = images.filter((one) => one.host === host && !one.name.startsWith(SERVED_CLONE));
  if (own.length > 0) return own.map(({ name }) => ({ name, image: name, snapshot: null }));
  const text = `the store has no image of host ${host}; make one with stordom vdi create`;
  throw new UsageError('E_NOTHING_TO_SERVE', text, { fields: { host } });
}

function tooMany(count: number): UsageError {
  const text = `${count} exports, and one server has ${EXPORTS_MAX} at most; name them: --export`;
  return new UsageError('E_TOO_MANY_EXPORTS', text, { fields: { count } });
}

/** Everything that lives as long as the store is served. */
class Service {
  readonly #flags: ServeFlags;
  readonly #tls: TlsPlan;
  readonly #store: StoreFolder;
  readonly #pool: StorePool;
  readonly #view: StoreView;
  readonly #exports: readonly PlannedExport[];
  readonly #addresses: readonly SocketAddress[];
  readonly #host: ServeHost;
  readonly #listeners: StreamListener[] = [];
  readonly #recording: RecordFile | null;
  #fail: (thrown: unknown) => void = () => {};
  readonly #failed: Promise<never>;

  constructor(
    flags: ServeFlags,
    tls: TlsPlan,
    store: StoreFolder,
    pool: StorePool,
    view: StoreView,
    exports: readonly PlannedExport[],
    addresses: readonly SocketAddress[],
    firstFrontId: number,
    record: StartRecording | undefined,
  ) {
    this.#flags = flags;
    this.#tls = tls;
    this.#store = store;
    this.#pool = pool;
    this.#view = view;
    this.#exports = exports;
    const nbd = unixAddress(join(store.path, NBD_SOCKET), '--listen');
    this.#addresses = addresses.length > 0 ? addresses : [nbd];
    const disks = exports.map(({ wanted: { name }, sizeBlocks }) => ({
      name,
      sizeBytes: sizeBlocks * PAGE_BYTES,
    }));
    this.#recording = record?.(disks, this.#note) ?? null;
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.#host = new ServeHost({
      store,
      pool,
      host: flags.host,
      disks: exports,
      firstFrontId,
      onNote: this.#note,
      failed: this.#fail,
    });
  }

  /** Serves until the signal comes, and ends in order; rejects if it cannot go on. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      const disks = await Promise.race([
        unlessInterrupted(signal, this.#host.start()),
        this.#failed,
      ]);
      const exports = this.#exports.map((planned, at) => {
        const disk = present(disks.get(planned.name), 'a domain has a disk');
        return exportOf(planned, disk, this.#host, this.#recording?.tap(at) ?? null);
      });
      const { clock, timers } = this.#host.world;
      const failed = this.#fail;
      const { rule: tls } = this.#tls;
      const server = new NbdServer({ clock, timers, exports, tls, note: this.#note, failed });
      const control = await this.#listen(server);
      this.#tell();
      await Promise.race([aborted(signal), this.#failed]);
      await Promise.race([this.#end(server, control), this.#failed]);
    } catch (thrown) {
      await this.#host.abandon();
      throw thrown;
    } finally {
      const recorded = this.#recording?.close();
      if (recorded !== undefined) this.#note(recorded);
    }
  }

  async #listen(server: NbdServer): Promise<ControlListener> {
    const { maxConnections: connectionsMax, host: hostName } = this.#flags;
    const options = { connectionsMax, tls: this.#tls.keys, failed: this.#fail };
    for (const address of this.#addresses) {
      this.#listeners.push(
        await listenStreams(address, options, (stream) => server.accept(stream)),
      );
    }
    this.#warnOfStrangers();
    const control = new ServeControl({
      host: this.#host,
      pool: this.#pool,
      server,
      exports: this.#exports,
      view: this.#view,
      hostName,
    });
    const { path } = unixAddress(join(this.#store.path, CONTROL_SOCKET), '--store');
    return serveControlSocket(path, control.handle);
  }

  #warnOfStrangers(): void {
    if (!this.#tls.isRequired || this.#tls.knowsClients) return;
    for (const { address } of this.#listeners) {
      if (isLocal(address)) continue;
      const where = address.kind === 'tcp' ? address.host : address.path;
      this.#note(
        `whoever reaches ${where} can read and write every export, though only over TLS: ` +
          'to ask clients for certificates, give --tls-ca',
      );
    }
  }

  /** What was asked is answered, what was acknowledged is published. */
  async #end(server: NbdServer, control: ControlListener): Promise<void> {
    this.#note(
      'ends: what is in flight is answered, and what is acknowledged is published; ' +
        'a second signal ends it at once, as kill -9 does',
    );
    const closing = this.#listeners.map((listener) => listener.close());
    await server.shutDown();
    await Promise.all(closing);
    await control.close();
    const clones = this.#exports.filter(({ isClone }) => isClone).map(({ image }) => image);
    await this.#host.close([...new Set(clones)]);
  }

  #tell(): void {
    const { json, quiet } = this.#flags;
    const bound = this.#listeners.map(({ address }) => address);
    const served = this.#exports.map(({ wanted, sizeBlocks, isReadOnly }) => ({
      name: wanted.name,
      image: wanted.image,
      snapshot: wanted.snapshot,
      sizeBytes: sizeBlocks * PAGE_BYTES,
      isReadOnly,
      uris: bound.map((address) => uriOf(address, wanted.name, this.#tls.isRequired)),
    }));
    if (json) {
      const store = this.#store.path;
      process.stdout.write(`${JSON.stringify({ store, pid: process.pid, exports: served })}\n`);
      return;
    }
    if (quiet) return;
    const rows = served.flatMap(({ name, image, snapshot, sizeBytes, isReadOnly, uris }) =>
      uris.map((uri) => [
        name,
        snapshot === null ? image : `${image}@${snapshot}`,
        formatBytesExact(sizeBytes),
        isReadOnly ? 'read-only' : 'read-write',
        uri,
      ]),
    );
    const first = served.find((one) => !one.isReadOnly) ?? served[0];
    const uri = first?.uris[0] ?? '';
    process.stdout.write(
      `${table(['export', 'serves', 'size', 'access', 'uri'], rows, 'llrll')}` +
        `try:  nbdinfo '${uri}'\n` +
        `      nbdcopy --progress disk.img '${uri}'\n` +
        `      qemu-system-x86_64 -m 1g -drive file='${uri}',format=raw,if=virtio\n` +
        `ask:  stordom ctl status --store ${this.#flags.store}\n`,
    );
  }

  readonly #note = (text: string): void => {
    note(this.#flags, text);
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
