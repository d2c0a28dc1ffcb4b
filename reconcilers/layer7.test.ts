/** What HTTP rules cause on nodes, and what a change of them does not. */
import { expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { Compiler } from './compiler.ts';
import { changeOf } from './testing/changes.ts';
import type { GoldenObject } from './testing/golden.ts';
import { Held, routesIn } from './testing/held.ts';

const CLUSTER = `
{kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.0.1.0/24]}}
---
{kind: Node, metadata: {name: n2}, spec: {podCIDRs: [10.0.2.0/24]}}
---
{kind: Node, metadata: {name: n3}, spec: {podCIDRs: [10.0.3.0/24]}}
---
{kind: Pod, metadata: {namespace: shop, name: a1, uid: a1, labels: {app: api}}, spec: {nodeName: n1}, status: {podIP: 10.0.1.1}}
---
{kind: Pod, metadata: {namespace: shop, name: a2, uid: a2, labels: {app: api, more: x}}, spec: {nodeName: n2}, status: {podIP: 10.0.2.1}}
---
{kind: Pod, metadata: {namespace: shop, name: web, uid: w1, labels: {app: web}}, spec: {nodeName: n3}, status: {podIP: 10.0.3.1}}
---
{kind: Pod, metadata: {namespace: weft-system, name: envoy, uid: e1}, spec: {nodeName: n3, serviceAccountName: weft-envoy}, status: {podIP: 10.0.3.2}}
---
{kind: Pod, metadata: {namespace: shop, name: fake, uid: f1}, spec: {nodeName: n3, serviceAccountName: weft-envoy}, status: {podIP: 10.0.3.3}}
`;

function parse(text: string) {
  return parseAllDocuments(text).map((document): ReturnType<typeof changeOf> => {
    const object: GoldenObject = document.toJS();
    return changeOf(object);
  });
}

/** About `app: api`. `rules`: of requests; `ports` as in toPorts[].ports. */
function policy(rules: string, { name = 'x', select = 'app: api', direction = 'ingress', port = '80' } = {}) {
  const side = direction === 'ingress' ? 'fromEntities' : 'toEntities';
  const toPorts = `toPorts: [{ports: [{port: "${port}", protocol: TCP}]${rules === '' ? '' : `, rules: {http: [${rules}]}`}}]`;
  const spec = `{endpointSelector: {matchLabels: {${select}}}, ${direction}: [{${side}: [all], ${toPorts}}]}`;
  return `{kind: CiliumNetworkPolicy, metadata: {namespace: shop, name: ${name}}, spec: ${spec}}`;
}

function start(...policies: readonly string[]) {
  const compiler = new Compiler();
  const held = new Held();
  const update = (...texts: readonly string[]) => {
    const output = compiler.update(texts.flatMap(parse));
    held.apply(output);
    return output;
  };
  update(CLUSTER, ...policies);
  const envoy = (node: string) => [...held.node(node).keys()].filter((name) => name.startsWith('envoy/')).sort();
  const listeners = (node: string) => envoy(node).filter((name) => name.startsWith('envoy/listener/'));
  return { compiler, held, update, envoy, listeners };
}

test('a node gets what its own pods need, and nodes share the objects', () => {
  const { held, envoy } = start(policy('{method: GET}'));
  const names = envoy('n1');
  expect(names.map((name) => name.replace(/[0-9a-f]{16}$/, 'ID'))).toEqual([
    'envoy/cluster/origin',
    'envoy/listener/l7/ID',
    'envoy/route/l7/ID',
  ]);
  expect(envoy('n2')).toEqual(names);
  expect(envoy('n3')).toEqual([]);
  for (const name of names) expect(held.node('n1').get(name)).toBe(held.node('n2').get(name));
});

test('another text of a rule changes routes and what is shown of it, but neither a listener nor an entry', () => {
  const { held, update, envoy } = start(policy('{method: GET}'), policy('{path: /b}', { name: 'y', port: '81' }));
  const before = new Map(held.node('n1'));
  const output = update(policy('{method: PUT}, {path: "/x"}'));
  const [changed = '', ...others] = [...(output.views.get('n1')?.upserts.keys() ?? [])].sort();
  expect(changed).toMatch(/^envoy\/route\/l7\//);
  expect(others).toEqual([expect.stringMatching(/^policyset\//)]);
  expect(output.views.get('n1')?.deletes.size).toBe(0);
  for (const name of others) {
    const [was, is] = [before.get(name)?.resource, held.node('n1').get(name)?.resource];
    if (was?.$case !== 'policySet' || is?.$case !== 'policySet') throw new Error(`${name} is no policy set`);
    expect(is.value.entries).toEqual(was.value.entries);
    expect(is.value.listeners).toEqual(was.value.listeners);
    expect(is.value.rules).not.toEqual(was.value.rules);
  }
  const resource = held.node('n1').get(changed)?.resource;
  if (resource?.$case !== 'envoy') throw new Error('no routes');
  expect(routesIn(resource.value.value).map(({ name }) => name)).toEqual([
    'denied',
    'denied',
    'CiliumNetworkPolicy/shop/x#ingress[0]',
    'CiliumNetworkPolicy/shop/x#ingress[0]',
    'denied',
    'denied',
  ]);
  expect(envoy('n1')).toHaveLength(5);
});

test('what goes leaves nothing', () => {
  const { compiler, update, envoy } = start();
  const sizes = compiler.sizes();
  update(policy('{method: GET}'));
  expect(envoy('n1')).toHaveLength(3);
  compiler.update([{ key: 'CiliumNetworkPolicy/shop/x', facts: [] }]);
  expect(compiler.sizes()).toEqual(sizes);
  const again = start(policy('{method: GET}'));
  again.update(policy(''));
  expect(again.envoy('n1')).toEqual([]);
});

test('each combination of rules is one listener; ingress and egress never share one', () => {
  const { listeners, update } = start(
    policy('{method: GET}'),
    policy('{method: PUT}', { name: 'y', select: 'more: x' }),
    policy('{method: GET}', { name: 'z', direction: 'egress' }),
  );
  expect(listeners('n1')).toHaveLength(2);
  expect(listeners('n2')).toHaveLength(2);
  const shared = listeners('n1').filter((name) => listeners('n2').includes(name));
  // That for egress: the one for ingress also enforces y on n2.
  expect(shared).toHaveLength(1);
  update(policy('{method: PUT}', { name: 'y', select: 'app: api' }));
  expect(listeners('n1')).toEqual(listeners('n2'));
});

test('a change for one pod visits few records, however many nodes have the listener', () => {
  const pods = Array.from({ length: 200 }, (_, i) => i).map(
    (i) =>
      `{kind: Node, metadata: {name: m${i}}}\n---\n{kind: Pod, metadata: {namespace: shop, name: m${i}, uid: m${i}, labels: {app: api}}, spec: {nodeName: m${i}}, status: {podIP: 10.1.0.${i + 1}}}`,
  );
  const { update } = start(policy('{method: GET}'), ...pods);
  const one = update(
    '{kind: Pod, metadata: {namespace: shop, name: n, uid: n, labels: {app: api}}, spec: {nodeName: n3}, status: {podIP: 10.0.3.9}}',
  );
  expect([...one.views.keys()]).toEqual(['n3']);
  expect([...(one.views.get('n3')?.upserts.keys() ?? [])].filter((name) => name.startsWith('envoy/'))).toHaveLength(3);
  expect(one.visited).toBeLessThan(30);
});

test('rules beyond what Envoy is given allow nothing, and their policy says so for as long', () => {
  const big = (name: string) => {
    const headers = Array.from({ length: 32 }, (_, i) => `"x-${i}: ${'v'.repeat(4000)}"`).join(', ');
    return policy(Array(7).fill(`{headers: [${headers}]}`).join(', '), { name });
  };
  const { compiler, held, update, envoy } = start(...['a', 'b', 'c', 'd', 'e'].map(big));
  const unhappy = () =>
    [...held.policies]
      .filter(([, { problems }]) => problems.some(({ severity }) => severity === 'error'))
      .map(([key]) => key);
  expect(unhappy()).toEqual(['CiliumNetworkPolicy/shop/e']);
  const route = held.node('n1').get(envoy('n1').find((name) => name.startsWith('envoy/route/')) ?? '')?.resource;
  if (route?.$case !== 'envoy') throw new Error('no routes');
  expect(new Set(routesIn(route.value.value).map(({ name }) => name)).size).toBe(5);
  expect(route.value.value.length).toBeLessThan(5 << 20);
  update(policy('{method: GET}', { name: 'b' }));
  expect(unhappy()).toEqual([]);
  update(big('b'));
  expect(unhappy()).toEqual(['CiliumNetworkPolicy/shop/e']);
  held.apply(compiler.update([{ key: 'CiliumNetworkPolicy/shop/a', facts: [] }]));
  expect(unhappy()).toEqual([]);
});

test('only the pods of the service account in the namespace of Weft are proxies', () => {
  const { held } = start();
  const proxies = [...held.node('n3').values()].flatMap(({ resource }) =>
    resource?.$case === 'endpoint' && resource.value.proxy
      ? [`${resource.value.namespace}/${resource.value.name}`]
      : [],
  );
  expect(proxies).toEqual(['weft-system/envoy']);
});

test('HTTP rules without effect are named, with what takes it from them', () => {
  const wide = `{kind: CiliumNetworkPolicy, metadata: {namespace: shop, name: wide}, spec: {endpointSelector: {}, ingress: [{fromEntities: [cluster]}]}}`;
  const some = `{kind: CiliumNetworkPolicy, metadata: {namespace: shop, name: some}, spec: {endpointSelector: {matchLabels: {app: api}}, ingress: [{fromEntities: [world]}, {fromEntities: [cluster], toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}, {fromEntities: [world], toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}}`;
  const { held } = start(wide, some);
  const state = held.policies.get('CiliumNetworkPolicy/shop/some');
  expect(state?.ineffective.map(({ message }) => message)).toEqual([
    'wide already allows all requests on the connections of ingress[1] of some; its HTTP rules there have no effect',
  ]);
  expect(state?.problems.map(({ field, message }) => `${field}: ${message}`)).toEqual([
    'ingress[2]: Another rule of the policy allows all requests on these connections; the HTTP rules have no effect.',
  ]);
});
