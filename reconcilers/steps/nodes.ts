import type { NodeResource } from '@weft/node-api';
import { plainClasses } from '../identity/class-table.ts';
import type { ParsedCidr } from '../net/address.ts';
import { addressName } from '../nodes/address-name.ts';
import { placeEnvoy, placeOwnAddresses, placeRanges, placeSets } from '../nodes/node-view.ts';
import { addressResource, nodeResource, sameResource } from '../nodes/resources.ts';
import type { SetRecord } from '../policy/set-table.ts';
import type { NodeRecord } from '../records.ts';
import type { Update } from '../state.ts';

/** What nodes hold of their own, beside pods. */
export function updateNodes(update: Update): void {
  for (const node of update.nodes) placeOwnAddresses(node, update);
  markRanges(update);
  for (const node of update.ranges) placeRanges(node, update);
  for (const node of new Set([...update.movedSets.keys(), ...update.reclassified])) {
    placeSets(node, setsToPlace(update, node), update);
  }
  for (const node of update.envoys) placeEnvoy(node, update.tables.listeners, update);
}

/** A class that came or went may change any set of the node. */
function* setsToPlace({ movedSets, reclassified }: Update, node: NodeRecord): Iterable<SetRecord> {
  const moved = movedSets.get(node) ?? [];
  if (!reclassified.has(node)) {
    yield* moved;
    return;
  }
  yield* node.sets.keys();
  for (const set of moved) if (!node.sets.has(set)) yield set;
}

/** Which ranges belong to the cluster changes what the CIDRs of policies mean. */
function markRanges(update: Update): void {
  const { tables } = update;
  const ofCluster = (prefix: ParsedCidr): boolean =>
    prefix.length < prefix.bytes.length * 8 || tables.policyTable.namesPrefix(prefix.text);
  if (![...tables.addresses.dirty.values()].some(ofCluster)) return;
  for (const node of tables.nodes.values()) if (node.cidrs.size > 0) update.ranges.add(node);
}

/** What every node holds. */
export function updateShared(update: Update): void {
  const { tables } = update;
  for (const [text, prefix] of tables.addresses.dirty) {
    update.visits.count++;
    const kind = tables.addresses.kindOf(prefix) ?? worldOf(text);
    share(update, addressName(prefix), kind && addressResource(prefix, plainClasses[kind]));
  }
  tables.addresses.dirty.clear();
  for (const { name, fact } of update.nodes) {
    share(update, `node/${name}`, fact && nodeResource(fact, tables.bytes));
  }
  for (const [name, resource] of tables.services.changes(tables.routes, update.visits)) share(update, name, resource);
  for (const [name, resource] of tables.routes.changes(update.visits)) share(update, name, resource);
}

function worldOf(text: string): 'world-ipv4' | 'world-ipv6' | undefined {
  if (text === '0.0.0.0/0') return 'world-ipv4';
  return text === '::/0' ? 'world-ipv6' : undefined;
}

function share(update: Update, name: string, resource: NodeResource | undefined): void {
  update.visits.count++;
  const { shared } = update.tables;
  const before = shared.get(name);
  if (sameResource(before, resource)) return;
  if (resource === undefined) {
    shared.delete(name);
    update.output.shared.deletes.add(name);
  } else {
    shared.set(name, resource);
    update.output.shared.upserts.set(name, resource);
  }
}
