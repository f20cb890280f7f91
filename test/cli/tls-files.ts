/**
 * The files of TLS that servers and clients of the tests have, named as libnbd and QEMU want them.
 */
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FIXTURE = 'test/cli/fixtures/tls';
export const SHARED_KEY = '00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef';

/** `pki` with certificates and keys, `psk/keys.psk` with a key of alice, in `folder`. */
export function layTlsFiles(folder: string): void {
  const pki = join(folder, 'pki');
  cpSync(FIXTURE, pki, { recursive: true });
  for (const who of ['server', 'client', 'stranger']) chmodSync(join(pki, `${who}-key.pem`), 0o600);
  mkdirSync(join(folder, 'psk'));
  writeFileSync(join(folder, 'psk', 'keys.psk'), `alice:${SHARED_KEY}\n`, { mode: 0o600 });
}
