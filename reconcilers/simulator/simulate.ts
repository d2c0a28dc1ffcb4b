/**
 * What the policies say, read naively from the facts: the second opinion on the compiler, with which it shares no
 * code but the reading of addresses.
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
import { type Party, partyOf, peerMatches, subjectMatches, type World, worldOf } from './parties.ts';

/** A pod as namespace/name, or any address. */
export type Endpoint = { readonly pod: string } | { readonly address: string };

export interface Probe {
  readonly from: Endpoint;
  readonly to: Endpoint;
  /** Protocols without ports are decided by rules for all ports of all protocols. */
  readonly protocol: TransportProtocol | 'ICMP';
  readonly port: number;
}

export interface Decision {
  readonly verdict: 'allow' | 'deny';
  /** undefined: no rule decided, but the default. */
  readonly rule: DecidingRule | undefined;
  /** Keys of the policies whose selection of the pod denies what nothing allows; empty: not enforced. */
  readonly defaultDeny: readonly string[];
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
  readonly verdict: 'allow' | 'deny';
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
  const denied = [egress, ingress].find((decision) => decision?.verdict === 'deny');
  return {
    verdict: denied === undefined ? 'allow' : 'deny',
    rule: denied === undefined ? (ingress?.rule ?? egress?.rule) : denied.rule,
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
  traffic: Pick<Probe, 'protocol' | 'port'>,
): Decision | undefined {
  const world = worldOf(facts);
  return decide(world, acting(partyOf(world, { pod })), direction, partyOf(world, peer), traffic);
}

function acting(party: Party): PodFact | undefined {
  return party.kind === 'pod' ? party.pod : undefined;
}

function decide(
  world: World,
  pod: PodFact | undefined,
  direction: PolicyDirection,
  peer: Party,
  traffic: Pick<Probe, 'protocol' | 'port'>,
): Decision | undefined {
  if (pod === undefined) return undefined;
  const selecting = world.policies.flatMap((policy) =>
    policy.parts.map((part, spec) => ({ policy, part, id: partId(policy, spec) })),
  );
  const parts = selecting.filter(({ part }) => subjectMatches(world, part, pod)).sort((a, b) => (a.id < b.id ? -1 : 1));
  const defaultDeny = parts
    .filter(({ part }) => part.defaultDeny.includes(direction))
    .map(({ policy }) => keyOf(policy));
  for (const deny of [true, false]) {
    for (const { policy, part } of parts) {
      const rule = firstRule(world, part, pod, direction, deny, peer, traffic);
      if (rule === undefined) continue;
      const { index, reason } = rule;
      const deciding = { policy: keyOf(policy), direction, index, deny, reason };
      return { verdict: deny ? 'deny' : 'allow', rule: deciding, defaultDeny: [...new Set(defaultDeny)] };
    }
  }
  const verdict = defaultDeny.length > 0 ? 'deny' : 'allow';
  return { verdict, rule: undefined, defaultDeny: [...new Set(defaultDeny)] };
}

function firstRule(
  world: World,
  part: PolicyPart,
  pod: PodFact,
  direction: PolicyDirection,
  deny: boolean,
  peer: Party,
  traffic: Pick<Probe, 'protocol' | 'port'>,
): PolicyRule | undefined {
  return part.rules
    .filter((rule) => rule.direction === direction && rule.deny === deny)
    .sort((a, b) => a.index - b.index)
    .find((rule) => {
      return rule.peers.some((entry) => peerMatches(world, entry, peer, pod)) && portsMatch(rule, pod, traffic);
    });
}

/** Port names are the selected pod's: the translator lets them through for ingress only. */
function portsMatch(rule: PolicyRule, pod: PodFact, { protocol, port }: Pick<Probe, 'protocol' | 'port'>): boolean {
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
