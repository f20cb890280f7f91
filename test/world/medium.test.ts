/** A medium that goes wrong: sectors that cannot be read, and where misdirected writes land. */
import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { SECTOR_BYTES } from '../../src/base/units.ts';
import { LatentSectors } from '../../src/world/latent-sectors.ts';
import { misplaced } from '../../src/world/misplaced.ts';
import { check, forSeeds } from '../helpers/property.ts';

test('bad sectors are bad until they are written whole; all others can be read', (t) => {
  const latent = new LatentSectors();
  t.false(latent.touches(0, 2 ** 20));
  latent.strike(8, 64, new Prng(1, 'test'));
  const sectors = Array.from({ length: 64 }, (_, sector) => sector);
  const bad = sectors.filter((sector) => latent.touches(sector * SECTOR_BYTES, SECTOR_BYTES));
  t.is(bad.length, latent.count);
  t.true(bad.length > 0 && bad.length <= 8);
  const one = bad[0] ?? 0;
  latent.rewritten(one * SECTOR_BYTES, SECTOR_BYTES - 1);
  t.is(latent.count, bad.length, 'a part of a sector does not mend it');
  latent.rewritten(one * SECTOR_BYTES, SECTOR_BYTES);
  t.false(latent.touches(one * SECTOR_BYTES, SECTOR_BYTES));
  t.is(latent.count, bad.length - 1);
  latent.clear();
  t.false(latent.touches(0, 64 * SECTOR_BYTES));
});

test('a misdirected write lands aligned, inside of the disk and somewhere else', (t) => {
  const places = new Set<number>();
  forSeeds(500, (random) => {
    const sectors = random.between(2, 4096);
    const length = random.between(1, Math.min(64, sectors - 1));
    const lba = random.between(0, sectors - length);
    const write = { position: lba * SECTOR_BYTES, lengthBytes: length * SECTOR_BYTES };
    const at = misplaced(write, sectors * SECTOR_BYTES, random);
    check(at % SECTOR_BYTES === 0, `${at} is no sector`);
    check(at >= 0 && at + write.lengthBytes <= sectors * SECTOR_BYTES, `${at} is not on the disk`);
    check(at !== write.position, 'it lands where it belongs');
    places.add(at - write.position);
  });
  t.true(places.size > 20);
  t.is(misplaced({ position: 0, lengthBytes: 512 }, 512, new Prng(1, 'test')), 0, 'no other place');
});
