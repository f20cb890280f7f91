/** `stordom serve` over TLS: with our own client, and with those of others where they are. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { bytesOf, CLIENT_FLAGS, info, option, request } from '../exports/nbd/nbd-client.ts';
import { where } from './clients.ts';
import { ServeBench, type Served } from './serve-bench.ts';
import { rawImage, sameBytes } from './store-bench.ts';
import { layTlsFiles, SHARED_KEY } from './tls-files.ts';

const CERTIFICATES = '--tls-cert pki/server-cert.pem --tls-key pki/server-key.pem';
const WITH_CLIENTS = `${CERTIFICATES} --tls-ca pki/ca-cert.pem`;
const SHARED = '--tls-psk psk/keys.psk';
const ACK = 1;
const TLS_REQUIRED = 0x8000_0005;

async function benchWith(t: ExecutionContext): Promise<ServeBench> {
  const bench = new ServeBench(t);
  layTlsFiles(bench.folder);
  await bench.ok('vdi create disk --size 4m');
  return bench;
}

/** Reads so many bytes, or null if the connection ends first. */
function read(socket: Socket, bytes: number): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const look = (): void => {
      const found = socket.read(bytes) as Buffer | null;
      if (found === null && !socket.destroyed && !socket.readableEnded) return;
      socket.off('readable', look).off('close', look);
      resolve(found);
    };
    socket.on('readable', look).on('close', look);
    look();
  });
}

async function greeted(bench: ServeBench): Promise<Socket> {
  const socket = connect({ path: bench.path('s/nbd.sock') }).on('error', () => undefined);
  await read(socket, 18);
  socket.write(CLIENT_FLAGS);
  return socket;
}

async function answerTo(socket: Socket, bytes: Uint8Array): Promise<number | null> {
  socket.write(bytes);
  const header = await read(socket, 20);
  if (header === null) return null;
  const length = header.readUInt32BE(16);
  if (length > 0) await read(socket, length);
  return header.readUInt32BE(12);
}

/** The socket inside TLS, or null if the two did not agree. */
async function secured(socket: Socket, options: ConnectionOptions): Promise<TLSSocket | null> {
  if ((await answerTo(socket, option(5))) !== ACK) return null;
  return new Promise((resolve) => {
    const secure = tlsConnect({ socket, servername: 'localhost', ...options });
    secure.on('error', () => resolve(null)).on('close', () => resolve(null));
    secure.once('secureConnect', () => resolve(secure));
  });
}

function clientOf(bench: ServeBench, who: 'client' | 'stranger' | null): ConnectionOptions {
  const pem = (name: string): Buffer => readFileSync(bench.path(`pki/${name}.pem`));
  const ca = pem('ca-cert');
  return who === null ? { ca } : { ca, cert: pem(`${who}-cert`), key: pem(`${who}-key`) };
}

function sharedKey(key: string, identity = 'alice'): ConnectionOptions {
  return {
    ciphers: 'PSK',
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ identity, psk: Buffer.from(key, 'hex') }),
  };
}

/** A megabyte there and back, inside TLS. */
async function writesAndReads(t: ExecutionContext, secure: TLSSocket): Promise<void> {
  t.is(await answerTo(secure, info(7, 'disk')), 3);
  await read(secure, 20);
  const data = new Uint8Array(2 ** 20).map((_, at) => at * 7 + (at >> 9));
  secure.write(request({ command: 1, offset: 4096, length: data.length, data }));
  t.is((await read(secure, 16))?.readUInt32BE(4), 0);
  secure.write(request({ command: 0, offset: 4096, length: data.length }));
  t.is((await read(secure, 16))?.readUInt32BE(4), 0);
  t.true(sameBytes((await read(secure, data.length)) ?? new Uint8Array(), data));
}

async function isIn(secure: TLSSocket | null): Promise<boolean> {
  return secure !== null && (await answerTo(secure, info(6, 'disk'))) !== null;
}

test.serial('TLS: certificates of both sides are asked for, and a stranger has none', async (t) => {
  const bench = await benchWith(t);
  const { end } = await bench.serve(WITH_CLIENTS);
  const secure = await secured(await greeted(bench), clientOf(bench, 'client'));
  t.truthy(secure);
  if (secure !== null) await writesAndReads(t, secure);
  for (const who of [null, 'stranger'] as const) {
    t.false(await isIn(await secured(await greeted(bench), clientOf(bench, who))), `${who}`);
  }
  secure?.destroy();
  const { code, stderr } = await end();
  t.is(code, 0, stderr);
  t.regex(stderr, /is let go: TLS: peer did not return a certificate/);
  t.regex(stderr, /is let go: TLS: .* is not signed by the authority/);
});

test.serial(
  'TLS: a shared key lets its owner in, a wrong key and a wrong name do not',
  async (t) => {
    const bench = await benchWith(t);
    const { end } = await bench.serve(SHARED);
    const secure = await secured(await greeted(bench), sharedKey(SHARED_KEY));
    t.truthy(secure);
    if (secure !== null) await writesAndReads(t, secure);
    const wrong = sharedKey(SHARED_KEY.replace(/^00/, '01'));
    t.false(await isIn(await secured(await greeted(bench), wrong)));
    t.false(await isIn(await secured(await greeted(bench), sharedKey(SHARED_KEY, 'bob'))));
    secure?.destroy();
    t.is((await end()).code, 0);
  },
);

test.serial(
  'TLS: where it is required, the clear tells nothing; where it is allowed, all',
  async (t) => {
    const bench = await benchWith(t);
    const strict = await bench.serve(CERTIFICATES);
    t.regex(strict.uri('disk'), /^nbds\+unix:/);
    const socket = await greeted(bench);
    for (const [number, asked] of [info(6, 'disk'), option(3), option(8), option(99)].entries()) {
      t.is(await answerTo(socket, asked), TLS_REQUIRED, `question ${number}`);
    }
    t.truthy(await secured(socket, clientOf(bench, null)));
    const named = await greeted(bench);
    named.write(option(1, [...bytesOf('disk')]));
    t.is(await read(named, 1), null, 'EXPORT_NAME cannot be refused but by a close');
    await strict.end();
    await bench.serve(`${CERTIFICATES} --tls allow`);
    t.is(await answerTo(await greeted(bench), info(6, 'disk')), 3);
    t.truthy(await secured(await greeted(bench), clientOf(bench, null)));
  },
);

test.serial('TLS: what is said in the clear behind STARTTLS ends the connection', async (t) => {
  const bench = await benchWith(t);
  const { end } = await bench.serve(CERTIFICATES);
  const socket = await greeted(bench);
  socket.write(bytesOf(option(5), info(7, 'disk')));
  t.is(await read(socket, 21), null);
  const garbage = await greeted(bench);
  t.is(await answerTo(garbage, option(5)), ACK);
  garbage.write(info(7, 'disk'));
  garbage.resume();
  if (!garbage.destroyed) await new Promise((resolve) => garbage.once('close', resolve));
  const { stderr } = await end();
  t.regex(stderr, /let go: it has sent more after STARTTLS/);
  t.regex(stderr, /let go: TLS: /);
});

test.serial('TLS: who negotiates again is let go, and the others go on', async (t) => {
  const bench = await benchWith(t);
  const { end } = await bench.serve(CERTIFICATES);
  const older: ConnectionOptions = { ...clientOf(bench, null), maxVersion: 'TLSv1.2' };
  const [again, other] = [
    await secured(await greeted(bench), older),
    await secured(await greeted(bench), older),
  ];
  t.true(await isIn(again));
  const closed = new Promise((resolve) => again?.once('close', resolve));
  again?.resume().renegotiate({}, () => undefined);
  await closed;
  t.true(await isIn(other));
  other?.destroy();
  t.is((await end()).code, 0);
});

test.serial('TLS: flags and files that cannot be used are refused, with what to do', async (t) => {
  const bench = await benchWith(t);
  writeFileSync(bench.path('empty'), '', { mode: 0o600 });
  writeFileSync(bench.path('short'), 'alice:0011\n', { mode: 0o600 });
  writeFileSync(bench.path('twice'), `a:${SHARED_KEY}\na:${SHARED_KEY}\n`, { mode: 0o600 });
  writeFileSync(bench.path('prose'), `a:${SHARED_KEY}\nno key\n`, { mode: 0o600 });
  writeFileSync(bench.path('open'), `a:${SHARED_KEY}\n`);
  chmodSync(bench.path('open'), 0o644);
  writeFileSync(bench.path('writable'), `a:${SHARED_KEY}\n`);
  chmodSync(bench.path('writable'), 0o602);
  const key = '--tls-key pki/server-key.pem';
  const cert = '--tls-cert pki/server-cert.pem';
  const refusals: readonly (readonly [string, RegExp])[] = [
    [cert, /--tls-cert: TLS needs a certificate and its key.*--tls-psk FILE \[E_FLAGS\]/],
    ['--tls allow', /--tls: TLS needs/],
    ['--tls never', /expected require or allow/],
    [`${cert} ${SHARED} ${key}`, /--tls-psk --tls-cert: .*leave one of them out/],
    [`--tls-cert nowhere ${key}`, /--tls-cert: nowhere cannot be used: .* as PEM; ENOENT/],
    [`--tls-cert empty ${key}`, /--tls-cert: empty cannot be used: expected a certificate as PEM/],
    [`${cert} --tls-key empty`, /--tls-key: empty cannot be used: expected a private key/],
    [`${cert} --tls-key pki/client-key.pem`, /expected the private key of pki\/server-cert.pem/],
    [`${cert} ${key} --tls-ca empty`, /--tls-ca: empty cannot be used/],
    ['--tls-psk empty', /--tls-psk: empty .*USER:HEX.*it has none/],
    ['--tls-psk short', /of 16 to 256 bytes; line 1 has a key of 2/],
    ['--tls-psk twice', /line 2 has a again/],
    ['--tls-psk prose', /line 2 is not of that form/],
    ['--tls-psk open', /everybody may read open; .*chmod o-rwx open \[E_TLS_OPEN\]/],
    ['--tls-psk writable', /everybody may write writable; /],
    ['--tls-psk /dev/zero', /everybody may read \/dev\/zero/],
    [`--tls-cert /dev/zero ${key}`, /\/dev\/zero cannot be used: .*longer than 1048576 bytes/],
    [`--tls-cert . ${key}`, /--tls-cert: \. cannot be used: .*EISDIR/],
    [`${SHARED} --tls allow --listen tcp:0.0.0.0:0`, /reached from other machines/],
  ];
  for (const [line, text] of refusals) {
    const { code, stderr } = await bench.run(`serve ${line}`);
    t.is(code, 2, `${line}: ${stderr}`);
    t.regex(stderr, text);
  }
  const remote = await bench.serve(`${CERTIFICATES} --listen tcp:0.0.0.0:0`);
  const { code, stderr } = await remote.end();
  t.is(code, 0);
  t.regex(stderr, /whoever reaches .* can read and write.*--tls-ca/);
});

const whereCopies = where('nbdcopy');
whereCopies(
  'TLS: nbdcopy (libnbd-bin) copies with certificates and with shared keys',
  async (t) => {
    const bench = await benchWith(t);
    const raw = rawImage(1, 1024);
    writeFileSync(bench.path('in.raw'), raw);
    const copies = async ({ end }: Served, uri: string): Promise<void> => {
      await bench.clientOk('nbdcopy', ['--flush', 'in.raw', uri]);
      await bench.clientOk('nbdcopy', [uri, 'out.raw']);
      t.true(sameBytes(readFileSync(bench.path('out.raw')), raw));
      t.is((await end()).code, 0);
    };
    const certified = await bench.serve(`${WITH_CLIENTS} --listen tcp:0`);
    await copies(certified, `${certified.uri('disk')}?tls-certificates=${bench.path('pki')}`);
    const shared = await bench.serve(SHARED);
    const uri = shared.uri('disk').replace('://', '://alice@');
    writeFileSync(bench.path('out.raw'), '');
    await copies(shared, `${uri}&tls-psk-file=${bench.path('psk/keys.psk')}`);
  },
);

const whereQemu = where('qemu-img');
whereQemu('TLS: qemu-img (qemu-utils) finds the disk behind either kind of key', async (t) => {
  const bench = await benchWith(t);
  const sizeWith = async (kind: string): Promise<unknown> => {
    const where = `driver=nbd,path=${bench.path('s/nbd.sock')},export=disk,tls-creds=t`;
    const node = `${where}${kind.includes('x509') ? ',tls-hostname=localhost' : ''}`;
    const args = ['info', '--output=json', '--object', `${kind},id=t,endpoint=client`];
    const told = await bench.clientOk('qemu-img', [...args, '--image-opts', node]);
    return (JSON.parse(told) as Record<string, unknown>)['virtual-size'];
  };
  const certified = await bench.serve(WITH_CLIENTS);
  t.is(await sizeWith(`tls-creds-x509,dir=${bench.path('pki')}`), 4 * 2 ** 20);
  await certified.end();
  await bench.serve(SHARED);
  t.is(await sizeWith(`tls-creds-psk,dir=${bench.path('psk')},username=alice`), 4 * 2 ** 20);
});
