import { describe, expect, test } from '@jest/globals';
import type { PolicyState } from '../../reconcilers/index.ts';
import type { NodeStatus } from '../reports/store.ts';
import type { NodeView } from '../serving/publisher.ts';
import { type Nodes, policyProgress, sharedProgress } from './progress.ts';

const SET = 'policyset/0000000000000004';
const state: PolicyState = {
  ref: { kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'p', generation: 1n },
  sets: new Map([['node-a', [SET]]]),
  pods: 1,
  problems: [],
  ineffective: [],
};
const view: NodeView = {
  version: (name) => (name === SET ? 'new' : name === 'endpoint/1' ? 'moved' : undefined),
  ownNames: () => [SET, 'endpoint/1'],
  endpointsUnder: (set) => new Set(set === SET ? ['endpoint/1'] : []),
  listenersOf: () => [
    { names: ['envoy/listener/1', 'envoy/route/1'], policies: new Set(['CiliumNetworkPolicy/shop/p']) },
    { names: ['envoy/route/2'], policies: new Set(['CiliumNetworkPolicy/shop/other']) },
  ],
};

function status(init: Partial<NodeStatus>): NodeStatus {
  return {
    node: 'node-a',
    connected: true,
    agentVersion: '1',
    synced: true,
    versions: new Map(),
    errors: new Map(),
    conditions: [],
    ...init,
  };
}

function nodes(init: Partial<NodeStatus> | undefined, joining = false): Nodes {
  return {
    view: () => view,
    status: () => (init === undefined ? undefined : status(init)),
    isJoining: () => joining,
  };
}

describe('a node', () => {
  test('that read back the version that holds the generation enforces it', () => {
    expect(policyProgress(state, nodes({ versions: new Map([[SET, 'new']]) }))).toEqual({ nodes: 1, missing: [] });
  });

  test('that holds an older version is pending, or out of reach, but counts', () => {
    const versions = new Map([[SET, 'old']]);
    expect(policyProgress(state, nodes({ versions })).missing).toEqual([
      { node: 'node-a', why: 'Pending', message: '' },
    ]);
    expect(policyProgress(state, nodes({ versions, connected: false })).missing).toEqual([
      { node: 'node-a', why: 'Unreachable', message: '' },
    ]);
  });

  test('that is away but holds the newest version enforces it: what is pinned goes on', () => {
    const versions = new Map([[SET, 'new']]);
    expect(policyProgress(state, nodes({ versions, connected: false })).missing).toEqual([]);
  });

  test('with a pod that did not move to the set yet is pending; a pod without a network does not count', () => {
    const lagging = new Map([
      [SET, 'new'],
      ['endpoint/1', 'before'],
    ]);
    expect(policyProgress(state, nodes({ versions: lagging })).missing).toHaveLength(1);
    const moved = new Map([...lagging, ['endpoint/1', 'moved']] as const);
    expect(policyProgress(state, nodes({ versions: moved })).missing).toEqual([]);
  });

  test('that failed says why', () => {
    const errors = new Map([['endpoint/1', 'no such device']]);
    expect(policyProgress(state, nodes({ versions: new Map([[SET, 'new']]), errors })).missing).toEqual([
      { node: 'node-a', why: 'Error', message: 'no such device' },
    ]);
  });

  test('whose Envoy refused the HTTP rules of the policy says why; those of another policy are not its concern', () => {
    const ask = (failed: string): unknown =>
      policyProgress(state, nodes({ versions: new Map([[SET, 'new']]), errors: new Map([[failed, 'bad regex']]) }))
        .missing;
    expect(ask('envoy/route/1')).toEqual([{ node: 'node-a', why: 'Error', message: 'bad regex' }]);
    expect(ask('envoy/route/2')).toEqual([]);
  });

  test('that never reported counts, unless it is only just joining', () => {
    expect(policyProgress(state, nodes(undefined))).toMatchObject({ nodes: 1, missing: [{ why: 'Unreachable' }] });
    expect(policyProgress(state, nodes(undefined, true))).toEqual({ nodes: 0, missing: [] });
  });

  test('holds what all nodes hold when it accepted it, is synced and reported no error', () => {
    const ask = (init: Partial<NodeStatus>, accepted: boolean): unknown =>
      sharedProgress(['service/shop/api'], ['node-a'], nodes(init), () => accepted).missing.map(({ why }) => why);
    expect(ask({}, true)).toEqual([]);
    expect(ask({}, false)).toEqual(['Pending']);
    expect(ask({ synced: false }, true)).toEqual(['Pending']);
    expect(ask({ errors: new Map([['service/shop/api', 'full']]) }, true)).toEqual(['Error']);
  });
});
