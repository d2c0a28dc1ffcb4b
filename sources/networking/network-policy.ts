import type {
  Fact,
  Peer,
  PolicyDirection,
  PolicyPart,
  PolicyRule,
  PortMatch,
  Selector,
} from '../../reconcilers/facts.ts';
import { everyPort } from '../../reconcilers/facts.ts';
import { cidrPeer } from '../cidr.ts';
import { denyAll } from '../deny-all.ts';
import { get, integer, isRecord, type Json, list, type Problems, quote, text, unknownFields } from '../parse.ts';
import { type KeyReader, parseSelector } from '../selector.ts';
import { namespaceIs } from './namespace.ts';
import { policyPort } from './port.ts';

const podKey: KeyReader = (key) => ({ scope: 'pod-label', key });
const namespaceKey: KeyReader = (key) => ({ scope: 'namespace-label', key });

/** NetworkPolicy of networking.k8s.io/v1. */
export function networkPolicyFacts(object: unknown, problems: Problems): Fact[] {
  const namespace = text(get(object, 'metadata', 'namespace'));
  const spec = get(object, 'spec');
  const parts = isRecord(spec) ? [policyPart(spec, namespace, problems)] : [];
  if (parts.length === 0) problems.error('spec', 'The policy has no spec, so it does nothing.');
  return [
    {
      kind: 'policy',
      policyKind: 'NetworkPolicy',
      namespace,
      name: text(get(object, 'metadata', 'name')),
      generation: integer(get(object, 'metadata', 'generation'), 0, Number.MAX_SAFE_INTEGER, 0),
      parts,
      problems: problems.list,
    },
  ];
}

function policyPart(spec: Json, namespace: string, problems: Problems): PolicyPart {
  const { selector, understood } = parseSelector(get(spec, 'podSelector') ?? {}, 'spec.podSelector', podKey, problems);
  const subject = [namespaceIs(namespace), ...selector];
  const unknown = unknownFields(spec, ['podSelector', 'policyTypes', 'ingress', 'egress']);
  for (const name of unknown) problems.error(`spec.${name}`, `The field ${quote(name)} is not known.`);
  const defaultDeny = policyTypes(spec, problems);
  const switched = defaultDeny === undefined ? 'policyTypes' : unknown[0];
  const field = understood ? switched : 'podSelector';
  if (field !== undefined || defaultDeny === undefined) {
    // Which pods were meant is not known for sure: what is left of the selector selects too many rather than too few.
    const reason = `spec.${field ?? 'policyTypes'} is not understood`;
    problems.error('spec', `The policy denies all for the pods that it selects, because ${reason}.`);
    return { subject, defaultDeny: DIRECTIONS, rules: DIRECTIONS.map((d) => denyAll(d, 0, reason)) };
  }
  return { subject, defaultDeny, rules: defaultDeny.flatMap((d) => directionRules(spec, d, namespace, problems)) };
}

const DIRECTIONS = ['ingress', 'egress'] as const;

/** Without policyTypes: always Ingress, and Egress if there are egress rules. undefined: not understood. */
function policyTypes(spec: unknown, problems: Problems): readonly PolicyDirection[] | undefined {
  const types = get(spec, 'policyTypes');
  const hasEgress = list(get(spec, 'egress')).length > 0;
  if (types === undefined || (Array.isArray(types) && types.length === 0)) {
    return hasEgress ? ['ingress', 'egress'] : ['ingress'];
  }
  if (Array.isArray(types) && types.every((type) => type === 'Ingress' || type === 'Egress')) {
    return [
      ...(types.includes('Ingress') ? (['ingress'] as const) : []),
      ...(types.includes('Egress') ? (['egress'] as const) : []),
    ];
  }
  problems.error('spec.policyTypes', 'policyTypes lists Ingress and Egress only.');
  return undefined;
}

function directionRules(
  spec: unknown,
  direction: PolicyDirection,
  namespace: string,
  problems: Problems,
): PolicyRule[] {
  const rules = get(spec, direction) ?? [];
  if (!Array.isArray(rules)) {
    problems.error(
      `spec.${direction}`,
      `A list of rules is expected, but this is ${quote(rules)}; nothing is allowed.`,
    );
    return [];
  }
  return rules.flatMap((rule, index) => policyRule(rule ?? {}, direction, index, namespace, problems));
}

/** One rule; none where any of it is not understood. */
function policyRule(
  rule: unknown,
  direction: PolicyDirection,
  index: number,
  namespace: string,
  problems: Problems,
): PolicyRule[] {
  const field = `spec.${direction}[${index}]`;
  const side = direction === 'ingress' ? 'from' : 'to';
  const before = problems.list.length;
  if (!isRecord(rule)) problems.error(field, `A rule is an object, but this is ${quote(rule)}; it allows nothing.`);
  else {
    for (const name of unknownFields(rule, [side, 'ports'])) {
      problems.error(`${field}.${name}`, `The field ${quote(name)} is not known, so this rule allows nothing.`);
    }
  }
  const peers = rulePeers(get(rule, side), `${field}.${side}`, namespace, problems);
  const ports = rulePorts(get(rule, 'ports'), `${field}.ports`, direction, problems);
  if (problems.list.length > before) return [];
  return [{ direction, deny: false, index, peers, ports, reason: '' }];
}

/** No peers, or an empty list of them: all sources or destinations. */
function rulePeers(value: unknown, field: string, namespace: string, problems: Problems): Peer[] {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return [{ kind: 'entity', entity: 'all' }];
  if (!Array.isArray(value)) {
    problems.error(field, `A list of peers is expected, but this is ${quote(value)}.`);
    return [];
  }
  return value.flatMap((peer, index) => rulePeer(peer, `${field}[${index}]`, namespace, problems));
}

function rulePeer(peer: unknown, field: string, namespace: string, problems: Problems): Peer[] {
  if (!isRecord(peer) || unknownFields(peer, ['podSelector', 'namespaceSelector', 'ipBlock']).length > 0) {
    problems.error(field, 'A peer has podSelector, namespaceSelector or ipBlock, nothing else.');
    return [];
  }
  const pods = get(peer, 'podSelector');
  const namespaces = get(peer, 'namespaceSelector');
  const block = get(peer, 'ipBlock');
  if (block !== undefined && pods === undefined && namespaces === undefined) {
    return cidrPeer(block, field, 'ipBlock', problems);
  }
  if (block !== undefined || (pods === undefined && namespaces === undefined)) {
    problems.error(field, 'A peer has either ipBlock alone, or podSelector, namespaceSelector or both.');
    return [];
  }
  const where: Selector =
    namespaces === undefined
      ? [namespaceIs(namespace)]
      : parseSelector(namespaces, `${field}.namespaceSelector`, namespaceKey, problems).selector;
  const which = pods === undefined ? [] : parseSelector(pods, `${field}.podSelector`, podKey, problems).selector;
  return [{ kind: 'pods', selector: [...where, ...which] }];
}

function rulePorts(
  value: unknown,
  field: string,
  direction: PolicyDirection,
  problems: Problems,
): readonly PortMatch[] {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return everyPort;
  if (!Array.isArray(value)) {
    problems.error(field, `A list of ports is expected, but this is ${quote(value)}.`);
    return [];
  }
  return value.flatMap((port, index) => policyPort(port, `${field}[${index}]`, direction, problems));
}
