import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { conditionsOf, KubeClient } from 'kopf-ts';
import { installAbsentCrds } from '../crds.ts';
import { ciliumNetworkPolicyKind, namespaceKind } from '../kinds.ts';
import type { TestAgent } from '../testing/agent.ts';
import { create, eventually, TestCluster } from '../testing/cluster.ts';
import { Recorder } from '../testing/recorder.ts';

const POLICIES = 260;
/** The others select nothing, which is one write. */
const SELECTING = 10;
let cluster: TestCluster;
let recorder: Recorder;
let client: KubeClient;
let agent: TestAgent | undefined;

beforeAll(async () => {
  cluster = await TestCluster.start();
  recorder = await Recorder.start(cluster.server.config());
  client = new KubeClient(recorder.config(await cluster.token('weft-operator')));
  await cluster.installWeftCrds();
  await cluster.admin.create(namespaceKind, { metadata: { name: 'shop' } });
  await cluster.addNode('node-a', 0);
  await cluster.addPod({ namespace: 'shop', name: 'api', node: 'node-a', labels: { app: 'api' }, ip: '10.244.0.5' });
}, 300_000);

afterAll(async () => {
  await agent?.stop();
  await cluster?.stop();
  client?.close();
  await recorder?.stop();
});

/** When each status was written, as the API server saw it. */
function writes(): number[] {
  return recorder.requests.filter(({ resource }) => resource === 'ciliumnetworkpolicies/status').map(({ at }) => at);
}

/**
 * By how many more writes than the cap allows were made, for each pair of writes: 100 at once and 20 a second, and some
 * that were under way a bit longer than others.
 */
function excesses(times: readonly number[]): number[] {
  const most = (seconds: number): number => 100 + 20 * seconds + 8;
  return times.flatMap((from, first) =>
    times.slice(first + 1).map((to, between) => between + 2 - most((to - from) / 1000)),
  );
}

test('many policies at once are one write each, under the cap; what changes nothing writes nothing', async () => {
  await installAbsentCrds(cluster.admin);
  await eventually(() => cluster.admin.list(ciliumNetworkPolicyKind));
  const names = Array.from({ length: POLICIES }, (_, index) => `p-${index}`);
  for (const [index, name] of names.entries()) {
    const app = index < SELECTING ? 'api' : 'none';
    await create(cluster.admin, ciliumNetworkPolicyKind, {
      metadata: { namespace: 'shop', name },
      spec: { endpointSelector: { matchLabels: { app } }, ingress: [{ fromEntities: ['cluster'] }] },
    });
  }
  // All are there when it starts, so nothing but the cap is in the way of writing all at once.
  const running = await cluster.operator({ client });
  const reporting = await cluster.agent('node-a', running.operator.port);
  agent = reporting;
  await eventually(async () => {
    const all = await cluster.admin.list(ciliumNetworkPolicyKind, { namespace: 'shop' });
    const enforced = all.filter((one) =>
      conditionsOf(one).some(
        ({ type, status, observedGeneration }) => type === 'Enforced' && status === 'True' && observedGeneration === 1,
      ),
    );
    expect(enforced).toHaveLength(POLICIES);
  }, 60_000);
  const made = writes();
  expect(made.length).toBeLessThanOrEqual(POLICIES + SELECTING);
  expect(Math.max(...excesses(made))).toBeLessThanOrEqual(0);

  reporting.report();
  await cluster.admin.patch(
    ciliumNetworkPolicyKind,
    { namespace: 'shop', name: 'p-0' },
    { metadata: { labels: { a: 'b' } } },
  );
  await cluster.addPod({ namespace: 'shop', name: 'more', node: 'node-a', labels: { app: 'api' }, ip: '10.244.0.6' });
  await eventually(() =>
    expect([...reporting.resources.keys()].filter((name) => name.startsWith('endpoint/'))).toHaveLength(3),
  );
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(writes()).toHaveLength(made.length);
}, 120_000);
