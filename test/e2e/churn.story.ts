import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Fact } from '../../reconcilers/index.ts';
import { translate } from '../../sources/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/wait.ts';
import { barrier, churnSteps } from './churn-policies.ts';
import { type Period, probeOthers, unexplained } from './churn-prober.ts';
import { seeded } from './random.ts';
import { onlyPolicies, podOf, sleep, theCluster } from './world.ts';

/** About as long as all steps take; what the probers see after the last one must be the last state. */
const PROBE_SECONDS = 60;

const tables = ['policy', 'addresses', 'pods', 'services', 'backends'] as const;
type Table = (typeof tables)[number];
type Row = Readonly<Record<string, unknown>>;

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

/** Namespaces, nodes and pods as they are. */
async function factsOf(cluster: Cluster): Promise<Fact[]> {
  const kinds = { Namespace: 'namespaces', Node: 'nodes', Pod: 'pods' } as const;
  const facts = await Promise.all(
    (['Namespace', 'Node', 'Pod'] as const).map(async (kind) => {
      const list = JSON.parse(await cluster.kubectl(['get', kinds[kind], '-A', '-o', 'json'])) as { items: unknown[] };
      return list.items.flatMap((item) => translate(kind, item).facts);
    }),
  );
  return facts.flat();
}

const removePolicies = async (cluster: Cluster, names: readonly string[]): Promise<void> => {
  if (names.length > 0)
    await cluster.kubectl(['delete', 'ciliumnetworkpolicy', '-n', 'shop', '--wait=false', ...names]);
};

const scaleStranger = (cluster: Cluster, replicas: number): Promise<unknown> =>
  cluster.kubectl(['scale', '-n', 'shop', 'deployment/stranger', `--replicas=${replicas}`]);

/** Waits until all that was written before the newest barrier is enforced. */
const enforced = (cluster: Cluster): Promise<unknown> => {
  const wait = ['wait', '-n', 'shop', 'ciliumnetworkpolicy/churn-barrier', '--for=condition=Enforced'];
  return cluster.kubectl([...wait, '--timeout=30s']);
};

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

    test('100 policies applied and deleted in random order, with pods coming and going: no verdict of another state, and the maps of a fresh start', async () => {
      const seed = Date.now() % 1_000_000;
      process.stdout.write(`churn seed ${seed}\n`);
      const random = seeded(seed);
      const steps = churnSteps(random);
      const pods = [await podOf(cluster, 'frontend'), await podOf(cluster, 'api-v1'), await podOf(cluster, 'api-v2')];
      const world = await factsOf(cluster);
      await cluster.apply(barrier(0));
      await enforced(cluster);
      const periods: Period[] = [{ since: 0, states: [[]] }];
      const probers = pods.map((pod) => {
        const others = pods.filter((other) => other !== pod);
        return probeOthers(cluster, pod, others, PROBE_SECONDS);
      });
      for (const [round, { apply, remove, states }] of steps.entries()) {
        periods.push({ since: Date.now(), states });
        await cluster.apply(...apply);
        await removePolicies(cluster, remove);
        await scaleStranger(cluster, 1 + Math.floor(random() * 5));
        await cluster.apply(barrier(round + 1));
        await enforced(cluster);
        periods.push({ since: Date.now(), states: states.slice(-1) });
      }
      const attempts = (await Promise.all(probers)).flat();
      expect(unexplained(attempts, periods, world)).toEqual([]);
      const verdicts = Map.groupBy(attempts, ({ error }) => error === undefined);
      expect({ connected: verdicts.get(true)?.length, refused: verdicts.get(false)?.length }).toEqual({
        connected: expect.any(Number),
        refused: expect.any(Number),
      });

      await scaleStranger(cluster, 2);
      await cluster.kubectl(['rollout', 'status', '-n', 'shop', 'deployment/stranger', '--timeout=90s']);
      const churned = await settled(cluster);
      await startFresh(cluster);
      const fresh = await settled(cluster);
      expect(churned).toEqual(fresh);
      expect(churned[`${cluster.nodes[0]?.name} policy`]?.length).toBeGreaterThan(10);
      await cluster.kubectl(['delete', 'ciliumnetworkpolicy', '-n', 'shop', '-l', 'story=churn']);
      await scaleStranger(cluster, 1);
    }, 400_000);
  });
}
