/**
 * What each type of request means: its payload taken apart, the operation, the reply's payload.
 *
 * Requests that only make sense between a toolstack and a daemon in other address spaces
 * (INTRODUCE, RESUME, SET_TARGET, CONTROL) are ENOSYS for domain 0, which attaches domains by a
 * call, and EACCES for all others; so is RESTRICT, which is retired.
 */
import { type DomainId, u32 } from '../../base/units.ts';
import type { Connection } from './connection.ts';
import { parseDecimal } from './decimal.ts';
import { refuse } from './errno.ts';
import {
  listNode,
  makeDirectory,
  type Requester,
  readNode,
  readPermissions,
  removeNode,
  type StoreView,
  writeNode,
  writePermissions,
} from './operations.ts';
import { ABSOLUTE_PATH_MAX_BYTES, domainPath, resolvePath, resolveWatchPath } from './paths.ts';
import {
  formatPermission,
  MAX_DOMAIN_ID,
  mayRead,
  type Permissions,
  parsePermissions,
} from './permissions.ts';
import { isSpecial, type Store } from './store.ts';
import type { Watch } from './watches.ts';
import { joinTexts, type Message, MessageType, PAYLOAD_MAX_BYTES, splitTexts } from './wire.ts';

/** A path and a token fit one event, however deep below the watch the changed node is. */
const TOKEN_MAX_BYTES = PAYLOAD_MAX_BYTES - ABSOLUTE_PATH_MAX_BYTES - 2;

export interface RequestContext {
  readonly store: Store;
  readonly connection: Connection;
  readonly request: Message;
  isIntroduced(domid: DomainId): boolean;
  release(domid: DomainId): void;
  /** Sets off the event that every new watch begins with. */
  announce(watch: Watch): void;
}

type Handler = (context: RequestContext) => string;

const OK = joinTexts(['OK']);

/** Carries a request out. Throws `Refusal`. */
export function handleRequest(context: RequestContext): string {
  const handler = HANDLERS.get(context.request.type);
  if (handler === undefined) refuse('ENOSYS', 'not a request');
  const payload = handler(context);
  if (payload.length > PAYLOAD_MAX_BYTES) refuse('E2BIG', 'the answer does not fit a message');
  return payload;
}

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [MessageType.directory, directory],
  [MessageType.directoryPart, directoryPart],
  [MessageType.read, read],
  [MessageType.write, write],
  [MessageType.mkdir, mkdir],
  [MessageType.rm, rm],
  [MessageType.getPerms, getPerms],
  [MessageType.setPerms, setPerms],
  [MessageType.watch, watch],
  [MessageType.unwatch, unwatch],
  [MessageType.resetWatches, resetWatches],
  [MessageType.transactionStart, transactionStart],
  [MessageType.transactionEnd, transactionEnd],
  [MessageType.getDomainPath, getDomainPath],
  [MessageType.isDomainIntroduced, isDomainIntroduced],
  [MessageType.release, release],
  [MessageType.control, toolstackOnly],
  [MessageType.introduce, toolstackOnly],
  [MessageType.resume, toolstackOnly],
  [MessageType.setTarget, toolstackOnly],
  [MessageType.restrict, toolstackOnly],
]);

function read(context: RequestContext): string {
  return readNode(viewOf(context), whoOf(context), onePath(context));
}

function write(context: RequestContext): string {
  const { payload } = context.request;
  const end = payload.indexOf('\0');
  if (end < 0) refuse('EINVAL', 'the path has no end');
  const who = whoOf(context);
  const path = resolvePath(payload.slice(0, end), who.domid);
  writeNode(viewOf(context), who, path, payload.slice(end + 1));
  return OK;
}

function mkdir(context: RequestContext): string {
  makeDirectory(viewOf(context), whoOf(context), onePath(context));
  return OK;
}

function rm(context: RequestContext): string {
  removeNode(viewOf(context), whoOf(context), onePath(context));
  return OK;
}

function directory(context: RequestContext): string {
  return joinTexts(listNode(viewOf(context), whoOf(context), onePath(context)).names);
}

/** Whole names from an offset on; an empty name says that nothing follows. */
function directoryPart(context: RequestContext): string {
  const [path, offsetText] = texts(context, 2);
  const offset = parseDecimal(offsetText ?? '') ?? refuse('EINVAL', 'not an offset');
  const who = whoOf(context);
  const resolved = resolvePath(path ?? '', who.domid);
  const { names, listGeneration } = listNode(viewOf(context), who, resolved);
  const generation = joinTexts([String(listGeneration)]);
  const rest = joinTexts(names).slice(offset);
  const room = PAYLOAD_MAX_BYTES - generation.length;
  if (rest.length + 1 <= room) return `${generation}${rest}\0`;
  return generation + rest.slice(0, rest.lastIndexOf('\0', room - 1) + 1);
}

function getPerms(context: RequestContext): string {
  const [path = ''] = texts(context, 1);
  const who = whoOf(context);
  if (!isSpecial(path)) {
    return permissionTexts(readPermissions(viewOf(context), who, resolvePath(path, who.domid)));
  }
  const permissions = context.store.specialPermissions(path);
  if (!mayRead(permissions, who)) refuse('EACCES', 'the permissions forbid it');
  return permissionTexts(permissions);
}

function setPerms(context: RequestContext): string {
  const [path = '', ...entries] = splitTexts(context.request.payload) ?? [];
  const permissions = parsePermissions(entries) ?? refuse('EINVAL', 'not a permission list');
  const who = whoOf(context);
  if (isSpecial(path)) {
    if (!who.privileged) refuse('EACCES', 'only domain 0 may');
    context.store.setSpecialPermissions(path, permissions);
  } else {
    writePermissions(viewOf(context), who, resolvePath(path, who.domid), permissions);
  }
  return OK;
}

function watch(context: RequestContext): string {
  const { connection } = context;
  const [given = '', token = ''] = texts(context, 2);
  if (token.length > TOKEN_MAX_BYTES) refuse('E2BIG', 'the token is too long');
  const { domid } = connection.who;
  const path = resolveWatchPath(given, domid);
  const base = path === given ? '' : `${domainPath(domid)}/`;
  const added: Watch = { holder: connection, path, token, base };
  context.store.watches.add(added);
  context.announce(added);
  return OK;
}

function unwatch(context: RequestContext): string {
  const { connection, store } = context;
  const [given = '', token = ''] = texts(context, 2);
  const path = resolveWatchPath(given, connection.who.domid);
  connection.events.drop(store.watches.remove(connection, path, token));
  return OK;
}

function resetWatches(context: RequestContext): string {
  context.store.watches.removeAll(context.connection);
  context.connection.events.clear();
  context.connection.transactions.clear();
  return OK;
}

function transactionStart(context: RequestContext): string {
  if (context.request.transactionId !== 0) refuse('EBUSY', 'transactions do not nest');
  const { transactions, who } = context.connection;
  return joinTexts([String(transactions.start(context.store.tree, who))]);
}

function transactionEnd(context: RequestContext): string {
  const [decision] = texts(context, 1);
  if (decision !== 'T' && decision !== 'F') refuse('EINVAL', 'neither T nor F');
  const { transactions, who } = context.connection;
  const transaction = transactions.take(context.request.transactionId);
  if (decision === 'T') context.store.commit(transaction, who);
  return OK;
}

function getDomainPath(context: RequestContext): string {
  return joinTexts([domainPath(oneDomain(context))]);
}

function isDomainIntroduced(context: RequestContext): string {
  const domid = oneDomain(context);
  const who = whoOf(context);
  if (!who.privileged && who.domid !== domid) refuse('EACCES', 'only domain 0 may');
  return joinTexts([context.isIntroduced(domid) ? 'T' : 'F']);
}

function release(context: RequestContext): string {
  if (!whoOf(context).privileged) refuse('EACCES', 'only domain 0 may');
  const domid = oneDomain(context);
  if (!context.isIntroduced(domid)) refuse('ENOENT', 'no such domain is attached');
  context.release(domid);
  return OK;
}

function toolstackOnly(context: RequestContext): string {
  return whoOf(context).privileged
    ? refuse('ENOSYS', 'not done over a link')
    : refuse('EACCES', 'only domain 0 may');
}

function whoOf(context: RequestContext): Requester {
  return context.connection.who;
}

function viewOf(context: RequestContext): StoreView {
  const { connection, request, store } = context;
  if (request.transactionId === 0) return store.live(connection.who);
  return connection.transactions.get(request.transactionId);
}

function texts(context: RequestContext, count: number): readonly string[] {
  const all = splitTexts(context.request.payload);
  if (all === null || all.length !== count) refuse('EINVAL', `the payload is not ${count} texts`);
  return all;
}

function onePath(context: RequestContext): string {
  const [path = ''] = texts(context, 1);
  return resolvePath(path, whoOf(context).domid);
}

function oneDomain(context: RequestContext): DomainId {
  const [text = ''] = texts(context, 1);
  const domid = parseDecimal(text, MAX_DOMAIN_ID) ?? refuse('EINVAL', 'not a domain');
  return u32<DomainId>(domid);
}

function permissionTexts(permissions: Permissions): string {
  return joinTexts(permissions.map(formatPermission));
}
