import type { PolicyFact, Problem } from '../facts.ts';
import type { PolicyState } from '../output.ts';
import type { PolicyRecord } from '../policy/policy-table.ts';
import { unaskedRules } from '../policy/subsume.ts';
import type { NodeRecord } from '../records.ts';
import type { Update } from '../state.ts';

/** Says of routes what changed about them. */
export function tellRoutes({ tables, output, visits }: Update): void {
  for (const [key, verdict] of tables.routes.verdicts(visits)) output.routes.set(key, verdict);
}

/** Says of policies what changed about them. */
export function tellPolicies(update: Update): void {
  const { tables, visits } = update;
  const present = [...update.policies].filter(({ fact }) => fact !== undefined);
  for (const policy of present) tables.ineffective.register(policy);
  for (const policy of present) {
    for (const other of tables.ineffective.add(policy, visits)) update.concerned.add(other);
  }
  for (const policy of update.policies) {
    const nodes = update.policyNodes.get(policy) ?? new Set();
    update.policyNodes.set(policy, nodes);
    for (const name of policy.sets.keys()) nodes.add(tables.node(name));
    for (const part of policy.parts) {
      for (const set of tables.sets.withPart(part.id)) for (const node of set.nodes) nodes.add(node);
    }
  }
  for (const [policy, nodes] of update.policyNodes) for (const node of nodes) findSets(update, policy, node);
  for (const policy of update.concerned) tell(update, policy);
}

/** Which sets of the node contain the policy. */
function findSets({ visits, concerned }: Update, policy: PolicyRecord, node: NodeRecord): void {
  visits.count++;
  node.sortedSets ??= [...node.sets.keys()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const names: string[] = [];
  for (const set of node.sortedSets) if (set.policies.has(policy)) names.push(set.name);
  const known = policy.sets.get(node.name) ?? [];
  if (known.length === names.length && names.every((name, index) => name === known[index])) return;
  if (names.length === 0) policy.sets.delete(node.name);
  else policy.sets.set(node.name, names);
  policy.version++;
  concerned.add(policy);
}

function tell(update: Update, policy: PolicyRecord): void {
  const { output, tables } = update;
  if (policy.fact === undefined) {
    output.policies.set(policy.key, undefined);
    return;
  }
  const state: PolicyState = {
    ref: policy.ref,
    sets: policy.sets,
    pods: policy.pods,
    problems: [...policy.fact.problems, ...selectsNothing(policy), ...contradictions(policy.fact), ...crowded(policy)],
    ineffective: tables.ineffective.of(policy),
  };
  const told = JSON.stringify([
    policy.version,
    state.pods,
    state.ineffective.map(({ by, direction, message }) => [
      by.kind,
      by.namespace,
      by.name,
      String(by.generation),
      direction,
      message,
    ]),
  ]);
  if (told === policy.told) return;
  policy.told = told;
  output.policies.set(policy.key, state);
}

const contradictionsOf = new WeakMap<PolicyFact, readonly Problem[]>();

/** HTTP rules of a policy that other rules of its own leave without effect. */
function contradictions(fact: PolicyFact): readonly Problem[] {
  const known = contradictionsOf.get(fact);
  if (known !== undefined) return known;
  const found = fact.parts.flatMap((part) =>
    (['ingress', 'egress'] as const).flatMap((direction) => {
      const alone = { ...fact, parts: [part] };
      return unaskedRules(alone, alone, direction).map((index): Problem => {
        const message =
          'Another rule of the policy allows all requests on these connections; the HTTP rules have no effect.';
        return { severity: 'warning', field: `${direction}[${index}]`, message };
      });
    }),
  );
  contradictionsOf.set(fact, found);
  return found;
}

function crowded({ crowded: listeners }: PolicyRecord): Problem[] {
  if (listeners.size === 0) return [];
  const message =
    'Some of its HTTP rules allow nothing: with those of other policies for the same pods and ports they are more than ' +
    'Envoy is given; write fewer or shorter ones.';
  return [{ severity: 'error', field: '', message }];
}

function selectsNothing({ pods, ref, parts }: PolicyRecord): Problem[] {
  if (pods > 0 || parts.length === 0) return [];
  const field = ref.kind === 'NetworkPolicy' ? 'spec.podSelector' : 'spec.endpointSelector';
  return [{ severity: 'warning', field, message: 'The policy selects no pods at the moment, so it has no effect.' }];
}
