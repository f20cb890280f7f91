import test from 'ava';
import {
  clausesOf,
  isPolicy,
  POLICY_NAMES,
  Policy,
  parsePolicy,
} from '../../../src/parallax/vdi/policy.ts';

test('each policy has the clauses of its row: when it acknowledges, what a flush waits for', (t) => {
  const rows = Object.values(Policy).map((policy) => {
    const { name, logged, syncBeforeAck, publishBeforeAck, flush } = clausesOf(policy);
    return [name, logged, syncBeforeAck && logged, publishBeforeAck, flush];
  });
  t.deepEqual(rows, [
    ['W0', false, false, true, 'nothing'],
    ['W1', true, false, false, 'publish'],
    ['W2', true, true, false, 'nothing'],
    ['W3', true, false, false, 'sync'],
    ['W4', true, true, false, 'nothing'],
    ['W5', false, false, false, 'nothing'],
  ]);
  t.deepEqual(
    Object.values(Policy).filter((policy) => !clausesOf(policy).inOrder),
    [Policy.w4],
  );
  t.deepEqual(
    Object.values(Policy).filter((policy) => clausesOf(policy).wholeEpochs),
    [Policy.w3],
  );
});

test('names are read in either case; others are refused with the names there are', (t) => {
  for (const name of POLICY_NAMES) t.is(clausesOf(parsePolicy(name.toLowerCase())).name, name);
  t.throws(() => parsePolicy('W6'), { code: 'E_POLICY', message: /W0, W1, W2, W3, W4, W5/ });
  t.true(isPolicy(5));
  t.false(isPolicy(6));
});
