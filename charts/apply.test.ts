import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Yaml } from 'cdk8s';
import type { KubeClient } from 'kopf-ts';
import { discoverOperators } from '../agent/operator/discovery.ts';
import { eventually } from '../controllers/testing/cluster.ts';
import { ApiServer } from '../packages/kopf-ts/test/apiserver.ts';
import { installObjects } from './index.ts';

const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'weft-charts-'));
const values = {
  agentImage: 'agent:1',
  operatorImage: 'operator:1',
  envoyImage: 'envoy:1',
  apiServer: 'https://10.0.0.1:6443',
  replicas: 2,
};
let server: ApiServer;
let admin: KubeClient;

beforeAll(async () => {
  server = await ApiServer.start();
  admin = server.client();
}, 300_000);

afterAll(async () => {
  admin?.close();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

function main(...args: string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return run(process.execPath, ['charts/main.ts', ...args], { env: { ...process.env, NODE_OPTIONS: '' } });
}

/** Only what a path is made of. */
interface Printed {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

function pathOf({ apiVersion, kind, metadata: { name, namespace } }: Printed): string {
  const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  return `${root}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${kind.toLowerCase()}s/${name}`;
}

test('what is printed is the install, and a real API server takes each object and knows each of its fields', async () => {
  const { agentImage, operatorImage, envoyImage, apiServer, replicas } = values;
  const images = ['--agent-image', agentImage, '--operator-image', operatorImage, '--envoy-image', envoyImage];
  const { stdout, stderr } = await main(...images, '--api-server', apiServer, '--replicas', String(replicas));
  expect(stderr).toBe('');
  const file = join(dir, 'install.yaml');
  writeFileSync(file, stdout);
  const printed: Printed[] = Yaml.load(file);
  expect(printed).toEqual(installObjects(values));
  for (const object of printed) {
    await admin.raw({
      method: 'PATCH',
      path: pathOf(object),
      query: { fieldManager: 'test', fieldValidation: 'Strict' },
      contentType: 'application/apply-patch+yaml',
      body: object,
    });
  }
});

/** A token of the agent's account, in a folder as kubelet mounts it. */
async function agentAccount(): Promise<string> {
  const answer = await admin.raw({
    method: 'POST',
    path: '/api/v1/namespaces/weft-system/serviceaccounts/weft-agent/token',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
  });
  const { status } = answer;
  const token = typeof status === 'object' && status !== null && 'token' in status ? String(status.token) : '';
  writeFileSync(join(dir, 'token'), token, { mode: 0o600 });
  copyFileSync(server.config().getCurrentCluster()?.caFile ?? '', join(dir, 'ca.crt'));
  return token;
}

test("the agent finds the operator with its account's rights, and these are all that it has", async () => {
  const metadata = { namespace: 'weft-system' };
  await admin.raw({
    method: 'POST',
    path: '/api/v1/namespaces/weft-system/configmaps',
    body: { metadata: { ...metadata, name: 'weft-ca' }, data: { 'ca.crt': '-----BEGIN CERTIFICATE-----' } },
  });
  await admin.raw({
    method: 'POST',
    path: '/apis/discovery.k8s.io/v1/namespaces/weft-system/endpointslices',
    body: {
      metadata: { ...metadata, name: 'weft-operator' },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['192.0.2.1'] }],
      ports: [{ port: 15443 }],
    },
  });
  const token = await agentAccount();
  const found = await discoverOperators({ server: `https://127.0.0.1:${server.port}`, accountDir: dir }, 'weft-system');
  expect(found).toEqual({ ca: '-----BEGIN CERTIFICATE-----', targets: ['192.0.2.1:15443'] });

  const agent = server.client({ token });
  // A fresh API server takes a moment to give everybody the right to ask for theirs.
  const { status } = await eventually(() =>
    agent.raw({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
      body: { spec: { namespace: 'weft-system' } },
    }),
  );
  agent.close();
  const rules: unknown =
    typeof status === 'object' && status !== null && 'resourceRules' in status && status.resourceRules;
  const own = Array.isArray(rules)
    ? rules.filter((rule) => !/au(thentication|thorization)\.k8s/.test(JSON.stringify(rule)))
    : [];
  const get = (apiGroup: string, resource: string, name: string): object => ({
    verbs: ['get'],
    apiGroups: [apiGroup],
    resources: [resource],
    resourceNames: [name],
  });
  expect(own).toHaveLength(2);
  expect(own).toEqual(
    expect.arrayContaining([
      get('', 'configmaps', 'weft-ca'),
      get('discovery.k8s.io', 'endpointslices', 'weft-operator'),
    ]),
  );
});

test('what can not be printed ends with 2 and a sentence on stderr', async () => {
  await expect(main('--agent-image', 'a')).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: '--operator-image is missing: it says what to run; see --help\n',
  });
  expect((await main('--help')).stdout).toMatch(/^usage: node charts\/main.ts/);
});
