/** Against a real API server: what applying would change there, and what follows on nodes. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { defineKind, type KubeClient, type KubeObject } from 'kopf-ts';
import { ciliumCrds } from '../../crds/index.ts';
import { ApiServer } from '../../packages/kopf-ts/test/apiserver.ts';
import { parseObjects } from '../files/read.ts';
import { sourceKinds } from '../kinds.ts';
import { noPaint } from '../text.ts';
import { runDiff } from './run.ts';

let server: ApiServer;
let admin: KubeClient;

const definition = (group: string, plural: string, kind: string, namespaced = true) =>
  defineKind({ group, version: 'v1', plural, kind, namespaced });
const crd = definition('apiextensions.k8s.io', 'customresourcedefinitions', 'CustomResourceDefinition', false);
const secret = definition('', 'secrets', 'Secret');
const configMap = definition('', 'configmaps', 'ConfigMap');

async function createPod(name: string, node: string, ip: string): Promise<void> {
  const metadata = { namespace: 'shop', name, labels: { app: name.split('-')[0] ?? '' } };
  const spec = { nodeName: node, containers: [{ name: 'c', image: 'c' }] };
  await admin.create(sourceKinds.Pod, { metadata, ...{ spec } });
  await admin.patchStatus(sourceKinds.Pod, metadata, { phase: 'Running', podIP: ip, podIPs: [{ ip }] });
}

beforeAll(async () => {
  server = await ApiServer.start();
  admin = server.client();
  await admin.create(sourceKinds.Namespace, { metadata: { name: 'shop' } });
  for (const [name, podCIDR] of [
    ['n1', '10.0.1.0/24'],
    ['n2', '10.0.2.0/24'],
  ]) {
    await admin.create(sourceKinds.Node, {
      metadata: { name: name ?? '' },
      ...{ spec: { podCIDR, podCIDRs: [podCIDR] } },
    });
  }
  await createPod('api-1', 'n1', '10.0.1.1');
  await createPod('api-2', 'n2', '10.0.2.1');
  await createPod('frontend-1', 'n2', '10.0.2.2');
  for (const one of ciliumCrds) await admin.create(crd, one);
  for (let tries = 0; tries < 100; tries++) {
    const { resources } = await admin
      .raw({ method: 'GET', path: '/apis/cilium.io/v2' })
      .catch(() => ({ resources: [] }));
    if (Array.isArray(resources) && resources.length >= 2) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}, 300_000);

afterAll(async () => {
  admin?.close();
  await server?.stop();
});

async function diff(text: string, client = admin) {
  const printed: string[] = [];
  const said: string[] = [];
  const out = {
    print: (line: string) => void printed.push(line),
    note: (line: string) => void said.push(`weft: ${line}`),
    complain: (line: string) => void said.push(line),
    paint: noPaint,
  };
  const status = await runDiff(client, parseObjects('f', text), 'shop', out);
  return { status, printed: printed.join('\n'), said };
}

function policy(method: string, description = 'd'): KubeObject & object {
  const http = [{ method, path: '/users' }];
  const toPorts = [{ ports: [{ port: '80', protocol: 'TCP' }], rules: { http } }];
  const ingress = [{ fromEndpoints: [{ matchLabels: { app: 'frontend' } }], toPorts }];
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: 'api', namespace: 'shop' },
    ...{ spec: { description, endpointSelector: { matchLabels: { app: 'api' } }, ingress } },
  };
}

test('a new policy: the object, its pods, who may still talk to them, the listener; and nothing is changed', async () => {
  const { status, printed, said } = await diff(JSON.stringify(policy('GET')));
  expect([status, said]).toEqual([1, []]);
  expect(printed).toContain('--- /dev/null\n+++ f:1  CiliumNetworkPolicy shop/api\n@@ -0,0 +1');
  expect(printed).toContain('CiliumNetworkPolicy/shop/api is new: it selects 2 pods on n1, n2');
  expect(printed).toMatch(
    /shop\/api-1, shop\/api-2, ingress from shop\/frontend-1:\n- all allowed\n\+ 80\/TCP by request \(l7\/[0-9a-f]{16}\), all else denied/,
  );
  expect(printed).toMatch(/shop\/api-1, shop\/api-2, ingress from .*world \(IPv4\).*:\n- all allowed\n\+ all denied/);
  expect(printed).toMatch(
    /Envoy's Listener l7\/[0-9a-f]{16}: new on n1, n2: ingress 80\/TCP of shop\/api-1, shop\/api-2, decided by CiliumNetworkPolicy\/shop\/api#ingress\[0\]/,
  );
  expect(await admin.list(sourceKinds.CiliumNetworkPolicy)).toEqual([]);
});

test('another text of a rule: routes change, and nothing else follows; then nothing is left to apply', async () => {
  await admin.apply(sourceKinds.CiliumNetworkPolicy, { ...policy('GET') }, { fieldManager: 'kubectl' });
  expect(await diff(JSON.stringify(policy('GET')))).toEqual({ status: 0, printed: '', said: [] });
  const { status, printed } = await diff(JSON.stringify(policy('PUT')));
  expect(status).toBe(1);
  expect(printed).toMatch(/^--- cluster {2}CiliumNetworkPolicy shop\/api\n\+\+\+ f:1 /);
  expect(printed).toMatch(/^-\s+- method: GET\n\+\s+- method: PUT$/m);
  expect(printed).toMatch(/Envoy's RouteConfiguration l7\/[0-9a-f]{16}: changes on n1, n2\n--- before\n/);
  expect(printed).toMatch(/^-\s+regex: GET\n\+\s+regex: PUT$/m);
  expect(printed).not.toMatch(/Listener|all allowed|selects/);
  const { printed: harmless } = await diff(JSON.stringify(policy('GET', 'other words')));
  expect(harmless).toContain('Nothing follows on nodes.');
});

test('what is refused is said, and the rest is shown nevertheless', async () => {
  const wrong = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'wrong' }, data: { a: { b: 'c' } } };
  const unknown = { apiVersion: 'example.com/v1', kind: 'Foo', metadata: { name: 'x' } };
  const bad = { ...policy('GE(T'), metadata: { name: 'bad' } };
  const { status, printed, said } = await diff([wrong, unknown, bad].map((one) => JSON.stringify(one)).join('\n---\n'));
  expect(status).toBe(2);
  expect(said).toEqual([
    expect.stringMatching(/^f:1: error: ConfigMap shop\/wrong: .*cannot unmarshal object/s),
    'f:3: error: Foo x: The cluster knows no Foo of example.com/v1: install what defines it first.',
  ]);
  expect(printed).toMatch(
    /bad is new: it selects 2 pods on n1, n2\n {2}error: spec.ingress\[0\].toPorts\[0\].rules.http\[0\].method: "GE\(T"/,
  );
});

test('what kubectl applied before and is not in the file any more is removed; values of Secrets are not shown', async () => {
  const before = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'c', namespace: 'shop' },
    data: { a: '1', b: '2' },
  };
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(before) };
  await admin.create(configMap, { ...before, metadata: { ...before.metadata, annotations } });
  const { printed } = await diff(JSON.stringify({ ...before, data: { a: '1' } }));
  expect(printed).toContain('-  b: "2"');
  expect(printed).not.toContain('annotation');
  const metadata = { name: 's', namespace: 'shop' };
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  await admin.create(secret, {
    metadata,
    ...{ data: { same: base64('same'), other: base64('old'), gone: base64('x') } },
  });
  const next = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { same: 'same', other: 'new', more: 'more' } };
  const { printed: hidden } = await diff(JSON.stringify(next));
  expect(hidden).toContain('-  other: "*** (before)"');
  expect(hidden).toContain('+  more: "***"\n+  other: "*** (after)"');
  expect(hidden).toMatch(/^ {3}same: "\*\*\*"$/m);
  for (const value of ['old', 'new', 'more', 'same', 'x']) expect(hidden).not.toContain(base64(value));
});

test('who may only look at the object gets it without defaults, and is told what is not known', async () => {
  const role = { rules: [{ apiGroups: ['cilium.io'], resources: ['ciliumnetworkpolicies'], verbs: ['get'] }] };
  const metadata = { name: 'viewer', namespace: 'shop' };
  const rbac = (plural: string, kind: string) => definition('rbac.authorization.k8s.io', plural, kind);
  const subjects = [{ kind: 'ServiceAccount', ...metadata }];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'viewer' };
  await admin.create(definition('', 'serviceaccounts', 'ServiceAccount'), { metadata });
  await admin.create(rbac('roles', 'Role'), { metadata, ...role });
  await admin.create(rbac('rolebindings', 'RoleBinding'), { metadata, ...{ roleRef, subjects } });
  const path = '/api/v1/namespaces/shop/serviceaccounts/viewer/token';
  const { status: token } = await admin.raw({ method: 'POST', path, body: { spec: {} } });
  const viewer = server.client({ token: String(Object(token).token) });
  try {
    const { status, printed, said } = await diff(JSON.stringify(policy('PUT')), viewer);
    expect(status).toBe(1);
    expect(printed).toMatch(/^-\s+- method: GET\n\+\s+- method: PUT$/m);
    expect(printed).not.toContain('on nodes');
    expect(said).toEqual([
      expect.stringMatching(/is shown without what the API server fills in, since it may not be asked \(.*forbidden/),
      expect.stringMatching(
        /^weft: what follows on nodes is not known: the right to list CiliumClusterwideNetworkPolicy, /,
      ),
    ]);
  } finally {
    viewer.close();
  }
});

test('a namespace that comes along in the files', async () => {
  const text =
    '{apiVersion: v1, kind: Namespace, metadata: {name: next}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: next}}';
  const { status, said, printed } = await diff(text);
  expect(status).toBe(1);
  expect(said).toEqual([
    expect.stringMatching(/^weft: ConfigMap next\/c is shown without what the API server fills in/),
  ]);
  expect(printed).toContain('ConfigMap next/c');
});
