import type { Fact, PolicyDirection, PolicyPart, Selector } from '../../reconcilers/facts.ts';
import { denyAll } from '../deny-all.ts';
import { namespaceIs } from '../networking/namespace.ts';
import { get, integer, isRecord, type Json, type Problems, quote, text, unknownFields } from '../parse.ts';
import { parseSelector } from '../selector.ts';
import { ciliumKey } from './keys.ts';
import { directionRules } from './rules.ts';

type CiliumKind = 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy';

const DIRECTIONS = ['ingress', 'egress'] as const;
const SPEC_FIELDS = [
  'endpointSelector',
  'nodeSelector',
  'ingress',
  'ingressDeny',
  'egress',
  'egressDeny',
  'enableDefaultDeny',
  'description',
  'labels',
  'log',
];

/** cilium.io/v2: `spec`, `specs` or both. */
export function ciliumPolicyFacts(kind: CiliumKind, object: unknown, problems: Problems): Fact[] {
  const namespace = kind === 'CiliumNetworkPolicy' ? text(get(object, 'metadata', 'namespace')) : '';
  const single = get(object, 'spec');
  const several = get(object, 'specs');
  const parts: PolicyPart[] = [];
  if (single !== undefined) parts.push(...specPart(single, 'spec', namespace, problems));
  if (Array.isArray(several)) {
    parts.push(...several.flatMap((spec, index) => specPart(spec, `specs[${index}]`, namespace, problems)));
  } else if (several !== undefined) {
    problems.error('specs', `A list of specs is expected, but this is ${quote(several)}.`);
  }
  if (single === undefined && (several === undefined || (Array.isArray(several) && several.length === 0))) {
    problems.error('spec', 'The policy has no spec, so it does nothing.');
  }
  return [
    {
      kind: 'policy',
      policyKind: kind,
      namespace,
      name: text(get(object, 'metadata', 'name')),
      generation: integer(get(object, 'metadata', 'generation'), 0, Number.MAX_SAFE_INTEGER, 0),
      parts,
      problems: problems.list,
    },
  ];
}

function specPart(spec: unknown, field: string, namespace: string, problems: Problems): PolicyPart[] {
  if (!isRecord(spec)) {
    problems.error(field, `A spec is an object, but this is ${quote(spec)}; it selects no pods.`);
    return [];
  }
  if (get(spec, 'endpointSelector') === undefined) {
    const host = get(spec, 'nodeSelector') !== undefined;
    if (host) problems.error(`${field}.nodeSelector`, 'Policies for nodes are not supported; this one does nothing.');
    else problems.error(`${field}.endpointSelector`, 'It is required: without it no pod is selected. {} selects all.');
    return [];
  }
  const reasons = notUnderstood(spec, field, problems);
  const { subject, understood } = subjectOf(spec, field, namespace, problems);
  if (!understood) reasons.push(`${field}.endpointSelector is not understood`);
  const reason = reasons[0];
  if (reason !== undefined) {
    problems.error(field, `The policy denies all for the pods that it selects, because ${reason}.`);
    return [{ subject, defaultDeny: DIRECTIONS, rules: DIRECTIONS.map((d) => denyAll(d, 0, reason)) }];
  }
  const rules = DIRECTIONS.flatMap((d) => directionRules(spec, field, d, namespace, problems));
  const denied = defaultDeny(spec, field, problems);
  for (const direction of DIRECTIONS) {
    if (denied.includes(direction) || !rules.some((rule) => rule.direction === direction && rule.http)) continue;
    problems.warning(
      `${field}.enableDefaultDeny.${direction}`,
      'Connections that no rule names are allowed; of those that HTTP rules name, other requests are refused nevertheless.',
    );
  }
  return [{ subject, defaultDeny: denied, rules }];
}

/** Why nothing that the spec allows may be trusted. */
function notUnderstood(spec: Json, field: string, problems: Problems): string[] {
  const unknown = unknownFields(spec, SPEC_FIELDS);
  for (const name of unknown) problems.error(`${field}.${name}`, `The field ${quote(name)} is not supported.`);
  const reasons = unknown.map((name) => `${field}.${name} is not supported`);
  if (get(spec, 'log') !== undefined) problems.warning(`${field}.log`, 'Flows do not show it; all else is enforced.');
  if (get(spec, 'nodeSelector') !== undefined) {
    problems.error(`${field}.nodeSelector`, 'A spec has either endpointSelector or nodeSelector.');
    reasons.push(`${field} has both endpointSelector and nodeSelector`);
  }
  const deny = get(spec, 'enableDefaultDeny') ?? {};
  const known = isRecord(deny) && unknownFields(deny, DIRECTIONS).length === 0;
  if (!known || DIRECTIONS.some((d) => !['boolean', 'undefined'].includes(typeof get(deny, d)))) {
    problems.error(`${field}.enableDefaultDeny`, 'It has ingress and egress, which are true or false.');
    reasons.push(`${field}.enableDefaultDeny is not understood`);
  }
  return reasons;
}

/**
 * A namespaced policy selects in its own namespace. As Cilium does (ParseToCiliumRule), that replaces a `k8s:` label of
 * the namespace in matchLabels; whatever else names a namespace has to hold too.
 */
function subjectOf(spec: Json, field: string, namespace: string, problems: Problems) {
  const where = `${field}.endpointSelector`;
  const written = get(spec, 'endpointSelector');
  const other = get(written, 'matchLabels', NAMESPACE_LABEL);
  const replaced = namespace !== '' && other !== undefined;
  const meant = replaced ? withoutNamespace(written) : written;
  const { selector, understood } = parseSelector(meant, where, ciliumKey, problems);
  if (namespace === '') return { subject: selector, understood };
  if (replaced && other !== namespace) {
    problems.warning(
      where,
      `The policy selects pods of its own namespace, ${namespace}; the namespace in it is ignored.`,
    );
  }
  const subject: Selector = [namespaceIs(namespace), ...selector];
  return { subject, understood };
}

const NAMESPACE_LABEL = 'k8s:io.kubernetes.pod.namespace';

function withoutNamespace(selector: unknown): unknown {
  const written = get(selector, 'matchLabels');
  if (!isRecord(selector) || !isRecord(written)) return selector;
  const { [NAMESPACE_LABEL]: _, ...others } = written;
  return { ...selector, matchLabels: others };
}

/** Default: a direction with at least one rule, allow or deny. */
function defaultDeny(spec: Json, field: string, problems: Problems): PolicyDirection[] {
  return DIRECTIONS.filter((direction) => {
    const lists = [get(spec, direction), get(spec, `${direction}Deny`)].filter((rules) => rules !== undefined);
    const some = lists.some((rules) => !Array.isArray(rules) || rules.length > 0);
    const written = get(spec, 'enableDefaultDeny', direction);
    if (lists.length > 0 && !some && written === undefined) {
      problems.warning(
        `${field}.${direction}`,
        'An empty list neither allows nor denies; [{}] denies what nothing allows.',
      );
    }
    return typeof written === 'boolean' ? written : some;
  });
}
