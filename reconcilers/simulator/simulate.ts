/**
 * What the policies say, read naively from the facts: the second opinion on the compiler, with which it shares no
 * code but the reading of addresses and of requests.
 */
import type {
  Fact,
  PodFact,
  PolicyDirection,
  PolicyFact,
  PolicyPart,
  PolicyRule,
  TransportProtocol,
} from '../facts.ts';
import { type HttpRequest, matchesHttp } from '../http/match.ts';
import { type Party, partyOf, peerMatches, subjectMatches, type World, worldOf } from './parties.ts';

/** A pod as namespace/name, or any address. */
export type Endpoint = { readonly pod: string } | { readonly address: string };

export interface Probe {
  readonly from: Endpoint;
  readonly to: Endpoint;
  /** Protocols without ports are decided by rules for all ports of all protocols. */
  readonly protocol: TransportProtocol | 'ICMP';
  readonly port: number;
  /** On a connection that some rules allow for some requests only. */
  readonly http?: HttpRequest;
}

/** `proxy`: it depends on the request, and the probe names none. */
export type SimulatedVerdict = 'allow' | 'deny' | 'proxy';

export interface Decision {
  readonly verdict: SimulatedVerdict;
  /** undefined: no rule decided, but the default, or none of `asked` allows the request. `proxy`: the first of them. */
  readonly rule: DecidingRule | undefined;
  /** Keys of the policies whose selection of the pod denies what nothing allows; empty: not enforced. */
  readonly defaultDeny: readonly string[];
  /** The rules of which one has to allow the request; empty: ports decided. */
  readonly asked: readonly DecidingRule[];
}

export interface DecidingRule {
  /** As in `CiliumNetworkPolicy/shop/api-from-frontend`. */
  readonly policy: string;
  readonly direction: PolicyDirection;
  readonly index: number;
  readonly deny: boolean;
  readonly reason: string;
}

export interface Simulation {
  readonly verdict: SimulatedVerdict;
  /** The rule that decided: the one that denies, else the server's, else the client's. */
  readonly rule: DecidingRule | undefined;
  /** undefined: the client is no pod, or of the host network. */
  readonly egress: Decision | undefined;
  readonly ingress: Decision | undefined;
}

/** @throws Error where an endpoint names a pod that the facts don't have, or no address */
export function simulate(facts: Iterable<Fact>, probe: Probe): Simulation {
  const world = worldOf(facts);
  const [from, to] = [partyOf(world, probe.from), partyOf(world, probe.to)];
  const egress = acting(from) && decide(world, acting(from), 'egress', to, probe);
  const nodeToOwnPod = from.kind === 'node' && acting(to)?.node === from.node;
  // A node may always reach its own pods, as Kubernetes demands (kubelet's probes).
  const ingress = nodeToOwnPod ? undefined : decide(world, acting(to), 'ingress', from, probe);
  const decisions = [egress, ingress].filter((decision) => decision !== undefined);
  const last = (['deny', 'proxy'] as const)
    .map((verdict) => decisions.find((decision) => decision.verdict === verdict))
    .find((decision) => decision !== undefined);
  return {
    verdict: last === undefined ? 'allow' : last.verdict,
    rule: last === undefined ? (ingress?.rule ?? egress?.rule) : last.rule,
    egress,
    ingress,
  };
}

/** What the policies of one pod say about one peer, given by its address. */
export function decideFor(
  facts: Iterable<Fact>,
  pod: string,
  direction: PolicyDirection,
  peer: Endpoint,
  traffic: Traffic,
): Decision | undefined {
  const world = worldOf(facts);
  return decide(world, acting(partyOf(world, { pod })), direction, partyOf(world, peer), traffic);
}

type Traffic = Pick<Probe, 'protocol' | 'port' | 'http'>;

function acting(party: Party): PodFact | undefined {
  return party.kind === 'pod' ? party.pod : undefined;
}

function decide(
  world: World,
  pod: PodFact | undefined,
  direction: PolicyDirection,
  peer: Party,
  traffic: Traffic,
): Decision | undefined {
  if (pod === undefined) return undefined;
  const selecting = world.policies.flatMap((policy) =>
    policy.parts.map((part, spec) => ({ policy, part, id: partId(policy, spec) })),
  );
  const parts = selecting.filter(({ part }) => subjectMatches(world, part, pod)).sort((a, b) => (a.id < b.id ? -1 : 1));
  const defaultDeny = parts
    .filter(({ part }) => part.defaultDeny.includes(direction))
    .map(({ policy }) => keyOf(policy));
  const shared = { defaultDeny: [...new Set(defaultDeny)], asked: [] };
  const found = parts.flatMap(({ policy, part }) =>
    rulesFor(world, part, pod, direction, peer, traffic).map((rule) => ({ rule, shown: show(policy, rule) })),
  );
  const first = found.find(({ rule }) => rule.deny) ?? found.find(({ rule }) => rule.http === undefined);
  if (first !== undefined) return { ...shared, verdict: first.rule.deny ? 'deny' : 'allow', rule: first.shown };
  const asked = found.map(({ shown }) => shown);
  if (found.length === 0) return { ...shared, verdict: defaultDeny.length > 0 ? 'deny' : 'allow', rule: undefined };
  const { http } = traffic;
  if (http === undefined) return { ...shared, verdict: 'proxy', rule: asked[0], asked };
  const allowing = found.find(({ rule }) => rule.http?.some((match) => matchesHttp(match, http)));
  return { ...shared, verdict: allowing === undefined ? 'deny' : 'allow', rule: allowing?.shown, asked };
}

function show(policy: PolicyFact, { direction, index, deny, reason }: PolicyRule): DecidingRule {
  return { policy: keyOf(policy), direction, index, deny, reason };
}

/** Those that apply to the connection, as written. */
function rulesFor(
  world: World,
  part: PolicyPart,
  pod: PodFact,
  direction: PolicyDirection,
  peer: Party,
  traffic: Traffic,
): PolicyRule[] {
  return part.rules
    .filter((rule) => rule.direction === direction)
    .sort((a, b) => a.index - b.index)
    .filter((rule) => {
      return rule.peers.some((entry) => peerMatches(world, entry, peer, pod)) && portsMatch(rule, pod, traffic);
    });
}

/** Port names are the selected pod's: the translator lets them through for ingress only. */
function portsMatch(rule: PolicyRule, pod: PodFact, { protocol, port }: Traffic): boolean {
  if (rule.http !== undefined && protocol !== 'TCP') return false;
  return rule.ports.some((match) => {
    if (protocol === 'ICMP')
      return match.protocol === 'ANY' && 'first' in match && match.first === 0 && match.last === 65_535;
    if (match.protocol !== 'ANY' && match.protocol !== protocol) return false;
    if ('first' in match) return match.first <= port && port <= match.last;
    return pod.ports.some((own) => own.name === match.portName && own.protocol === protocol && own.port === port);
  });
}

function keyOf({ policyKind, namespace, name }: PolicyFact): string {
  return [policyKind, namespace, name].filter((part) => part !== '').join('/');
}

function partId(policy: PolicyFact, spec: number): string {
  return spec === 0 ? keyOf(policy) : `${keyOf(policy)}#${spec}`;
}
