/** What one node holds of its own: addresses that its policies tell apart, and policy sets. */
import type { NodeResource, PolicyListener } from '@weft/node-api';
import type { ListenerRecord, ListenerTable } from '../envoy/listener-table.ts';
import type { AddressRecord, AddressTable } from '../identity/address-table.ts';
import { type ClassKind, type ClassRecord, type ClassTable, plainClasses } from '../identity/class-table.ts';
import { addressBytes, contains, type ParsedCidr, prefixOf } from '../net/address.ts';
import type { OutputBuilder } from '../output.ts';
import type { CidrRecord, PolicyRecord } from '../policy/policy-table.ts';
import { type SetRecord, sameSet, setResource } from '../policy/set-table.ts';
import { addCount, type NodeRecord, type PodRecord } from '../records.ts';
import type { Visits } from '../visits.ts';
import { addressName } from './address-name.ts';
import { addressResource } from './resources.ts';

export interface NodeContext {
  readonly addresses: AddressTable;
  readonly classes: ClassTable;
  readonly output: OutputBuilder;
  readonly visits: Visits;
  /** Nodes on which a class appeared or went. */
  readonly reclassified: Set<NodeRecord>;
  /** Classes that some node lost. */
  readonly lostClasses: Set<ClassRecord>;
  /** Nodes whose Envoy may have to be told something else. */
  readonly envoys: Set<NodeRecord>;
  /** Policies whose state may have to be told again. */
  readonly concerned: Set<PolicyRecord>;
}

/** The pod's class as the node's policies see it. */
export function classOn(node: NodeRecord, pod: PodRecord, classes: ClassTable): ClassRecord {
  if (node.selectors.size === 0) return plainClasses.pod;
  return classes.intern(
    'pod',
    pod.matched.filter((selector) => node.selectors.has(selector)),
  );
}

/** One object for the many nodes that hold the same. */
function placedResource(record: AddressRecord, wanted: ClassRecord): NodeResource {
  if (record.placed?.class === wanted) return record.placed.resource;
  const resource = addressResource(record.prefix, wanted);
  record.placed = { class: wanted, resource };
  return resource;
}

/** Lists the pod's addresses on the node, or not any more. `before`: the addresses that were the pod's. */
export function placePod(
  node: NodeRecord,
  pod: PodRecord,
  before: readonly AddressRecord[],
  context: NodeContext,
): void {
  context.visits.count++;
  const known = node.listed.get(pod);
  const found = pod.addresses.length === 0 ? plainClasses.pod : classOn(node, pod, context.classes);
  const wanted = found === plainClasses.pod ? undefined : found;
  if (known === wanted && (wanted === undefined || before === pod.addresses)) return;
  if (known !== wanted) {
    if (known !== undefined) countClass(node, known, -1, context);
    if (wanted !== undefined) countClass(node, wanted, 1, context);
  }
  const { upserts, deletes } = context.output.view(node.name);
  if (known !== undefined) {
    for (const { name } of before) {
      if (wanted === undefined || !pod.addresses.some((own) => own.name === name)) deletes.add(name);
    }
  }
  if (wanted === undefined) {
    node.listed.delete(pod);
    return;
  }
  node.listed.set(pod, wanted);
  for (const record of pod.addresses) {
    if (known !== wanted || !before.some((own) => own.name === record.name)) {
      upserts.set(record.name, placedResource(record, wanted));
    }
  }
}

/** The node's own addresses: the only ones that are not a remote node's. */
export function placeOwnAddresses(node: NodeRecord, context: NodeContext): void {
  const wanted = new Map<string, NodeResource>();
  for (const address of node.fact?.addresses ?? []) {
    const bytes = addressBytes(address);
    if (bytes === undefined) continue;
    const prefix = prefixOf(bytes, bytes.length * 8);
    wanted.set(addressName(prefix), addressResource(prefix, plainClasses.host));
  }
  for (const name of node.own.keys()) if (!wanted.has(name)) context.output.view(node.name).deletes.add(name);
  for (const [name, resource] of wanted) {
    if (!node.own.has(name)) context.output.view(node.name).upserts.set(name, resource);
  }
  node.own.clear();
  for (const [name, resource] of wanted) node.own.set(name, resource);
}

/** The ranges outside of the cluster that the node's policies name. */
export function placeRanges(node: NodeRecord, context: NodeContext): void {
  const cidrs = [...node.cidrs.keys()].sort((a, b) => (a.key < b.key ? -1 : 1));
  const prefixes = new Map<string, ParsedCidr>();
  for (const { cidr, except } of cidrs) {
    for (const prefix of [cidr, ...except]) prefixes.set(addressName(prefix), prefix);
  }
  const before = new Map(node.ranges);
  node.ranges.clear();
  for (const [name, prefix] of prefixes) {
    context.visits.count++;
    if (context.addresses.belongsToCluster(prefix)) continue;
    const matched = cidrs.filter((record) => inRange(record, prefix));
    const kind: ClassKind = prefix.bytes.length === 4 ? 'world-ipv4' : 'world-ipv6';
    const record = context.classes.intern(kind, matched);
    const known = before.get(name);
    const resource = known?.class === record ? known.resource : addressResource(prefix, record);
    node.ranges.set(name, { resource, class: record });
    countClass(node, record, 1, context);
    if (known?.class !== record) context.output.view(node.name).upserts.set(name, resource);
  }
  for (const [name, { class: record }] of before) {
    countClass(node, record, -1, context);
    if (!node.ranges.has(name)) context.output.view(node.name).deletes.add(name);
  }
}

function inRange({ cidr, except }: CidrRecord, prefix: ParsedCidr): boolean {
  return contains(cidr, prefix) && !except.some((inner) => contains(inner, prefix));
}

const PLAIN = Object.values(plainClasses);

/** Rebuilds the resources of the given sets on the node, for the classes that exist there. */
export function placeSets(node: NodeRecord, sets: Iterable<SetRecord>, context: NodeContext): void {
  node.sortedClasses ??= [...PLAIN, ...node.classes.keys()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const classes = node.sortedClasses;
  for (const set of sets) {
    context.visits.count++;
    const known = node.setResources.get(set);
    if (!node.sets.has(set)) {
      if (known !== undefined) context.output.view(node.name).deletes.add(set.name);
      node.setResources.delete(set);
      if (node.proxied.delete(set)) context.envoys.add(node);
      continue;
    }
    const made = setResource(set, classes);
    if (known !== undefined && sameSet(known, made)) continue;
    node.setResources.set(set, made);
    context.output.view(node.name).upserts.set(set.name, made);
    const needsEnvoy = listenersIn(made).length > 0;
    if (needsEnvoy) node.proxied.add(set);
    if (needsEnvoy || node.proxied.delete(set)) context.envoys.add(node);
  }
}

function listenersIn({ resource }: NodeResource): readonly PolicyListener[] {
  return resource?.$case === 'policySet' ? resource.value.listeners : [];
}

/** What the node's Envoy holds: listeners of its sets, their routes, and clusters to pass requests on. */
export function placeEnvoy(node: NodeRecord, listeners: ListenerTable, context: NodeContext): void {
  const records = new Map<bigint, ListenerRecord>();
  for (const set of node.proxied) {
    for (const listener of listenersIn(node.setResources.get(set) ?? {})) {
      context.visits.count++;
      if (!records.has(listener.id)) records.set(listener.id, listeners.current(set, listener, context));
    }
  }
  for (const [id, record] of records) if (!node.listeners.has(id)) record.nodes++;
  for (const [id, record] of node.listeners) if (!records.has(id)) listeners.leave(record, context);
  replaceContent(node.listeners, records);
  const wanted = new Map([...records.values()].flatMap((record) => [...record.resources]));
  const { upserts, deletes } = context.output.view(node.name);
  for (const name of node.envoy.keys()) if (!wanted.has(name)) deletes.add(name);
  for (const [name, resource] of wanted) if (node.envoy.get(name) !== resource) upserts.set(name, resource);
  replaceContent(node.envoy, wanted);
}

function replaceContent<K, V>(map: Map<K, V>, by: ReadonlyMap<K, V>): void {
  map.clear();
  for (const [key, value] of by) map.set(key, value);
}

/** The policy sets of a node have entries for the classes that are counted here. */
export function countClass(node: NodeRecord, record: ClassRecord, difference: number, context: NodeContext): void {
  if (record === plainClasses[record.kind]) return;
  const count = addCount(node.classes, record, difference);
  if (count === difference && difference > 0) {
    record.nodes++;
    node.sortedClasses = undefined;
    context.reclassified.add(node);
  } else if (count === 0) {
    record.nodes--;
    node.sortedClasses = undefined;
    context.lostClasses.add(record);
    context.reclassified.add(node);
  }
}
