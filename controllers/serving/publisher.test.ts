import { describe, expect, test } from '@jest/globals';
import type { NodeResource, PolicyListener, Rule } from '@weft/node-api';
import { nodeResourceType } from '@weft/node-api';
import { ResourceCache } from '@weft/xds';
import type { Output } from '../../reconcilers/index.ts';
import { Publisher, policySetName } from './publisher.ts';

const node = (name: string): NodeResource => ({
  resource: { $case: 'node', value: { name, addresses: [], podCidrs: [] } },
});

const endpoint = (uid: string, policySet: bigint, labels: Record<string, string> = {}): NodeResource => ({
  resource: {
    $case: 'endpoint',
    value: { uid, namespace: 'shop', name: uid, serviceAccount: 'default', labels, policySet, class: 1n, proxy: false },
  },
});

type Entries = Record<string, NodeResource>;

function output(shared: Entries, views: Record<string, Entries> = {}, deletes: string[] = []): Output {
  return {
    shared: { upserts: new Map(Object.entries(shared)), deletes: new Set(deletes) },
    views: new Map(
      Object.entries(views).map(([name, entries]) => [
        name,
        { upserts: new Map(Object.entries(entries)), deletes: new Set<string>() },
      ]),
    ),
    policies: new Map(),
    routes: new Map(),
    visited: 0,
  };
}

function published(...outputs: Output[]): { cache: ResourceCache; publisher: Publisher } {
  const cache = new ResourceCache();
  const publisher = new Publisher(cache);
  for (const each of outputs) publisher.publish(each);
  return { cache, publisher };
}

describe('what the compiler made', () => {
  test('is served to a node from the moment that the node is known, also if there is nothing of its own', () => {
    const { cache } = published(output({ 'node/a': node('a') }));
    expect(cache.views).toEqual(['a']);
    expect(cache.names('a', nodeResourceType)).toEqual(new Set(['node/a']));
  });

  test('goes with its node', () => {
    const all = output({ 'node/a': node('a'), 'node/b': node('b') }, { a: { 'endpoint/1': endpoint('1', 5n) } });
    const { cache, publisher } = published(all, output({}, {}, ['node/a']));
    expect(cache.views).toEqual(['b']);
    expect(publisher.view('a')).toBeUndefined();
    expect([...publisher.nodes]).toEqual(['b']);
  });

  test('has the same version whatever the order of labels was', () => {
    const versions = [
      { a: '1', b: '2' },
      { b: '2', a: '1' },
    ].map((labels) => {
      const { publisher } = published(
        output({ 'node/a': node('a') }, { a: { 'endpoint/1': endpoint('1', 5n, labels) } }),
      );
      return publisher.view('a')?.version('endpoint/1');
    });
    expect(versions[0]).toBeDefined();
    expect(versions[0]).toBe(versions[1]);
  });

  test('for several nodes at once is held once', () => {
    const same = endpoint('1', 5n);
    const both = output(
      { 'node/a': node('a'), 'node/b': node('b') },
      { a: { 'endpoint/1': same }, b: { 'endpoint/1': same } },
    );
    const { cache } = published(both);
    expect(cache.get('a', nodeResourceType, 'endpoint/1')).toBe(cache.get('b', nodeResourceType, 'endpoint/1'));
  });

  test('is found by policy set, also after a pod moved to another', () => {
    const [one, other] = [policySetName(1n), policySetName(2n)];
    const { publisher } = published(
      output({ 'node/a': node('a') }, { a: { 'endpoint/1': endpoint('1', 1n), 'endpoint/2': endpoint('2', 1n) } }),
      output({}, { a: { 'endpoint/1': endpoint('1', 2n) } }),
    );
    expect(publisher.view('a')?.endpointsUnder(one)).toEqual(new Set(['endpoint/2']));
    expect(publisher.view('a')?.endpointsUnder(other)).toEqual(new Set(['endpoint/1']));
  });

  test('for Envoy is found by policy set, with the policies behind each listener', () => {
    const policy = { kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'p', generation: 1n };
    const rule: Rule = { policy, direction: 0, index: 0, deny: false, reason: '', http: [] };
    const set = (listeners: PolicyListener[]): NodeResource => ({
      resource: {
        $case: 'policySet',
        value: { id: 5n, entries: [], rules: [rule], ingressDefaultDeny: [], egressDefaultDeny: [], listeners },
      },
    });
    const name = policySetName(5n);
    const { publisher } = published(output({ 'node/a': node('a') }, { a: { [name]: set([{ id: 7n, rules: [0] }]) } }));
    expect(publisher.view('a')?.listenersOf(name)).toEqual([
      {
        names: ['envoy/listener/l7/0000000000000007', 'envoy/route/l7/0000000000000007', 'envoy/cluster/origin'],
        policies: new Set(['CiliumNetworkPolicy/shop/p']),
      },
    ]);
    publisher.publish(output({}, { a: { [name]: set([]) } }));
    expect(publisher.view('a')?.listenersOf(name)).toEqual([]);
  });
});
