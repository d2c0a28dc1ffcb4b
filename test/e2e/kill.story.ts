import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Cluster } from '../cluster/cluster.ts';
import { onlyPolicies, podOf, sleep, theCluster } from './world.ts';

interface Summary {
  readonly requests: number;
  readonly errors: number;
}

/** Runs `demo load` in a pod; the summary and the errors with their times. */
async function load(
  cluster: Cluster,
  deployment: string,
  fresh: number,
  held: number,
  seconds: number,
): Promise<Summary & { readonly lines: readonly string[] }> {
  const pod = await podOf(cluster, deployment);
  const result = await cluster.exec('shop', pod.name, [
    'demo',
    'load',
    'http://api/',
    String(fresh),
    String(held),
    String(seconds),
  ]);
  const lines = result.stdout.trim().split('\n');
  return { ...(JSON.parse(lines.at(-1) ?? '{}') as Summary), lines: lines.slice(0, -1) };
}

async function killProgram(cluster: Cluster, node: string, program: string): Promise<number> {
  const pids = (await cluster.execInNode(node, ['pgrep', '-f', program])).stdout
    .trim()
    .split('\n')
    .filter((pid) => pid !== '');
  for (const pid of pids) await cluster.execInNode(node, ['kill', '-9', pid]);
  return pids.length;
}

export function killStory(): void {
  describe('killed with -9 under load', () => {
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await theCluster();
      await onlyPolicies(cluster, ['api-from-frontend']);
    }, 900_000);
    afterAll(() => onlyPolicies(cluster, []), 60_000);

    test('200 new connections a second and 50 held ones see no error, and no verdict changes, when agents and then the operator die', async () => {
      const allowed = load(cluster, 'frontend', 200, 50, 14);
      const denied = load(cluster, 'stranger', 2, 0, 10);
      await sleep(2000);
      let agents = 0;
      for (const node of cluster.nodes) agents += await killProgram(cluster, node.name, '/weft/agent.mjs');
      await sleep(4000);
      let operators = 0;
      for (const node of cluster.nodes) operators += await killProgram(cluster, node.name, '/weft/operator.mjs');
      expect({ agents, operators }).toEqual({ agents: cluster.nodes.length, operators: 1 });
      const result = await allowed;
      expect(result).toMatchObject({ errors: 0, lines: [] });
      expect(result.requests).toBeGreaterThan(2000);
      const refused = await denied;
      expect(refused.errors).toBe(refused.requests);
      await cluster.kubectl(['rollout', 'status', '-n', 'weft-system', 'daemonset/weft-agent', '--timeout=90s']);
      await cluster.kubectl(['rollout', 'status', '-n', 'weft-system', 'deployment/weft-operator', '--timeout=90s']);
    }, 180_000);

    test('a permission that is revoked resets live connections, and those still allowed never notice', async () => {
      await onlyPolicies(cluster, []);
      const stranger = load(cluster, 'stranger', 0, 10, 8);
      const frontend = load(cluster, 'frontend', 0, 10, 8);
      await sleep(3000);
      await onlyPolicies(cluster, ['api-from-frontend']);
      const cut = await stranger;
      expect(cut.errors).toBe(10);
      for (const line of cut.lines) expect(line).toMatch(/connection reset by peer/);
      expect(await frontend).toMatchObject({ errors: 0 });
    }, 120_000);

    test('while the agent is down a new pod gets no network, and gets it with its policy when the agent is back', async () => {
      const everywhere = JSON.stringify({
        spec: { template: { spec: { nodeSelector: { 'weft.dev/nowhere': 'true' } } } },
      });
      const back = JSON.stringify({ spec: { template: { spec: { nodeSelector: null } } } });
      const patch = (what: string) =>
        cluster.kubectl(['patch', '-n', 'weft-system', 'daemonset/weft-agent', '--type=merge', '-p', what]);
      await patch(everywhere);
      await cluster.kubectl([
        'wait',
        'pod',
        '-n',
        'weft-system',
        '-l',
        'app.kubernetes.io/name=weft-agent',
        '--for=delete',
        '--timeout=60s',
      ]);
      await cluster.kubectl(['scale', '-n', 'shop', 'deployment/stranger', '--replicas=2']);
      await sleep(6000);
      const pods = JSON.parse(
        await cluster.kubectl(['get', 'pods', '-n', 'shop', '-l', 'app=stranger', '-o', 'json']),
      ) as { items: { status: { phase: string; podIPs?: unknown[] } }[] };
      expect(
        pods.items.filter((pod) => pod.status.phase === 'Pending' && pod.status.podIPs === undefined),
      ).toHaveLength(1);
      await patch(back);
      await cluster.kubectl(['rollout', 'status', '-n', 'shop', 'deployment/stranger', '--timeout=120s']);
      const refused = await load(cluster, 'stranger', 2, 0, 2);
      expect(refused.errors).toBe(refused.requests);
      await cluster.kubectl(['scale', '-n', 'shop', 'deployment/stranger', '--replicas=1']);
    }, 240_000);
  });
}
