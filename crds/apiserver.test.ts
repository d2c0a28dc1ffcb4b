import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { defineKind, type KubeClient, type KubeObject } from 'kopf-ts';
import { z } from 'zod';
import { ApiServer } from '../packages/kopf-ts/test/apiserver.ts';
import { FaultyProxy } from '../packages/kopf-ts/test/faulty-proxy.ts';
import { ciliumCrds, kinds, type MeshService, meshServiceSpec, weftCrds } from './index.ts';
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

/** The object in namespace default, as the API server stored it; unknown fields are refused, as for kubectl. */
function create(path: string, object: KubeObject | object): Promise<Readonly<Record<string, unknown>>> {
  return client.raw({ method: 'POST', path, query: { fieldValidation: 'Strict' }, body: object });
}

/** What `kubectl get` prints: the titles of the columns, and the cells of each row by the object's name. */
async function tableOf(path: string): Promise<{ columns: string[]; rows: Record<string, unknown[]> }> {
  const proxy = await FaultyProxy.start(server.config());
  try {
    const address = proxy.config().getCurrentCluster()?.server ?? '';
    const Accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    return tableSchema.parse(await (await fetch(`${address}${path}`, { headers: { Accept } })).json());
  } finally {
    await proxy.stop();
  }
}
const tableSchema = z
  .object({
    columnDefinitions: z.array(z.object({ name: z.string() })),
    rows: z.array(
      z.object({ cells: z.array(z.unknown()), object: z.object({ metadata: z.object({ name: z.string() }) }) }),
    ),
  })
  .transform(({ columnDefinitions, rows }) => ({
    columns: columnDefinitions.map(({ name }) => name),
    rows: Object.fromEntries(rows.map(({ cells, object }) => [object.metadata.name, cells])),
  }));

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

  test.each(kind.examples)(
    'example "$title" is accepted, with all defaults and no more, and observedGeneration starts at -1',
    async ({ object }) => {
      await served(`${kind.plural}.${kind.group}`);
      const metadata = { generateName: 'example-' };
      const stored = await create(path, { ...object, metadata });
      expect(stored).toMatchObject({ status: { observedGeneration: -1 } });
      expect(stored.spec).toEqual(kind.spec.parse(object.spec));
    },
  );

  test.each(kind.badExamples)('$title is refused with a sentence', async ({ object, refused }) => {
    await served(`${kind.plural}.${kind.group}`);
    await expect(create(path, object)).rejects.toThrow(refused);
  });
});

test('kubectl finds the kinds by short name and by category', async () => {
  await Promise.all([...weftCrds, ...ciliumCrds].map((crd) => served(crd.metadata.name)));
  const weft = await client.raw({ method: 'GET', path: '/apis/weft.dev/v1alpha1' });
  expect(weft.resources).toContainEqual(
    expect.objectContaining({ name: 'meshservices', shortNames: ['meshsvc'], categories: ['weft'] }),
  );
  const cilium = await client.raw({ method: 'GET', path: '/apis/cilium.io/v2' });
  for (const [name, shortName] of [
    ['ciliumnetworkpolicies', 'cnp'],
    ['ciliumclusterwidenetworkpolicies', 'ccnp'],
  ])
    expect(cilium.resources).toContainEqual(
      expect.objectContaining({
        name,
        shortNames: expect.arrayContaining([shortName]),
        categories: expect.arrayContaining(['weft']),
      }),
    );
});

test('kubectl get prints what a MeshService does and whether it is ready, with the reason in the wide form', async () => {
  await served('meshservices.weft.dev');
  const path = '/apis/weft.dev/v1alpha1/namespaces/default/meshservices';
  const [example] = kinds.flatMap(({ examples }) => examples);
  await create(path, { ...example?.object, metadata: { name: 'printed' } });
  const condition = {
    type: 'Ready',
    status: 'False',
    reason: 'NoService',
    message: 'there is no Service of this name',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  };
  await client.raw({
    method: 'PATCH',
    path: `${path}/printed/status`,
    contentType: 'application/merge-patch+json',
    body: { status: { conditions: [condition] } },
  });
  const { columns, rows } = await tableOf(path);
  expect(columns).toEqual(['Name', 'Algorithm', 'Affinity', 'Ready', 'Reason', 'Age']);
  expect(rows.printed?.slice(0, 5)).toEqual(['printed', 'Maglev', 'ClientIP', 'False', 'NoService']);
});

test('kubectl get prints the Services of an L7Route', async () => {
  await served('l7routes.weft.dev');
  const path = '/apis/weft.dev/v1alpha1/namespaces/default/l7routes';
  const [example] = kinds.filter(({ kind }) => kind === 'L7Route').flatMap(({ examples }) => examples);
  await create(path, { ...example?.object, metadata: { name: 'printed' } });
  const { columns, rows } = await tableOf(path);
  expect(columns).toEqual(['Name', 'Services', 'Ready', 'Reason', 'Age']);
  expect(rows.printed?.slice(0, 2)).toEqual(['printed', 'api']);
});

test('what the API server stores is what the TypeScript type says, defaults included', async () => {
  await served('meshservices.weft.dev');
  for (const { object } of kinds.filter(({ kind }) => kind === 'MeshService').flatMap(({ examples }) => examples)) {
    const stored = await create('/apis/weft.dev/v1alpha1/namespaces/default/meshservices', {
      ...object,
      metadata: { generateName: 'typed-' },
    });
    const spec: MeshService['spec'] = meshServiceSpec.parse(object.spec);
    expect(stored.spec).toEqual(spec);
  }
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
  const clusterwide = await create('/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies', {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumClusterwideNetworkPolicy',
    metadata: { name: 'moon' },
    spec: rule,
    specs: [rule],
  });
  expect(clusterwide).toMatchObject({ spec: rule, specs: [rule] });
});
