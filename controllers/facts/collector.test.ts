import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Operator } from 'kopf-ts';
import { crdKind, meshServiceKind, namespaceKind, serviceKind } from '../kinds.ts';
import { create, eventually, TestCluster } from '../testing/cluster.ts';
import { FactCollector } from './collector.ts';
import type { FactChange } from './queue.ts';

let cluster: TestCluster;
const abort = new AbortController();
const batches: (readonly FactChange[])[] = [];
let collector: FactCollector;
let ended: Promise<void>;

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.installWeftCrds();
  await cluster.addNode('node-a', 0);
  await create(cluster.admin, serviceKind, {
    metadata: { namespace: 'default', name: 'web' },
    spec: { ports: [{ port: 80 }] },
  });
  const operator = new Operator({
    client: cluster.admin,
    onError: ({ subject, error }) => void collector.onFailure(subject, error),
  });
  collector = new FactCollector({
    client: cluster.admin,
    watch: (kind, options) => operator.watch(kind, options),
    deliver: (changes) => batches.push(changes),
    onProblems: () => {},
    onStatus: () => {},
    log: () => {},
  });
  ended = operator.run(abort.signal);
  await collector.ready;
}, 300_000);

afterAll(async () => {
  abort.abort();
  await ended;
  await cluster?.stop();
});

/** What is known of each object now, after all batches. */
function facts(): Map<string, FactChange['facts']> {
  return new Map(batches.flat().map(({ key, facts }) => [key, facts]));
}

test('the first batch holds all that was there', () => {
  const keys = batches[0]?.map(({ key }) => key);
  expect(keys).toEqual(expect.arrayContaining(['Node/node-a', 'Namespace/weft-system', 'Service/default/web']));
});

test('kinds that are not installed are waited for no longer than it takes to be sure of it', () => {
  expect(collector.absent).toEqual([
    'CiliumClusterwideNetworkPolicy',
    'CiliumNetworkPolicy',
    'GRPCRoute',
    'HTTPRoute',
    'ReferenceGrant',
  ]);
  expect(collector.waitingFor).toEqual([]);
});

test('a heartbeat, or a status of our own, is no news', async () => {
  await create(cluster.admin, meshServiceKind, { metadata: { namespace: 'default', name: 'kubernetes' }, spec: {} });
  await eventually(() => expect(facts().get('MeshService/default/kubernetes')).toHaveLength(1));
  const before = batches.length;
  await cluster.admin.patchStatus(
    meshServiceKind,
    { namespace: 'default', name: 'kubernetes' },
    { observedGeneration: 1 },
  );
  await cluster.admin.patchStatus(
    { ...namespaceKind, plural: 'nodes', kind: 'Node' },
    { name: 'node-a' },
    {
      conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: new Date().toISOString() }],
    },
  );
  await create(cluster.admin, namespaceKind, { metadata: { name: 'news' } });
  await eventually(() => expect(facts().has('Namespace/news')).toBe(true));
  expect(batches.slice(before).flatMap((batch) => batch.map(({ key }) => key))).toEqual(['Namespace/news']);
});

test('objects of a kind that is uninstalled are gone, and count again when it is installed and they are made again', async () => {
  await cluster.admin.delete(crdKind, { name: 'meshservices.weft.dev' });
  await eventually(() => expect(facts().get('MeshService/default/kubernetes')).toEqual([]));
  await eventually(() => expect(collector.absent).toContain('MeshService'), 30_000);
  await cluster.installWeftCrds();
  await eventually(() => cluster.admin.list(meshServiceKind));
  await create(cluster.admin, meshServiceKind, { metadata: { namespace: 'default', name: 'kubernetes' }, spec: {} });
  await eventually(() => expect(facts().get('MeshService/default/kubernetes')).toHaveLength(1), 40_000);
  expect(collector.absent).not.toContain('MeshService');
}, 90_000);
