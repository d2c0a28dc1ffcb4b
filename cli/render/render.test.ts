import { expect, test } from '@jest/globals';
import { problemText } from '../files/objects.ts';
import { parseObjects } from '../files/read.ts';
import { render } from './render.ts';

interface Printed {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
}

function cilium(subject: string, peer: string, name = 'x', method = 'GET'): string {
  const toPorts = `toPorts: [{ports: [{port: http, protocol: TCP}], rules: {http: [{method: ${method}}]}}]`;
  return `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: ${name}}, spec: {endpointSelector: ${subject}, ingress: [{fromEndpoints: [${peer}], ${toPorts}}]}}`;
}

function rendered(text: string, node?: string) {
  const { objects, problems } = render(parseObjects('f', text), { namespace: 'shop', node });
  const all = objects as Printed[];
  const listeners = all.filter(({ kind }) => kind === 'Listener').map(({ metadata }) => metadata.annotations ?? {});
  return { all, listeners, said: problems.map(problemText) };
}

test('a policy alone is shown for the pods that it selects', () => {
  const { listeners, all, said } = rendered(cilium('{matchLabels: {app: api}}', '{matchLabels: {app: web}}'));
  expect(said).toEqual([]);
  expect(all.map(({ kind }) => kind)).toEqual(['CiliumNetworkPolicy', 'Cluster', 'Listener', 'RouteConfiguration']);
  expect(listeners).toEqual([
    {
      'weft.dev/pods': 'pods with app=api in namespace shop',
      'weft.dev/connections': 'ingress http/TCP',
      'weft.dev/rules': 'CiliumNetworkPolicy/shop/x#ingress[0]',
    },
  ]);
});

test.each([
  ['{}', '{}'],
  ['{matchExpressions: [{key: app, operator: In, values: [a, b]}, {key: app, operator: NotIn, values: [a]}]}', '{}'],
  ['{matchExpressions: [{key: app, operator: Exists}, {key: app, operator: NotIn, values: [any, any-0]}]}', '{}'],
  [
    '{matchExpressions: [{key: app, operator: DoesNotExist}]}',
    '{matchLabels: {k8s:io.kubernetes.pod.namespace: bank}}',
  ],
  ['{}', '{matchLabels: {io.cilium.k8s.namespace.labels.team: money, app: x}}'],
  ['{}', '{matchLabels: {io.cilium.k8s.policy.serviceaccount: robot}}'],
  ['{}', '{matchLabels: {io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name: bank}}'],
])('pods are made up for subject %s and peer %s', (subject, peer) => {
  const { listeners, said } = rendered(cilium(subject, peer));
  expect(said).toEqual([]);
  expect(listeners).toHaveLength(1);
});

test('where no pod can be like that, it is said', () => {
  const none = '{matchExpressions: [{key: app, operator: In, values: [a]}, {key: app, operator: NotIn, values: [a]}]}';
  const { listeners, said } = rendered(cilium(none, '{}'));
  expect(listeners).toEqual([]);
  expect(said).toEqual([expect.stringContaining('selects no pods at the moment')]);
});

const SHOP = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: api}, spec: {template: {metadata: {labels: {app: api, team: a}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: web}, spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: web}}}}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-2, namespace: shop, labels: {app: web, team: a}}, spec: {nodeName: n2, containers: [{name: c, ports: [{name: http, containerPort: 81}]}]}}
`;

test('pods and workloads of the files are used, also for what several policies say of one pod', () => {
  const { listeners, said } = rendered(
    [
      cilium('{matchLabels: {app: api}}', '{matchLabels: {app: web}}'),
      cilium('{matchLabels: {team: a}}', '{}', 'y', 'PUT'),
      SHOP,
    ].join('\n---\n'),
  );
  expect(said).toEqual([]);
  expect(listeners).toEqual(
    expect.arrayContaining([
      {
        'weft.dev/pods': 'Deployment shop/api',
        'weft.dev/connections': 'ingress 8080/TCP',
        'weft.dev/rules': 'CiliumNetworkPolicy/shop/x#ingress[0], CiliumNetworkPolicy/shop/y#ingress[0]',
      },
      {
        'weft.dev/pods': 'Deployment shop/api, shop/web-2',
        'weft.dev/connections': 'ingress 8080/TCP, ingress 81/TCP',
        'weft.dev/rules': 'CiliumNetworkPolicy/shop/y#ingress[0]',
        'weft.dev/nodes': 'any-node, n2',
      },
    ]),
  );
});

test('one node alone; one that the files know nothing of is refused', () => {
  const text = `${cilium('{matchLabels: {team: a}}', '{}')}\n---${SHOP}`;
  expect(rendered(text, 'n2').listeners).toMatchObject([{ 'weft.dev/pods': 'shop/web-2', 'weft.dev/nodes': 'n2' }]);
  expect(() => rendered(text, 'n3')).toThrow('nothing of this is for node n3: the files have pods for any-node, n2');
});

test('kinds that Weft does not read stay as they are', () => {
  const text = '{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: x}, spec: {a: 1}}';
  expect(rendered(text).all).toEqual([
    { apiVersion: 'serving.knative.dev/v1', kind: 'Service', metadata: { name: 'x' }, spec: { a: 1 } },
  ]);
});

test('what the compiler finds between policies of the files is said of both', () => {
  const wide =
    '{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: wide}, spec: {endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}}';
  expect(rendered([cilium('{}', '{}'), wide].join('\n---\n')).said).toEqual([
    'f:1: warning: CiliumNetworkPolicy shop/x: wide already allows everything that x allows to the same pods; x restricts nothing, and its HTTP rules have no effect.',
  ]);
});
