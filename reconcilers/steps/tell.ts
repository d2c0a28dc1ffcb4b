import type { Problem } from '../facts.ts';
import type { PolicyState } from '../output.ts';
import type { PolicyRecord } from '../policy/policy-table.ts';
import type { NodeRecord } from '../records.ts';
import type { Update } from '../state.ts';

/** Says of policies what changed about them. */
export function tellPolicies(update: Update): void {
  const { tables, visits } = update;
  const present = [...update.policies].filter(({ fact }) => fact !== undefined);
  for (const policy of present) tables.ineffective.register(policy);
  for (const policy of present) {
    for (const other of tables.ineffective.add(policy, visits)) update.concerned.add(other);
  }
  for (const policy of update.policies) {
    for (const name of policy.sets.keys()) findSets(update, policy, tables.node(name));
    for (const part of policy.parts) {
      for (const set of tables.sets.withPart(part.id)) for (const node of set.nodes) findSets(update, policy, node);
    }
  }
  for (const [policy, nodes] of update.policyNodes) for (const node of nodes) findSets(update, policy, node);
  for (const policy of update.concerned) tell(update, policy);
}

/** Which sets of the node contain the policy. */
function findSets({ visits, concerned }: Update, policy: PolicyRecord, node: NodeRecord): void {
  visits.count++;
  const names = [...node.sets.keys()].filter(({ policies }) => policies.has(policy)).map(({ name }) => name);
  names.sort();
  if ((policy.sets.get(node.name) ?? []).join() === names.join()) return;
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
    problems: [...policy.fact.problems, ...selectsNothing(policy)],
    ineffective: tables.ineffective.of(policy),
  };
  const told = JSON.stringify([
    policy.version,
    state.pods,
    state.ineffective.map(({ by, direction, message }) => [by.kind, by.namespace, by.name, direction, message]),
  ]);
  if (told === policy.told) return;
  policy.told = told;
  output.policies.set(policy.key, state);
}

function selectsNothing({ pods, ref, parts }: PolicyRecord): Problem[] {
  if (pods > 0 || parts.length === 0) return [];
  const field = ref.kind === 'NetworkPolicy' ? 'spec.podSelector' : 'spec.endpointSelector';
  return [{ severity: 'warning', field, message: 'The policy selects no pods at the moment, so it has no effect.' }];
}
