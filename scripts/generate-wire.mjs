// Generates the static code of src/petal-backend/wire/petal.proto: petal.pb.js, and its types in
// petal.pb.d.ts. Both are committed, so that neither a build nor a checkout needs the generator.
//
//   node scripts/generate-wire.mjs           writes them
//   node scripts/generate-wire.mjs --check   writes nothing; ends with 1 if they are not what the
//                                            proto file gives (`npm run check:wire`)
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pbjs from 'protobufjs-cli/pbjs.js';

const WIRE = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src/petal-backend/wire');
/**
 * An ES module over the smallest runtime, with nothing but `encode` and `decode`: no reflection, so
 * no code made at run time. A root of its own, for the library's default one is shared by everyone.
 */
const FLAGS = (
  '--target static-module --wrap esm --dependency protobufjs/minimal.js --root stordom-petal ' +
  '--force-number --no-create --no-verify --no-convert --no-delimited --no-typeurl --no-service'
).split(' ');
/** The generator imports it whether or not a type has one; with `--force-number` none has. */
const UNUSED_IMPORT = 'import Long = require("long");\n';
const MARK = '// Generated from petal.proto by scripts/generate-wire.mjs.\n';

const generate = promisify(pbjs.main);
const scratch = mkdtempSync(join(tmpdir(), 'stordom-wire-'));
try {
  const proto = join(WIRE, 'petal.proto');
  // The types are made from the comments of the code; the code that is committed has none.
  await generate([...FLAGS, '--dts', '--out', join(scratch, 'types.js'), proto]);
  await generate([...FLAGS, '--no-comments', '--out', join(scratch, 'code.js'), proto]);
  const made = [
    ['petal.pb.js', MARK + readFileSync(join(scratch, 'code.js'), 'utf8')],
    [
      'petal.pb.d.ts',
      MARK + readFileSync(join(scratch, 'types.d.ts'), 'utf8').replace(UNUSED_IMPORT, ''),
    ],
  ];
  for (const [name, text] of made) {
    const path = join(WIRE, name);
    if (!process.argv.includes('--check')) writeFileSync(path, text);
    else if (text !== readFileSync(path, 'utf8')) {
      process.stderr.write(
        `${path}: not what petal.proto gives; run: node scripts/generate-wire.mjs\n`,
      );
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(scratch, { recursive: true });
}
