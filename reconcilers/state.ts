import type { NodeResource } from '@weft/node-api';
import { ListenerTable } from './envoy/listener-table.ts';
import type { Fact, Labels } from './facts.ts';
import { AddressTable } from './identity/address-table.ts';
import { ClassTable } from './identity/class-table.ts';
import { type SelectorRecord, SelectorTable } from './identity/selector-table.ts';
import { AddressBytes } from './net/address-bytes.ts';
import type { NodeContext } from './nodes/node-view.ts';
import { OutputBuilder } from './output.ts';
import { IneffectiveTable } from './policy/ineffective.ts';
import { type PolicyRecord, PolicyTable } from './policy/policy-table.ts';
import { type SetRecord, SetTable } from './policy/set-table.ts';
import { type NodeRecord, newNode, type PodRecord } from './records.ts';
import { RouteTable } from './routes/route-table.ts';
import { ServiceTable } from './services/service-table.ts';

/** All tables of the compiler. */
export class Tables {
  readonly facts = new Map<string, readonly Fact[]>();
  /** By namespace/name. */
  readonly pods = new Map<string, PodRecord>();
  readonly podsIn = new Map<string, Set<PodRecord>>();
  readonly namespaces = new Map<string, Labels>();
  readonly nodes = new Map<string, NodeRecord>();
  readonly policies = new Map<string, PolicyRecord>();
  /** What every node was told. */
  readonly shared = new Map<string, NodeResource>();

  readonly bytes = new AddressBytes();
  readonly addresses = new AddressTable();
  readonly selectors = new SelectorTable();
  readonly classes = new ClassTable();
  readonly policyTable = new PolicyTable(this.selectors);
  readonly sets = new SetTable(this.policyTable);
  readonly listeners = new ListenerTable();
  readonly services = new ServiceTable(this.bytes);
  readonly routes = new RouteTable(this.services);
  readonly ineffective = new IneffectiveTable();

  /** Rows by table. */
  sizes(): Record<string, number> {
    return {
      facts: this.facts.size,
      pods: this.pods.size,
      namespaces: this.namespaces.size + this.podsIn.size,
      nodes: this.nodes.size,
      policies: this.policies.size,
      shared: this.shared.size,
      addresses: this.addresses.size,
      selectors: this.selectors.size,
      classes: this.classes.size,
      parts: this.policyTable.size,
      sets: this.sets.size,
      listeners: this.listeners.size,
      services: this.services.size,
      routes: this.routes.size,
      ineffective: this.ineffective.size,
    };
  }

  node(name: string): NodeRecord {
    let node = this.nodes.get(name);
    if (node === undefined) {
      node = newNode(name);
      this.nodes.set(name, node);
    }
    return node;
  }

  /** A namespace that nobody has told of yet has the label that the API server gives to each. */
  namespaceLabels(name: string): Labels {
    return this.namespaces.get(name) ?? { 'kubernetes.io/metadata.name': name };
  }
}

/** One update under way: what has to be looked at again, and what it changes. */
export class Update implements NodeContext {
  readonly tables: Tables;
  readonly addresses: AddressTable;
  readonly classes: ClassTable;
  readonly output = new OutputBuilder();
  readonly visits = { count: 0 };

  readonly pods = new Set<PodRecord>();
  /** Whose Node changed. */
  readonly nodes = new Set<NodeRecord>();
  readonly policies = new Set<PolicyRecord>();
  /** Whose state may have to be told again. */
  readonly concerned = new Set<PolicyRecord>();
  readonly policyNodes = new Map<PolicyRecord, Set<NodeRecord>>();
  /** Sets whose policies say something else. */
  readonly changedSets = new Set<SetRecord>();
  readonly emptySets = new Set<SetRecord>();
  /** Sets that came to or left a node. */
  readonly movedSets = new Map<NodeRecord, Set<SetRecord>>();
  /** Selectors that a node began or ceased to use. */
  readonly flipped = new Map<NodeRecord, Set<SelectorRecord>>();
  readonly ranges = new Set<NodeRecord>();
  readonly reclassified: NodeContext['reclassified'] = new Set();
  readonly lostClasses: NodeContext['lostClasses'] = new Set();
  readonly envoys: NodeContext['envoys'] = new Set();

  constructor(tables: Tables) {
    this.tables = tables;
    this.addresses = tables.addresses;
    this.classes = tables.classes;
  }
}

export function addTo<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const values = index.get(key);
  if (values === undefined) index.set(key, new Set([value]));
  else values.add(value);
}
