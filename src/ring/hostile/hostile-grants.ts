/**
 * The attacks on grants, G1 to G6: a guest owns its grant table and writes into it whatever it
 * likes.
 *
 * The moves send requests over entries that `GrantForger` wrote. All are answered with an error or
 * harm nobody but the guest.
 */
import { PAGE_BYTES } from '../../base/units.ts';
import { BlkifOp, type EntryWords, encodeDirect, encodeSegment } from '../entries.ts';
import { FIRST_FREE_REF, GrantFlag } from '../grant-table.ts';
import { MAX_DIRECT_SEGMENTS } from '../layout.ts';
import type { Move } from './front-moves.ts';
import type { GrantedPage, HostileFront } from './hostile-front.ts';
import { ActionMutator } from './mutators.ts';

const IN_USE = GrantFlag.reading | GrantFlag.writing;

/** One request whose only segment names `ref`. */
function onePage(front: HostileFront, op: number, ref: number): EntryWords {
  const entry = front.honest(op);
  encodeSegment(entry, 0, ref, 0, 7);
  return entry;
}

function badReference(name: string, choose: (front: HostileFront) => number): Move {
  return {
    attack: 'G1',
    name,
    outcome: 'error',
    apply: (front) => {
      const op = front.random.pick([BlkifOp.read, BlkifOp.write]);
      front.send(onePage(front, op, choose(front)));
    },
  };
}

export const GRANT_MOVES: readonly Move[] = [
  badReference('a reference past the table', ({ means }) => means.forger.entries.count),
  badReference('reference 2^32 - 1', () => 0xffffffff),
  badReference('a reserved reference that looks like a grant', (front) => {
    const { forger, pages } = front.means;
    const good = (pages[0] as GrantedPage).ref;
    const ref = front.random.below(FIRST_FREE_REF);
    forger.forge(ref, forger.entries.head(good) & ~IN_USE, forger.entries.frame(good));
    return ref;
  }),
  badReference('a reference that grants nothing', ({ means }) => means.forger.freeRef()),
  badReference('a page granted to another domain', ({ means }) => {
    const ref = means.forger.freeRef();
    const frame = (means.pages[0] as GrantedPage).address / PAGE_BYTES;
    means.forger.forge(ref, GrantFlag.permitAccess | (means.forger.stranger << 16), frame);
    return ref;
  }),
  badReference('a frame outside the guest', (front) => {
    const { forger } = front.means;
    const ref = forger.freeRef();
    forger.forge(ref, forger.entries.head(front.page(0).ref) & ~IN_USE, 1);
    return ref;
  }),
  {
    attack: 'G2',
    name: 'a page granted for reading only is read into',
    outcome: 'error',
    apply: (front) => {
      front.send(onePage(front, BlkifOp.read, front.means.readonlyPage.ref));
    },
  },
  {
    attack: 'G3',
    name: 'a grant is wiped and put back while it is mapped',
    outcome: 'harmless',
    apply: (front) => {
      const { forger } = front.means;
      const { ref } = front.page(0);
      const frame = forger.entries.frame(ref);
      const head = forger.entries.head(ref) & ~IN_USE;
      let wiped = false;
      front.mutators.push(
        new ActionMutator(() => {
          wiped = !wiped;
          if (wiped) forger.wipe(ref);
          else forger.forge(ref, head, frame);
        }),
      );
      front.send(onePage(front, BlkifOp.write, ref));
    },
  },
  ...[0, 5, MAX_DIRECT_SEGMENTS - 1].map(
    (bad): Move => ({
      attack: 'G4',
      name: `segment ${bad} of 11 has a bad reference`,
      outcome: 'error',
      apply: (front) => {
        const entry = front.honest(BlkifOp.write);
        encodeDirect(entry, BlkifOp.write, MAX_DIRECT_SEGMENTS, 0, entry[2] as number, 0);
        for (let i = 0; i < MAX_DIRECT_SEGMENTS; i++) {
          encodeSegment(entry, i, i === bad ? 1 : front.page(i).ref, 0, 7);
        }
        front.send(entry);
      },
    }),
  ),
  {
    attack: 'G5',
    name: 'the frame of a granted page changes between two requests',
    outcome: 'okay',
    apply: (front) => {
      const { forger } = front.means;
      const [first, second] = [front.page(0), front.page(1)];
      front.send(onePage(front, BlkifOp.write, first.ref));
      forger.entries.setFrame(first.ref, second.address / PAGE_BYTES);
      front.send(onePage(front, BlkifOp.write, first.ref));
      forger.entries.setFrame(first.ref, first.address / PAGE_BYTES);
    },
  },
  {
    attack: 'G6',
    name: 'one sector of a page full of 0xA5 is written',
    outcome: 'okay',
    apply: (front) => {
      const page = front.page(0);
      front.means.view.u8.fill(0xa5, page.address, page.address + PAGE_BYTES);
      const entry = front.honest(BlkifOp.write);
      encodeSegment(entry, 0, page.ref, 3, 3);
      front.send(entry);
    },
  },
];
