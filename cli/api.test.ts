/** Against a real API server: what is read, with all rights and with few, and what is said where something is not. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { defineKind, type KubeClient, type KubeObject } from 'kopf-ts';
import { weftCrds } from '../crds/index.ts';
import { ApiServer } from '../packages/kopf-ts/test/apiserver.ts';
import type { ClusterAccess } from './cluster.ts';
import { sentenceOf } from './errors.ts';
import { podsOf } from './exec.ts';
import { expandWorkload, readFacts } from './explain/facts.ts';
import { parseTarget } from './explain/target.ts';
import { readNames } from './flows/names.ts';
import { sourceKinds, workloadKinds } from './kinds.ts';
import { waitEnforced } from './wait/run.ts';
import { parseWaitTarget } from './wait/target.ts';

let server: ApiServer;
let admin: KubeClient;
let viewer: KubeClient;

const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1', namespaced: true } as const;
const role = defineKind({ ...rbac, plural: 'roles', kind: 'Role' });
const roleBinding = defineKind({ ...rbac, plural: 'rolebindings', kind: 'RoleBinding' });
const serviceAccount = defineKind({
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  kind: 'ServiceAccount',
  namespaced: true,
});
const crd = defineKind({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
});

const pod = (namespace: string, name: string, app: string): KubeObject & object => ({
  metadata: { namespace, name, labels: { app } },
  ...{ spec: { containers: [{ name: 'c', image: 'c' }] } },
});

beforeAll(async () => {
  server = await ApiServer.start();
  admin = server.client();
  for (const name of ['shop', 'bank', 'weft-system']) await admin.create(sourceKinds.Namespace, { metadata: { name } });
  await admin.create(sourceKinds.Pod, pod('shop', 'frontend-1', 'frontend'));
  await admin.create(sourceKinds.Pod, pod('shop', 'api-1', 'api'));
  await admin.create(sourceKinds.Pod, pod('bank', 'vault-1', 'vault'));
  const deployment = (name: string, app: string) => ({
    metadata: { namespace: 'shop', name },
    spec: {
      selector: { matchExpressions: [{ key: 'app', operator: 'In', values: [app, `${app}-next`] }] },
      template: { metadata: { labels: { app } }, spec: { containers: [{ name: 'c', image: 'c' }] } },
    },
  });
  await admin.create(workloadKinds.deployment, deployment('frontend', 'frontend'));
  await admin.create(workloadKinds.deployment, deployment('idle', 'idle'));
  for (const one of weftCrds) await admin.create(crd, one);
  await admin.create(serviceAccount, { metadata: { namespace: 'shop', name: 'viewer' } });
  await admin.create(role, {
    metadata: { namespace: 'shop', name: 'view' },
    ...{ rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }] },
  });
  await admin.create(roleBinding, {
    metadata: { namespace: 'shop', name: 'view' },
    ...{
      roleRef: { apiGroup: rbac.group, kind: 'Role', name: 'view' },
      subjects: [{ kind: 'ServiceAccount', namespace: 'shop', name: 'viewer' }],
    },
  });
  viewer = server.client({ token: await tokenOf('viewer') });
}, 300_000);

afterAll(async () => {
  admin?.close();
  viewer?.close();
  await server?.stop();
});

async function tokenOf(name: string): Promise<string> {
  const path = `/api/v1/namespaces/shop/serviceaccounts/${name}/token`;
  const { status } = await admin.raw({ method: 'POST', path, body: { spec: {} } });
  if (typeof status !== 'object' || status === null || !('token' in status)) throw new Error('no token');
  return String(status.token);
}

const podNames = (facts: Awaited<ReturnType<typeof readFacts>>['facts']): string[] =>
  facts.flatMap((fact) => (fact.kind === 'pod' ? [`${fact.namespace}/${fact.name}`] : [])).sort();

test('an administrator reads all kinds; those that are not installed are empty', async () => {
  const { facts, hidden } = await readFacts(admin, []);
  expect(hidden).toEqual([]);
  expect(podNames(facts)).toEqual(['bank/vault-1', 'shop/api-1', 'shop/frontend-1']);
});

test('who may read one namespace reads that, and is told what stays hidden', async () => {
  const { facts, hidden } = await readFacts(viewer, ['shop', 'bank']);
  expect(podNames(facts)).toEqual(['shop/api-1', 'shop/frontend-1']);
  expect([...hidden].sort()).toEqual(
    ['EndpointSlice', 'Namespace', 'NetworkPolicy', 'Node', 'Pod', 'Service']
      .concat(['CiliumClusterwideNetworkPolicy', 'CiliumNetworkPolicy'])
      .sort(),
  );
});

test('a Deployment is the pods that its selector selects', async () => {
  expect(await expandWorkload(admin, parseTarget('deploy/shop/frontend', ''))).toEqual([
    { kind: 'pod', namespace: 'shop', name: 'frontend-1' },
  ]);
  await expect(expandWorkload(admin, parseTarget('deploy/shop/idle', ''))).rejects.toThrow(
    'Deployment shop/idle has no pods now: scale it up first',
  );
  await expect(expandWorkload(admin, parseTarget('sts/shop/x', ''))).rejects.toThrow(
    'there is no StatefulSet shop/x: kubectl get statefulsets.apps -n shop',
  );
});

test('without the right to list pods addresses have no names, and that is no error', async () => {
  expect((await readNames(viewer)).at('10.0.0.1', '2026-01-01T00:00:00Z')).toBeUndefined();
});

test('a cluster without Weft is told as such', async () => {
  await expect(podsOf(admin, 'weft-agent')).rejects.toThrow(
    'no pod of weft-agent runs in namespace weft-system: install Weft in this cluster, or choose another --context',
  );
});

const access = (client: KubeClient): ClusterAccess => ({
  config: server.config(),
  client,
  namespace: 'shop',
  close: () => undefined,
});

test('to wait for what is not there is refused with a way to look', async () => {
  const wait = (text: string) => waitEnforced(access(admin), [parseWaitTarget(text, 'shop')], 0, () => undefined);
  await expect(wait('netpol/nothing')).rejects.toThrow(
    'there is no NetworkPolicy shop/nothing: kubectl get networkpolicies.networking.k8s.io -n shop',
  );
  await expect(wait('ccnp/nothing')).rejects.toThrow(
    /there is no CiliumClusterwideNetworkPolicy nothing: kubectl get [a-z.]+$/,
  );
});

test('refusals and lost connections say what to do', async () => {
  const failing = async (client: KubeClient): Promise<string> =>
    client.list(sourceKinds.Node).then(
      () => 'no error',
      (error: unknown) => sentenceOf(error, 'https://192.0.2.1'),
    );
  expect(await failing(viewer)).toMatch(/nodes is forbidden: .*; ask whoever runs the cluster for that right/);
  const stranger = server.client({ token: 'nobody' });
  expect(await failing(stranger)).toMatch(/Unauthorized; the cluster does not know these credentials: log in again/);
  stranger.close();
  const nobody = server.client({ port: 1 });
  expect(await failing(nobody)).toMatch(
    /ECONNREFUSED.*; the API server https:\/\/192.0.2.1 can't be reached: is the cluster up/s,
  );
  nobody.close();
});
