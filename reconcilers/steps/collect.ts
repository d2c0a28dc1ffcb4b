import { plainClasses } from '../identity/class-table.ts';
import type { Update } from '../state.ts';

/** Forgets what nothing refers to any more. */
export function collect(update: Update): void {
  const { tables } = update;
  for (const [node, selectors] of update.flipped) {
    for (const selector of selectors) if (!node.selectors.has(selector)) selector.nodes.delete(node);
  }
  for (const selector of tables.policyTable.released) {
    if (selector.uses > 0) continue;
    tables.selectors.collect(selector);
    for (const pod of selector.members) {
      update.visits.count++;
      pod.matched = pod.matched.filter((other) => other !== selector);
    }
  }
  tables.policyTable.released.clear();
  for (const set of update.emptySets) tables.sets.collect(set);
  for (const record of update.lostClasses) if (record !== plainClasses[record.kind]) tables.classes.collect(record);
  for (const policy of update.policies) if (policy.fact === undefined) tables.policies.delete(policy.key);
  for (const node of update.nodes) {
    if (node.fact === undefined && node.pods === 0) tables.nodes.delete(node.name);
  }
  for (const pod of update.pods) {
    if (pod.fact !== undefined) continue;
    tables.pods.delete(pod.key);
    const namespace = pod.key.slice(0, pod.key.indexOf('/'));
    const pods = tables.podsIn.get(namespace);
    pods?.delete(pod);
    if (pods?.size === 0) tables.podsIn.delete(namespace);
  }
}
