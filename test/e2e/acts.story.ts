import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Act, acts, objectOf } from '../../demo/acts.ts';
import { type FlowLine, outcomeTable, playAct } from '../../demo/play.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { countBackends, type ShopPod, shopPods, stageOn, weft } from '../local/stage.ts';
import { expected, onlyPolicies, type Probe, podOf, probeFrom, probeName, theCluster } from './world.ts';

const echo = { tcp: 7000, udp: 7001 } as const;

function podProbes(pod: ShopPod): Probe[] {
  return [pod.ipv4, pod.ipv6].flatMap((address) => [
    { protocol: 'tcp' as const, address, port: 80 },
    { protocol: 'tcp' as const, address, port: echo.tcp },
    { protocol: 'udp' as const, address, port: echo.udp },
  ]);
}

const named = (name: string): unknown => expect.objectContaining({ name });
const namesOf = (policies: Act['policies']): string[] => policies.map((policy) => objectOf[policy].name);

/** What a forwarded flow says: one rule of a policy of the act, none where there is no policy. */
function decidedBy({ policies }: Act): unknown {
  const one = new RegExp(`^(${namesOf(policies).join('|')})$`);
  return policies.length === 0 ? [] : [expect.objectContaining({ name: expect.stringMatching(one) })];
}

/** Whether a flow is what the server's node saw of a probe. */
function isOf(flow: FlowLine, { ipv4, ipv6 }: ShopPod, node: string, { protocol, address, port }: Probe): boolean {
  return (
    flow.node === node &&
    flow.protocol === protocol.toUpperCase() &&
    [ipv4, ipv6].includes(flow.source.address) &&
    flow.destination.address === address &&
    flow.destination.port === port
  );
}

export function actsStory(): void {
  describe('the acts', () => {
    let cluster: Cluster;
    let frontend: ShopPod;
    let stranger: ShopPod;
    let backends: ShopPod[];
    let services: Probe[];

    beforeAll(async () => {
      cluster = await theCluster();
      frontend = await podOf(cluster, 'frontend');
      stranger = await podOf(cluster, 'stranger');
      backends = [await podOf(cluster, 'api-v1'), await podOf(cluster, 'api-v2')];
      const ips = JSON.parse(
        await cluster.kubectl(['get', 'service', '-n', 'shop', 'api', '-o', 'jsonpath={.spec.clusterIPs}']),
      ) as string[];
      services = ips.flatMap((address) => [
        { protocol: 'tcp', address, port: 80 },
        { protocol: 'udp', address, port: echo.udp },
      ]);
    }, 900_000);

    test('the backends run on both nodes, so that each client has one beside it and one across', () => {
      expect(new Set(backends.map((pod) => pod.node)).size).toBe(2);
    });

    for (const act of acts) {
      describe(`(${act.name}) ${act.title}`, () => {
        beforeAll(() => onlyPolicies(cluster, act.policies), 60_000);

        test('who connects, and the rule that decided, is what the act says', async () => {
          const outcomes = await playAct(stageOn(cluster), act);
          const table = outcomeTable(outcomes);
          expect(table).not.toContain('UNEXPECTED');
          for (const { call, status, decision } of outcomes) {
            const policy = namesOf(act.policies).find((one) => decision.includes(one));
            if (act.policies.length > 0) expect({ call, decision, policy }).not.toMatchObject({ policy: undefined });
            else expect({ call, decision }).toEqual({ call, decision: 'no policy selects the pod' });
            if (status === undefined) expect(decision).toMatch(/^no rule allows it: /);
          }
        }, 60_000);

        test('TCP and UDP, IPv4 and IPv6, same node and across nodes, by pod and by Service', async () => {
          const probes = [...backends.flatMap(podProbes), ...services];
          const onlyHttp =
            namesOf(act.policies).includes('api-from-frontend') && !act.policies.includes('cluster-only');
          for (const pod of [frontend, stranger]) {
            const allowed = (probe: Probe): boolean =>
              act.allowed({ from: pod === frontend ? 'frontend' : 'stranger', to: 'service' }) &&
              (!onlyHttp || probe.port === 80);
            expect({ from: pod.deployment, result: await probeFrom(cluster, pod, probes) }).toEqual({
              from: pod.deployment,
              result: expected(probes, allowed),
            });
          }
        }, 60_000);

        test('each verdict is in weft flows, with the rule that decided or the policies that deny the rest', async () => {
          const since = Date.now();
          const probes = backends.flatMap((server) => podProbes(server).map((probe) => ({ probe, node: server.node })));
          const results = new Map<ShopPod, ReadonlyMap<string, boolean>>();
          for (const pod of [frontend, stranger])
            results.set(
              pod,
              await probeFrom(
                cluster,
                pod,
                probes.map(({ probe }) => probe),
              ),
            );
          const flows = (await stageOn(cluster).flows()).filter(({ time }) => Date.parse(time) >= since - 50);
          for (const [pod, connected] of results) {
            for (const { probe, node } of probes) {
              const forwarded = connected.get(probeName(probe)) === true;
              const flow = flows.find((line) => isOf(line, pod, node, probe));
              const said = flow?.rule === undefined ? (flow?.defaultDeny ?? []) : [flow.rule];
              expect({ from: pod.deployment, probe, verdict: flow?.verdict, said }).toEqual({
                from: pod.deployment,
                probe,
                verdict: forwarded ? 'forwarded' : 'dropped',
                said: forwarded ? decidedBy(act) : expect.arrayContaining(namesOf(act.policies).map(named)),
              });
            }
          }
        }, 60_000);

        test('from outside, by pod address and by either node port, both families', async () => {
          const outside = cluster.outsideClient();
          const allowed = act.allowed({ from: 'outside', to: 'pod' });
          const nodes = cluster.nodes.flatMap(({ address }) => [`${address.v4}:30080`, `[${address.v6}]:30080`]);
          const pods = backends.flatMap((pod) => [`${pod.ipv4}:80`, `[${pod.ipv6}]:80`]);
          for (const target of [...nodes, ...pods]) {
            const result = await outside.exec(['curl', '-gs', '--max-time', '1', `http://${target}/`]);
            expect({ target, connected: result.code === 0 }).toEqual({ target, connected: allowed });
            // The backend sees the client's own address, so the client can't pass for a node.
            if (allowed) expect([outside.address.v4, outside.address.v6]).toContain(JSON.parse(result.stdout).client);
          }
        }, 60_000);

        if (act.ineffective !== undefined) {
          const policy = objectOf[act.ineffective.policy].name;
          const { by } = act.ineffective;
          test('weft status warns of the policy that another makes ineffective, naming both', async () => {
            const result = await weft(cluster, ['status']);
            const warning = result.stdout.split('\n').find((line) => line.includes(policy) && line.includes(by));
            expect({ found: warning !== undefined, stdout: result.stdout }).toMatchObject({ found: true });
          }, 30_000);
        }
      });
    }

    test('(g) with Maglev and client affinity each client stays on one backend and many spread', async () => {
      await onlyPolicies(cluster, ['sticky-api']);
      await cluster.kubectl(['scale', '-n', 'shop', 'deployment/frontend', '--replicas=12']);
      await cluster.kubectl(['rollout', 'status', '-n', 'shop', 'deployment/frontend', '--timeout=60s']);
      const clients = (await shopPods(cluster)).filter((pod) => pod.deployment === 'frontend');
      const counts = await countBackends(cluster, clients, 5);
      for (const [client, backend] of counts) {
        expect({ client, backends: backend.size, calls: [...backend.values()].reduce((a, b) => a + b, 0) }).toEqual({
          client,
          backends: 1,
          calls: 5,
        });
      }
      const used = new Set([...counts.values()].flatMap((backend) => [...backend.keys()]));
      expect(used).toEqual(new Set(['api-v1', 'api-v2']));
      await cluster.kubectl(['scale', '-n', 'shop', 'deployment/frontend', '--replicas=1']);
      await cluster.kubectl(['rollout', 'status', '-n', 'shop', 'deployment/frontend', '--timeout=60s']);
      await onlyPolicies(cluster, []);
    }, 120_000);
  });
}
