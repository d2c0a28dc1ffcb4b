import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { conditionsOf, defineKind, KubeClient } from 'kopf-ts';
import { clusterRules, namespaceRules, type PolicyRule } from '../charts/rbac.ts';
import {
  ciliumClusterwideNetworkPolicyKind,
  ciliumNetworkPolicyKind,
  endpointSliceKind,
  grpcRouteKind,
  httpRouteKind,
  l7RouteKind,
  meshServiceKind,
  namespaceKind,
  serviceKind,
} from './kinds.ts';
import type { TestAgent } from './testing/agent.ts';
import { create, eventually, TestCluster } from './testing/cluster.ts';
import { gatewayCrd, installGatewayCrd } from './testing/gateway-api.ts';
import { Recorder, type Request } from './testing/recorder.ts';

const NAMESPACE = 'weft-system';
const timing = { patience: 0, impatience: 0, emptyService: 0, emptySelector: 0 };
let cluster: TestCluster;
let recorder: Recorder;
let client: KubeClient;
let agent: TestAgent | undefined;

beforeAll(async () => {
  cluster = await TestCluster.start();
  recorder = await Recorder.start(cluster.server.config());
  client = new KubeClient(recorder.config(await cluster.token('weft-operator')));
  await cluster.installWeftCrds();
  for (const plural of ['httproutes', 'grpcroutes', 'referencegrants']) {
    await installGatewayCrd(cluster.admin, await gatewayCrd(plural));
  }
  await cluster.admin.create(namespaceKind, { metadata: { name: 'shop' } });
  await cluster.addNode('node-a', 0);
}, 300_000);

afterAll(async () => {
  await agent?.stop();
  await cluster?.stop();
  client?.close();
  await recorder?.stop();
});

interface Grant {
  readonly group: string;
  readonly resource: string;
  readonly verb: string;
  readonly name: string | undefined;
}

/** Each single right that rules give. */
function grants(rules: readonly PolicyRule[]): Grant[] {
  return rules.flatMap(({ apiGroups, resources, verbs, resourceNames }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.flatMap((verb) => (resourceNames ?? [undefined]).map((name) => ({ group, resource, verb, name }))),
      ),
    ),
  );
}

function covers({ group, resource, verb, name }: Grant, request: Request): boolean {
  const same = group === request.group && resource === request.resource && verb === request.verb;
  return same && (name === undefined || name === request.name);
}

const textOf = ({ verb, resource, group, name = '*' }: Grant): string => `${verb} ${resource}.${group} ${name}`;

/** An empty Service has an event; one that is empty again counts in the same event. */
async function emptyTwice(): Promise<void> {
  const slice = {
    metadata: { namespace: 'shop', name: 'empty-1', labels: { 'kubernetes.io/service-name': 'empty' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.244.0.9'], conditions: { ready: true } }],
    ports: [{ name: '', port: 80, protocol: 'TCP' }],
  };
  const events = defineKind({
    group: 'events.k8s.io',
    version: 'v1',
    plural: 'events',
    kind: 'Event',
    namespaced: true,
  });
  await create(cluster.admin, serviceKind, {
    metadata: { namespace: 'shop', name: 'empty' },
    spec: { selector: { app: 'none' }, ports: [{ port: 80 }] },
  });
  await eventually(async () => expect(JSON.stringify(await cluster.admin.list(events))).toMatch(/NoEndpoints/));
  await create(cluster.admin, endpointSliceKind, slice);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await cluster.admin.delete(endpointSliceKind, slice.metadata);
  await new Promise((resolve) => setTimeout(resolve, 300));
}

test('every right of the chart is used by the operator', async () => {
  const first = await cluster.operator({ client, timing, advertiseAddress: '192.0.2.1' });
  agent = await cluster.agent('node-a', first.operator.port);
  const spec = { endpointSelector: { matchLabels: { app: 'api' } }, ingress: [{}] };
  await create(cluster.admin, ciliumNetworkPolicyKind, { metadata: { namespace: 'shop', name: 'p' }, spec });
  await create(cluster.admin, ciliumClusterwideNetworkPolicyKind, { metadata: { name: 'p' }, spec });
  await create(cluster.admin, meshServiceKind, {
    metadata: { namespace: 'shop', name: 'p' },
    spec: { loadBalancing: { algorithm: 'Maglev' } },
  });
  await create(cluster.admin, l7RouteKind, {
    metadata: { namespace: 'shop', name: 'p' },
    spec: { parentRefs: [{ name: 'p' }], rules: [{ backends: [{ name: 'p', port: 80 }] }] },
  });
  for (const [kind, namespace] of [
    [ciliumNetworkPolicyKind, 'shop'],
    [ciliumClusterwideNetworkPolicyKind, undefined],
    [meshServiceKind, 'shop'],
    [l7RouteKind, 'shop'],
  ] as const) {
    await eventually(async () => {
      const object = await cluster.admin.get(kind, { name: 'p', namespace });
      expect(conditionsOf({ status: undefined, ...object })).not.toEqual([]);
    });
  }
  for (const kind of [httpRouteKind, grpcRouteKind]) {
    const parentRefs = [{ group: '', kind: 'Service', name: 'p', port: 80 }];
    await create(cluster.admin, kind, { metadata: { namespace: 'shop', name: 'p' }, spec: { parentRefs } });
    await eventually(async () =>
      expect(JSON.stringify(await cluster.admin.get(kind, { namespace: 'shop', name: 'p' }))).toMatch(/ResolvedRefs/),
    );
  }
  await emptyTwice();
  // Another replica changes the EndpointSlice that is there; one with an address of the other family makes it anew.
  for (const advertiseAddress of ['192.0.2.2', '2001:db8::1']) {
    const other = await cluster.operator({ client, timing, advertiseAddress });
    await eventually(async () => {
      const slice = await cluster.admin.get(endpointSliceKind, { namespace: NAMESPACE, name: 'weft-operator' });
      expect(slice.endpoints?.flatMap(({ addresses }) => addresses)).toContain(advertiseAddress);
    });
    await other.stop();
  }
  await agent.stop();
  await first.stop();

  const ofNamespace = grants(namespaceRules);
  const inNamespace = ({ namespace }: Request): boolean => namespace === NAMESPACE;
  const needsCluster = recorder.requests.filter(
    (request) => !(inNamespace(request) && ofNamespace.some((grant) => covers(grant, request))),
  );
  const unused = [
    ...grants(clusterRules).filter((grant) => !needsCluster.some((request) => covers(grant, request))),
    ...ofNamespace.filter((grant) => !recorder.requests.some((r) => inNamespace(r) && covers(grant, r))),
  ];
  expect(unused.map(textOf)).toEqual([]);
  expect(first.log.join('\n')).not.toMatch(/forbidden/i);
}, 60_000);
