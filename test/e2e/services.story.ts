import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/wait.ts';
import { onlyPolicies, podOf, theCluster } from './world.ts';

const own = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'own', namespace: 'shop' },
  spec: { ipFamilyPolicy: 'PreferDualStack', selector: { app: 'frontend' }, ports: [{ port: 8080, targetPort: 80 }] },
};
const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address);
const curl = (address: string, port: number): string[] => [
  ...['curl', '-gsS', '--max-time', '3', `http://${bracketed(address)}:${port}/`],
];

export function servicesStory(): void {
  describe('Services', () => {
    let cluster: Cluster;
    let nodeAddresses: readonly string[];

    beforeAll(async () => {
      cluster = await theCluster();
      await onlyPolicies(cluster, []);
      nodeAddresses = cluster.nodes.flatMap(({ address }) => [address.v4, address.v6]);
    }, 900_000);
    afterAll(() => cluster.kubectl(['delete', 'service', '-n', 'shop', 'own', '--ignore-not-found']), 30_000);

    async function addressesOf(service: string): Promise<readonly string[]> {
      const ips = ['get', 'service', '-n', 'shop', service, '-o', 'jsonpath={.spec.clusterIPs}'];
      return JSON.parse(await cluster.kubectl(ips)) as string[];
    }

    test('a pod reaches itself through its own Service, both families', async () => {
      await cluster.apply(own);
      const pod = await podOf(cluster, 'frontend');
      const addresses = await addressesOf('own');
      expect(addresses).toHaveLength(2);
      for (const address of addresses) {
        const answer = await until('its own answer', async () => {
          const result = await cluster.exec('shop', pod.name, curl(address, 8080));
          return result.code === 0 ? result.stdout : undefined;
        });
        expect(JSON.parse(answer)).toMatchObject({ pod: pod.name });
      }
    }, 60_000);

    test('a node reaches a Service by its address, from the host network', async () => {
      for (const { name } of cluster.nodes) {
        for (const address of await addressesOf('api')) {
          const result = await cluster.execInNode(name, curl(address, 80));
          expect({ name, address, ...result }).toMatchObject({
            code: 0,
            stdout: expect.stringContaining('"app":"api-'),
          });
        }
      }
    }, 60_000);

    test('pods and nodes reach a node port at their own node and at the other, TCP and UDP', async () => {
      for (const address of nodeAddresses) {
        for (const deployment of ['frontend', 'stranger']) {
          const pod = await podOf(cluster, deployment);
          const tcp = await cluster.exec('shop', pod.name, curl(address, 30080));
          const udp = await cluster.exec('shop', pod.name, ['demo', 'udp', `${bracketed(address)}:30701`, '3s']);
          expect({ deployment, address, tcp: tcp.code, udp: udp.code }).toMatchObject({ tcp: 0, udp: 0 });
        }
        for (const { name } of cluster.nodes) {
          const result = await cluster.execInNode(name, curl(address, 30080));
          expect({ name, address, ...result }).toMatchObject({ code: 0 });
        }
      }
    }, 90_000);
  });
}
