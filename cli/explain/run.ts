/** `weft policy explain`: asks the kernels of both nodes, then the simulator. */
import type { HttpRequest } from '../../reconcilers/http/match.ts';
import type { Fact } from '../../reconcilers/index.ts';
import type { ClusterAccess } from '../cluster.ts';
import { UsageError } from '../errors.ts';
import { execJson, podsOf } from '../exec.ts';
import { disagreements } from './check.ts';
import { combine, notAPod, parseSide, type Side, type Verdict } from './combine.ts';
import { expandWorkload, readFacts } from './facts.ts';
import { addressPairs, type Party, resolveDestination, resolveSource, type ServerPort } from './resolve.ts';
import { type Destination, type Protocol, parseDestination, parseTarget, type Target } from './target.ts';

export interface ExplainedPair extends Verdict {
  readonly source: { readonly name: string; readonly address: string };
  readonly destination: { readonly name: string; readonly address: string };
  readonly protocol: Protocol;
  /** Of the pod, after a Service was translated; 0 for ICMP. */
  readonly port: number;
  readonly request?: HttpRequest;
  /** What the simulator says: it only checks the kernel. */
  readonly simulator: 'agrees' | 'disagrees' | 'not asked';
}

export interface ExplainOptions {
  readonly namespace: string;
  readonly protocol?: string;
  readonly request?: HttpRequest | undefined;
  readonly note: (sentence: string) => void;
}

/** Each costs two calls of a program in an agent's pod. */
const MAX_PAIRS = 64;
const AT_ONCE = 8;

export async function explainPolicy(
  cluster: ClusterAccess,
  source: string,
  destination: string,
  options: ExplainOptions,
): Promise<ExplainedPair[]> {
  const from = parseTarget(source, options.namespace);
  const to = parseDestination(destination, options);
  if (options.request !== undefined && to.protocol !== 'TCP') {
    throw new UsageError(`requests are HTTP, which goes over TCP: leave ${to.protocol} or the request out`);
  }
  const { facts, hidden } = await readFacts(cluster.client, namespacesOf([from, to.target]));
  const pairs = await resolvePairs(cluster, facts, from, to);
  if (hidden.includes('Pod') || hidden.includes('Service')) refuseStrangers(pairs);
  const agents = new Map((await podsOf(cluster.client, 'weft-agent')).map((pod) => [pod.node, pod.name]));
  if (hidden.length > 0) options.note(`not cross-checked: you may not list ${hidden.join(', ')} in the whole cluster`);
  const probes = pairs.flatMap(({ source: client, server }) =>
    addressPairs(client, server.party).map((way) => ({ client, server, way })),
  );
  const result: ExplainedPair[] = [];
  for (let at = 0; at < probes.length; at += AT_ONCE) {
    const some = probes.slice(at, at + AT_ONCE).map(async ({ client, server, way }): Promise<ExplainedPair> => {
      const probe = { ...way, port: server.port, protocol: to.protocol };
      const ask = (party: Party, direction: 'egress' | 'ingress') =>
        askNode(cluster, agents, party, direction, { ...probe, request: options.request });
      const verdict = combine(...(await Promise.all([ask(client, 'egress'), ask(server.party, 'ingress')])));
      const differences = hidden.length > 0 ? [] : disagreements(facts, probe, verdict);
      for (const sentence of differences) options.note(sentence);
      return {
        source: { name: client.name, address: way.from },
        destination: { name: server.party.name, address: way.to },
        protocol: to.protocol,
        port: server.port,
        ...(options.request === undefined ? {} : { request: options.request }),
        ...verdict,
        simulator: hidden.length > 0 ? 'not asked' : differences.length > 0 ? 'disagrees' : 'agrees',
      };
    });
    result.push(...(await Promise.all(some)));
  }
  if (result.length === 0) throw new UsageError(`${source} and ${destination} have no address family in common`);
  return result;
}

/** An address that nobody visible has may be a pod's all the same, and its policies would go unasked. */
function refuseStrangers(pairs: Awaited<ReturnType<typeof resolvePairs>>): void {
  for (const { name, addresses } of pairs.flatMap(({ source, server }) => [source, server.party])) {
    if (!addresses.some((address) => address === name)) continue;
    throw new UsageError(
      `you may not list the pods and Services of all namespaces, so whose address ${name} is stays unknown: name pods`,
    );
  }
}

function namespacesOf(targets: readonly Target[]): string[] {
  return [...new Set(targets.flatMap((target) => ('namespace' in target ? [target.namespace] : [])))];
}

async function resolvePairs(
  cluster: ClusterAccess,
  facts: readonly Fact[],
  from: Target,
  to: Destination,
): Promise<{ readonly source: Party; readonly server: ServerPort }[]> {
  const sources = (await expandWorkload(cluster.client, from)).map((target) => resolveSource(target, facts));
  const servers = (await expandWorkload(cluster.client, to.target)).flatMap((target) =>
    resolveDestination({ ...to, target }, facts),
  );
  const pairs = sources.flatMap((source) => servers.map((server) => ({ source, server })));
  if (pairs.length > MAX_PAIRS) {
    throw new UsageError(`these are ${pairs.length} pairs of pods, more than ${MAX_PAIRS}: name a pod on one side`);
  }
  if (pairs.every(({ source, server }) => source.node === undefined && server.party.node === undefined)) {
    throw new UsageError('neither end is a pod with a network of its own, so no policy is about this traffic');
  }
  return pairs;
}

async function askNode(
  cluster: ClusterAccess,
  agents: ReadonlyMap<string, string>,
  { node }: Party,
  direction: 'egress' | 'ingress',
  {
    from,
    to,
    port,
    protocol,
    request,
  }: { from: string; to: string; port: number; protocol: Protocol; request: HttpRequest | undefined },
): Promise<Side> {
  if (node === undefined) return notAPod;
  const agent = agents.get(node);
  if (agent === undefined) {
    throw new Error(
      `no agent runs on node ${node}, so its kernel can't be asked: kubectl -n weft-system get pods -o wide`,
    );
  }
  const icmp = from.includes(':') ? 'icmpv6' : 'icmp';
  const question = [
    `--source=${from}`,
    `--destination=${to}`,
    `--protocol=${protocol === 'ICMP' ? icmp : protocol.toLowerCase()}`,
    `--port=${port}`,
    `--direction=${direction}`,
  ];
  return parseSide(
    await execJson(cluster.config, agent, 'agent', ['node', '/weft/agentctl.mjs', 'explain', ...question]),
    direction,
    node,
    request,
  );
}
