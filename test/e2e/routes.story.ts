import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Cluster } from '../cluster/cluster.ts';
import type { ShopPod } from '../local/stage.ts';
import { onlyPolicies, podOf, sleep, theCluster } from './world.ts';

const GATEWAY_API = 'sigs.k8s.io/gateway-api@v1.6.3';

/** Definitions of the Gateway API's standard channel, as its own module has them. */
async function gatewayCrds(): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', GATEWAY_API], { cwd: tmpdir() });
  const { Dir } = JSON.parse(stdout) as { Dir: string };
  return ['httproutes', 'grpcroutes', 'referencegrants'].map((plural) =>
    join(Dir, 'config/crd/standard', `gateway.networking.k8s.io_${plural}.yaml`),
  );
}

/** The demo's versions of api, each with a Service of its own. */
const services = ['v1', 'v2'].map((version) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: `api-${version}`, namespace: 'shop' },
  spec: {
    selector: { app: 'api', version },
    ipFamilyPolicy: 'PreferDualStack',
    ports: [{ name: 'http', port: 80, targetPort: 80 }],
  },
}));

const backend = (version: 'v1' | 'v2', weight = 1) => ({ name: `api-${version}`, port: 80, weight });

function httpRoute(rules: readonly object[]): object {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'api', namespace: 'shop' },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: 'api', port: 80 }], rules },
  };
}

function l7Route(rules: readonly object[]): object {
  return {
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'L7Route',
    metadata: { name: 'api', namespace: 'shop' },
    spec: { parentRefs: [{ name: 'api', port: 80 }], rules },
  };
}

export function routesStory(): void {
  describe('routes', () => {
    let cluster: Cluster;
    let frontend: ShopPod;

    const apply = (...objects: object[]) =>
      cluster.kubectl(['apply', '-f', '-'], {
        input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
      });
    const remove = (kind: string) => cluster.kubectl(['delete', kind, '-n', 'shop', 'api', '--ignore-not-found']);

    interface Answer {
      readonly status: number;
      readonly app?: string;
      readonly uri?: string;
      readonly client?: string;
      readonly location?: string;
    }

    /** What a client of frontend gets. */
    async function ask(path: string, ...options: string[]): Promise<Answer> {
      const curl = ['curl', '-gs', '-m', '4', '-w', '\n%{http_code} %{redirect_url}', ...options, `http://api${path}`];
      const { stdout } = await cluster.exec('shop', frontend.name, curl);
      const lines = stdout.trimEnd().split('\n');
      const [status = '0', location = ''] = (lines.at(-1) ?? '').split(' ');
      const body = lines.slice(0, -1).find((line) => line.startsWith('{'));
      return { status: Number(status), location, ...(body === undefined ? {} : (JSON.parse(body) as object)) };
    }

    async function until(what: string, done: () => Promise<boolean>): Promise<void> {
      const end = Date.now() + 30_000;
      while (!(await done())) {
        if (Date.now() > end) throw new Error(`${what}: not within 30 s`);
        await sleep(100);
      }
    }

    async function load(fresh: number, held: number, seconds: number) {
      const numbers = [fresh, held, seconds].map(String);
      const { stdout } = await cluster.exec('shop', frontend.name, ['demo', 'load', 'http://api/', ...numbers]);
      const lines = stdout.trim().split('\n');
      const summary = JSON.parse(lines.at(-1) ?? '{}') as { requests: number; errors: number };
      return { ...summary, lines: lines.slice(0, -1) };
    }

    beforeAll(async () => {
      cluster = await theCluster();
      await onlyPolicies(cluster, []);
      frontend = await podOf(cluster, 'frontend');
      for (const file of await gatewayCrds()) await cluster.kubectl(['apply', '--server-side', '-f', file]);
      await apply(...services);
    }, 900_000);
    afterAll(async () => {
      await remove('httproute');
      await remove('l7route');
      await onlyPolicies(cluster, []);
    }, 60_000);

    test('an HTTPRoute on a Service splits, rewrites, redirects and changes headers; its status says it is accepted', async () => {
      await apply(
        httpRoute([
          {
            matches: [{ path: { type: 'PathPrefix', value: '/v2' } }],
            filters: [
              { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } } },
            ],
            backendRefs: [backend('v2')],
          },
          {
            matches: [{ path: { type: 'Exact', value: '/old' } }],
            filters: [
              {
                type: 'RequestRedirect',
                requestRedirect: { path: { type: 'ReplaceFullPath', replaceFullPath: '/new' }, statusCode: 301 },
              },
            ],
          },
          { matches: [{ headers: [{ name: 'X-Version', value: '2' }] }], backendRefs: [backend('v2')] },
          { backendRefs: [backend('v1', 9), backend('v2', 1)] },
        ]),
      );
      await until('the first answer by the route', async () => (await ask('/v2/x')).uri === '/x');
      expect(await ask('/v2/x')).toMatchObject({ status: 200, app: 'api-v2', uri: '/x' });
      expect(await ask('/old')).toMatchObject({ status: 301, location: 'http://api/new' });
      expect(await ask('/', '-H', 'X-Version: 2')).toMatchObject({ status: 200, app: 'api-v2' });
      for (const [family, own] of [
        ['-4', frontend.ipv4],
        ['-6', frontend.ipv6],
      ] as const)
        expect(await ask('/v2/', family)).toMatchObject({ status: 200, client: own });
      const counts = new Map<string, number>();
      for (let i = 0; i < 100; i++) {
        const { app = '' } = await ask('/');
        counts.set(app, (counts.get(app) ?? 0) + 1);
      }
      expect(counts.get('api-v1')).toBeGreaterThan(75);
      expect(counts.get('api-v2')).toBeGreaterThan(0);
      const route = JSON.parse(await cluster.kubectl(['get', 'httproute', '-n', 'shop', 'api', '-o', 'json']));
      expect(route.status.parents).toEqual([
        expect.objectContaining({
          controllerName: 'weft.dev/gateway-controller',
          conditions: expect.arrayContaining([
            expect.objectContaining({ type: 'Accepted', status: 'True', observedGeneration: 1 }),
            expect.objectContaining({ type: 'ResolvedRefs', status: 'True' }),
          ]),
        }),
      ]);
    }, 120_000);

    test('policies are about the backend that the route chose, layer 7 included', async () => {
      await onlyPolicies(cluster, ['api-from-frontend-http']);
      await until('the rule', async () => (await ask('/other')).status === 403);
      expect(await ask('/api/v1/users')).toMatchObject({ status: 200 });
      expect(await ask('/v2/api/v1/users')).toMatchObject({ status: 200, app: 'api-v2', uri: '/api/v1/users' });
      const stranger = await cluster.exec('shop', 'deploy/stranger', [
        'curl',
        '-s',
        '-m',
        '8',
        '-w',
        '%{http_code}',
        'http://api/',
      ]);
      expect(stranger.stdout).toMatch(/503$/);
      await onlyPolicies(cluster, []);
      await until('no rule', async () => (await ask('/other')).status === 200);
    }, 120_000);

    test('a route that changes fails no request of fresh and held connections', async () => {
      const running = load(300, 30, 10);
      await sleep(1500);
      for (const weight of [1, 5, 9]) {
        await apply(httpRoute([{ backendRefs: [backend('v1', weight), backend('v2', 10 - weight)] }]));
        await sleep(2000);
      }
      const result = await running;
      expect(result).toMatchObject({ errors: 0, lines: [] });
      expect(result.requests).toBeGreaterThan(2000);
    }, 60_000);

    test('a backend that does not exist is named by the status and answered 500', async () => {
      await apply(httpRoute([{ backendRefs: [{ name: 'nothing', port: 80 }] }]));
      await until('500', async () => (await ask('/')).status === 500);
      const route = await cluster.kubectl(['get', 'httproute', '-n', 'shop', 'api', '-o', 'yaml']);
      expect(route).toContain('reason: BackendNotFound');
      await remove('httproute');
      await until('without routes', async () => (await ask('/v2/x')).uri === '/v2/x');
    }, 60_000);

    test('an L7Route injects faults, limits rates and times out, and is enforced when it says so', async () => {
      await apply(
        l7Route([
          {
            matches: [{ path: { type: 'Exact', value: '/broken' } }],
            fault: { abort: { status: 418 } },
            backends: [backend('v1')],
          },
          {
            matches: [{ path: { value: '/slow' } }],
            fault: { delay: { duration: '3s' } },
            timeouts: { request: '500ms' },
            backends: [backend('v1')],
          },
          {
            matches: [{ path: { value: '/limited' } }],
            rateLimit: { requests: 3, interval: '1h' },
            backends: [backend('v1')],
          },
          { backends: [backend('v2')] },
        ]),
      );
      await cluster.kubectl(['wait', '-n', 'shop', 'l7route/api', '--for=condition=Accepted', '--timeout=20s']);
      await until('the fault', async () => (await ask('/broken')).status === 418);
      expect(await ask('/x')).toMatchObject({ status: 200, app: 'api-v2' });
      const statuses: number[] = [];
      for (let i = 0; i < 6; i++) statuses.push((await ask('/limited')).status);
      expect(statuses).toEqual([200, 200, 200, 429, 429, 429]);
      await remove('l7route');
      await until('without routes', async () => (await ask('/broken')).status === 200);
    }, 60_000);
  });
}
