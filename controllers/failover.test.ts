import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { conditionsOf, systemClock } from 'kopf-ts';
import { ciliumNetworkPolicyKind, namespaceKind } from './kinds.ts';
import { create, eventually, TestCluster } from './testing/cluster.ts';

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.installWeftCrds();
  await cluster.admin.create(namespaceKind, { metadata: { name: 'shop' } });
  await cluster.addNode('node-a', 0);
  await cluster.addPod({ namespace: 'shop', name: 'api', node: 'node-a', labels: { app: 'api' }, ip: '10.244.0.5' });
}, 300_000);

afterAll(() => cluster?.stop());

const ref = { namespace: 'shop', name: 'closed' };

test('the next leader goes on where the last one stopped: nothing is written twice, nothing taken back', async () => {
  const first = await cluster.operator({ advertiseAddress: '192.0.2.1' });
  await eventually(() => expect(first.operator.snapshot().operator.leader).toBe(true));
  const agent = await cluster.agent('node-a', first.operator.port);
  await create(cluster.admin, ciliumNetworkPolicyKind, {
    metadata: ref,
    spec: { endpointSelector: { matchLabels: { app: 'api' } }, ingress: [{ fromEntities: ['cluster'] }] },
  });
  const enforced = await eventually(async () => {
    const object = await cluster.admin.get(ciliumNetworkPolicyKind, ref);
    expect(conditionsOf(object)).toContainEqual(expect.objectContaining({ type: 'Enforced', status: 'True' }));
    return object;
  });
  // To its clock the node is no newcomer, so that a node without a report counts.
  const clock = { ...systemClock, now: () => Date.now() + 120_000 };
  const second = await cluster.operator({ advertiseAddress: '192.0.2.2', clock });
  expect(second.operator.snapshot().operator.leader).toBe(false);
  await agent.stop();
  await first.stop();
  await eventually(() => expect(second.operator.snapshot().operator.leader).toBe(true), 20_000);
  // No agent reported to the new leader: by its own knowledge nothing is enforced.
  expect(second.operator.snapshot().policies[0]?.nodes).toMatchObject({ enforced: 0, of: 1 });
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const after = await cluster.admin.get(ciliumNetworkPolicyKind, ref);
  expect(after.metadata.resourceVersion).toBe(enforced.metadata.resourceVersion);

  await cluster.admin.patch(ciliumNetworkPolicyKind, ref, { spec: { ingress: [{}] } });
  const back = await cluster.agent('node-a', second.operator.port);
  await eventually(async () => {
    const object = await cluster.admin.get(ciliumNetworkPolicyKind, ref);
    expect(conditionsOf(object)).toContainEqual(
      expect.objectContaining({ type: 'Enforced', status: 'True', observedGeneration: 2 }),
    );
  });
  await back.stop();
  for (const { log } of [first, second]) expect(log.join('\n')).not.toMatch(/forbidden/i);
}, 60_000);
