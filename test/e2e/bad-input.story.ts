import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/wait.ts';
import { onlyPolicies, podOf, probeFrom, theCluster } from './world.ts';

const cnp = (name: string, spec: unknown): object => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  metadata: { name, namespace: 'shop' },
  spec,
});
const api = { endpointSelector: { matchLabels: { app: 'api' } } };
const fromFrontend = [{ matchLabels: { app: 'frontend' } }];

/** Policies that can't be taken as they stand, and what their condition must name. */
const broken: readonly { readonly policy: object; readonly name: string; readonly says: RegExp }[] = [
  {
    name: 'bad-port',
    policy: cnp('bad-port', {
      ...api,
      ingress: [{ fromEndpoints: fromFrontend, toPorts: [{ ports: [{ port: '70000', protocol: 'TCP' }] }] }],
    }),
    says: /port.*70000|70000.*port/i,
  },
  {
    name: 'unknown-field',
    policy: cnp('unknown-field', { ...api, ingress: [{ fromEndpoints: fromFrontend, fromMoon: true }] }),
    says: /fromMoon/,
  },
  { name: 'not-even-a-list', policy: cnp('not-even-a-list', { ...api, ingress: 'everyone' }), says: /ingress/ },
  {
    name: 'http-expression',
    policy: cnp('http-expression', {
      ...api,
      ingress: [
        {
          fromEndpoints: fromFrontend,
          toPorts: [{ ports: [{ port: '80', protocol: 'TCP' }], rules: { http: [{ path: '/api/(' }] } }],
        },
      ],
    }),
    says: /http\[0\]\.path/,
  },
];

interface Conditions {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}

export function badInputStory(): void {
  describe('bad input', () => {
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await theCluster();
      await onlyPolicies(cluster, []);
    }, 900_000);
    afterAll(async () => {
      await cluster.kubectl(['delete', 'ciliumnetworkpolicy', '-n', 'shop', '--all']);
    }, 60_000);

    async function conditions(name: string): Promise<string> {
      const object = JSON.parse(
        await cluster.kubectl(['get', 'ciliumnetworkpolicy', '-n', 'shop', name, '-o', 'json']),
      ) as Conditions;
      return JSON.stringify(object.status?.conditions ?? []);
    }

    for (const { policy, name, says } of broken) {
      test(`${name}: a condition says what is not understood, and what it would have allowed is not allowed`, async () => {
        await cluster.kubectl(['apply', '-f', '-'], { input: stringify(policy) });
        const text = await until(
          `a condition on ${name}`,
          async () => {
            const found = await conditions(name);
            return says.test(found) ? found : undefined;
          },
          { timeout: 15_000 },
        );
        expect(text).toMatch(says);
        const target = await podOf(cluster, 'api-v1');
        const probe = { protocol: 'tcp' as const, address: target.ipv4, port: 80 };
        const result = await probeFrom(cluster, await podOf(cluster, 'frontend'), [probe]);
        expect([...result.values()]).toEqual([false]);
        await cluster.kubectl(['delete', 'ciliumnetworkpolicy', '-n', 'shop', name]);
      }, 60_000);
    }

    test('a selector that matches nothing is accepted, enforced and harms nobody', async () => {
      await cluster.kubectl(['apply', '-f', '-'], {
        input: stringify(
          cnp('nobody', {
            endpointSelector: { matchLabels: { app: 'nobody' } },
            ingress: [{ fromEndpoints: fromFrontend }],
          }),
        ),
      });
      await cluster.kubectl([
        'wait',
        '-n',
        'shop',
        'ciliumnetworkpolicy/nobody',
        '--for=condition=Enforced',
        '--timeout=15s',
      ]);
      const target = await podOf(cluster, 'api-v1');
      const probe = { protocol: 'tcp' as const, address: target.ipv4, port: 80 };
      expect([...(await probeFrom(cluster, await podOf(cluster, 'stranger'), [probe])).values()]).toEqual([true]);
    }, 60_000);

    test('a broken policy stops no other', async () => {
      for (const { policy } of broken) await cluster.kubectl(['apply', '-f', '-'], { input: stringify(policy) });
      await cluster.kubectl(['apply', '-f', '-'], {
        input: stringify(
          cnp('good', {
            endpointSelector: { matchLabels: { app: 'stranger' } },
            ingress: [{ fromEndpoints: fromFrontend }],
          }),
        ),
      });
      await cluster.kubectl([
        'wait',
        '-n',
        'shop',
        'ciliumnetworkpolicy/good',
        '--for=condition=Enforced',
        '--timeout=15s',
      ]);
      const target = await podOf(cluster, 'stranger');
      const probe = { protocol: 'tcp' as const, address: target.ipv4, port: 80 };
      expect([...(await probeFrom(cluster, await podOf(cluster, 'frontend'), [probe])).values()]).toEqual([true]);
      expect([...(await probeFrom(cluster, await podOf(cluster, 'api-v1'), [probe])).values()]).toEqual([false]);
    }, 90_000);

    test('a Service without endpoints refuses at once, and an event says why', async () => {
      await cluster.kubectl(['apply', '-f', '-'], {
        input: stringify({
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'empty', namespace: 'shop' },
          spec: { selector: { app: 'nobody' }, ports: [{ port: 80 }] },
        }),
      });
      const address = (
        await cluster.kubectl(['get', 'service', '-n', 'shop', 'empty', '-o', 'jsonpath={.spec.clusterIP}'])
      ).trim();
      const pod = await podOf(cluster, 'frontend');
      const refused = await until(
        'the Service to be known',
        async () => {
          const result = await cluster.exec('shop', pod.name, ['demo', 'tcp', `${address}:80`, '1s']);
          return /refused/i.test(result.stderr) ? result : undefined;
        },
        { timeout: 15_000 },
      );
      expect(refused.stderr).toMatch(/refused/i);
      const events = ['get', 'events', '-n', 'shop', '--field-selector=involvedObject.name=empty'];
      const said = await until(
        'an event that says so',
        async () => {
          const notes = await cluster.kubectl([...events, '-o', 'jsonpath={.items[*].message}']);
          return notes === '' ? undefined : notes;
        },
        { timeout: 30_000 },
      );
      expect(said).toContain('No ready pod is behind this Service');
      await cluster.kubectl(['delete', 'service', '-n', 'shop', 'empty']);
    }, 60_000);
  });
}
