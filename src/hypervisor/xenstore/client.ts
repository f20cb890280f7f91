/**
 * The store as stories see it: promises over a link.
 *
 * The same operations exist outside a transaction (`XenstoreClient`) and inside one (what the body
 * of `transaction` gets). Failures reject with `StorageError`, `code` `E_XENSTORE_<ERRNO>` and
 * `fields.path`. A node that is not there is no failure of `read` and `readNumber`: they give null.
 *
 * Values are texts of octets (characters up to 255). A callback of a watch runs between other
 * events and must take it as a hint to look again: it may come twice, late, or for something above
 * what changed. After `unwatch` was called it does not run any more.
 */
import { StorageError } from '../../base/errors.ts';
import type { Link } from '../../world/world.ts';
import { parseDecimal, U32_MAX } from './decimal.ts';
import { hasErrno, xenstoreError } from './errno.ts';
import { Exchange, type ViolationKind } from './exchange.ts';
import { formatPermission, type Permissions, parsePermissions } from './permissions.ts';
import { isOctets, joinTexts, MessageType, splitTexts } from './wire.ts';

export type Entries = Iterable<readonly [path: string, value: string | number]>;

/** What can be done outside and inside a transaction. */
export interface XenstoreOperations {
  /** The value; null if there is no such node. */
  read(path: string): Promise<string | null>;
  /** As `read`, of a strictly decimal value; anything else rejects with `E_XENSTORE_VALUE`. */
  readNumber(path: string): Promise<number | null>;
  write(path: string, value: string | number): Promise<void>;
  /** All of them at once: others see all or none. */
  writeMany(entries: Entries): Promise<void>;
  mkdir(path: string): Promise<void>;
  /** Removes the node and all below it. Nothing happens if only the node itself is not there. */
  rm(path: string): Promise<void>;
  /** The names of the children. */
  directory(path: string): Promise<readonly string[]>;
  getPermissions(path: string): Promise<Permissions>;
  setPermissions(path: string, permissions: Permissions): Promise<void>;
}

export type Unwatch = () => Promise<void>;

export interface TransactionOptions {
  /** How often the body may run before its conflicts are an error. */
  readonly maxAttempts?: number;
}

const DEFAULT_MAX_ATTEMPTS = 64;
/** How often a long directory is read again because it changed between two parts. */
const MAX_LISTINGS = 16;

export class XenstoreClient implements XenstoreOperations {
  readonly #exchange: Exchange;
  readonly #plain: Operations;
  readonly #violations = new Map<ViolationKind, number>();

  constructor(link: Link) {
    this.#exchange = new Exchange(link, (kind) => {
      this.#violations.set(kind, (this.#violations.get(kind) ?? 0) + 1);
    });
    this.#plain = new Operations(this.#exchange, 0);
  }

  /** How often the server, or whoever sends in its name, broke the protocol. */
  get violations(): ReadonlyMap<ViolationKind, number> {
    return this.#violations;
  }

  read(path: string): Promise<string | null> {
    return this.#plain.read(path);
  }

  readNumber(path: string): Promise<number | null> {
    return this.#plain.readNumber(path);
  }

  write(path: string, value: string | number): Promise<void> {
    return this.#plain.write(path, value);
  }

  writeMany(entries: Entries): Promise<void> {
    const all = [...entries];
    return this.transaction((inside) => inside.writeMany(all));
  }

  mkdir(path: string): Promise<void> {
    return this.#plain.mkdir(path);
  }

  rm(path: string): Promise<void> {
    return this.#plain.rm(path);
  }

  directory(path: string): Promise<readonly string[]> {
    return this.#plain.directory(path);
  }

  getPermissions(path: string): Promise<Permissions> {
    return this.#plain.getPermissions(path);
  }

  setPermissions(path: string, permissions: Permissions): Promise<void> {
    return this.#plain.setPermissions(path, permissions);
  }

  /**
   * Calls `onChange` once soon, and then whenever something at or below `path` may have changed.
   * Resolves when the watch is registered.
   */
  async watch(path: string, onChange: (changedPath: string) => void): Promise<Unwatch> {
    const token = this.#exchange.listen(onChange);
    const payload = joinTexts([path, token]);
    try {
      await this.#call(MessageType.watch, payload, 'watch', path);
    } catch (thrown) {
      this.#exchange.forget(token);
      throw thrown;
    }
    return async () => {
      this.#exchange.forget(token);
      await this.#call(MessageType.unwatch, payload, 'unwatch', path);
    };
  }

  /**
   * Runs `body` in a transaction and commits. After a conflict with others `body` runs again from
   * the start, on the store as it is then: it must have no effects but through its argument. Too
   * many conflicts reject with `E_XENSTORE_EAGAIN`, naming the first path it used. If `body`
   * rejects, nothing was changed.
   */
  async transaction<T>(
    body: (inside: XenstoreOperations) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    const maxAttempts = options.maxAttempts ?? DEFAULT_MAX_ATTEMPTS;
    let path = '';
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const id = await this.#startTransaction();
      const inside = new Operations(this.#exchange, id);
      const result = await this.#runBody(body, inside, id);
      path = inside.firstPath;
      if (await this.#commit(id, path)) return result;
    }
    const why = `others changed what the transaction relies on, ${maxAttempts} times in a row`;
    throw xenstoreError('EAGAIN', 'transaction', path, why);
  }

  /** Ends it: what is still asked for rejects with `E_XENSTORE_CLOSED`. */
  close(): void {
    this.#exchange.close();
  }

  async #startTransaction(): Promise<number> {
    const reply = await this.#call(MessageType.transactionStart, '\0', 'start transaction', '');
    const [text = ''] = splitTexts(reply) ?? [];
    const id = parseDecimal(text, U32_MAX);
    if (id !== null && id !== 0) return id;
    throw xenstoreError('PROTOCOL', 'start transaction', '', 'the reply is not a number');
  }

  async #runBody<T>(
    body: (inside: XenstoreOperations) => Promise<T>,
    inside: Operations,
    id: number,
  ): Promise<T> {
    try {
      return await body(inside);
    } catch (thrown) {
      await this.#abandon(id, inside.firstPath);
      throw thrown;
    }
  }

  /** What the body failed with is what the caller must learn: a failure here tells nothing new. */
  async #abandon(id: number, path: string): Promise<void> {
    try {
      await this.#end(id, path, 'F');
    } catch (thrown) {
      if (!(thrown instanceof StorageError)) throw thrown;
    }
  }

  async #commit(id: number, path: string): Promise<boolean> {
    try {
      await this.#end(id, path, 'T');
      return true;
    } catch (thrown) {
      if (hasErrno(thrown, 'EAGAIN')) return false;
      throw thrown;
    }
  }

  async #end(transactionId: number, path: string, decision: 'T' | 'F'): Promise<void> {
    const type = MessageType.transactionEnd;
    const payload = joinTexts([decision]);
    await this.#exchange.call({ type, transactionId, payload, operation: 'commit', path });
  }

  #call(type: number, payload: string, operation: string, path: string): Promise<string> {
    return this.#exchange.call({ type, transactionId: 0, payload, operation, path });
  }
}

/** The operations with one transaction number; 0 is outside any. */
class Operations implements XenstoreOperations {
  readonly #exchange: Exchange;
  readonly #transactionId: number;
  #firstPath = '';

  constructor(exchange: Exchange, transactionId: number) {
    this.#exchange = exchange;
    this.#transactionId = transactionId;
  }

  /** The first path it was used with: names the transaction in errors. */
  get firstPath(): string {
    return this.#firstPath;
  }

  async read(path: string): Promise<string | null> {
    try {
      return await this.#call(MessageType.read, joinTexts([path]), 'read', path);
    } catch (thrown) {
      if (hasErrno(thrown, 'ENOENT')) return null;
      throw thrown;
    }
  }

  async readNumber(path: string): Promise<number | null> {
    const text = await this.read(path);
    if (text === null) return null;
    const value = parseDecimal(text);
    if (value !== null) return value;
    const why = `expected a decimal number, found ${JSON.stringify(text.slice(0, 40))}`;
    throw xenstoreError('VALUE', 'read', path, why);
  }

  async write(path: string, value: string | number): Promise<void> {
    const text = String(value);
    if (!isOctets(text)) throw xenstoreError('EINVAL', 'write', path, 'a value is made of octets');
    await this.#call(MessageType.write, `${path}\0${text}`, 'write', path);
  }

  async writeMany(entries: Entries): Promise<void> {
    const writes = [...entries].map(([path, value]) => this.write(path, value));
    await Promise.all(writes);
  }

  async mkdir(path: string): Promise<void> {
    await this.#call(MessageType.mkdir, joinTexts([path]), 'mkdir', path);
  }

  async rm(path: string): Promise<void> {
    await this.#call(MessageType.rm, joinTexts([path]), 'rm', path);
  }

  async directory(path: string): Promise<readonly string[]> {
    try {
      const reply = await this.#call(MessageType.directory, joinTexts([path]), 'directory', path);
      return this.#texts(reply, 'directory', path);
    } catch (thrown) {
      if (hasErrno(thrown, 'E2BIG')) return this.#longDirectory(path);
      throw thrown;
    }
  }

  async getPermissions(path: string): Promise<Permissions> {
    const reply = await this.#call(MessageType.getPerms, joinTexts([path]), 'get-perms', path);
    const permissions = parsePermissions(this.#texts(reply, 'get-perms', path));
    if (permissions !== null) return permissions;
    throw xenstoreError('PROTOCOL', 'get-perms', path, 'the reply is no permission list');
  }

  async setPermissions(path: string, permissions: Permissions): Promise<void> {
    const payload = joinTexts([path, ...permissions.map(formatPermission)]);
    await this.#call(MessageType.setPerms, payload, 'set-perms', path);
  }

  /** In parts; from the start again if the list changed between two of them. */
  async #longDirectory(path: string): Promise<readonly string[]> {
    for (let listing = 0; listing < MAX_LISTINGS; listing++) {
      const names = await this.#listInParts(path);
      if (names !== null) return names;
    }
    throw xenstoreError('EAGAIN', 'directory', path, 'it changes faster than it can be read');
  }

  async #listInParts(path: string): Promise<readonly string[] | null> {
    const all: string[] = [];
    let generation: string | null = null;
    let offset = 0;
    for (;;) {
      const payload = joinTexts([path, String(offset)]);
      const reply = await this.#call(MessageType.directoryPart, payload, 'directory', path);
      const [seen = '', ...names] = this.#texts(reply, 'directory', path);
      if (generation !== null && generation !== seen) return null;
      if (names.length === 0) {
        throw xenstoreError('PROTOCOL', 'directory', path, 'a part has neither names nor an end');
      }
      generation = seen;
      const last = names.at(-1) === '';
      if (last) names.pop();
      all.push(...names);
      if (last) return all;
      offset += joinTexts(names).length;
    }
  }

  #texts(reply: string, operation: string, path: string): readonly string[] {
    const texts = splitTexts(reply);
    if (texts !== null) return texts;
    throw xenstoreError('PROTOCOL', operation, path, 'the reply has no end');
  }

  #call(type: number, payload: string, operation: string, path: string): Promise<string> {
    if (this.#firstPath === '') this.#firstPath = path;
    const transactionId = this.#transactionId;
    return this.#exchange.call({ type, transactionId, payload, operation, path });
  }
}
