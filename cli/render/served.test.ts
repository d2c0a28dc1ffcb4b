/** What `weft render` prints is what Envoy says that it was served: a real Envoy, told what the operator would tell it. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { NodeResource } from '@weft/node-api';
import { compileFromScratch } from '../../reconcilers/index.ts';
import { type RunningEnvoy, startEnvoy } from '../../reconcilers/testing/envoy.ts';
import { translate } from '../../sources/index.ts';
import { sourceKindOf } from '../files/objects.ts';
import { parseObjects } from '../files/read.ts';
import { render } from './render.ts';

/** All that a rule can ask: expressions, headers with each mismatch, both directions, a rule beside that is not HTTP. */
const POLICIES = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
    - fromEndpoints: [{matchLabels: {app: frontend}}]
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules:
            http:
              - {method: GET|HEAD, path: "/api/v1/users(\\\\?.*)?", host: "(?i)shop\\\\.example"}
              - path: /items/[0-9]+
                headers: [X-Token]
                headerMatches:
                  - {name: x-a, value: "100%", mismatch: ADD}
                  - {name: x-d, value: d, mismatch: DELETE}
                  - {name: x-r, value: r, mismatch: REPLACE}
                  - {name: x-l, value: l, mismatch: LOG}
    - fromEntities: [world]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
  egress:
    - toEntities: [world]
      toPorts:
        - ports: [{port: "8080", protocol: TCP}]
          rules: {http: [{method: POST}]}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: health}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
    - fromEntities: [cluster]
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules: {http: [{path: /healthz}]}
`;

/** The cluster that they are applied to. */
const PODS = `
{apiVersion: v1, kind: Pod, metadata: {name: api-1, namespace: shop, uid: a, labels: {app: api}}, spec: {nodeName: n1}, status: {podIP: 10.0.1.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: frontend-1, namespace: shop, uid: f, labels: {app: frontend}}, spec: {nodeName: n2}, status: {podIP: 10.0.2.1}}
`;

/** As the operator: objects of the API server, translated and compiled. */
function told(text: string, node: string): NodeResource[] {
  const changes = parseObjects('cluster', text).objects.map(({ object }, index) => {
    const kind = sourceKindOf(object);
    if (kind === undefined) throw new Error(`${object.kind} is not read`);
    return { key: String(index), facts: translate(kind, object).facts };
  });
  return [...(compileFromScratch(changes).views.get(node)?.upserts.values() ?? [])];
}

interface Dump {
  readonly configs: readonly {
    readonly dynamic_active_clusters?: readonly { readonly cluster: Message }[];
    readonly dynamic_listeners?: readonly { readonly active_state: { readonly listener: Message } }[];
    readonly dynamic_route_configs?: readonly { readonly route_config: Message }[];
  }[];
}
interface Message {
  readonly '@type': string;
  readonly name: string;
  readonly address?: unknown;
}

async function served(envoy: RunningEnvoy): Promise<Record<string, unknown>> {
  const { configs } = (await envoy.ask('/config_dump')) as Dump;
  const messages = configs.flatMap((config) => [
    ...(config.dynamic_active_clusters ?? []).map(({ cluster }) => cluster),
    ...(config.dynamic_listeners ?? []).map(({ active_state }) => active_state.listener),
    ...(config.dynamic_route_configs ?? []).map(({ route_config }) => route_config),
  ]);
  // The agent gives listeners their address.
  const shown = messages.map(({ '@type': type, address: _, ...rest }) => [
    `${type.split('.').at(-1)} ${rest.name}`,
    rest,
  ]);
  return Object.fromEntries(shown);
}

interface Printed {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: unknown;
}

const printed = (text: string): Record<string, unknown> =>
  Object.fromEntries(
    (render(parseObjects('file', text), { namespace: 'default' }).objects as Printed[])
      .filter(({ apiVersion }) => apiVersion.startsWith('envoy.'))
      .map(({ kind, metadata: { name }, spec }) => [`${kind} ${name}`, spec]),
  );

// Envoy needs CAP_NET_ADMIN for transparent sockets.
const asRoot = process.getuid?.() === 0 ? describe : describe.skip;

asRoot('a real Envoy', () => {
  let envoy: RunningEnvoy;
  beforeAll(async () => {
    envoy = await startEnvoy();
    await envoy.hold(told(`${POLICIES}---${PODS}`, 'n1'), 0);
  }, 120_000);
  afterAll(async () => envoy?.[Symbol.asyncDispose]());

  test('was served, field by field, what is printed for the same policies without a cluster', async () => {
    expect(envoy.rejected()).toEqual([]);
    const dump = await served(envoy);
    const kinds = Object.keys(dump).map((name) => name.split(' ')[0]);
    // One for requests of frontends (both policies), one for those of the cluster, one for egress.
    expect(kinds.sort()).toEqual(['Cluster', ...Array(3).fill('Listener'), ...Array(3).fill('RouteConfiguration')]);
    expect(printed(POLICIES)).toEqual(dump);
  });

  test('and with the pods in the file, too', async () => {
    expect(printed(`${POLICIES}---${PODS}`)).toEqual(await served(envoy));
  });

  test('a change of a rule shows in both', async () => {
    const other = POLICIES.replace('/healthz', '/readyz');
    expect(printed(other)).not.toEqual(await served(envoy));
    await envoy.hold(told(`${other}---${PODS}`, 'n1'), 0);
    expect(printed(other)).toEqual(await served(envoy));
  });
});
