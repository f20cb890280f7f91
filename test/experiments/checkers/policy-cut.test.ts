/** Cuts of images after losses, on small orders written down by hand. */
import test from 'ava';
import { ImageOrder } from '../../../src/experiments/checkers/image-order.ts';
import {
  type CutPromise,
  judgeEnd,
  judgePolicyCut,
  type LossBounds,
} from '../../../src/experiments/checkers/policy-cut.ts';
import {
  History,
  HistoryKind,
  HistoryStatus,
  OrderTap,
  recordBufferFor,
  TapKind,
} from '../../../src/world/history.ts';

const DISK = 3;
const SECTORS = 8;
const ANY: LossBounds = { ageNs: null, bytes: null };

/** One guest with a disk of eight sectors; each step takes a nanosecond. */
class Tale {
  readonly history = new History(recordBufferFor(64));
  readonly tap = new OrderTap(recordBufferFor(128));
  readonly losses: { record: number; tapLength: number }[] = [];
  generation = 1;
  #nowNs = 0;
  #writes = 0;
  #seq = 0;

  /** A write of one sector, with the next number; `acked`: the guest was told. */
  write(lba: number, acked = true, vdiSeq = this.#seq + 1): void {
    const index = ++this.#writes;
    const at = this.history.invoke(HistoryKind.write, 0, lba, 1, ++this.#nowNs, index);
    this.#number(lba, index, vdiSeq);
    if (acked) this.history.acknowledge(at, HistoryStatus.ok, ++this.#nowNs, index);
  }

  /** The write of this index gets a number again, from a successor. */
  renumber(lba: number, index: number, vdiSeq: number): void {
    this.#number(lba, index, vdiSeq);
  }

  discard(lba: number, sectors: number): void {
    const at = this.history.invoke(HistoryKind.discard, 0, lba, sectors, ++this.#nowNs, 0);
    this.#number(lba, 0, this.#seq + 1, sectors);
    this.history.acknowledge(at, HistoryStatus.ok, ++this.#nowNs, 0);
  }

  tell(kind: TapKind, vdiSeq: number): void {
    this.tap.tell(kind, DISK, 0, 0, vdiSeq, this.generation, ++this.#nowNs);
  }

  /** Everything acknowledged may be gone; then `shows` is read, sector by sector. */
  lose(shows: readonly number[]): number {
    const atNs = ++this.#nowNs;
    const record = this.history.invoke(HistoryKind.loss, 0, 0, 0, atNs, 0);
    this.history.acknowledge(record, HistoryStatus.ok, atNs, 0);
    this.losses.push({ record, tapLength: this.tap.length });
    this.generation++;
    this.read(shows);
    return atNs;
  }

  read(shows: readonly number[]): void {
    shows.forEach((value, lba) => {
      const at = this.history.invoke(HistoryKind.read, 0, lba, 1, ++this.#nowNs, 0);
      this.history.acknowledge(at, HistoryStatus.ok, ++this.#nowNs, value);
    });
  }

  order(inOrder = true): ImageOrder {
    const { history, tap, losses } = this;
    const disk = { disk: DISK, sectors: SECTORS, inOrder };
    return new ImageOrder({ name: 'g0', ...disk, history, tap, losses });
  }

  #number(lba: number, index: number, vdiSeq: number, sectors = 1): void {
    const { generation, tap } = this;
    const seq = vdiSeq;
    this.#seq = seq;
    tap.append(DISK, 1, seq, index, seq, generation, 0, ++this.#nowNs);
    tap.tell(TapKind.extent, DISK, lba, sectors, seq, generation, this.#nowNs);
  }
}

function verdict(
  tale: Tale,
  promise: CutPromise,
  atNs: number,
  bounds: LossBounds = ANY,
  loss = 0,
): { readonly ok: boolean; readonly text: string } {
  const order = tale.order(promise !== 'per-sector');
  return judgePolicyCut({ order, loss, clause: 'a loss', promise, bounds, atNs });
}

function threeWrites(): Tale {
  const tale = new Tale();
  tale.write(0);
  tale.write(1);
  tale.write(0);
  return tale;
}

test('a prefix is a prefix: none, some, or all of the writes', (t) => {
  for (const shows of [
    [0, 0],
    [1, 0],
    [1, 2],
    [3, 2],
  ]) {
    const tale = threeWrites();
    t.true(verdict(tale, 'prefix', tale.lose(shows)).ok, shows.join());
  }
});

test('a write that is missing though a later one survived is no prefix, and both are named', (t) => {
  const tale = threeWrites();
  const { ok, text } = verdict(tale, 'prefix', tale.lose([3, 0]));
  t.false(ok);
  t.regex(text, /sector 0 shows write 3.*there since write 3/);
  t.regex(text, /sector 1 shows zeros, replaced by write 2/);
});

test('without order each sector may be of another time, but holds what it held once', (t) => {
  const mixed = threeWrites();
  t.true(verdict(mixed, 'per-sector', mixed.lose([3, 0])).ok);
  const foreign = threeWrites();
  const { ok, text } = verdict(foreign, 'per-sector', foreign.lose([2, 0]));
  t.false(ok);
  t.regex(text, /sector 0 shows write 2, which it never held/);
});

test('whoever goes on says how much was found: a number that is given again was not', (t) => {
  const tale = threeWrites();
  tale.lose([]);
  tale.tell(TapKind.snapshot, 1);
  tale.tell(TapKind.published, 1);
  const atNs = tale.lose([0, 0]);
  t.true(
    verdict(tale, 'prefix', atNs, ANY, 1).ok,
    'nothing was found, and nothing was told of more',
  );
});

test('without order what one sector shows after a loss says nothing of another after the next', (t) => {
  const tale = threeWrites();
  tale.lose([0]);
  const atNs = tale.lose([0, 2]);
  t.true(verdict(tale, 'per-sector', atNs, ANY, 1).ok);
});

test('what was reported as published is there, or it was no watermark', (t) => {
  const honest = threeWrites();
  honest.tell(TapKind.published, 2);
  t.true(verdict(honest, 'prefix', honest.lose([1, 2])).ok);
  const early = threeWrites();
  early.tell(TapKind.published, 2);
  const { ok, text } = verdict(early, 'prefix', early.lose([1, 0]));
  t.false(ok);
  t.regex(text, /1 mutations are there, but 2 had been reported/);
});

test('whole epochs: a prefix that ends inside an epoch is none', (t) => {
  const whole = threeWrites();
  whole.tell(TapKind.epoch, 3);
  whole.write(2);
  whole.write(3);
  t.true(verdict(whole, 'whole-epochs', whole.lose([3, 2, 0, 0])).ok);
  const part = threeWrites();
  part.tell(TapKind.epoch, 3);
  part.write(2);
  part.write(3);
  const atNs = part.lose([3, 2, 4, 0]);
  t.true(verdict(part, 'prefix', atNs).ok);
  const { ok, text } = verdict(part, 'whole-epochs', atNs);
  t.false(ok);
  t.regex(text, /inside an epoch/);
});

test('a loss that is too old, or too large, breaks the bounds of the policy', (t) => {
  const tale = threeWrites();
  const atNs = tale.lose([1, 0]);
  t.true(verdict(tale, 'prefix', atNs, { ageNs: 100, bytes: 1024 }).ok);
  t.regex(verdict(tale, 'prefix', atNs, { ageNs: 2, bytes: null }).text, /before the loss/);
  t.regex(
    verdict(tale, 'prefix', atNs, { ageNs: null, bytes: 512 }).text,
    /1024 acknowledged bytes/,
  );
});

test('a discard is a mutation like any other: what it zeroed does not come back', (t) => {
  const gone = threeWrites();
  gone.discard(0, 2);
  gone.write(2);
  t.true(verdict(gone, 'prefix', gone.lose([0, 0, 4])).ok);
  const back = threeWrites();
  back.discard(0, 2);
  back.write(2);
  t.false(verdict(back, 'prefix', back.lose([3, 0, 4])).ok);
});

test('a number that a dead driver VM had given is given again: only the last one counts', (t) => {
  const tale = new Tale();
  tale.write(0);
  tale.write(1, false, 2);
  tale.generation = 2;
  tale.write(2, true, 2);
  tale.renumber(1, 2, 3);
  t.true(verdict(tale, 'prefix', tale.lose([1, 0, 3])).ok, 'write 2 came third in the end');
});

test('a second loss may take back what the first one had left, and nothing that was published', (t) => {
  const tale = threeWrites();
  tale.tell(TapKind.published, 1);
  tale.lose([3, 2]);
  tale.write(2);
  const atNs = tale.lose([1, 0, 0]);
  t.true(verdict(tale, 'prefix', atNs, ANY, 0).ok);
  t.true(verdict(tale, 'prefix', atNs, ANY, 1).ok);
  const worse = threeWrites();
  worse.tell(TapKind.published, 1);
  worse.lose([3, 2]);
  worse.write(2);
  t.false(verdict(worse, 'prefix', worse.lose([0, 0, 0]), ANY, 1).ok);
});

test('what a loss took never appears again', (t) => {
  const tale = threeWrites();
  tale.lose([1, 0]);
  tale.write(3);
  t.false(verdict(tale, 'prefix', tale.lose([3, 2, 0, 4]), ANY, 1).ok);
});

test('at the end everything is there', (t) => {
  const tale = threeWrites();
  tale.discard(1, 1);
  tale.read([3, 0]);
  t.true(judgeEnd(tale.order()).ok);
  const stale = threeWrites();
  stale.discard(1, 1);
  stale.read([3, 2]);
  const { ok, text } = judgeEnd(stale.order());
  t.false(ok);
  t.regex(text, /zeros of sector 1 .*is missing/);
});
