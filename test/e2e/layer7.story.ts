import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Cluster } from '../cluster/cluster.ts';
import { type ShopPod, stageOn, weft } from '../local/stage.ts';
import { readAnswers, wireCases } from './layer7-wire.ts';
import { onlyPolicies, podOf, sleep, theCluster } from './world.ts';

const users = 'http://api/api/v1/users';

interface Summary {
  readonly requests: number;
  readonly errors: number;
}

export function layer7Story(): void {
  describe('layer 7', () => {
    let cluster: Cluster;
    let frontend: ShopPod;
    let api: ShopPod[];

    beforeAll(async () => {
      cluster = await theCluster();
      await onlyPolicies(cluster, []);
      frontend = await podOf(cluster, 'frontend');
      api = [await podOf(cluster, 'api-v1'), await podOf(cluster, 'api-v2')];
    }, 900_000);
    afterAll(() => onlyPolicies(cluster, []), 60_000);

    /** Process ids of the Envoys on a node. */
    async function envoys(node: string): Promise<string[]> {
      const { stdout } = await cluster.execInNode(node, ['pgrep', '-x', 'envoy']);
      return stdout.split('\n').filter((pid) => pid !== '');
    }

    async function statusOf(url: string, method = 'GET'): Promise<number | undefined> {
      return await stageOn(cluster).curl('frontend', method, url);
    }

    /** NEW connections a second and HELD long ones that never retry, from frontend. */
    async function load(fresh: number, held: number, seconds: number): Promise<Summary & { lines: string[] }> {
      const numbers = [fresh, held, seconds].map(String);
      const { stdout } = await cluster.exec('shop', frontend.name, ['demo', 'load', users, ...numbers]);
      const lines = stdout.trim().split('\n');
      return { ...(JSON.parse(lines.at(-1) ?? '{}') as Summary), lines: lines.slice(0, -1) };
    }

    async function until(what: string, done: () => Promise<boolean>): Promise<void> {
      const end = Date.now() + 60_000;
      while (!(await done())) {
        if (Date.now() > end) throw new Error(`${what}: not within a minute`);
        await sleep(100);
      }
    }

    test('no rule for layer 7, no Envoy; the first rule brings it, on the nodes of its pods only', async () => {
      for (const { name } of cluster.nodes)
        await until(`no Envoy on ${name}`, async () => (await envoys(name)).length === 0);
      await onlyPolicies(cluster, ['api-from-frontend-http']);
      await until('the first answer', async () => (await statusOf(users)) === 200);
      const nodes = new Set(api.map(({ node }) => node));
      for (const { name } of cluster.nodes)
        expect({ name, envoys: (await envoys(name)).length }).toEqual({ name, envoys: nodes.has(name) ? 1 : 0 });
    }, 180_000);

    test('the server sees the address of its client', async () => {
      for (const { ipv4, ipv6 } of api) {
        for (const [address, own] of [
          [ipv4, frontend.ipv4],
          [`[${ipv6}]`, frontend.ipv6],
        ]) {
          const { stdout } = await cluster.exec('shop', frontend.name, [
            'curl',
            '-gs',
            '-m',
            '2',
            `http://${address}/api/v1/users`,
          ]);
          expect({ address, client: JSON.parse(stdout).client }).toEqual({ address, client: own });
        }
      }
    }, 30_000);

    test.each(wireCases)(
      'on the wire: $name gets no more than its plain form',
      async ({ bytes, answers }) => {
        const encoded = Buffer.from(bytes, 'latin1').toString('base64');
        for (const { ipv4 } of api) {
          const script = `echo ${encoded} | base64 -d | demo raw ${ipv4}:80 700ms`;
          const { stdout } = await cluster.exec('shop', frontend.name, ['sh', '-c', script]);
          const { statuses, seen } = readAnswers(stdout);
          expect({ statuses, stdout }).toMatchObject({ statuses: answers });
          expect(seen.map(({ method, uri }) => `${method} ${uri}`)).toEqual(
            answers.filter((status) => status === 200).map(() => 'GET /api/v1/users'),
          );
        }
      },
      30_000,
    );

    test('each request is a flow with its method, path, status and rule, and without its query', async () => {
      await statusOf('http://api/admin?secret=1', 'POST');
      await statusOf(users);
      await sleep(500);
      const { stdout } = await weft(cluster, ['flows', '--since', '20s', '--type', 'request', '-o', 'json']);
      const flows = stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line));
      expect(flows).toEqual(
        expect.arrayContaining([
          expect.objectContaining({
            verdict: 'denied',
            source: expect.objectContaining({ pod: frontend.name }),
            http: expect.objectContaining({ method: 'POST', path: '/admin', status: 403 }),
          }),
          expect.objectContaining({
            verdict: 'allowed',
            http: expect.objectContaining({ method: 'GET', path: '/api/v1/users', status: 200 }),
            rule: expect.objectContaining({ name: 'api-from-frontend', index: 0 }),
          }),
        ]),
      );
      expect(stdout).not.toContain('secret');
    }, 30_000);

    test('1,000 requests a second on fresh and held connections see no error when agents, then the operator, die', async () => {
      const running = load(500, 50, 14);
      await sleep(2000);
      for (const { name } of cluster.nodes) await cluster.execInNode(name, ['pkill', '-9', '-f', '/weft/agent.mjs']);
      await sleep(4000);
      for (const { name } of cluster.nodes) await cluster.execInNode(name, ['pkill', '-9', '-f', '/weft/operator.mjs']);
      const result = await running;
      expect(result).toMatchObject({ errors: 0, lines: [] });
      expect(result.requests).toBeGreaterThan(5000);
      await cluster.kubectl(['rollout', 'status', '-n', 'weft-system', 'daemonset/weft-agent', '--timeout=90s']);
      await cluster.kubectl(['rollout', 'status', '-n', 'weft-system', 'deployment/weft-operator', '--timeout=90s']);
    }, 180_000);

    test('the same while Envoy is upgraded', async () => {
      const running = load(500, 50, 30);
      await sleep(2000);
      await cluster.kubectl(['rollout', 'restart', '-n', 'weft-system', 'daemonset/weft-envoy']);
      await cluster.kubectl(['rollout', 'status', '-n', 'weft-system', 'daemonset/weft-envoy', '--timeout=170s']);
      const result = await running;
      expect(result).toMatchObject({ errors: 0, lines: [] });
    }, 240_000);

    test('the text of a rule changes for held connections too, without an error for what stays allowed', async () => {
      const running = load(200, 20, 8);
      await sleep(2000);
      const patch = (path: string) => [
        { op: 'replace', path: '/spec/ingress/0/toPorts/0/rules/http/0/path', value: path },
      ];
      const change = async (path: string) => {
        const to = [
          '-n',
          'shop',
          'ciliumnetworkpolicy/api-from-frontend',
          '--type=json',
          '-p',
          JSON.stringify(patch(path)),
        ];
        await cluster.kubectl(['patch', ...to]);
        await cluster.kubectl([
          'wait',
          '-n',
          'shop',
          'ciliumnetworkpolicy/api-from-frontend',
          '--for=condition=Enforced',
        ]);
      };
      await change('/api/v1/(users|orders)');
      await until('the new path', async () => (await statusOf('http://api/api/v1/orders')) === 200);
      expect(await running).toMatchObject({ errors: 0, lines: [] });
      await change('/api/v1/users');
      await until('the new path is gone', async () => (await statusOf('http://api/api/v1/orders')) === 403);
    }, 120_000);

    test('Envoy killed with -9 is back by itself', async () => {
      const before = await Promise.all(api.map(({ node }) => envoys(node)));
      for (const { node } of api) await cluster.execInNode(node, ['pkill', '-9', '-x', 'envoy']);
      const killed = Date.now();
      await until('an answer', async () => (await statusOf(users)) === 200);
      const after = await Promise.all(api.map(({ node }) => envoys(node)));
      expect(after).not.toEqual(before);
      expect(Date.now() - killed).toBeLessThan(30_000);
    }, 120_000);

    test('without Envoy nothing passes, and the flow says why', async () => {
      const nowhere = { spec: { template: { spec: { nodeSelector: { 'weft.dev/nowhere': 'true' } } } } };
      const back = { spec: { template: { spec: { nodeSelector: null } } } };
      const set = (what: object) =>
        cluster.kubectl([
          'patch',
          '-n',
          'weft-system',
          'daemonset/weft-envoy',
          '--type=merge',
          '-p',
          JSON.stringify(what),
        ]);
      await set(nowhere);
      for (const { node } of api) await until(`no Envoy on ${node}`, async () => (await envoys(node)).length === 0);
      expect(await statusOf(users)).toBeUndefined();
      const { stdout } = await weft(cluster, ['flows', '--since', '10s', '-o', 'json']);
      expect(stdout).toContain('no-proxy');
      await set(back);
      await until('an answer', async () => (await statusOf(users)) === 200);
    }, 180_000);
  });
}
