import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { defineKind, type KubeClient, type KubeObject } from 'kopf-ts';
import { ApiServer } from '../packages/kopf-ts/test/apiserver.ts';
import { ciliumCrds, kinds, weftCrds } from './index.ts';
import type { CustomResourceDefinition } from './schema/crd.ts';

let server: ApiServer;
let client: KubeClient;

const crdKind = defineKind<CustomResourceDefinition & { readonly status?: { conditions?: KubeCondition[] } }>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
});
type KubeCondition = { readonly type: string; readonly status: string; readonly message: string };

beforeAll(async () => {
  server = await ApiServer.start();
  client = server.client();
  for (const crd of [...weftCrds, ...ciliumCrds]) await client.create(crdKind, crd);
}, 300_000);

afterAll(async () => {
  client?.close();
  await server?.stop();
});

/** The object in namespace default, as the API server stored it. */
function create(path: string, object: KubeObject | object): Promise<Readonly<Record<string, unknown>>> {
  return client.raw({ method: 'POST', path, body: object });
}

async function served(name: string): Promise<KubeCondition[]> {
  for (;;) {
    const { status } = await client.get(crdKind, { name });
    const conditions = status?.conditions ?? [];
    if (conditions.some(({ type, status }) => type === 'Established' && status === 'True')) return conditions;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe.each([...weftCrds, ...ciliumCrds])('CustomResourceDefinition $metadata.name', (crd) => {
  test('is served by a real API server, which calls its schema structural', async () => {
    const conditions = await served(crd.metadata.name);
    expect(conditions.filter(({ type }) => type === 'NonStructuralSchema')).toEqual([]);
    expect(conditions.filter(({ type, status }) => type === 'NamesAccepted' && status !== 'True')).toEqual([]);
  });
});

describe.each(kinds)('$kind', (kind) => {
  const path = `/apis/${kind.group}/${kind.version}/namespaces/default/${kind.plural}`;

  test.each(kind.examples)('example "$title" is accepted, and observedGeneration starts at -1', async ({ object }) => {
    await served(`${kind.plural}.${kind.group}`);
    const metadata = { generateName: 'example-' };
    const stored = await create(path, { ...object, metadata });
    expect(stored).toMatchObject({ status: { observedGeneration: -1 } });
  });

  test.each(kind.badExamples)('$title is refused with a sentence', async ({ object, refused }) => {
    await served(`${kind.plural}.${kind.group}`);
    await expect(create(path, object)).rejects.toThrow(refused);
  });
});

test('the defaults of a MeshService are filled in, and none that its own rules forbid', async () => {
  await served('meshservices.weft.dev');
  const stored = await create('/apis/weft.dev/v1alpha1/namespaces/default/meshservices', {
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'MeshService',
    metadata: { name: 'defaults' },
    spec: {},
  });
  expect(stored).toMatchObject({ spec: { loadBalancing: { algorithm: 'Random' }, affinity: { type: 'None' } } });
});

test('fields of a Cilium policy that nobody knows survive in spec and specs', async () => {
  await served('ciliumnetworkpolicies.cilium.io');
  const rule = { endpointSelector: {}, ingress: [{ fromMoon: [{ crater: 'Tycho' }] }] };
  const stored = await create('/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies', {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: 'moon' },
    spec: rule,
    specs: [rule],
  });
  expect(stored).toMatchObject({ spec: rule, specs: [rule] });
});
