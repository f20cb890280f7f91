/** How commands name images and snapshots: `NAME` and `NAME@SNAPSHOT`. */
import { Option } from 'commander';
import { UsageError } from '../base/errors.ts';
import { parseBytes } from '../base/parse-units.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { checkStoreName } from '../parallax/pool/keys.ts';
import { checkImageName } from '../parallax/store/registry.ts';
import { clausesOf, Policy, parsePolicy } from '../parallax/vdi/policy.ts';

export interface Target {
  readonly image: string;
  /** null: the image itself, as it is now. */
  readonly snapshot: string | null;
}

/** Reads `NAME` or `NAME@SNAPSHOT`. */
export function parseTarget(text: string): Target {
  const at = text.indexOf('@');
  const image = at < 0 ? text : text.slice(0, at);
  const snapshot = at < 0 ? null : text.slice(at + 1);
  checkImageName(image);
  if (snapshot !== null) checkSnapshotName(snapshot);
  return { image, snapshot };
}

/** Throws `UsageError` unless the text can be typed as the name of a snapshot. */
export function checkSnapshotName(name: string): void {
  try {
    checkImageName(name);
  } catch (cause) {
    throw new UsageError(
      'E_SNAPSHOT_NAME',
      `"${name}" cannot be the name of a snapshot: expected 1 to 63 letters, digits, ".", "_" or ` +
        '"-", beginning with a letter, a digit or "_"',
      { fields: { name }, cause },
    );
  }
}

/** Reads `NAME`, where a snapshot makes no sense. */
export function parseImage(text: string): string {
  const { image, snapshot } = parseTarget(text);
  if (snapshot === null) return image;
  throw new UsageError(
    'E_IMAGE_NAME',
    `"${text}" names a snapshot, expected an image: write ${image}`,
    { fields: { given: text } },
  );
}

/** A reader of sizes that are a multiple of `unitBytes`; gives bytes. */
export function readSize(flag: string, unitBytes: number = PAGE_BYTES): (text: string) => number {
  return (text) => {
    const bytes = parseBytes(text, flag);
    if (bytes > 0 && bytes % unitBytes === 0) return bytes;
    const unit = unitBytes === PAGE_BYTES ? '4k' : '64m';
    throw new UsageError(
      'E_SIZE_UNIT',
      `${flag}: ${text} is not usable; expected a multiple of ${unit}, and not nothing; write ` +
        `for example ${flag} 10g`,
      { fields: { flag, given: text } },
    );
  };
}

/** Reads the name of a host, which is the name of a folder too. */
export function readHost(text: string): string {
  checkStoreName('host', text);
  return text;
}

/** `--policy`, W2 unless said. */
export function policyOption(description: string): Option {
  return new Option('--policy <policy>', description)
    .argParser(parsePolicy)
    .default(Policy.w2, clausesOf(Policy.w2).name);
}
