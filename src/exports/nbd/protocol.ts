/**
 * The numbers of the NBD protocol, as its document names them (NetworkBlockDevice/nbd,
 * doc/proto.md). Everything on the wire is big-endian. Magics of 64 bits are two halves here.
 */

/** "NBDMAGIC", the first eight bytes of a server. */
export const GREETING_MAGIC_HIGH = 0x4e42444d;
export const GREETING_MAGIC_LOW = 0x41474943;
/** "IHAVEOPT", of the fixed newstyle negotiation: in the greeting and before each option. */
export const OPTION_MAGIC_HIGH = 0x49484156;
export const OPTION_MAGIC_LOW = 0x454f5054;
export const OPTION_REPLY_MAGIC_HIGH = 0x0003e889;
export const OPTION_REPLY_MAGIC_LOW = 0x045565a9;
export const REQUEST_MAGIC = 0x25609513;
export const EXTENDED_REQUEST_MAGIC = 0x21e41c71;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;
export const EXTENDED_REPLY_MAGIC = 0x6e8a278c;

export const CLIENT_FLAGS_BYTES = 4;
export const OPTION_HEADER_BYTES = 16;
export const REQUEST_BYTES = 28;
export const EXTENDED_REQUEST_BYTES = 32;
/** Longest string of the protocol: names of exports, messages of errors. */
export const STRING_BYTES_MAX = 4096;
/** Zeros after the reply to EXPORT_NAME, unless both sides do without. */
export const EXPORT_NAME_PAD_BYTES = 124;

/** Of the server in its greeting, and of the client in answer: the same bits. */
export const HandshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const Option = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
  extendedHeaders: 11,
} as const;

export const OptionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 0x8000_0001,
  policy: 0x8000_0002,
  invalid: 0x8000_0003,
  tlsRequired: 0x8000_0005,
  unknown: 0x8000_0006,
  shutdown: 0x8000_0007,
  tooBig: 0x8000_0009,
  extendedHeadersRequired: 0x8000_000a,
} as const;
export type OptionReply = (typeof OptionReply)[keyof typeof OptionReply];

export const Info = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

export const TransmissionFlag = {
  hasFlags: 0x1,
  readOnly: 0x2,
  sendFlush: 0x4,
  sendFua: 0x8,
  sendTrim: 0x20,
  sendWriteZeroes: 0x40,
  sendDf: 0x80,
  canMultiConn: 0x100,
  sendCache: 0x400,
  sendFastZero: 0x800,
} as const;

export const Command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const CommandFlag = {
  fua: 0x1,
  noHole: 0x2,
  df: 0x4,
  reqOne: 0x8,
  fastZero: 0x10,
  payloadLength: 0x20,
} as const;

export const REPLY_FLAG_DONE = 1;

export const ReplyType = {
  none: 0,
  offsetData: 1,
  blockStatus: 5,
  blockStatusExtended: 6,
  error: 0x8001,
} as const;

export const NbdError = {
  ok: 0,
  notPermitted: 1,
  io: 5,
  invalid: 22,
  noSpace: 28,
  overflow: 75,
  notSupported: 95,
  shutdown: 108,
} as const;
export type NbdError = (typeof NbdError)[keyof typeof NbdError];

export const ALLOCATION_CONTEXT = 'base:allocation';
/** Status flags of `base:allocation`: not allocated, and reads as zeros. */
export const STATE_HOLE = 1;
export const STATE_ZERO = 2;

/** How a client has asked to be answered. */
export type ReplyMode = 'simple' | 'structured' | 'extended';
