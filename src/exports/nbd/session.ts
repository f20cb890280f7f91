/**
 * One connection of a client, from its greeting to its end.
 *
 * ```
 * handshake --an export is chosen--> transmission --DISC, or shut down and idle--> ended
 *     '------------ABORT, a broken message, silence, the socket's end------------> ended
 * ```
 * TLS begins between two messages of the handshake, when all replies have left. Who sends anything
 * else before it has begun is let go: those bytes were said in the clear, and must not be taken for
 * something that was said inside.
 *
 * Who is silent for too long is let go: in a handshake at all, in the middle of a message, or
 * while replies wait for it. So is who is slow with a payload while others wait for its buffer. A
 * client that has sent whole requests and waits for nothing may be silent for ever, and so may one
 * that waits for us: a dead driver VM is not its fault.
 *
 * Replies are given to the stream once a turn: at the end of what was received, and at the end of
 * the step in which the disk has answered.
 */
import type { ByteStream, StreamUser } from '../../world/byte-stream.ts';
import type { StepListener } from '../export-disk.ts';
import type { NbdCatalog } from './catalog.ts';
import { Handshake, type TlsRule } from './handshake.ts';
import type { OutBudget } from './out-budget.ts';
import { OutStream, type SlabPool } from './out-stream.ts';
import { Transmission, type TransmissionHost } from './transmission.ts';

export interface SessionParts {
  readonly catalog: NbdCatalog;
  readonly slabs: SlabPool;
  readonly budget: OutBudget;
  readonly tls: TlsRule;
  readonly ended: (session: NbdSession) => void;
  /** A sentence for people. */
  readonly note: (text: string) => void;
  readonly failed: (thrown: unknown) => void;
}

export interface SessionStatus {
  readonly peer: string;
  /** null: it has chosen none yet. */
  readonly exportName: string | null;
  /** Of that export, as it was told. */
  readonly sizeBytes: number;
}

/** Ticks come once a second. */
const HANDSHAKE_TICKS = 30;
const SILENT_TICKS = 60;
/** The same when the server ends: it waits for answers of its own, hardly for clients. */
const ENDING_TICKS = 5;
/** Of options, whose replies may be longer than they are. */
const HANDSHAKE_UNSENT_MAX = 1_048_576;

export class NbdSession implements StreamUser, TransmissionHost, StepListener {
  readonly #parts: SessionParts;
  readonly #stream: ByteStream;
  readonly #out: OutStream;
  readonly #handshake: Handshake;
  #transmission: Transmission | null = null;
  #unsentBytes = 0;
  #isTouched = false;
  /** In its handshake: it has sent what is not taken before its replies have left. */
  #isHeldUp = false;
  #isEncrypting = false;
  #isEnded = false;
  #isShuttingDown = false;
  #ticks = 0;
  /** Since the client last did something, while something was expected of it. */
  #silentTicks = 0;

  constructor(stream: ByteStream, parts: SessionParts) {
    this.#parts = parts;
    this.#stream = stream;
    this.#out = new OutStream(parts.slabs);
    this.#handshake = new Handshake(parts.catalog, this.#out, parts.tls);
    this.#flush();
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  get status(): SessionStatus {
    const { peer } = this.#stream;
    if (this.#handshake.state !== 'agreed') return { peer, exportName: null, sizeBytes: 0 };
    const { exported, sizeBytes } = this.#handshake.agreement;
    return { peer, exportName: exported.name, sizeBytes };
  }

  received(bytes: Uint8Array, from: number, to: number): number {
    this.#silentTicks = 0;
    let at = from;
    while (at < to && this.#transmission === null && !this.#isEnded) {
      this.#isHeldUp = this.#isAhead;
      if (this.#isHeldUp) break;
      if (this.#handshake.state === 'tls') {
        this.#letGo('it has sent more after STARTTLS, before TLS has begun');
        return to;
      }
      at = this.#handshake.received(bytes, at, to);
      this.#lookAtHandshake();
    }
    if (this.#transmission !== null) at = this.#transmission.received(bytes, at, to);
    this.#flush();
    this.#endIfFinished();
    return this.#isEnded ? to : at;
  }

  closed(): void {
    this.#isEnded = true;
    this.#transmission?.close();
    this.#out.clear();
    this.#parts.ended(this);
  }

  answered(): void {
    if (this.#isTouched || this.#isEnded) return;
    this.#isTouched = true;
    this.#handshake.agreement.exported.disk.touch(this);
  }

  stepEnded(): void {
    this.#isTouched = false;
    this.#look();
  }

  unparked(): void {
    this.#stream.resume();
  }

  broken(why: string): void {
    this.#letGo(why);
  }

  readonly failed = (thrown: unknown): void => {
    this.#parts.failed(thrown);
  };

  /** No new requests from now on; ends when those in flight are answered. */
  shutDown(): void {
    this.#isShuttingDown = true;
    if (this.#transmission === null) this.#end();
    else {
      this.#transmission.shutDown();
      this.#endIfFinished();
    }
  }

  /** Once a second. */
  tick(): void {
    this.#ticks++;
    const isExpected =
      this.#unsentBytes > 0 || this.#transmission === null || this.#transmission.isMidMessage;
    this.#silentTicks = isExpected ? this.#silentTicks + 1 : 0;
    const isLate = this.#transmission === null && this.#ticks > HANDSHAKE_TICKS;
    const isInTheWay = this.#transmission?.tick() === true;
    if (isLate) this.#letGo('it has not chosen an export in time');
    else if (isInTheWay) this.#letGo('it fills its buffer slowly, and others wait for one');
    else if (this.#silentTicks > (this.#isShuttingDown ? ENDING_TICKS : SILENT_TICKS))
      this.#letGo('it is silent in the middle of a message');
  }

  /** The client asks for more in its handshake than it reads. */
  get #isAhead(): boolean {
    return this.#unsentBytes + this.#out.queuedBytes > HANDSHAKE_UNSENT_MAX;
  }

  #lookAtHandshake(): void {
    const { state } = this.#handshake;
    if (state === 'closing') this.#end();
    if (state !== 'agreed') return;
    const { agreement } = this.#handshake;
    this.#transmission = new Transmission(agreement, this.#out, this.#parts.budget, this);
  }

  #look(): void {
    if (this.#isEnded) return;
    this.#transmission?.look();
    this.#flush();
    this.#endIfFinished();
  }

  #endIfFinished(): void {
    if (this.#transmission?.isFinished === true) this.#end();
  }

  /** Closes when what was put is sent. */
  #end(): void {
    if (this.#isEnded) return;
    this.#flush();
    this.#isEnded = true;
    this.#transmission?.close();
    this.#stream.end();
  }

  #letGo(why: string): void {
    if (this.#isEnded) return;
    this.#parts.note(`the client ${this.#stream.peer} is let go: ${why}`);
    this.#isEnded = true;
    this.#transmission?.close();
    this.#stream.destroy();
  }

  #flush(): void {
    if (this.#isEnded) return;
    for (let next = this.#out.take(); next !== null; next = this.#out.take()) {
      const sent = next;
      const { lengthBytes } = next;
      this.#unsentBytes += lengthBytes;
      this.#stream.send(next.bytes, lengthBytes, () => {
        this.#unsentBytes -= lengthBytes;
        this.#silentTicks = 0;
        sent.left();
        this.#sent();
      });
    }
  }

  #sent(): void {
    if (this.#transmission !== null) return this.#look();
    if (this.#handshake.state === 'tls') return this.#encrypt();
    if (!this.#isHeldUp || this.#isEnded || this.#isAhead) return;
    this.#isHeldUp = false;
    this.#stream.resume();
  }

  #encrypt(): void {
    if (this.#unsentBytes > 0 || this.#isEncrypting || this.#isEnded) return;
    this.#isEncrypting = true;
    this.#stream.encrypt((problem) => {
      if (problem !== null) return this.#letGo(`TLS: ${problem}`);
      if (!this.#isEnded) this.#handshake.encrypted();
    });
  }
}
