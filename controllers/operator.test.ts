import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { NodeResource } from '@weft/node-api';
import { type Condition, conditionsOf, defineKind, type KubeObject } from 'kopf-ts';
import {
  ciliumClusterwideNetworkPolicyKind,
  ciliumNetworkPolicyKind,
  endpointSliceKind,
  meshServiceKind,
  namespaceKind,
  networkPolicyKind,
  nodeKind,
  serviceKind,
} from './kinds.ts';
import type { TestAgent } from './testing/agent.ts';
import { create, eventually, type RunningOperator, TestCluster } from './testing/cluster.ts';

const eventKind = defineKind({
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
});

let cluster: TestCluster;
let running: RunningOperator;
const agents: TestAgent[] = [];
const timing = { patience: 1_500, impatience: 300, emptyService: 300, emptySelector: 300 };

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.admin.create(namespaceKind, { metadata: { name: 'shop' } });
  await cluster.addNode('node-a', 0);
  await cluster.addNode('node-b', 1);
  await cluster.addPod({
    namespace: 'shop',
    name: 'frontend',
    node: 'node-a',
    labels: { app: 'frontend' },
    ip: '10.244.0.5',
  });
  await cluster.addPod({ namespace: 'shop', name: 'api', node: 'node-b', labels: { app: 'api' }, ip: '10.244.1.5' });
  running = await cluster.operator({ timing });
  for (const node of ['node-a', 'node-b']) agents.push(await cluster.agent(node, running.operator.port));
  await eventually(() => expect(agents.every(({ complete }) => complete)).toBe(true));
}, 300_000);

afterAll(async () => {
  for (const agent of agents) await agent.stop();
  await cluster?.stop();
});

function policy(name: string, spec: object): KubeObject & { readonly [field: string]: unknown } {
  return { metadata: { namespace: 'shop', name }, spec };
}

const apiFromFrontend = {
  endpointSelector: { matchLabels: { app: 'api' } },
  ingress: [
    {
      fromEndpoints: [{ matchLabels: { app: 'frontend' } }],
      toPorts: [{ ports: [{ port: '80', protocol: 'TCP' }] }],
    },
  ],
};

async function conditions(kind: ReturnType<typeof defineKind>, name: string, namespace?: string): Promise<Condition[]> {
  return conditionsOf({ status: undefined, ...(await cluster.admin.get(kind, { name, namespace })) });
}

/** Notes of all events about an object. */
async function notes(name: string): Promise<string[]> {
  const events: (KubeObject & { note?: unknown; regarding?: unknown })[] = await cluster.admin.list(eventKind);
  return events
    .filter(({ regarding }) => JSON.stringify(regarding ?? {}).includes(`"name":"${name}"`))
    .map(({ note }) => String(note));
}

function policySets(agent: TestAgent | undefined): string[] {
  return [...(agent?.resources.keys() ?? [])].filter((name) => name.startsWith('policyset/'));
}

describe('a start', () => {
  test('installs the kinds of cilium.io where they are absent, and waits for no kind that is not installed', () => {
    expect(running.log.join('\n')).toMatch(/installed CustomResourceDefinition ciliumnetworkpolicies.cilium.io/);
    const absent = ['GRPCRoute', 'HTTPRoute', 'L7Route', 'MeshService', 'ReferenceGrant'];
    expect(running.operator.snapshot().operator).toMatchObject({ ready: true, absent });
  });

  test('lists the replica in the EndpointSlice that agents look for', async () => {
    const slice = await eventually(() =>
      cluster.admin.get(endpointSliceKind, { namespace: 'weft-system', name: 'weft-operator' }),
    );
    expect(slice).toMatchObject({
      addressType: 'IPv4',
      endpoints: [{ addresses: ['192.0.2.1'] }],
      ports: [{ port: running.operator.port }],
    });
  });

  test('gives each agent all nodes, and the endpoints of its own node only', () => {
    const [a, b] = agents;
    const endpoints = (agent: TestAgent | undefined): unknown[] =>
      [...(agent?.resources.values() ?? [])].flatMap(({ resource: { resource } }) =>
        resource?.$case === 'endpoint' && resource.value.namespace === 'shop' ? [resource.value.name] : [],
      );
    expect(a?.resources.has('node/node-b')).toBe(true);
    expect(endpoints(a)).toEqual(['frontend']);
    expect(endpoints(b)).toEqual(['api']);
  });
});

describe('a policy', () => {
  test('is enforced when each node concerned has read it back, and not before; in at most two writes', async () => {
    const [, b] = agents;
    if (b !== undefined) b.automatic = false;
    await create(cluster.admin, ciliumNetworkPolicyKind, policy('api-from-frontend', apiFromFrontend));
    await eventually(() => expect(policySets(b)).toHaveLength(1));
    const waiting = await eventually(async () => {
      const found = await conditions(ciliumNetworkPolicyKind, 'api-from-frontend', 'shop');
      expect(found).toHaveLength(2);
      return found;
    });
    expect(waiting).toEqual([
      expect.objectContaining({ type: 'Accepted', status: 'True', observedGeneration: 1 }),
      expect.objectContaining({
        type: 'Enforced',
        status: 'False',
        reason: 'NodesPending',
        message: 'In force on 0 of 1 nodes; not yet on node-b.',
      }),
    ]);
    if (b !== undefined) b.automatic = true;
    b?.report();
    const enforced = await eventually(async () => {
      const object = await cluster.admin.get(ciliumNetworkPolicyKind, { namespace: 'shop', name: 'api-from-frontend' });
      expect(conditionsOf(object)).toContainEqual(expect.objectContaining({ type: 'Enforced', status: 'True' }));
      return object;
    });
    // Nodes that say more, and pods that come and go, change nothing any more.
    await cluster.addPod({
      namespace: 'shop',
      name: 'api-2',
      node: 'node-a',
      labels: { app: 'api' },
      ip: '10.244.0.6',
    });
    await eventually(() => expect(policySets(agents[0])).toHaveLength(1));
    for (const agent of agents) agent.report();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const later = await cluster.admin.get(ciliumNetworkPolicyKind, { namespace: 'shop', name: 'api-from-frontend' });
    expect(later.metadata.resourceVersion).toBe(enforced.metadata.resourceVersion);
  });

  test('that a node failed to apply says so, with the words of the agent', async () => {
    const [a] = agents;
    await create(
      cluster.admin,
      ciliumNetworkPolicyKind,
      policy('front', { endpointSelector: { matchLabels: { app: 'frontend' } }, ingress: [{}] }),
    );
    const set = await eventually(() => {
      const sets = policySets(a).filter((name) => {
        const resource = a?.resources.get(name)?.resource.resource;
        return (
          resource?.$case === 'policySet' &&
          JSON.stringify(resource.value.rules, (_, v) => (typeof v === 'bigint' ? `${v}` : v)).includes('front"')
        );
      });
      expect(sets).toHaveLength(1);
      return sets[0] ?? '';
    });
    a?.failures.set(set, 'the policy map is full');
    a?.report();
    await new Promise((resolve) => setTimeout(resolve, 50));
    // A new generation, which fails from the start.
    await cluster.admin.patch(
      ciliumNetworkPolicyKind,
      { namespace: 'shop', name: 'front' },
      { spec: { description: 'x' } },
    );
    await eventually(async () =>
      expect(await conditions(ciliumNetworkPolicyKind, 'front', 'shop')).toContainEqual(
        expect.objectContaining({
          type: 'Enforced',
          status: 'False',
          reason: 'NodesError',
          message: 'In force on 0 of 1 nodes; failed on node-a (the policy map is full).',
          observedGeneration: 2,
        }),
      ),
    );
    expect(running.operator.snapshot().nodes[0]?.errors).toEqual([
      { resource: set, message: 'the policy map is full' },
    ]);
    a?.failures.clear();
    a?.report();
    await eventually(async () =>
      expect(await conditions(ciliumNetworkPolicyKind, 'front', 'shop')).toContainEqual(
        expect.objectContaining({ type: 'Enforced', status: 'True' }),
      ),
    );
    await cluster.admin.delete(ciliumNetworkPolicyKind, { namespace: 'shop', name: 'front' });
  });

  test('that another makes ineffective says so in an event and in the snapshot, naming both', async () => {
    await create(cluster.admin, ciliumClusterwideNetworkPolicyKind, {
      metadata: { name: 'cluster-only' },
      spec: { endpointSelector: {}, ingress: [{ fromEntities: ['cluster'] }] },
    });
    await eventually(async () =>
      expect(await notes('api-from-frontend')).toContainEqual(expect.stringMatching(/cluster-only.*api-from-frontend/)),
    );
    const found = running.operator.snapshot().policies.find(({ name }) => name === 'api-from-frontend');
    expect(found?.ineffective).toEqual([
      expect.objectContaining({ by: { kind: 'CiliumClusterwideNetworkPolicy', namespace: '', name: 'cluster-only' } }),
    ]);
    await cluster.admin.delete(ciliumClusterwideNetworkPolicyKind, { name: 'cluster-only' });
  });

  test('that selects nothing is in force and says that it selects nothing', async () => {
    await create(
      cluster.admin,
      ciliumNetworkPolicyKind,
      policy('nobody', { endpointSelector: { matchLabels: { app: 'none' } }, ingress: [{}] }),
    );
    await eventually(async () =>
      expect(await conditions(ciliumNetworkPolicyKind, 'nobody', 'shop')).toContainEqual(
        expect.objectContaining({ type: 'Enforced', status: 'True', reason: 'SelectsNoPods' }),
      ),
    );
  });
});

describe('bad input', () => {
  test('of every kind is told about in a sentence, and harms nothing else', async () => {
    const kafka = [{ toPorts: [{ ports: [{ port: '80' }], rules: { kafka: [{ topic: 'x' }] } }] }];
    await create(
      cluster.admin,
      ciliumNetworkPolicyKind,
      policy('layer-7', { endpointSelector: { matchLabels: { app: 'api' } }, ingress: kafka }),
    );
    await create(
      cluster.admin,
      ciliumNetworkPolicyKind,
      policy('hostile', { endpointSelector: 7, ingress: { __proto__: [] }, egress: 'x' }),
    );
    await create(cluster.admin, ciliumClusterwideNetworkPolicyKind, {
      metadata: { name: 'unknown-field' },
      spec: { endpointSelector: { matchLabels: { app: 'none' } }, ingress: [{ fromMoon: [{}] }] },
    });
    await create(cluster.admin, networkPolicyKind, {
      metadata: { namespace: 'shop', name: 'core' },
      spec: { podSelector: { matchLabels: { app: 'none' } }, policyTypes: ['Ingress'] },
    });
    await create(cluster.admin, networkPolicyKind, {
      metadata: { namespace: 'shop', name: 'port-name' },
      spec: { podSelector: { matchLabels: { app: 'api' } }, egress: [{ ports: [{ port: 'web' }] }] },
    });
    const outOfRange = [{ toPorts: [{ ports: [{ port: '70000', protocol: 'TCP' }] }] }];
    await create(
      cluster.admin,
      ciliumNetworkPolicyKind,
      policy('out-of-range', { endpointSelector: { matchLabels: { app: 'api' } }, ingress: outOfRange }),
    );
    await create(cluster.admin, serviceKind, {
      metadata: { namespace: 'shop', name: 'empty' },
      spec: { selector: { app: 'none' }, ports: [{ port: 80 }] },
    });
    for (const [kind, name, namespace, word] of [
      [ciliumNetworkPolicyKind, 'layer-7', 'shop', /rules/],
      [ciliumNetworkPolicyKind, 'hostile', 'shop', /endpointSelector/],
      [ciliumNetworkPolicyKind, 'out-of-range', 'shop', /ports\[0\].*70000.*65535/],
      [ciliumClusterwideNetworkPolicyKind, 'unknown-field', undefined, /fromMoon/],
    ] as const) {
      await eventually(async () =>
        expect(await conditions(kind, name, namespace)).toContainEqual(
          expect.objectContaining({ type: 'Accepted', status: 'False', message: expect.stringMatching(word) }),
        ),
      );
      await eventually(async () => expect((await notes(name)).join('\n')).toMatch(word));
    }
    await eventually(async () =>
      expect((await notes('empty')).join('\n')).toMatch(/No ready pod is behind this Service/),
    );
    // A NetworkPolicy has no conditions: events say it.
    await eventually(async () =>
      expect((await notes('port-name')).join('\n')).toMatch(/port name "web" is not supported/),
    );
    await eventually(async () =>
      expect((await notes('core')).join('\n')).toMatch(/No pod of this namespace is selected/),
    );
    // What the API server refuses by itself, in its own words.
    await expect(
      create(cluster.admin, networkPolicyKind, {
        metadata: { namespace: 'shop', name: 'refused' },
        spec: { podSelector: {}, ingress: [{ ports: [{ port: 70000 }] }] },
      }),
    ).rejects.toThrow(/must be between 1 and 65535/);
    // Everything else keeps working.
    await create(
      cluster.admin,
      ciliumNetworkPolicyKind,
      policy('after', { endpointSelector: { matchLabels: { app: 'frontend' } }, ingress: [{}] }),
    );
    await eventually(async () =>
      expect(await conditions(ciliumNetworkPolicyKind, 'after', 'shop')).toContainEqual(
        expect.objectContaining({ type: 'Enforced', status: 'True', reason: 'Enforced' }),
      ),
    );
    expect(running.operator.broken).toBeUndefined();
  });
});

describe('a MeshService', () => {
  test('counts as soon as its kind is installed; it is Ready when all nodes have its Service', async () => {
    await cluster.installWeftCrds();
    await eventually(() => cluster.admin.list(meshServiceKind));
    await create(cluster.admin, meshServiceKind, {
      metadata: { namespace: 'shop', name: 'api' },
      spec: { loadBalancing: { algorithm: 'Maglev' }, affinity: { type: 'ClientIP' } },
    });
    await eventually(async () => {
      const object = await cluster.admin.get(meshServiceKind, { namespace: 'shop', name: 'api' });
      expect(object.status?.observedGeneration).toBe(1);
      expect(conditionsOf(object)).toContainEqual(
        expect.objectContaining({ type: 'Ready', status: 'False', reason: 'ServiceNotFound' }),
      );
    }, 40_000);
    expect(running.operator.snapshot().meshServices).toMatchObject([
      { name: 'api', problems: [{ severity: 'error', message: expect.stringMatching(/^There is no Service/) }] },
    ]);
    await create(cluster.admin, serviceKind, {
      metadata: { namespace: 'shop', name: 'api' },
      spec: { selector: { app: 'api' }, ports: [{ port: 80, targetPort: 8080 }] },
    });
    await create(cluster.admin, endpointSliceKind, {
      metadata: { namespace: 'shop', name: 'api-1', labels: { 'kubernetes.io/service-name': 'api' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.244.1.5'], conditions: { ready: true }, nodeName: 'node-b' }],
      ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    });
    await eventually(async () =>
      expect(await conditions(meshServiceKind, 'api', 'shop')).toEqual(
        ['Accepted', 'ResolvedRefs', 'Programmed', 'Enforced', 'Ready'].map((type) =>
          expect.objectContaining({ type, status: 'True' }),
        ),
      ),
    );
    const service = agents[0]?.resources.get('service/shop/api')?.resource.resource;
    expect(service).toMatchObject({ $case: 'service', value: { algorithm: 1, ports: [{ port: 80 }] } });
  }, 60_000);
});

describe('replicas', () => {
  test('agree on every version, also one that was killed and started again', async () => {
    const second = await cluster.operator({ advertiseAddress: '192.0.2.2' });
    const other = await cluster.agent('node-a', second.operator.port);
    await eventually(() => expect(other.complete).toBe(true));
    // The agents' own pods, made by this test between the two looks, are left out by waiting for both to agree.
    await eventually(() => {
      const versions = (agent: TestAgent | undefined): object =>
        Object.fromEntries([...(agent?.resources ?? [])].map(([name, { version }]) => [name, version]).sort());
      expect(versions(other)).toEqual(versions(agents[0]));
    });
    await eventually(async () => {
      const slice = await cluster.admin.get(endpointSliceKind, { namespace: 'weft-system', name: 'weft-operator' });
      expect(slice.endpoints?.flatMap(({ addresses }) => addresses)).toEqual(['192.0.2.1', '192.0.2.2']);
    });
    expect([running, second].filter(({ operator }) => operator.snapshot().operator.leader)).toEqual([running]);
    await other.stop();
    await second.stop();
    const slice = await cluster.admin.get(endpointSliceKind, { namespace: 'weft-system', name: 'weft-operator' });
    expect(slice.endpoints?.flatMap(({ addresses }) => addresses)).toEqual(['192.0.2.1']);
  }, 30_000);
});

describe('a node', () => {
  test('that goes away is named by what waits for it, and forgotten when it is deleted', async () => {
    await cluster.addNode('node-c', 2);
    await cluster.addPod({
      namespace: 'shop',
      name: 'away',
      node: 'node-c',
      labels: { app: 'away' },
      ip: '10.244.2.5',
    });
    const agent = await cluster.agent('node-c', running.operator.port);
    await eventually(() =>
      expect(running.operator.snapshot().nodes.at(-1)).toMatchObject({ name: 'node-c', synced: true }),
    );
    await agent.stop();
    await create(
      cluster.admin,
      ciliumNetworkPolicyKind,
      policy('away', { endpointSelector: { matchLabels: { app: 'away' } }, ingress: [{}] }),
    );
    await eventually(async () =>
      expect(await conditions(ciliumNetworkPolicyKind, 'away', 'shop')).toContainEqual(
        expect.objectContaining({
          type: 'Enforced',
          status: 'False',
          reason: 'NodesUnreachable',
          message: 'In force on 0 of 1 nodes; no contact with node-c.',
        }),
      ),
    );
    await cluster.admin.delete(nodeKind, { name: 'node-c' });
    await eventually(() =>
      expect(running.operator.snapshot().nodes.map(({ name }) => name)).toEqual(['node-a', 'node-b']),
    );
  }, 30_000);
});

test('the resources that agents get can be encoded again to the same bytes', () => {
  for (const { resource } of agents[0]?.resources.values() ?? []) {
    expect(NodeResource.decode(NodeResource.encode(resource).finish())).toEqual(resource);
  }
});
