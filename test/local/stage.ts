/** The demo's stage on a local cluster: kubectl, curl in pods and from outside, `weft` for what decided. */
import { objectOf } from '../../demo/acts.ts';
import type { Addresses, FlowLine, Policy, Stage } from '../../demo/play.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { capture, type RunResult } from '../cluster/run.ts';
import { bundlePath } from './bundles.ts';
import { demoManifest } from './install.ts';

const namespace = 'shop';

/** Runs the `weft` command against a cluster and returns whatever happened. */
export function weft(cluster: Cluster, args: readonly string[]): Promise<RunResult> {
  return capture([process.execPath, bundlePath('weft'), '--kubeconfig', cluster.kubeconfig, ...args]);
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
    readonly spec: { readonly nodeName: string };
    readonly status: { readonly phase: string; readonly podIPs?: readonly { readonly ip: string }[] };
  }[];
}

export interface ShopPod {
  readonly name: string;
  readonly deployment: string;
  readonly node: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** The demo's running pods. */
export async function shopPods(cluster: Cluster): Promise<readonly ShopPod[]> {
  const list = JSON.parse(await cluster.kubectl(['get', 'pods', '-n', namespace, '-o', 'json'])) as PodList;
  return list.items
    .filter((pod) => pod.status.phase === 'Running' && pod.metadata.deletionTimestamp === undefined)
    .map((pod) => ({
      name: pod.metadata.name,
      deployment: pod.metadata.name.split('-').slice(0, -2).join('-'),
      node: pod.spec.nodeName,
      ipv4: pod.status.podIPs?.find(({ ip }) => !ip.includes(':'))?.ip ?? '',
      ipv6: pod.status.podIPs?.find(({ ip }) => ip.includes(':'))?.ip ?? '',
    }));
}

async function addresses(cluster: Cluster): Promise<Addresses> {
  const pods = await shopPods(cluster);
  return {
    pods: Object.fromEntries(pods.map((pod) => [pod.deployment, [pod.ipv4, pod.ipv6] as const])),
    nodes: Object.fromEntries(cluster.nodes.map((node) => [node.name, node.address.v4])),
    outside: Object.values(cluster.outsideClient().address),
  };
}

/** Waits until every node concerned enforces what is applied. */
export async function waitEnforced(cluster: Cluster, policies: readonly Policy[]): Promise<void> {
  for (const policy of policies) {
    const { kind, name } = objectOf[policy];
    const object = `${kind}/${name}`;
    await cluster.kubectl(['wait', '-n', namespace, object, '--for=condition=Enforced', '--timeout=30s']);
  }
}

export function stageOn(cluster: Cluster): Stage {
  return {
    apply: async (policy) => {
      await cluster.kubectl(['apply', '-n', namespace, '-f', demoManifest(policy)]);
    },
    remove: async (policy) => {
      await cluster.kubectl([
        'delete',
        '-n',
        namespace,
        '-f',
        demoManifest(policy),
        '--wait=true',
        '--ignore-not-found',
      ]);
    },
    enforced: (policies) => waitEnforced(cluster, policies),
    curl: async (from, method, url) => {
      const quiet = ['--silent', '--show-error', '--output', '/dev/null', '--write-out', '%{http_code}'];
      const curl = ['curl', ...quiet, '--max-time', '2', '--request', method, url];
      const result =
        from === 'outside'
          ? await cluster.outsideClient().exec(curl)
          : await cluster.exec(namespace, `deploy/${from}`, curl);
      return result.code === 0 ? Number(result.stdout) : undefined;
    },
    addresses: () => addresses(cluster),
    flows: async () => {
      const result = await weft(cluster, ['flows', '--since', '30s', '-o', 'json']);
      if (result.code !== 0) throw new Error(`weft flows failed: ${result.stderr}`);
      return result.stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as FlowLine);
    },
  };
}

/** Calls the Service of `api` that many times from each frontend pod: pod → backend → count. */
export async function countBackends(
  cluster: Cluster,
  pods: readonly ShopPod[],
  times: number,
): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
  const script = `for i in $(seq ${times}); do curl --silent --max-time 2 http://api/; done`;
  const counts = await Promise.all(
    pods.map(async (pod) => {
      const result = await cluster.exec(namespace, pod.name, ['sh', '-c', script]);
      const backends = new Map<string, number>();
      for (const [, app = ''] of result.stdout.matchAll(/"app":"([^"]*)"/g)) {
        backends.set(app, (backends.get(app) ?? 0) + 1);
      }
      return [pod.name, backends] as const;
    }),
  );
  return new Map(counts);
}
