import type { Fact, Labels, NodeFact, PodFact, PolicyFact, RouteFact } from '../facts.ts';
import { newPolicy, policyKey } from '../policy/policy-table.ts';
import { newPod } from '../records.ts';
import { routeKey } from '../routes/route-table.ts';
import { addTo, type Update } from '../state.ts';

/** Puts what is now known under a key into the tables, and marks what depends on it. */
export function accept(update: Update, key: string, facts: readonly Fact[]): void {
  const { tables } = update;
  const before = tables.facts.get(key) ?? [];
  if (facts.length === 0) tables.facts.delete(key);
  else tables.facts.set(key, facts);
  const known = new Map(before.map((fact) => [identity(fact), fact]));
  const unique = new Map(facts.map((fact) => [identity(fact), fact]));
  for (const [id, fact] of known) if (!unique.has(id)) apply(update, fact, undefined);
  for (const [id, fact] of unique) {
    const old = known.get(id);
    if (old === undefined || JSON.stringify(old) !== JSON.stringify(fact)) apply(update, old, fact);
  }
}

function identity(fact: Fact): string {
  switch (fact.kind) {
    case 'policy':
      return policyKey(fact);
    case 'route':
      return routeKey(fact);
    case 'namespace':
    case 'node':
      return `${fact.kind} ${fact.name}`;
    case 'endpoints':
      return `${fact.kind} ${fact.namespace}/${fact.name} of ${fact.service}`;
    default:
      return `${fact.kind} ${fact.namespace}/${fact.name}`;
  }
}

/** `before` and `after` are of one kind and identity; at least one is given. */
function apply(update: Update, before: Fact | undefined, after: Fact | undefined): void {
  const fact = after ?? before;
  switch (fact?.kind) {
    case 'namespace':
      applyNamespace(update, fact.name, after === undefined ? undefined : fact.labels);
      return;
    case 'node':
      applyNode(update, fact, after === undefined ? undefined : fact);
      return;
    case 'pod':
      applyPod(update, fact, after === undefined ? undefined : fact);
      return;
    case 'policy':
      applyPolicy(update, fact, after === undefined ? undefined : fact);
      return;
    case 'service':
    case 'meshService':
    case 'endpoints':
      if (after === undefined) update.tables.services.set(fact, undefined);
      else update.tables.services.set(undefined, fact);
      if (fact.kind === 'service') update.tables.routes.serviceChanged(`${fact.namespace}/${fact.name}`);
      return;
    case 'route':
      applyRoute(update, fact, after === undefined ? undefined : fact);
  }
}

function applyNamespace({ tables, pods }: Update, name: string, labels: Labels | undefined): void {
  if (labels === undefined) tables.namespaces.delete(name);
  else tables.namespaces.set(name, labels);
  for (const pod of tables.podsIn.get(name) ?? []) pods.add(pod);
}

function applyNode({ tables, nodes }: Update, { name }: NodeFact, fact: NodeFact | undefined): void {
  const node = tables.node(name);
  tables.addresses.setNode(node.fact, fact);
  node.fact = fact;
  nodes.add(node);
}

function applyPod({ tables, pods }: Update, { namespace, name }: PodFact, fact: PodFact | undefined): void {
  const key = `${namespace}/${name}`;
  const pod = tables.pods.get(key) ?? newPod(key);
  tables.pods.set(key, pod);
  const before = claims(pod.fact);
  const after = claims(fact);
  pod.fact = fact;
  for (const address of before) if (!after.includes(address)) tables.addresses.disclaim(pod, address);
  for (const address of after) tables.addresses.claim(pod, address);
  addTo(tables.podsIn, namespace, pod);
  pods.add(pod);
}

/** A pod of the host network has its node's addresses, which are not its own. */
function claims(fact: PodFact | undefined): PodFact['addresses'] {
  return fact === undefined || fact.hostNetwork || fact.terminated ? [] : fact.addresses;
}

function applyRoute({ tables }: Update, named: RouteFact, fact: RouteFact | undefined): void {
  tables.routes.set(routeKey(named), fact);
}

function applyPolicy({ tables, policies }: Update, named: PolicyFact, fact: PolicyFact | undefined): void {
  const key = policyKey(named);
  const policy = tables.policies.get(key) ?? newPolicy(named);
  tables.policies.set(key, policy);
  policy.fact = fact;
  policies.add(policy);
}
