import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Condition, KubeObject } from 'kopf-ts';
import { endpointSliceKind, httpRouteKind, l7RouteKind, namespaceKind, serviceKind } from './kinds.ts';
import type { TestAgent } from './testing/agent.ts';
import { create, eventually, TestCluster } from './testing/cluster.ts';
import { gatewayCrd, installGatewayCrd } from './testing/gateway-api.ts';

let cluster: TestCluster;
let agent: TestAgent | undefined;

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.installWeftCrds();
  for (const plural of ['httproutes', 'grpcroutes', 'referencegrants']) {
    await installGatewayCrd(cluster.admin, await gatewayCrd(plural));
  }
  await cluster.admin.create(namespaceKind, { metadata: { name: 'shop' } });
  await cluster.addNode('node-a', 0);
  await service('api', '10.244.0.5');
  const running = await cluster.operator({ timing: { patience: 1_000, impatience: 200 } });
  agent = await cluster.agent('node-a', running.operator.port);
}, 300_000);

afterAll(async () => {
  await agent?.stop();
  await cluster?.stop();
});

async function service(name: string, ip: string): Promise<void> {
  const ports = [{ name: 'http', port: 80, protocol: 'TCP' }];
  await create(cluster.admin, serviceKind, { metadata: { namespace: 'shop', name }, spec: { ports } });
  await create(cluster.admin, endpointSliceKind, {
    metadata: { namespace: 'shop', name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [ip], conditions: { ready: true } }],
    ports,
  });
}

/** All conditions in a status, wherever they stand, as lines `Type=Status Reason`. */
function lines(object: KubeObject & { readonly status?: unknown }): string[] {
  const found: string[] = [];
  JSON.stringify(object.status ?? {}, (_key, value: Partial<Condition> | undefined) => {
    if (value?.type !== undefined && value.status !== undefined)
      found.push(`${value.type}=${value.status} ${value.reason}`);
    return value;
  });
  return found.sort();
}

test('an HTTPRoute is accepted once it is compiled, and follows the Services that it refers to', async () => {
  const name = 'canary';
  const rules = [
    {
      backendRefs: [
        { name: 'api', port: 80 },
        { name: 'later', port: 80 },
      ],
    },
  ];
  const parentRefs = [
    { group: '', kind: 'Service', name: 'api' },
    { group: '', kind: 'Service', name: 'none' },
  ];
  await create(cluster.admin, httpRouteKind, { metadata: { namespace: 'shop', name }, spec: { parentRefs, rules } });
  const status = async (): Promise<string[]> =>
    lines(await cluster.admin.get(httpRouteKind, { namespace: 'shop', name }));
  await eventually(async () =>
    expect(await status()).toEqual([
      'Accepted=False NoMatchingParent',
      'Accepted=True Accepted',
      'ResolvedRefs=False BackendNotFound',
      'ResolvedRefs=False BackendNotFound',
    ]),
  );
  await service('later', '10.244.0.6');
  await eventually(async () => expect(await status()).toContain('ResolvedRefs=True ResolvedRefs'));
  await service('none', '10.244.0.7');
  await eventually(async () =>
    expect(await status()).toEqual([
      'Accepted=True Accepted',
      'Accepted=True Accepted',
      'ResolvedRefs=True ResolvedRefs',
      'ResolvedRefs=True ResolvedRefs',
    ]),
  );
});

test('an L7Route is Ready when the nodes hold what Envoy needs, and not where one of them refused it', async () => {
  const ref = { namespace: 'shop', name: 'limited' };
  const rules = [{ backends: [{ name: 'api', port: 80 }], rateLimit: { requests: 10 } }];
  await service('slow', '10.244.0.8');
  await create(cluster.admin, l7RouteKind, { metadata: ref, spec: { parentRefs: [{ name: 'slow' }], rules } });
  const status = async (): Promise<string[]> => lines(await cluster.admin.get(l7RouteKind, ref));
  const held = [
    'Accepted=True Accepted',
    'Enforced=True Enforced',
    'Programmed=True Programmed',
    'Ready=True Ready',
    'ResolvedRefs=True ResolvedRefs',
  ];
  await eventually(async () => expect(await status()).toEqual(held));
  const names = [...(agent?.resources.keys() ?? [])].filter((name) => /^envoy\/listener\/l7\//.test(name));
  expect(names.length).toBeGreaterThan(0);

  for (const name of names) agent?.failures.set(name, 'no memory');
  agent?.report();
  await cluster.admin.patch(l7RouteKind, ref, { spec: { rules: [{ ...rules[0], rateLimit: { requests: 20 } }] } });
  await eventually(async () => {
    expect(await status()).toContain('Enforced=False NodesError');
    const { status: said } = await cluster.admin.get(l7RouteKind, ref);
    expect(said).toMatchObject({ observedGeneration: 2 });
    expect(JSON.stringify(said)).toMatch(/failed on node-a \(no memory\)/);
  });
  agent?.failures.clear();
  agent?.report();
  await eventually(async () => expect(await status()).toEqual(held));
});
