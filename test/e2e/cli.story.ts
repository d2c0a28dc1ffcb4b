import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Cluster } from '../cluster/cluster.ts';
import { weft } from '../local/stage.ts';
import { onlyPolicies, podOf, theCluster } from './world.ts';

export function cliStory(): void {
  describe('weft', () => {
    let cluster: Cluster;
    let frontend: string;
    let stranger: string;
    beforeAll(async () => {
      cluster = await theCluster();
      [frontend, stranger] = (await Promise.all([podOf(cluster, 'frontend'), podOf(cluster, 'stranger')])).map(
        ({ name }) => `shop/${name}`,
      ) as [string, string];
      await onlyPolicies(cluster, ['api-from-frontend']);
    }, 900_000);
    afterAll(() => onlyPolicies(cluster, []), 60_000);

    test('wait ends when the nodes enforce', async () => {
      const { code, stdout } = await weft(cluster, ['wait', 'cnp/api-from-frontend', '-n', 'shop']);
      expect(stdout).toMatch(
        /^CiliumNetworkPolicy shop\/api-from-frontend generation 1 is in force on (\d+) of \1 nodes$/m,
      );
      expect(code).toBe(0);
    });

    test.each([
      ['frontend', 'allowed', 0],
      ['stranger', 'denied', 1],
    ] as const)(
      'explain says by the kernels of both nodes that %s is %s, and the simulator agrees',
      async (who, verdict, code) => {
        const from = who === 'frontend' ? frontend : stranger;
        const result = await weft(cluster, ['policy', 'explain', from, 'svc/shop/api:http', '-o', 'json']);
        expect([result.code, result.stderr]).toEqual([code, '']);
        const pairs = JSON.parse(result.stdout) as {
          destination: { name: string };
          verdict: string;
          simulator: string;
        }[];
        expect(new Set(pairs.map((pair) => pair.destination.name)).size).toBe(2);
        for (const pair of pairs)
          expect(pair).toMatchObject({ verdict, simulator: 'agrees', egress: { reason: 'no-policy' } });
      },
    );

    test('a node may always reach its own pods, other nodes may not', async () => {
      const result = await weft(cluster, ['policy', 'explain', 'node/node1', 'svc/shop/api:http', '-o', 'json']);
      const pairs = JSON.parse(result.stdout) as { ingress: { node: string; reason: string } }[];
      for (const { ingress } of pairs) {
        expect(ingress.reason).toBe(ingress.node === 'node1' ? 'node-to-own-pod' : 'default-deny');
      }
      expect(result.code).toBe(1);
    });

    test('flows name both ends, also of other nodes', async () => {
      await cluster.exec('shop', 'deploy/stranger', ['curl', '-s', '--max-time', '1', 'http://api/']);
      const { code, stdout } = await weft(cluster, [
        ...['flows', '--since', '30s', '--pod', 'shop/stranger', '--verdict', 'dropped', '-o', 'json'],
      ]);
      expect(code).toBe(0);
      const lines = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as object);
      for (const line of lines) {
        expect(line).toMatchObject({
          source: { namespace: 'shop', pod: stranger.slice('shop/'.length) },
          destination: { namespace: 'shop', pod: expect.stringMatching(/^api-v/) },
          defaultDeny: [{ kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'api-from-frontend' }],
        });
      }
    });

    test('status is well, and version knows all agents', async () => {
      const status = await weft(cluster, ['status', '-o', 'json']);
      expect(status.code).toBe(0);
      const version = await weft(cluster, ['version', '-o', 'json']);
      expect(JSON.parse(version.stdout)).toMatchObject({ client: '0.1.0', operator: '0.1.0', agents: [{}, {}] });
    });
  });
}
