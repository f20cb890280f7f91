/**
 * Committed transactions against a model that knows no concurrency: run one after the other in
 * commit order on a plain map, they must have read the same and left the same; and a transaction
 * whose nodes nobody touched must not conflict.
 */
import test from 'ava';
import fc from 'fast-check';
import { unreachable } from '../../../src/base/invariant.ts';
import { Refusal } from '../../../src/hypervisor/xenstore/errno.ts';
import {
  listNode,
  type Requester,
  readNode,
  removeNode,
  type StoreView,
  writeNode,
} from '../../../src/hypervisor/xenstore/operations.ts';
import { isAtOrBelow } from '../../../src/hypervisor/xenstore/paths.ts';
import { callerOf } from '../../../src/hypervisor/xenstore/permissions.ts';
import { UNLIMITED_QUOTA } from '../../../src/hypervisor/xenstore/quota.ts';
import { Transaction } from '../../../src/hypervisor/xenstore/transactions.ts';
import { type StoreNode, Tree } from '../../../src/hypervisor/xenstore/tree.ts';
import { DOM0 } from '../../helpers/xenstore-world.ts';

const WHO: Requester = { ...callerOf(DOM0), quota: UNLIMITED_QUOTA };
const PATHS = ['/a', '/a/b', '/a/b/c', '/a/d', '/e', '/e/b'] as const;

type Step = { readonly kind: 'begin' | 'commit' | 'abort' } | Operation;

type Operation =
  | { readonly kind: 'read' | 'list' | 'rm'; readonly path: string }
  | { readonly kind: 'write'; readonly path: string; readonly value: string };

const path = fc.constantFrom(...PATHS);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('begin' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('read', 'list'), path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rm' as const), path }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      path,
      value: fc.constantFrom('x', 'y', 'z'),
    }),
  },
);
const schedule = fc.array(fc.record({ client: fc.nat({ max: 2 }), step }), {
  maxLength: 60,
  size: 'max',
});

/** The model: paths and values, the root always there. */
class Model {
  readonly values = new Map<string, string>([['/', '']]);

  run(step: Operation): string {
    switch (step.kind) {
      case 'read':
        return this.values.get(step.path) ?? 'ENOENT';
      case 'list': {
        if (!this.values.has(step.path)) return 'ENOENT';
        const isChild = (other: string) => other.replace(/\/[^/]+$/, '') === step.path;
        return [...this.values.keys()].filter(isChild).sort(byText).join();
      }
      case 'write': {
        const names = step.path.slice(1).split('/');
        for (let n = 1; n < names.length; n++) {
          const above = `/${names.slice(0, n).join('/')}`;
          if (!this.values.has(above)) this.values.set(above, '');
        }
        this.values.set(step.path, step.value);
        return 'OK';
      }
      case 'rm': {
        const parent = step.path.replace(/\/[^/]+$/, '') || '/';
        if (!this.values.has(parent)) return 'ENOENT';
        for (const other of this.values.keys()) {
          if (isAtOrBelow(other, step.path)) this.values.delete(other);
        }
        return 'OK';
      }
      default:
        return unreachable(step);
    }
  }
}

function runOn(view: StoreView, step: Operation): string {
  try {
    switch (step.kind) {
      case 'read':
        return readNode(view, WHO, step.path);
      case 'list': {
        const { names } = listNode(view, WHO, step.path);
        return names
          .map((name) => `${step.path}/${name}`)
          .sort(byText)
          .join();
      }
      case 'write':
        writeNode(view, WHO, step.path, step.value);
        return 'OK';
      case 'rm':
        removeNode(view, WHO, step.path);
        return 'OK';
      default:
        return unreachable(step);
    }
  } catch (thrown) {
    if (thrown instanceof Refusal) return thrown.errno;
    throw thrown;
  }
}

/** As lines, in an order of their own: children of a node have no order that the model knows. */
function lines(values: Iterable<readonly [string, string]>): string {
  return [...values]
    .map(([path, value]) => `${path}=${value}`)
    .sort(byText)
    .join('\n');
}

function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function allValues(tree: Tree): [string, string][] {
  const all: [string, string][] = [];
  const visit = (at: string, node: StoreNode): void => {
    all.push([at === '' ? '/' : at, node.value]);
    for (const [name, child] of node.children) visit(`${at}/${name}`, child);
  };
  visit('', tree.root);
  return all;
}

interface Session {
  readonly transaction: Transaction;
  readonly done: { readonly step: Operation; readonly result: string }[];
  /** What others committed since it began. */
  readonly foreign: string[];
}

const related = (a: string, b: string): boolean => isAtOrBelow(a, b) || isAtOrBelow(b, a);

test('committed transactions are as if run one after the other; conflicts have a reason', (t) => {
  let commits = 0;
  let conflicts = 0;
  fc.assert(
    fc.property(schedule, (actions) => {
      const live = Tree.empty();
      const model = new Model();
      const sessions = new Map<number, Session>();
      for (const { client, step } of actions) {
        const session = sessions.get(client);
        if (session === undefined) {
          if (step.kind !== 'begin') continue;
          sessions.set(client, { transaction: new Transaction(live, WHO), done: [], foreign: [] });
        } else if (step.kind === 'abort') {
          sessions.delete(client);
        } else if (step.kind === 'commit') {
          sessions.delete(client);
          const touched = session.done.map(({ step }) => step.path);
          try {
            const changes = session.transaction.commit(live);
            commits++;
            const before = new Set(model.values.keys());
            for (const { step, result } of session.done) {
              if (model.run(step) !== result) return false;
            }
            const made = [...model.values.keys()].filter((path) => !before.has(path));
            for (const other of sessions.values()) {
              other.foreign.push(...changes.map((change) => change.path), ...made);
            }
          } catch (thrown) {
            if (!(thrown instanceof Refusal) || thrown.errno !== 'EAGAIN') throw thrown;
            conflicts++;
            if (!touched.some((mine) => session.foreign.some((its) => related(mine, its)))) {
              return false;
            }
          }
          live.checkInvariants();
        } else if ('path' in step) {
          session.done.push({ step, result: runOn(session.transaction, step) });
        }
      }
      return lines(allValues(live)) === lines(model.values);
    }),
    { numRuns: 1000 },
  );
  t.true(commits > 500, `the property saw ${commits} commits`);
  t.true(conflicts > 50, `the property saw ${conflicts} conflicts`);
});
