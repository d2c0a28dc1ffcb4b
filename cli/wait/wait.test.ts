import { describe, expect, test } from '@jest/globals';
import { parseSnapshot } from '../status/snapshot.ts';
import { snapshotAnswer } from '../testing/samples.ts';
import { obstacleOf } from './obstacle.ts';
import { progressOf } from './progress.ts';
import { parseWaitTarget } from './target.ts';

const snapshot = parseSnapshot(snapshotAnswer);
const target = parseWaitTarget('cnp/api-from-frontend', 'shop');
const [, policy] = snapshot.policies;
if (!policy) throw new Error('the sample lacks a policy');
const withPolicy = (change: Partial<typeof policy>) => ({ ...snapshot, policies: [{ ...policy, ...change }] });

test.each([
  ['cnp/x', 'CiliumNetworkPolicy', 'shop'],
  ['CiliumNetworkPolicy/x', 'CiliumNetworkPolicy', 'shop'],
  ['ciliumnetworkpolicies.cilium.io/x', 'CiliumNetworkPolicy', 'shop'],
  ['netpol/x', 'NetworkPolicy', 'shop'],
  ['meshsvc/x', 'MeshService', 'shop'],
  ['ccnp/x', 'CiliumClusterwideNetworkPolicy', ''],
])('%s is a %s', (text, kind, namespace) => {
  expect(parseWaitTarget(text, 'shop')).toEqual({ kind, namespace, name: 'x' });
});

test.each(['x', 'pod/x', 'constructor/x', 'cnp/', 'cnp/x/y', ''])(
  '%j is refused with the kinds that there are',
  (text) => {
    expect(() => parseWaitTarget(text, 'shop')).toThrow(/KIND\/NAME with a kind of NetworkPolicy, CiliumNetworkPolicy/);
  },
);

describe('a generation', () => {
  test('is enforced when all nodes concerned enforce it', () => {
    expect(progressOf(snapshot, target, 1)).toEqual({
      state: 'enforced',
      sentence: 'CiliumNetworkPolicy shop/api-from-frontend generation 1 is in force on 2 of 2 nodes',
    });
    expect(progressOf(snapshot, parseWaitTarget('meshsvc/api', 'shop'), 2).state).toBe('enforced');
  });

  test('is waited for while the operator knows an older one only, or none', () => {
    expect(progressOf(snapshot, target, 2)).toEqual({
      state: 'waiting',
      sentence: 'CiliumNetworkPolicy shop/api-from-frontend: the operator has not read generation 2 yet',
    });
    expect(progressOf(snapshot, parseWaitTarget('cnp/new', 'shop'), 1).state).toBe('waiting');
    expect(progressOf(snapshot, { ...target, namespace: 'other' }, 1).state).toBe('waiting');
    expect(progressOf(snapshot, { ...target, kind: 'NetworkPolicy' }, 1).state).toBe('waiting');
  });

  test('is waited for while a node lacks it, and the sentence names the node', () => {
    const nodes = { enforced: 1, of: 2, missing: [{ node: 'node2', why: 'Error', message: 'no room' }] };
    expect(progressOf(withPolicy({ nodes }), target, 1)).toEqual({
      state: 'waiting',
      sentence: 'CiliumNetworkPolicy shop/api-from-frontend: 1 of 2 nodes; not on node2 (no room)',
    });
  });

  test('is refused where it has an error, but not for the error of an older one', () => {
    const problems = [{ severity: 'error', field: 'spec.x', message: 'Unknown field.' }];
    expect(progressOf(withPolicy({ problems }), target, 1)).toEqual({
      state: 'refused',
      sentence: "CiliumNetworkPolicy shop/api-from-frontend can't be enforced as it is written: spec.x: Unknown field.",
    });
    expect(progressOf(withPolicy({ problems }), target, 2).state).toBe('waiting');
    const unread = {
      ...snapshot,
      policies: [],
      problems: [{ object: 'CiliumNetworkPolicy/shop/api-from-frontend', problems }],
    };
    expect(progressOf(unread, target, 1).state).toBe('refused');
    const warning = [{ severity: 'warning', field: '', message: 'Odd.' }];
    expect(progressOf(withPolicy({ problems: warning }), target, 1).state).toBe('enforced');
  });
});

test('what is in the way of a MeshService without a Service is told, if it is about the current generation', () => {
  const condition = (type: string, observedGeneration: number) => ({
    type,
    status: 'False',
    observedGeneration,
    message: type === 'ResolvedRefs' ? 'There is no Service of this name.' : 'See the other conditions.',
  });
  const meshService = (generation: number) => ({
    metadata: { name: 'orphan', namespace: 'shop', generation },
    status: { conditions: [condition('Enforced', 1), condition('ResolvedRefs', 1)] },
  });
  expect(obstacleOf(meshService(1))).toBe('There is no Service of this name.');
  expect(obstacleOf(meshService(2))).toBe('');
  expect(obstacleOf({ metadata: { name: 'deny', generation: 1 } })).toBe('');
});
