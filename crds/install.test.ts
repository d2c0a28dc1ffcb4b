import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { defineKind, type KubeClient, type KubeObject } from 'kopf-ts';
import { installAbsentCrds } from '../controllers/crds.ts';
import { ApiServer } from '../packages/kopf-ts/test/apiserver.ts';
import { ciliumNetworkPolicyCrd } from './cilium.ts';
import type { CustomResourceDefinition } from './schema/crd.ts';

const crdKind = defineKind<CustomResourceDefinition>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
});

let server: ApiServer;
let client: KubeClient;

beforeAll(async () => {
  server = await ApiServer.start();
  client = server.client();
}, 300_000);

afterAll(async () => {
  client?.close();
  await server?.stop();
});

test('a definition of cilium.io that is there already stays as its owner made it; only the absent one is made', async () => {
  const { spec, metadata } = ciliumNetworkPolicyCrd;
  const theirs = {
    ...ciliumNetworkPolicyCrd,
    metadata: { name: metadata.name, labels: { owner: 'cilium' } },
    spec: { ...spec, names: { ...spec.names, shortNames: ['theirs'] } },
  };
  await client.create(crdKind, theirs);
  const before: KubeObject = await client.get(crdKind, theirs.metadata);
  expect(await installAbsentCrds(client)).toEqual(['ciliumclusterwidenetworkpolicies.cilium.io']);
  const after = await client.get(crdKind, theirs.metadata);
  expect(after.metadata).toMatchObject({ uid: before.metadata.uid, generation: 1, labels: { owner: 'cilium' } });
  expect(after.spec.names.shortNames).toEqual(['theirs']);
  expect(await installAbsentCrds(client)).toEqual([]);
});
