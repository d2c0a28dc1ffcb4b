import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { StatusSnapshot } from './control/snapshot.ts';
import { ciliumNetworkPolicyKind, configMapKind, endpointSliceKind, namespaceKind } from './kinds.ts';
import { create, eventually, TestCluster } from './testing/cluster.ts';

const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'weft-operator-'));
const socket = join(dir, 'control.sock');
let cluster: TestCluster;
let child: ChildProcess | undefined;
let log = '';

beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.installWeftCrds();
  await cluster.admin.create(namespaceKind, { metadata: { name: 'shop' } });
  await cluster.addNode('node-a', 0);
  await cluster.addPod({ namespace: 'shop', name: 'api', node: 'node-a', labels: { app: 'api' }, ip: '10.244.0.5' });
  const config = cluster.server.config({ token: await cluster.token('weft-operator') });
  writeFileSync(join(dir, 'kubeconfig'), config.exportConfig());
}, 300_000);

afterAll(async () => {
  child?.kill('SIGKILL');
  await cluster?.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** The operator as a process of its own; resolves when it is ready. */
async function start(port: number): Promise<void> {
  const flags = ['--advertise-address', '192.0.2.7', '--port', String(port), '--health-port', '0'];
  const started = spawn(process.execPath, ['controllers/main.ts', ...flags, '--control-socket', socket], {
    env: { ...process.env, NODE_OPTIONS: '', KUBECONFIG: join(dir, 'kubeconfig'), POD_NAME: 'weft-operator-0' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  child = started;
  started.stderr.on('data', (text: Buffer) => {
    log += text.toString();
  });
  await eventually(async () => expect((await ask()).operator.ready).toBe(true), 20_000);
}

async function ask(): Promise<StatusSnapshot> {
  const { stdout } = await run(process.execPath, ['controllers/ctl.ts', 'status', '--socket', socket], {
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  return JSON.parse(stdout);
}

async function ended(process: ChildProcess | undefined): Promise<number | null> {
  if (process === undefined || process.exitCode !== null || process.signalCode !== null)
    return process?.exitCode ?? null;
  return new Promise((resolve) => process.once('exit', resolve));
}

test('the process serves, survives kill -9 with the same versions, answers ctl, and stops in good order', async () => {
  const port = await freePort();
  await start(port);
  await create(cluster.admin, ciliumNetworkPolicyKind, {
    metadata: { namespace: 'shop', name: 'closed' },
    spec: { endpointSelector: { matchLabels: { app: 'api' } }, ingress: [{ fromEntities: ['cluster'] }] },
  });
  const agent = await cluster.agent('node-a', port);
  await eventually(() => expect([...agent.resources.keys()].some((name) => name.startsWith('policyset/'))).toBe(true));
  await eventually(async () =>
    expect(await ask()).toMatchObject({
      operator: { leader: true, ready: true, version: expect.any(String) },
      nodes: [{ name: 'node-a', connected: true, synced: true, policySets: { enforced: 1, of: 1 } }],
      policies: [
        { kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'closed', pods: 1, nodes: { enforced: 1, of: 1 } },
      ],
    }),
  );
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  const versions = (): object =>
    Object.fromEntries([...agent.resources].map(([name, { version }]) => [name, version]).sort());
  const before = versions();
  const heard = agent.batches;

  child?.kill('SIGKILL');
  await ended(child);
  await start(port);
  await eventually(async () => expect((await ask()).nodes).toMatchObject([{ connected: false }]));
  await eventually(() => expect(agent.batches).toBeGreaterThan(heard), 20_000);
  expect(versions()).toEqual(before);
  // The new process computed the same hashes, so the agent was sent nothing that it had.
  expect(agent.lastBatchSize).toBe(0);

  child?.kill('SIGTERM');
  expect(await ended(child)).toBe(0);
  const slice = await cluster.admin.get(endpointSliceKind, { namespace: 'weft-system', name: 'weft-operator' });
  expect(slice.endpoints ?? []).toEqual([]);
  await agent.stop();
  const published = await cluster.admin.get(configMapKind, { namespace: 'weft-system', name: 'weft-ca' });
  expect(published.data?.['ca.crt']).toMatch(/BEGIN CERTIFICATE/);
  expect(log).not.toMatch(/unhandled/);
}, 90_000);

test('ctl says what is wrong: an unknown command, no operator', async () => {
  await expect(
    run(process.execPath, ['controllers/ctl.ts', 'status', '--socket', join(dir, 'none.sock')]),
  ).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/does the operator run in this pod\?/),
  });
  await expect(run(process.execPath, ['controllers/ctl.ts'])).rejects.toMatchObject({ code: 2 });
});
