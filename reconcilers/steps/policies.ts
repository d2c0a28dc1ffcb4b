import { selects, selectsNamespace } from '../identity/selector.ts';
import type { SelectorRecord } from '../identity/selector-table.ts';
import type { CidrRecord, CompiledPart, PolicyRecord } from '../policy/policy-table.ts';
import { addCount, type NodeRecord } from '../records.ts';
import { addTo, type Update } from '../state.ts';

/** Compiles the policies that changed and marks the pods that they select, or did. */
export function replacePolicies(update: Update): void {
  for (const policy of update.policies) {
    update.visits.count++;
    update.concerned.add(policy);
    for (const other of update.tables.ineffective.drop(policy)) update.concerned.add(other);
    policy.version++;
    replaceParts(update, policy, update.tables.policyTable.replace(policy));
  }
  for (const selector of update.tables.policyTable.created) findMembers(update, selector);
  update.tables.policyTable.created.clear();
  recompileSets(update);
}

function replaceParts(update: Update, policy: PolicyRecord, before: readonly CompiledPart[]): void {
  const old = new Map(before.map((part) => [part.id, part]));
  const parts = new Map(policy.parts.map((part) => [part.id, part]));
  for (const id of new Set([...old.keys(), ...parts.keys()])) {
    for (const set of update.tables.sets.withPart(id)) update.changedSets.add(set);
    const [was, is] = [old.get(id), parts.get(id)];
    if (was !== undefined && is !== undefined && selectsAlike(was, is)) continue;
    for (const part of [was, is]) {
      for (const pod of part?.subject.members ?? []) update.pods.add(pod);
    }
  }
}

/** Then its pods stay in the sets that they are in. */
function selectsAlike(a: CompiledPart, b: CompiledPart): boolean {
  return (
    a.subject === b.subject &&
    a.defaultDeny.join() === b.defaultDeny.join() &&
    a.portNames.symmetricDifference(b.portNames).size === 0
  );
}

function findMembers(update: Update, { selector }: SelectorRecord): void {
  const { tables, pods, visits } = update;
  if (pods.size === tables.pods.size) return;
  const named = selector.find(({ scope, operator }) => scope === 'namespace' && operator === 'In');
  for (const namespace of named?.values ?? tables.podsIn.keys()) {
    visits.count++;
    const labels = tables.namespaceLabels(namespace);
    if (!selectsNamespace(selector, namespace, labels)) continue;
    for (const pod of tables.podsIn.get(namespace) ?? []) {
      visits.count++;
      if (pod.fact !== undefined && selects(selector, pod.fact, labels)) pods.add(pod);
    }
  }
}

/** Before pods move between sets: what the sets use is counted by what they said, then by what they say. */
function recompileSets(update: Update): void {
  for (const set of update.changedSets) {
    const before = set.compiled;
    update.tables.sets.recompile(set);
    for (const node of set.nodes) {
      update.visits.count++;
      addTo(update.movedSets, node, set);
      usePeers(update, node, set.compiled, 1);
      usePeers(update, node, before, -1);
    }
  }
}

/** Counts what the sets of a node use. */
export function usePeers(
  update: Update,
  node: NodeRecord,
  peers: { readonly selectors: Iterable<SelectorRecord>; readonly cidrs: Iterable<CidrRecord> },
  difference: 1 | -1,
): void {
  for (const selector of peers.selectors) {
    const count = addCount(node.selectors, selector, difference);
    if (count > 1 || (count === 1 && difference < 0)) continue;
    // Until the end of the update the selector still leads to nodes that cease to use it.
    selector.nodes.add(node);
    addTo(update.flipped, node, selector);
  }
  for (const cidr of peers.cidrs) {
    const count = addCount(node.cidrs, cidr, difference);
    if (count === 0 || (count === 1 && difference > 0)) update.ranges.add(node);
  }
}
