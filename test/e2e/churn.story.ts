import { beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/wait.ts';
import { seeded, shuffled } from './random.ts';
import { onlyPolicies, sleep, theCluster } from './world.ts';

const tables = ['policy', 'addresses', 'pods', 'services', 'backends'] as const;
type Table = (typeof tables)[number];
type Row = Readonly<Record<string, unknown>>;

/** Each of a hundred: who may call whom on which port, by label, entity or range, some of them denying. */
function policy(index: number): object {
  const apps = ['frontend', 'api', 'stranger'];
  const app = apps[index % 3] ?? 'api';
  const peer = apps[(index + 1 + (index % 2)) % 3] ?? 'api';
  const from = [
    { fromEndpoints: [{ matchLabels: { app: peer } }] },
    { fromEntities: ['remote-node'] },
    { fromCIDRSet: [{ cidr: `10.${index}.0.0/16`, except: [`10.${index}.${index}.0/24`] }] },
    { fromEndpoints: [{ matchLabels: { app: peer, generation: String(index % 5) } }] },
  ][index % 4];
  const ports =
    index % 5 === 0
      ? {}
      : { toPorts: [{ ports: [{ port: String(80 + (index % 7)), protocol: index % 2 === 0 ? 'TCP' : 'UDP' }] }] };
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: `churn-${index}`, namespace: 'shop', labels: { story: 'churn' } },
    spec: {
      endpointSelector: { matchLabels: { app } },
      [index % 10 === 9 ? 'ingressDeny' : 'ingress']: [{ ...from, ...ports }],
    },
  };
}

async function agents(cluster: Cluster): Promise<ReadonlyMap<string, string>> {
  const text = await cluster.kubectl([
    'get',
    'pods',
    '-n',
    'weft-system',
    '-l',
    'app.kubernetes.io/name=weft-agent',
    '-o',
    'jsonpath={range .items[*]}{.spec.nodeName} {.metadata.name}{"\\n"}{end}',
  ]);
  return new Map(
    text
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  );
}

/** A table's rows as text, sorted, without what differs between equal states: the slot that a pod happened to get. */
async function dump(cluster: Cluster, agent: string, table: Table): Promise<string[]> {
  const result = await cluster.exec(
    'weft-system',
    agent,
    ['node', '/weft/agentctl.mjs', 'dump', '--table', table],
    'agent',
  );
  if (result.code !== 0) throw new Error(`dump ${table} of ${agent} failed: ${result.stderr}`);
  const rows = result.stdout
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
  return rows.map(({ slot: _slot, epoch: _epoch, ...row }) => JSON.stringify(row)).sort();
}

async function dumpAll(cluster: Cluster): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {};
  for (const [node, agent] of await agents(cluster)) {
    for (const table of tables) all[`${node} ${table}`] = await dump(cluster, agent, table);
  }
  return all;
}

/** The dump once two in a row are the same. */
async function settled(cluster: Cluster): Promise<Record<string, string[]>> {
  let last = '';
  return until(
    'the tables to settle',
    async () => {
      const now = await dumpAll(cluster);
      const text = JSON.stringify(now);
      const same = text === last;
      last = text;
      return same ? now : undefined;
    },
    { timeout: 60_000, every: 1000 },
  );
}

async function startFresh(cluster: Cluster): Promise<void> {
  for (const node of cluster.nodes) {
    const pid = (await cluster.execInNode(node.name, ['pgrep', '-f', '/weft/agent.mjs'])).stdout.trim().split('\n')[0];
    await cluster.execInNode(node.name, ['sh', '-c', `rm -rf /sys/fs/bpf/weft; kill -9 ${pid}`]);
  }
  await sleep(1000);
  await cluster.kubectl(['rollout', 'status', '-n', 'weft-system', 'daemonset/weft-agent', '--timeout=90s']);
}

export function churnStory(): void {
  describe('churn', () => {
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await theCluster();
      await onlyPolicies(cluster, []);
    }, 900_000);

    test('100 policies applied and deleted in random order, with pods coming and going, end in the maps of a fresh start', async () => {
      const seed = Date.now() % 1_000_000;
      process.stdout.write(`churn seed ${seed}\n`);
      const random = seeded(seed);
      const all = Array.from({ length: 100 }, (_, index) => policy(index));
      for (const [round, chunk] of [0, 25, 50, 75].entries()) {
        const input = shuffled(all, random)
          .slice(0, 25 + chunk)
          .map((one) => stringify(one))
          .join('---\n');
        await cluster.kubectl(['apply', '-f', '-'], { input });
        await cluster.kubectl([
          'scale',
          '-n',
          'shop',
          'deployment/stranger',
          `--replicas=${1 + Math.floor(random() * 5)}`,
        ]);
        const gone = shuffled(all, random)
          .slice(0, 15)
          .map((_, index) => `churn-${(index * 7 + round) % 100}`);
        await cluster.kubectl(['delete', 'ciliumnetworkpolicy', '-n', 'shop', '--ignore-not-found', ...gone]);
      }
      await cluster.kubectl(['scale', '-n', 'shop', 'deployment/stranger', '--replicas=2']);
      await cluster.kubectl(['rollout', 'status', '-n', 'shop', 'deployment/stranger', '--timeout=90s']);
      const churned = await settled(cluster);
      await startFresh(cluster);
      const fresh = await settled(cluster);
      expect(churned).toEqual(fresh);
      expect(churned[`${cluster.nodes[0]?.name} policy`]?.length).toBeGreaterThan(10);
      await cluster.kubectl(['delete', 'ciliumnetworkpolicy', '-n', 'shop', '-l', 'story=churn']);
      await cluster.kubectl(['scale', '-n', 'shop', 'deployment/stranger', '--replicas=1']);
    }, 300_000);
  });
}
