/** From the API server's answer to the write of a policy until the kernels of all nodes hold it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../../test/cluster/cluster.ts';
import { MapWatch } from '../mapwatch.ts';
import { WriteClient } from './api.ts';

const policies = '/apis/cilium.io/v2/namespaces/shop/ciliumnetworkpolicies';
const name = 'apply-to-kernel';
const firstPort = 20_000;
/** Between two changes: the one before is then reported, and statuses are being written. */
const pauseMs = 100;

/** All in ms. */
export interface Timing {
  /** From sending the write to its answer. */
  readonly write: number;
  /** From the answer until the change was read from each node's kernel; below 0 if that came first. */
  readonly nodes: Readonly<Record<string, number>>;
}

interface Pod {
  readonly node: string;
  readonly address: string;
}

async function podsOf(cluster: Cluster, app: string): Promise<Pod[]> {
  const columns = '{range .items[*]}{.spec.nodeName} {.status.podIP}{"\\n"}{end}';
  const text = await cluster.kubectl(['get', 'pods', '-n', 'shop', '-l', `app=${app}`, '-o', `jsonpath=${columns}`]);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [node = '', address = ''] = line.split(' ');
      return { node, address };
    });
}

const rules = (port: number): object => ({
  endpointSelector: { matchLabels: { app: 'api' } },
  ingress: [
    {
      fromEndpoints: [{ matchLabels: { app: 'frontend' } }],
      toPorts: [{ ports: [{ port: String(port), protocol: 'TCP' }] }],
    },
  ],
});

/** Changes the port that one policy allows, again and again; `warmUp` changes before are not in the result. */
export async function applyToKernel(cluster: Cluster, changes: number, warmUp: number): Promise<Timing[]> {
  const [servers, [client]] = await Promise.all([podsOf(cluster, 'api'), podsOf(cluster, 'frontend')]);
  if (client === undefined) throw new Error('the demo has no pod of frontend');
  const missing = cluster.nodes.find((node) => !servers.some((pod) => pod.node === node.name));
  if (missing !== undefined) throw new Error(`no pod of api runs on ${missing.name}: its kernel can't be asked`);
  const api = await WriteClient.open(cluster.kubeconfig);
  const watches: { readonly pod: Pod; readonly watch: MapWatch }[] = [];
  const timings: Timing[] = [];
  try {
    for (const pod of servers) {
      const pins = `/proc/${cluster.nodeInit(pod.node)}/root/sys/fs/bpf/weft/v2`;
      watches.push({ pod, watch: await MapWatch.verdicts(pins) });
    }
    const metadata = { name, namespace: 'shop' };
    const body = { apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata, spec: rules(firstPort) };
    await api.write('DELETE', `${policies}/${name}`);
    await api.write('POST', policies, body);
    // Port 1: no change has allowed it, so that it is denied tells that the policy is there.
    await Promise.all(watches.map(({ pod, watch }) => watch.verdict(pod.address, client.address, firstPort, 1)));
    for (let change = 1; change <= warmUp + changes; change++) {
      await sleep(pauseMs);
      const port = firstPort + change;
      const { sent, answered } = await api.write('PATCH', `${policies}/${name}`, { spec: rules(port) });
      const seen = await Promise.all(
        watches.map(async ({ pod, watch }) => {
          const at = await watch.verdict(pod.address, client.address, port, port - 1);
          return [pod.node, at - answered] as const;
        }),
      );
      if (change > warmUp) timings.push({ write: answered - sent, nodes: Object.fromEntries(seen) });
    }
  } finally {
    for (const { watch } of watches) watch.stop();
    await api.write('DELETE', `${policies}/${name}`).catch(() => {});
    api.close();
  }
  return timings;
}
