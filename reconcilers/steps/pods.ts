import type { AddressRecord } from '../identity/address-table.ts';
import type { SelectorRecord } from '../identity/selector-table.ts';
import { classOn, countClass, placePod } from '../nodes/node-view.ts';
import { endpointResource, sameEndpoint } from '../nodes/resources.ts';
import type { PolicyRecord } from '../policy/policy-table.ts';
import type { SetRecord } from '../policy/set-table.ts';
import { addCount, type NodeRecord, type PodRecord } from '../records.ts';
import { addTo, type Update } from '../state.ts';
import { usePeers } from './policies.ts';

const NO_POLICIES: ReadonlySet<PolicyRecord> = new Set();

/** What of a pod was true before the update. */
interface Before {
  readonly pod: PodRecord;
  readonly matched: readonly SelectorRecord[];
  readonly addresses: readonly AddressRecord[];
}

/** Brings pods up to date: selectors, policy set, addresses, and on which nodes they are told apart. */
export function updatePods(update: Update): void {
  const moved: Before[] = [];
  for (const pod of update.pods) {
    moved.push({ pod, matched: pod.matched, addresses: pod.addresses });
    updatePod(update, pod);
  }
  for (const [node, selectors] of update.flipped) {
    for (const selector of selectors) {
      for (const pod of selector.members) {
        if (!update.pods.has(pod)) replace(update, node, pod, pod.addresses);
      }
    }
  }
  for (const { pod, matched, addresses } of moved) {
    for (const node of nodesOf(matched, pod.matched)) placePod(node, pod, addresses, update);
    placeEndpoint(update, pod);
  }
}

function updatePod(update: Update, pod: PodRecord): void {
  const { tables, visits } = update;
  visits.count++;
  // A pod of the host network is not told from its node: no policy selects it, and no peer means it.
  const fact = pod.fact?.hostNetwork === true ? undefined : pod.fact;
  const matched =
    fact === undefined ? [] : tables.selectors.match(fact, tables.namespaceLabels(fact.namespace), visits);
  for (const selector of pod.matched) if (!matched.includes(selector)) selector.members.delete(pod);
  for (const selector of matched) selector.members.add(pod);
  pod.matched = matched;
  const owned = tables.addresses.ownedBy(pod);
  const same = owned.length === pod.addresses.length && owned.every((record, index) => record === pod.addresses[index]);
  if (!same) pod.addresses = owned;
  const set = fact === undefined ? undefined : tables.sets.of(fact, matched);
  moveTo(update, pod, set, fact === undefined || fact.node === '' ? undefined : tables.node(fact.node));
  countPolicies(update, pod, set?.policies ?? NO_POLICIES);
}

function moveTo(update: Update, pod: PodRecord, set: SetRecord | undefined, home: NodeRecord | undefined): void {
  if (pod.set !== set) {
    if (set !== undefined) set.pods++;
    if (pod.set !== undefined && --pod.set.pods === 0) update.emptySets.add(pod.set);
  }
  if (pod.home !== home) {
    if (home !== undefined) home.pods++;
    if (pod.home !== undefined && --pod.home.pods === 0) update.nodes.add(pod.home);
  }
  if (pod.set !== set || pod.home !== home) {
    if (set !== undefined && home !== undefined) useSet(update, home, set, 1);
    if (pod.set !== undefined && pod.home !== undefined) useSet(update, pod.home, pod.set, -1);
  }
  // A set that nobody had, and that this pod leaves again in the same update, is collected too.
  if (set?.pods === 0) update.emptySets.add(set);
  pod.set = set;
  pod.home = home;
}

function useSet(update: Update, node: NodeRecord, set: SetRecord, difference: 1 | -1): void {
  const count = addCount(node.sets, set, difference);
  if (count > 1 || (count === 1 && difference < 0)) return;
  if (count === 1) set.nodes.add(node);
  else set.nodes.delete(node);
  node.sortedSets = undefined;
  addTo(update.movedSets, node, set);
  usePeers(update, node, set.compiled, difference);
  for (const policy of set.policies) addTo(update.policyNodes, policy, node);
}

function countPolicies(update: Update, pod: PodRecord, policies: ReadonlySet<PolicyRecord>): void {
  const before = pod.policies;
  if (before === policies) return;
  update.tables.ineffective.move(before, policies);
  for (const policy of before) {
    if (!policies.has(policy)) policy.pods--;
    update.concerned.add(policy);
  }
  for (const policy of policies) {
    if (!before.has(policy)) policy.pods++;
    update.concerned.add(policy);
  }
  pod.policies = policies;
}

/** For a pod that did not change itself, on a node whose policies now tell more or less apart. */
function replace(update: Update, node: NodeRecord, pod: PodRecord, addresses: readonly AddressRecord[]): void {
  placePod(node, pod, addresses, update);
  if (pod.home === node) placeEndpoint(update, pod);
}

function* nodesOf(a: readonly SelectorRecord[], b: readonly SelectorRecord[]): Iterable<NodeRecord> {
  const used = new Set<SelectorRecord>();
  for (const selector of a) if (selector.nodes.size > 0) used.add(selector);
  for (const selector of b) if (selector.nodes.size > 0) used.add(selector);
  const [only] = used;
  if (used.size === 1 && only !== undefined) yield* only.nodes;
  else if (used.size > 1) yield* new Set([...used].flatMap(({ nodes }) => [...nodes]));
}

function placeEndpoint(update: Update, pod: PodRecord): void {
  const before = pod.endpoint;
  const node = pod.home;
  const record = node === undefined ? undefined : classOn(node, pod, update.classes);
  const resource = record === undefined ? undefined : endpointResource(pod, record);
  if (record !== undefined && resource !== undefined && node !== undefined) {
    const name = `endpoint/${pod.fact?.uid ?? ''}`;
    pod.endpoint = { node, name, resource, class: record };
    // Counted even before it has an address: the agent may give it one at any time.
    countClass(node, record, 1, update);
    const same = before?.node === node && before.name === name && sameEndpoint(before.resource, resource);
    if (!same) update.output.view(node.name).upserts.set(name, resource);
  } else {
    pod.endpoint = undefined;
  }
  if (before === undefined) return;
  countClass(before.node, before.class, -1, update);
  if (before.node !== pod.endpoint?.node || before.name !== pod.endpoint.name) {
    update.output.view(before.node.name).deletes.add(before.name);
  }
}
