import type { Peer, PolicyDirection, PolicyFact, PolicyRule, PortMatch, Selector } from '../facts.ts';
import { requirementKey } from '../identity/selector.ts';
import { contains, parseCidr } from '../net/address.ts';

/** Whether `by` allows at least what `policy` allows and denies, so that `policy` decides nothing for the same pods. */
export function allowsNoMore(policy: PolicyFact, by: PolicyFact, direction: PolicyDirection): boolean {
  const rules = directed(policy, direction);
  const others = directed(by, direction);
  return rules.every((rule) => !rule.deny && others.some((other) => !other.deny && ruleWithin(rule, other)));
}

export function defaultDenies(policy: PolicyFact, direction: PolicyDirection): boolean {
  return policy.parts.some(({ defaultDeny }) => defaultDeny.includes(direction));
}

/** Whether the pods that `inner` selects are always selected by `outer`. */
export function selectorWithin(inner: Selector, outer: Selector): boolean {
  const required = new Set(inner.map(requirementKey));
  return outer.every((requirement) => required.has(requirementKey(requirement)));
}

const rulesOf = new WeakMap<PolicyFact, Record<PolicyDirection, readonly PolicyRule[]>>();

function directed(policy: PolicyFact, direction: PolicyDirection): readonly PolicyRule[] {
  let rules = rulesOf.get(policy);
  if (rules === undefined) {
    const all = policy.parts.flatMap((part) => part.rules);
    rules = {
      ingress: all.filter((rule) => rule.direction === 'ingress'),
      egress: all.filter((rule) => rule.direction === 'egress'),
    };
    rulesOf.set(policy, rules);
  }
  return rules[direction];
}

/** Indexes of HTTP rules of `policy` whose connections a rule of `by` allows whatever is asked on them. */
export function unaskedRules(policy: PolicyFact, by: PolicyFact, direction: PolicyDirection): number[] {
  const wide = directed(by, direction).filter(({ deny, http }) => !deny && http === undefined);
  if (wide.length === 0) return [];
  const asking = directed(policy, direction).filter(({ http }) => http !== undefined);
  const unasked = asking.filter((rule) => wide.some((other) => ruleWithin(rule, other)));
  return [...new Set(unasked.map(({ index }) => index))].sort((a, b) => a - b);
}

function ruleWithin(inner: PolicyRule, outer: PolicyRule): boolean {
  return (
    httpWithin(inner.http, outer.http) &&
    inner.peers.every((peer) => outer.peers.some((other) => peerWithin(peer, other))) &&
    inner.ports.every((port) => outer.ports.some((other) => portWithin(port, other)))
  );
}

function httpWithin(inner: PolicyRule['http'], outer: PolicyRule['http']): boolean {
  if (outer === undefined) return true;
  return inner !== undefined && textsOf(inner).isSubsetOf(textsOf(outer));
}

type Http = NonNullable<PolicyRule['http']>;
const texts = new WeakMap<Http, ReadonlySet<string>>();

/** Once for each rule: it is compared with those of all other policies. */
function textsOf(http: Http): ReadonlySet<string> {
  let known = texts.get(http);
  if (known === undefined) {
    known = new Set(http.map((match) => JSON.stringify(match)));
    texts.set(http, known);
  }
  return known;
}

function peerWithin(inner: Peer, outer: Peer): boolean {
  if (outer.kind === 'entity') return entityCovers(outer.entity, inner);
  if (outer.kind === 'pods') return inner.kind === 'pods' && selectorWithin(inner.selector, outer.selector);
  if (inner.kind !== 'cidr') return false;
  const [small, large] = [parseCidr(inner.cidr), parseCidr(outer.cidr)];
  if (small === undefined || large === undefined || !contains(large, small)) return false;
  return outer.except.every((text) => inner.except.includes(text));
}

function entityCovers(entity: Extract<Peer, { kind: 'entity' }>['entity'], inner: Peer): boolean {
  if (entity === 'all') return true;
  if (inner.kind === 'entity' && inner.entity === entity) return true;
  switch (entity) {
    case 'cluster':
      return inner.kind === 'pods' || (inner.kind === 'entity' && ['host', 'remote-node'].includes(inner.entity));
    case 'world':
      return inner.kind === 'cidr' || (inner.kind === 'entity' && ['world-ipv4', 'world-ipv6'].includes(inner.entity));
    case 'world-ipv4':
      return inner.kind === 'cidr' && !inner.cidr.includes(':');
    case 'world-ipv6':
      return inner.kind === 'cidr' && inner.cidr.includes(':');
    default:
      return false;
  }
}

function portWithin(inner: PortMatch, outer: PortMatch): boolean {
  if (outer.protocol !== 'ANY' && outer.protocol !== inner.protocol) return false;
  if ('portName' in outer) return 'portName' in inner && inner.portName === outer.portName;
  if ('portName' in inner) return outer.first === 0 && outer.last === 65_535;
  return outer.first <= inner.first && inner.last <= outer.last;
}
