/**
 * The server's half of the fixed newstyle negotiation.
 *
 * ```
 * greeting sent --client flags--> options --EXPORT_NAME, GO--> over: an export was chosen
 *                                    |-----ABORT, a broken message--> over: close
 *                                    '--STARTTLS--> tls --agreed on--> options, from the beginning
 * ```
 * Options come one at a time; the data of one is at most `OPTION_BYTES_MAX`, what is longer is
 * refused and passed by. A client that is not of the fixed style may say EXPORT_NAME only.
 *
 * Where TLS is required, nothing is said in the clear but the way to it: names and sizes of exports
 * are not told either. What was agreed on in the clear is forgotten, for anybody may have written
 * it.
 *
 * Contexts of block status are chosen for an export by name, and hold only if that one is entered.
 */
import { encodeUtf8 } from '../../base/formats/utf8.ts';
import { present } from '../../base/invariant.ts';
import { BLOCK_SIZES, type NbdCatalog, type NbdExport, transmissionFlags } from './catalog.ts';
import {
  type InfoRequest,
  type MetaContextRequest,
  readInfoRequest,
  readMetaContextRequest,
  readText,
} from './option-data.ts';
import type { OutStream } from './out-stream.ts';
import {
  CLIENT_FLAGS_BYTES,
  EXPORT_NAME_PAD_BYTES,
  GREETING_MAGIC_HIGH,
  GREETING_MAGIC_LOW,
  HandshakeFlag,
  Info,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC_HIGH,
  OPTION_MAGIC_LOW,
  OPTION_REPLY_MAGIC_HIGH,
  OPTION_REPLY_MAGIC_LOW,
  Option,
  OptionReply,
  type ReplyMode,
} from './protocol.ts';

/** What was agreed on. */
export interface Agreement {
  readonly exported: NbdExport;
  readonly mode: ReplyMode;
  /** As the client was told: it never reaches beyond, whatever size the export has later. */
  readonly sizeBytes: number;
  /** Contexts of block status, by id. */
  readonly contexts: ReadonlyMap<number, string>;
}

export type HandshakeState =
  | 'flags'
  | 'option'
  | 'data'
  | 'passing-by'
  | 'tls'
  | 'agreed'
  | 'closing';

/** What a server makes of TLS: it has no keys, clients may, or clients must. */
export type TlsRule = 'none' | 'allow' | 'require';

const OPTION_BYTES_MAX = 65_536;
/** Of an option that is refused for its length, at most this much is read over. */
const PASSED_BYTES_MAX = 33_554_432;
const NO_CONTEXTS: ReadonlyMap<number, string> = new Map();

export class Handshake {
  readonly #catalog: NbdCatalog;
  readonly #out: OutStream;
  readonly #tls: TlsRule;
  #isEncrypted = false;
  #state: HandshakeState = 'flags';
  /** Header or data that is not complete yet. */
  #held = new Uint8Array(OPTION_HEADER_BYTES);
  #heldBytes = 0;
  #wantedBytes = CLIENT_FLAGS_BYTES;
  #option = 0;
  #isFixed = false;
  #padsExportName = true;
  #mode: ReplyMode = 'simple';
  #contexts: ReadonlyMap<number, string> = NO_CONTEXTS;
  #contextsOf = '';
  #agreement: Agreement | null = null;

  constructor(catalog: NbdCatalog, out: OutStream, tls: TlsRule) {
    this.#tls = tls;
    this.#catalog = catalog;
    this.#out = out;
    out.u32(GREETING_MAGIC_HIGH);
    out.u32(GREETING_MAGIC_LOW);
    out.u32(OPTION_MAGIC_HIGH);
    out.u32(OPTION_MAGIC_LOW);
    out.u16(HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes);
  }

  get state(): HandshakeState {
    return this.#state;
  }

  get agreement(): Agreement {
    return present(this.#agreement, 'a handshake that is over has chosen an export');
  }

  /**
   * Takes bytes up to the end of the next message; returns the place of the first not taken. In
   * `tls`, and after `agreed` or `closing`, it takes none.
   */
  received(bytes: Uint8Array, from: number, to: number): number {
    if (this.#isHalted) return from;
    const run = Math.min(to - from, this.#wantedBytes - this.#heldBytes);
    if (this.#state === 'passing-by') this.#wantedBytes -= run;
    else {
      this.#held.set(bytes.subarray(from, from + run), this.#heldBytes);
      this.#heldBytes += run;
    }
    if (this.#heldBytes === this.#wantedBytes) this.#take();
    return from + run;
  }

  /** In `tls`: the stream is encrypted from here on. */
  encrypted(): void {
    this.#isEncrypted = true;
    this.#mode = 'simple';
    this.#contexts = NO_CONTEXTS;
    this.#await('option', OPTION_HEADER_BYTES);
  }

  get #isHalted(): boolean {
    return this.#state === 'tls' || this.#state === 'agreed' || this.#state === 'closing';
  }

  /** Where TLS is required and has not begun, all but the way to it is refused. */
  #isRefusedInClear(): boolean {
    const isWayIn = this.#option === Option.startTls || this.#option === Option.abort;
    if (this.#tls !== 'require' || this.#isEncrypted || isWayIn) return false;
    this.#refuse(OptionReply.tlsRequired, 'this server is for TLS only: STARTTLS first');
    return true;
  }

  /** A message, or the header of one, is complete. */
  #take(): void {
    const lengthBytes = this.#heldBytes;
    this.#heldBytes = 0;
    switch (this.#state) {
      case 'flags':
        return this.#takeFlags();
      case 'option':
        return this.#takeHeader();
      case 'data':
        this.#await('option', OPTION_HEADER_BYTES);
        return this.#takeOption(this.#held.subarray(0, lengthBytes));
      case 'passing-by':
        this.#await('option', OPTION_HEADER_BYTES);
        if (this.#isRefusedInClear()) return;
        return this.#refuse(OptionReply.tooBig, 'the data of the option is too long');
      case 'tls':
      case 'agreed':
      case 'closing':
        return;
    }
  }

  #await(state: HandshakeState, bytes: number): void {
    this.#state = state;
    this.#wantedBytes = bytes;
    if (state !== 'passing-by' && bytes > this.#held.length) this.#held = new Uint8Array(bytes);
  }

  #takeFlags(): void {
    const flags = new DataView(this.#held.buffer).getUint32(0);
    const known = HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes;
    if ((flags & ~known) !== 0) return this.#close();
    this.#isFixed = (flags & HandshakeFlag.fixedNewstyle) !== 0;
    this.#padsExportName = (flags & HandshakeFlag.noZeroes) === 0;
    this.#await('option', OPTION_HEADER_BYTES);
  }

  #takeHeader(): void {
    const view = new DataView(this.#held.buffer);
    const isOption =
      view.getUint32(0) === OPTION_MAGIC_HIGH && view.getUint32(4) === OPTION_MAGIC_LOW;
    if (!isOption) return this.#close();
    this.#option = view.getUint32(8);
    const lengthBytes = view.getUint32(12);
    if (!this.#isFixed && this.#option !== Option.exportName) return this.#close();
    if (lengthBytes <= OPTION_BYTES_MAX) {
      this.#await('data', lengthBytes);
      if (lengthBytes === 0) this.#take();
      return;
    }
    const hopeless = lengthBytes > PASSED_BYTES_MAX || this.#option === Option.exportName;
    if (hopeless) this.#close();
    else this.#await('passing-by', lengthBytes);
  }

  #takeOption(data: Uint8Array): void {
    if (this.#isRefusedInClear()) return;
    switch (this.#option) {
      case Option.exportName:
        return this.#exportName(data);
      case Option.abort:
        this.#reply(OptionReply.ack, 0);
        return this.#close();
      case Option.list:
        return this.#withoutData(data, () => this.#list());
      case Option.info:
      case Option.go:
        return this.#info(readInfoRequest(data));
      case Option.structuredReply:
        return this.#withoutData(data, () => this.#structuredReply());
      case Option.extendedHeaders:
        return this.#withoutData(data, () => this.#extendedHeaders());
      case Option.listMetaContext:
      case Option.setMetaContext:
        return this.#metaContext(readMetaContextRequest(data));
      case Option.startTls:
        return this.#withoutData(data, () => this.#startTls());
      default:
        return this.#refuse(OptionReply.unsupported, 'the option is unknown');
    }
  }

  #withoutData(data: Uint8Array, then: () => void): void {
    if (data.length === 0) then();
    else this.#refuse(OptionReply.invalid, 'this option has no data');
  }

  #startTls(): void {
    if (this.#tls === 'none') return this.#refuse(OptionReply.policy, 'this server has no TLS');
    if (this.#isEncrypted) return this.#refuse(OptionReply.invalid, 'TLS has begun already');
    this.#reply(OptionReply.ack, 0);
    this.#state = 'tls';
  }

  #exportName(data: Uint8Array): void {
    const name = readText(data, 0, data.length);
    const exported = name === null ? null : this.#catalog.find(name);
    if (exported === null) return this.#close();
    this.#out.u64(exported.sizeBytes);
    this.#out.u16(transmissionFlags(exported, this.#mode));
    if (this.#padsExportName) this.#out.zeros(EXPORT_NAME_PAD_BYTES);
    this.#agree(exported);
  }

  #list(): void {
    for (const { name, description } of this.#catalog.list()) {
      const nameBytes = utf8(name);
      const text = utf8(description);
      this.#reply(OptionReply.server, 4 + nameBytes.length + text.length);
      this.#out.u32(nameBytes.length);
      this.#out.bytes(nameBytes);
      this.#out.bytes(text);
    }
    this.#reply(OptionReply.ack, 0);
  }

  #info(request: InfoRequest | null): void {
    if (request === null) return this.#refuse(OptionReply.invalid, 'the option is malformed');
    const exported = this.#catalog.find(request.name);
    if (exported === null) return this.#refuse(OptionReply.unknown, 'there is no such export');
    this.#reply(OptionReply.info, 12);
    this.#out.u16(Info.export);
    this.#out.u64(exported.sizeBytes);
    this.#out.u16(transmissionFlags(exported, this.#mode));
    for (const kind of new Set(request.kinds)) this.#oneInfo(exported, kind);
    this.#reply(OptionReply.ack, 0);
    if (this.#option === Option.go) this.#agree(exported);
  }

  #oneInfo({ name, description }: NbdExport, kind: number): void {
    if (kind === Info.blockSize) {
      this.#reply(OptionReply.info, 2 + 4 * BLOCK_SIZES.length);
      this.#out.u16(kind);
      for (const bytes of BLOCK_SIZES) this.#out.u32(bytes);
    } else if (kind === Info.name || kind === Info.description) {
      const text = utf8(kind === Info.name ? name : description);
      this.#reply(OptionReply.info, 2 + text.length);
      this.#out.u16(kind);
      this.#out.bytes(text);
    }
  }

  #structuredReply(): void {
    if (this.#mode === 'extended') {
      const why = 'extended headers were agreed on, and imply structured replies';
      return this.#refuse(OptionReply.extendedHeadersRequired, why);
    }
    this.#mode = 'structured';
    this.#reply(OptionReply.ack, 0);
  }

  #extendedHeaders(): void {
    if (this.#mode === 'extended') {
      return this.#refuse(OptionReply.invalid, 'extended headers were agreed on already');
    }
    this.#mode = 'extended';
    this.#reply(OptionReply.ack, 0);
  }

  #metaContext(request: MetaContextRequest | null): void {
    const isSet = this.#option === Option.setMetaContext;
    if (isSet) this.#contexts = NO_CONTEXTS;
    if (request === null) return this.#refuse(OptionReply.invalid, 'the option is malformed');
    if (this.#mode === 'simple') {
      return this.#refuse(OptionReply.invalid, 'structured replies come first');
    }
    const exported = this.#catalog.find(request.name);
    if (exported === null) return this.#refuse(OptionReply.unknown, 'there is no such export');
    const asksForAll = !isSet && request.queries.length === 0;
    const chosen = exported.contexts.filter(
      (context) => asksForAll || request.queries.some((query) => asks(query, context, !isSet)),
    );
    const byId = new Map<number, string>();
    for (const context of chosen) {
      const id = isSet ? byId.size + 1 : 0;
      const name = utf8(context);
      this.#reply(OptionReply.metaContext, 4 + name.length);
      this.#out.u32(id);
      this.#out.bytes(name);
      byId.set(id, context);
    }
    this.#reply(OptionReply.ack, 0);
    if (!isSet) return;
    this.#contexts = byId;
    this.#contextsOf = exported.name;
  }

  #agree(exported: NbdExport): void {
    const isSame = this.#contextsOf === exported.name;
    const contexts = isSame ? this.#contexts : NO_CONTEXTS;
    this.#agreement = { exported, mode: this.#mode, sizeBytes: exported.sizeBytes, contexts };
    this.#state = 'agreed';
  }

  #close(): void {
    this.#state = 'closing';
  }

  #refuse(type: OptionReply, why: string): void {
    // EXPORT_NAME cannot be answered with an error.
    if (this.#option === Option.exportName) return this.#close();
    const text = utf8(why);
    this.#reply(type, text.length);
    this.#out.bytes(text);
  }

  #reply(type: OptionReply, lengthBytes: number): void {
    const out = this.#out;
    out.u32(OPTION_REPLY_MAGIC_HIGH);
    out.u32(OPTION_REPLY_MAGIC_LOW);
    out.u32(this.#option);
    out.u32(type);
    out.u32(lengthBytes);
  }
}

/** Whether a query means that context; in a list the namespace alone means all in it. */
function asks(query: string, context: string, isList: boolean): boolean {
  if (query === context) return true;
  return isList && query.endsWith(':') && context.startsWith(query);
}

function utf8(text: string): Uint8Array {
  return present(encodeUtf8(text), 'texts of a server are well formed');
}
