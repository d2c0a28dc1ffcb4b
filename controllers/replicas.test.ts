import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { conditionsOf, type KubeObject } from 'kopf-ts';
import { ciliumNetworkPolicyKind, endpointSliceKind, namespaceKind } from './kinds.ts';
import type { TestAgent } from './testing/agent.ts';
import { create, eventually, TestCluster } from './testing/cluster.ts';

/** So many that all of them choosing the same replica by chance is out of the question. */
const nodes = Array.from({ length: 24 }, (_, index) => `node-${index}`);
const dir = mkdtempSync(join(tmpdir(), 'weft-replicas-'));
const agents: TestAgent[] = [];
let cluster: TestCluster;
let child: ChildProcess | undefined;
let log = '';

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.installWeftCrds();
  await cluster.admin.create(namespaceKind, { metadata: { name: 'shop' } });
  for (const [index, node] of nodes.entries()) {
    await cluster.addNode(node, index);
    const pod = { namespace: 'shop', node, labels: { app: 'api' } };
    await cluster.addPod({ ...pod, name: `api-${index}`, ip: `10.244.${index}.5` });
  }
  const config = cluster.server.config({ token: await cluster.token('weft-operator') });
  writeFileSync(join(dir, 'kubeconfig'), config.exportConfig());
}, 300_000);

afterAll(async () => {
  for (const agent of agents) await agent.stop();
  child?.kill('SIGKILL');
  await cluster?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** A replica as a process of its own, which can be killed; resolves with its port when it is listed for agents. */
async function startProcess(address: string): Promise<number> {
  const flags = ['--advertise-address', address, '--port', '0', '--health-port', '0'];
  const started = spawn(process.execPath, ['controllers/main.ts', ...flags, '--control-socket', join(dir, 'sock')], {
    env: { ...process.env, NODE_OPTIONS: '', KUBECONFIG: join(dir, 'kubeconfig'), POD_NAME: 'weft-operator-0' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  child = started;
  started.stderr.on('data', (text: Buffer) => {
    log += text.toString();
  });
  await eventually(async () => expect(await listed()).toContain(address), 20_000);
  return Number(/agents are served on port (\d+)/.exec(log)?.[1]);
}

async function listed(): Promise<readonly string[]> {
  const ref = { namespace: 'weft-system', name: 'weft-operator' };
  const { endpoints } = await cluster.admin.get(endpointSliceKind, ref);
  return endpoints?.flatMap(({ addresses }) => addresses) ?? [];
}

function closed(name: string): Promise<KubeObject> {
  return create(cluster.admin, ciliumNetworkPolicyKind, {
    metadata: { namespace: 'shop', name },
    spec: { endpointSelector: { matchLabels: { app: 'api' } }, ingress: [{ fromEntities: ['cluster'] }] },
  });
}

async function enforced(name: string): Promise<KubeObject> {
  const object = await cluster.admin.get(ciliumNetworkPolicyKind, { namespace: 'shop', name });
  expect(conditionsOf(object)).toContainEqual(
    expect.objectContaining({ type: 'Enforced', status: 'True', reason: 'Enforced' }),
  );
  return object;
}

test('agents spread over two replicas; when the leader is killed the other serves all and goes on with statuses', async () => {
  const port = await startProcess('192.0.2.1');
  const second = await cluster.operator({ advertiseAddress: '192.0.2.2' });
  const connections = new Map<string, string>();
  for (const node of nodes) agents.push(await cluster.agent(node, port, { others: [second.operator.port] }));
  await eventually(() => expect(agents.every(({ complete }) => complete)).toBe(true), 20_000);
  for (const [index, { states }] of agents.entries()) {
    const last = states.at(-1);
    connections.set(nodes[index] ?? '', last?.kind === 'streaming' ? last.target : '');
  }
  expect([...new Set(connections.values())].sort()).toEqual(
    [port, second.operator.port].map((each) => `127.0.0.1:${each}`).sort(),
  );
  expect(second.operator.snapshot().operator.leader).toBe(false);
  await closed('before');
  const before = await eventually(() => enforced('before'));

  child?.kill('SIGKILL');
  // Agents need no leader: what is written now is served and enforced before there is one again.
  await closed('after');
  await eventually(() => {
    const after = second.operator.snapshot().policies.find(({ name }) => name === 'after');
    expect(after?.nodes).toEqual({ enforced: nodes.length, of: nodes.length, missing: [] });
  }, 20_000);
  await eventually(() => enforced('after'), 40_000);
  expect(second.operator.snapshot().operator.leader).toBe(true);
  expect((await enforced('before')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  expect(log + second.log.join('\n')).not.toMatch(/forbidden|unhandled/i);
}, 120_000);
